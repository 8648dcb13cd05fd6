//! Payloads of the account commands. A secret is never part of an event: it is hashed by the
//! identity service and kept in its private store.

use crate::enums::Role;
use crate::ids::{AccountName, CellId, CustomerId, SiteId};
use crate::subject::DataSubject;
use crate::text::{Secret, Text};

payload! {
    /// `account.add`.
    AddAccount {
        account: AccountName,
        roles: Vec<Role>,
        sites: Option<Vec<SiteId>>,
        /// Needed for role `customer`.
        customer_id: Option<CustomerId>,
        /// Needed for role `device`.
        cell: Option<CellId>,
        /// 12 to 200 characters; without one nobody can log in until `account.rotate-secret`.
        secret: Option<Secret>,
    }

    /// `account.grant`: adds roles and sites.
    GrantAccount {
        account: AccountName,
        roles: Option<Vec<Role>>,
        sites: Option<Vec<SiteId>>,
    }

    /// `account.revoke`: takes roles and sites away.
    RevokeAccount {
        account: AccountName,
        roles: Option<Vec<Role>>,
        sites: Option<Vec<SiteId>>,
    }

    /// `account.rotate-secret`: the old secret ends at once.
    RotateSecret {
        account: AccountName,
        /// 12 to 200 characters.
        secret: Secret,
    }

    /// `account.disable`: ends its sessions and refuses its tokens.
    DisableAccount {
        account: AccountName,
        /// Stays readable: no personal data.
        reason: Option<Text<200>>,
    }

    /// `account.enable`.
    EnableAccount { account: AccountName }

    /// `account.erase-subject`: destroys the key of one data subject, a customer or an account, in
    /// every context. What was sealed under it stays unreadable for ever.
    EraseSubject {
        /// The customer whose tickets' free text is erased; either this or `account`.
        customer_id: Option<CustomerId>,
        /// The author whose free text is erased; either this or `customer_id`.
        account: Option<AccountName>,
        /// Why, as a case number; stays readable, so no personal data.
        reason: Option<Text<200>>,
    }
}

impl EraseSubject {
    /// Whom it names; `None` unless it names exactly one.
    pub fn subject(&self) -> Option<DataSubject> {
        match (&self.customer_id, &self.account) {
            (Some(c), None) => Some(DataSubject::Customer(c.clone())),
            (None, Some(a)) => Some(DataSubject::Account(a.clone())),
            _ => None,
        }
    }
}

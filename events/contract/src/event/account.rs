//! Events of accounts. No secret and no hash of one is ever part of an event.

use bincode::{Decode, Encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::SealedFields;
use super::work_order::events;
use crate::enums::Role;
use crate::ids::{AccountName, CellId, CustomerId, SiteId};
use crate::subject::DataSubject;
use crate::text::{Sealed, Text};

events! {
    /// An account was made.
    AccountAddedV1 {
        account: AccountName,
        roles: Vec<Role>,
        sites: Vec<SiteId>,
        customer_id: Option<CustomerId>,
        cell: Option<CellId>,
    }

    /// Roles and sites were added.
    AccountGrantedV1 {
        account: AccountName,
        roles: Vec<Role>,
        sites: Vec<SiteId>,
    }

    /// Roles and sites were taken away.
    AccountRevokedV1 {
        account: AccountName,
        roles: Vec<Role>,
        sites: Vec<SiteId>,
    }

    /// The secret was replaced.
    AccountSecretRotatedV1 { account: AccountName }

    /// The account can't be used any more.
    AccountDisabledV1 {
        account: AccountName,
        reason: Option<Text<200>>,
    }

    /// The account can be used again.
    AccountEnabledV1 { account: AccountName }

    /// Every text of a data subject that was sealed until now is erased: the owners of keys destroy
    /// its key when they read this. One of the two is named.
    SubjectErasedV1 {
        customer_id: Option<CustomerId>,
        account: Option<AccountName>,
        reason: Option<Text<200>>,
    }
}

impl SubjectErasedV1 {
    /// Whose text it is.
    pub fn subject(&self) -> Option<DataSubject> {
        let customer = self.customer_id.clone().map(DataSubject::Customer);
        customer.or_else(|| self.account.clone().map(DataSubject::Account))
    }
}

//! What the policy knows of whoever asks. Owns no storage: the directory of the identity service
//! makes these values, and a token can only narrow them.

use std::collections::BTreeSet;

use mw_contract::{AccountName, CellId, CustomerId, Role, SiteId};

/// One account as the policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name: the `{account}` of its topics, the `sub` of its tokens.
    pub name: AccountName,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// Where it may do it.
    pub sites: BTreeSet<SiteId>,
    /// The one customer whose things it may see, for role `customer`.
    pub customer_id: Option<CustomerId>,
    /// The one cell it speaks for, for role `device`.
    pub cell: Option<CellId>,
    /// Disabled accounts are refused everything.
    pub disabled: bool,
    /// A process of the product itself: every topic, every site.
    pub service: bool,
}

impl Account {
    /// Does it have this role?
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Is it one of the people (or integrations) of the plant, and so sees what happens there?
    /// Devices and customers are not.
    pub fn is_staff(&self) -> bool {
        self.roles.iter().any(|r| is_staff_role(*r))
    }

    /// The same account with no more than these roles and sites. A token narrows the account
    /// that it was made for and never widens it, so what was revoked since is gone at once.
    #[must_use]
    pub fn narrowed(&self, roles: &BTreeSet<Role>, sites: &BTreeSet<SiteId>) -> Account {
        Account {
            roles: self.roles.intersection(roles).copied().collect(),
            sites: self.sites.intersection(sites).cloned().collect(),
            ..self.clone()
        }
    }
}

pub(crate) const fn is_staff_role(role: Role) -> bool {
    match role {
        Role::Operator
        | Role::LineLead
        | Role::Planner
        | Role::QualityInspector
        | Role::Technician
        | Role::Dispatcher
        | Role::Auditor
        | Role::Admin => true,
        Role::Customer | Role::Device | Role::System => false,
    }
}

/// An answer about a topic. The reason is for logs and for MQTT 5 reason strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Go on.
    Allow,
    /// Refuse, and why.
    Deny(&'static str),
}

impl Access {
    /// Is it [`Access::Allow`]?
    pub const fn is_allowed(self) -> bool {
        matches!(self, Access::Allow)
    }
}

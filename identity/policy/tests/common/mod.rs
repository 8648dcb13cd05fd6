//! Accounts to ask about.
#![allow(dead_code)]

use mw_contract::{AccountName, CellId, CustomerId, Role, SiteId};
use mw_policy::Account;

pub fn site(s: &str) -> SiteId {
    SiteId::new(s).unwrap()
}

/// An account `me` of plant-1 with these roles; customer `acme` and cell `cell-1` where the role asks.
pub fn account(roles: &[Role]) -> Account {
    Account {
        name: AccountName::new("me").unwrap(),
        roles: roles.iter().copied().collect(),
        sites: [site("plant-1")].into(),
        customer_id: roles.contains(&Role::Customer).then(|| CustomerId::new("acme").unwrap()),
        cell: roles.contains(&Role::Device).then(|| CellId::new("cell-1").unwrap()),
        disabled: false,
        service: false,
    }
}

pub fn service() -> Account {
    Account {
        sites: Default::default(),
        service: true,
        name: AccountName::new("svc-production").unwrap(),
        ..account(&[Role::System])
    }
}

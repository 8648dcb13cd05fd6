//! The accounts of a first start, as commands for the ordinary command path.

use mw_contract::{CommandId, ids};
use serde_json::json;
use uuid::Uuid;

/// The secret of every account of the demo.
pub const DEMO_SECRET: &str = "millwright-demo";
/// The site of the demo.
const DEMO_SITE: &str = "plant-1";

/// An account to be made at a first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAccount {
    /// Its name.
    pub name: &'static str,
    /// Its one role.
    pub role: &'static str,
    /// Its site.
    pub site: Option<&'static str>,
    /// Its customer.
    pub customer_id: Option<&'static str>,
    /// Its cell.
    pub cell: Option<&'static str>,
}

impl FirstAccount {
    const fn of(name: &'static str, role: &'static str) -> Self {
        FirstAccount { name, role, site: Some(DEMO_SITE), customer_id: None, cell: None }
    }

    /// The `account.add` command, to be sent as a service account at site `-`. Its id follows from
    /// the name, so that a start that was cut short can be repeated.
    pub fn command(&self, secret: &str) -> Vec<u8> {
        let id = CommandId(Uuid::new_v5(&ids::NAMESPACE, format!("first-account:{}", self.name).as_bytes()));
        let mut payload = json!({
            "account": self.name, "roles": [self.role], "secret": secret,
            "sites": self.site.into_iter().collect::<Vec<_>>(),
        });
        for (field, value) in [("customer_id", self.customer_id), ("cell", self.cell)] {
            if let Some(v) = value {
                payload[field] = json!(v);
            }
        }
        json!({"command_id": id, "type": "account.add", "payload": payload}).to_string().into_bytes()
    }
}

/// The first admin of a system without a demo. It has no site yet: it grants itself one.
pub fn first_admin() -> FirstAccount {
    FirstAccount { site: None, ..FirstAccount::of("admin", "admin") }
}

/// The accounts of the demo.
pub fn demo_accounts() -> Vec<FirstAccount> {
    vec![
        FirstAccount::of("admin", "admin"),
        FirstAccount::of("planner-1", "planner"),
        FirstAccount::of("lead-1", "line_lead"),
        FirstAccount::of("operator-1", "operator"),
        FirstAccount::of("inspector-1", "quality_inspector"),
        FirstAccount::of("dispatcher-1", "dispatcher"),
        FirstAccount::of("technician-1", "technician"),
        FirstAccount { customer_id: Some("acme"), ..FirstAccount::of("customer-1", "customer") },
        FirstAccount::of("auditor-1", "auditor"),
        FirstAccount { cell: Some("cell-1"), ..FirstAccount::of("cell-1", "device") },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decider::{AccountState, Surroundings, decide};
    use mw_contract::{CommandEnvelope, Context};

    #[test]
    fn every_first_account_is_a_command_that_is_accepted() {
        for (first, secret) in
            demo_accounts().into_iter().map(|a| (a, DEMO_SECRET)).chain([(first_admin(), "x-random-secret-x")])
        {
            let e = CommandEnvelope::read(&first.command(secret), Context::Identity, None).unwrap();
            let command = e.command.unwrap();
            let events = decide(&AccountState::default(), &command, Surroundings { other_active_admins: 0 }).unwrap();
            assert_eq!(events.len(), 1, "{}", first.name);
            assert!(!events[0].data().to_string().contains(secret), "{}", first.name);
        }
        assert_eq!(demo_accounts().len(), 10);
    }
}

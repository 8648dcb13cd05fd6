//! Whose personal data a text is.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{AccountName, AggregateId, CustomerId, NAMESPACE, account_id};

/// The one whose personal data a sealed text is. Each has a key of its own, and destroying that key
/// makes every text of the subject unreadable.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataSubject {
    /// A customer: what was written on its tickets, whoever wrote it.
    Customer(CustomerId),
    /// The author of what was written anywhere else.
    Account(AccountName),
}

impl DataSubject {
    /// Its name in a vault. A code has no colon, so a customer and an account of one code never
    /// share a key.
    pub fn key_name(&self) -> String {
        match self {
            DataSubject::Customer(c) => format!("customer:{c}"),
            DataSubject::Account(a) => a.as_str().to_owned(),
        }
    }

    /// The aggregate on which its erasures are recorded: the account itself, for a customer the
    /// UUIDv5 of `data-subject:customer:code`.
    pub fn aggregate_id(&self) -> AggregateId {
        match self {
            DataSubject::Account(a) => account_id(a),
            DataSubject::Customer(c) => {
                AggregateId(Uuid::new_v5(&NAMESPACE, format!("data-subject:customer:{c}").as_bytes()))
            }
        }
    }
}

impl fmt::Display for DataSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataSubject::Customer(c) => write!(f, "customer {c}"),
            DataSubject::Account(a) => write!(f, "account {a}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_and_an_account_of_one_code_are_two_subjects() {
        let customer = DataSubject::Customer(CustomerId::new("acme").unwrap());
        let account = DataSubject::Account(AccountName::new("acme").unwrap());
        assert_ne!(customer.key_name(), account.key_name());
        assert_ne!(customer.aggregate_id(), account.aggregate_id());
        assert_eq!(account.key_name(), "acme", "keys that were made under an account's name must be found again");
        assert!(CustomerId::new("customer:acme").is_err() && AccountName::new("customer:acme").is_err());
        let written = serde_json::to_string(&customer).unwrap();
        assert_eq!(written, r#"{"customer":"acme"}"#);
        assert_eq!(serde_json::from_str::<DataSubject>(&written).unwrap(), customer);
    }
}

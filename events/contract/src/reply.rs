//! What the sender of a command hears, and the one table of error codes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::enums::Context;
use crate::ids::{AggregateId, CommandId, EventId, Position, Version};

closed_list! {
    /// Why a command was refused.
    ErrorCode {
        Validation = 1 "VALIDATION",
        NotFound = 2 "NOT_FOUND",
        AlreadyExists = 3 "ALREADY_EXISTS",
        InvalidState = 4 "INVALID_STATE",
        GuardFailed = 5 "GUARD_FAILED",
        VersionConflict = 6 "VERSION_CONFLICT",
        IdempotencyKeyReused = 7 "IDEMPOTENCY_KEY_REUSED",
        Forbidden = 8 "FORBIDDEN",
        ClockSkew = 9 "CLOCK_SKEW",
        BackdateLimit = 10 "BACKDATE_LIMIT",
        PeriodClosed = 11 "PERIOD_CLOSED",
        ReasonRequired = 12 "REASON_REQUIRED",
        ReasonUnknown = 13 "REASON_UNKNOWN",
        InsufficientStock = 14 "INSUFFICIENT_STOCK",
        RateLimited = 15 "RATE_LIMITED",
        Unavailable = 16 "UNAVAILABLE",
    }

    /// How a command ended.
    ReplyStatus {
        Accepted = 1 "accepted",
        Duplicate = 2 "duplicate",
        Rejected = 3 "rejected",
    }
}

/// How an error code is spelled on each wire. One row a code; [`ErrorCode::row`] is the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The HTTP status of the same failure.
    pub http: u16,
    /// The MQTT 5 reason code of an acknowledgement that carries it, where one fits.
    pub mqtt: u8,
    /// The OPC 10031-4 status bits.
    pub opc: u32,
    /// May the same command be sent again and succeed without a person changing anything?
    /// Such an outcome is never stored and never acknowledged.
    pub retryable: bool,
}

impl ErrorCode {
    /// The row of this code in the error table (domain: error codes; MQTT 5 section 2.4; RFC 9110).
    pub const fn row(self) -> ErrorRow {
        const fn row(http: u16, mqtt: u8, opc: u32, retryable: bool) -> ErrorRow {
            ErrorRow { http, mqtt, opc, retryable }
        }
        // A stored refusal is acknowledged with plain success (0x00): an acknowledgement of 0x80
        // or more says "not taken", and a refusal was taken and kept.
        match self {
            ErrorCode::Validation => row(400, 0x99, 32, false),
            ErrorCode::NotFound => row(404, 0x00, 1, false),
            ErrorCode::AlreadyExists => row(409, 0x00, 4, false),
            ErrorCode::InvalidState => row(409, 0x00, 3, false),
            ErrorCode::GuardFailed => row(422, 0x00, 4, false),
            ErrorCode::VersionConflict => row(412, 0x00, 4, false),
            ErrorCode::IdempotencyKeyReused => row(422, 0x00, 32, false),
            ErrorCode::Forbidden => row(403, 0x87, 4, false),
            ErrorCode::ClockSkew => row(422, 0x00, 32, false),
            ErrorCode::BackdateLimit => row(422, 0x00, 32, false),
            ErrorCode::PeriodClosed => row(422, 0x00, 4, false),
            ErrorCode::ReasonRequired => row(422, 0x00, 32, false),
            ErrorCode::ReasonUnknown => row(422, 0x00, 32, false),
            ErrorCode::InsufficientStock => row(409, 0x00, 4, false),
            ErrorCode::RateLimited => row(429, 0x97, 4, true),
            ErrorCode::Unavailable => row(503, 0x89, 4, true),
        }
    }
}

/// One field that is missing or wrong. `field` is a path such as `scrap[0].qty`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FieldError {
    /// Where it is, from the top of the command.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl FieldError {
    /// Names a field and what is wrong with it.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        FieldError { field: field.into(), message: message.into() }
    }
}

/// A refusal: data, not a failure of the program. The shape follows RFC 9457.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rejection {
    /// Why, from the table of codes.
    pub code: ErrorCode,
    /// For a person: what was wrong and what to do.
    pub message: String,
    /// The field at fault, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Facts for a program, by code: `rule`, `state`, `allowed`, `actual`, `fields` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// May the same command be sent again as it is?
    pub retryable: bool,
}

impl Rejection {
    /// A refusal with a code and a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Rejection { code, message: message.into(), field: None, details: None, retryable: code.row().retryable }
    }

    /// All failing fields of a shape at once.
    pub fn validation(mut fields: Vec<FieldError>) -> Self {
        fields.truncate(100);
        let message = match fields.as_slice() {
            [] => "the command is not well formed".to_owned(),
            [one] => format!("{}: {}", one.field, one.message),
            many => {
                let names: Vec<&str> = many.iter().map(|f| f.field.as_str()).collect();
                format!("{} fields are wrong: {}", many.len(), names.join(", "))
            }
        };
        let field = fields.first().map(|f| f.field.clone());
        Rejection { field, ..Rejection::new(ErrorCode::Validation, message) }.with("fields", serde_json::json!(fields))
    }

    /// One failing field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Rejection::validation(vec![FieldError::new(field, message)])
    }

    /// A business rule that failed; `rule` is its id, such as `WO-16.R1`.
    pub fn guard(rule: &'static str, message: impl Into<String>) -> Self {
        Rejection::new(ErrorCode::GuardFailed, message).with("rule", rule)
    }

    /// Nothing of that id.
    pub fn not_found(message: impl Into<String>) -> Self {
        Rejection::new(ErrorCode::NotFound, message)
    }

    /// The role or the scope does not allow it.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Rejection::new(ErrorCode::Forbidden, message)
    }

    /// Not in this state.
    pub fn invalid_state(what: &str, state: &str, allowed: &[&str]) -> Self {
        Rejection::new(
            ErrorCode::InvalidState,
            format!("{what} is not possible in state {state}, only in {}", allowed.join(", ")),
        )
        .with("state", state)
        .with("allowed", serde_json::json!(allowed))
    }

    /// Adds a fact to `details`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut map = match self.details.take() {
            Some(Value::Object(m)) => m,
            _ => serde_json::Map::new(),
        };
        map.insert(key.to_owned(), value.into());
        self.details = Some(Value::Object(map));
        self
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

/// Something the sender should know although the command was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Warning {
    /// A stable word.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// An event that a reply names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReplyEvent {
    /// Which event.
    pub event_id: EventId,
    /// Its type, PascalCase.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its place in its stream.
    pub version: Version,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reply {
    /// The command it answers; null where no command id could be read.
    pub command_id: Option<CommandId>,
    /// How it ended.
    pub status: ReplyStatus,
    /// Which context decided it.
    pub context: Context,
    /// The aggregate it acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate_id: Option<AggregateId>,
    /// The version of the aggregate after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// The position of its last event: give it to a query as `min_position`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What happened.
    #[serde(default)]
    pub events: Vec<ReplyEvent>,
    /// What the sender should know.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Rejection>,
}

impl Reply {
    /// A refusal that is not stored: nothing of it has a position.
    pub fn rejected(command_id: Option<CommandId>, context: Context, error: Rejection) -> Self {
        Reply {
            command_id,
            status: ReplyStatus::Rejected,
            context,
            aggregate_id: None,
            version: None,
            position: None,
            events: Vec::new(),
            warnings: Vec::new(),
            error: Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_and_a_reason_code_of_its_protocol() {
        for code in ErrorCode::ALL {
            let r = code.row();
            assert!((400..600).contains(&r.http), "{code}");
            assert!([0x00, 0x87, 0x89, 0x97, 0x99].contains(&r.mqtt), "{code}");
            assert!([1, 3, 4, 32].contains(&r.opc), "{code}");
            assert_eq!(Rejection::new(*code, "x").retryable, r.retryable);
        }
        let retryable: Vec<_> = ErrorCode::ALL.iter().filter(|c| c.row().retryable).collect();
        assert_eq!(retryable, [&ErrorCode::RateLimited, &ErrorCode::Unavailable]);
    }

    #[test]
    fn a_refusal_names_all_failing_fields() {
        let r = Rejection::validation(vec![FieldError::new("a", "is required"), FieldError::new("b", "must be > 0")]);
        assert_eq!(r.details.unwrap()["fields"].as_array().unwrap().len(), 2);
        assert!(r.message.contains('a') && r.message.contains('b'));
    }
}

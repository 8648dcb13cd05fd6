//! The envelope: reading one command from the bytes of a PUBLISH.

use aws_lc_rs::digest;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Command, CommandType};
use crate::enums::Context;
use crate::ids::{AggregateId, CausationId, CommandId, CorrelationId, SiteId, Version};
use crate::reply::{FieldError, Rejection};
use crate::text::Text;
use crate::time::Instant;
use crate::wire::Fields;

/// The most bytes a command may have.
pub const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// Bytes in which no command could be found: nothing of them is stored but a count.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable(pub Rejection);

/// A command in its envelope. The sender is not in it: it is the account of the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandEnvelope {
    /// The idempotency key.
    pub command_id: CommandId,
    /// The type as it was written, at most 64 characters, also where it is unknown.
    pub type_name: String,
    /// The aggregate it names, or the one that follows from its payload.
    pub aggregate_id: Option<AggregateId>,
    /// The version that the sender last saw.
    pub expected_version: Option<Version>,
    /// Business time, when the sender gave one.
    pub occurred_at: Option<Instant>,
    /// Was the device without a connection when the person acted?
    pub captured_offline: bool,
    /// Tablet or gateway.
    pub device_id: Option<Text<64>>,
    /// Ties together what one trigger caused.
    pub correlation_id: Option<CorrelationId>,
    /// What caused it.
    pub causation_id: Option<CausationId>,
    /// SHA-256 over type, aggregate and payload in canonical order.
    pub payload_hash: [u8; 32],
    /// The command, or why its shape is wrong: a refusal that is stored.
    pub command: Result<Command, Rejection>,
    /// Fields that are not known here, by their paths: they are without effect.
    pub ignored: Vec<String>,
}

/// Takes the command id out of a payload, as the front door does: the least that a command needs.
pub fn command_id_of(bytes: &[u8]) -> Result<CommandId, Unreadable> {
    read_object(bytes).and_then(|map| read_id(&map))
}

fn unreadable(message: &str) -> Unreadable {
    Unreadable(Rejection::validation(vec![FieldError::new("", message)]))
}

fn read_object(bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    if bytes.len() > MAX_COMMAND_BYTES {
        return Err(unreadable("a command has at most 65536 bytes"));
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(m)) => Ok(m),
        Ok(_) => Err(unreadable("a command is a JSON object")),
        Err(e) => Err(unreadable(&format!("a command is a JSON object; {e}"))),
    }
}

fn read_id(map: &Map<String, Value>) -> Result<CommandId, Unreadable> {
    let text = map.get("command_id").and_then(Value::as_str).unwrap_or_default();
    match (text.len(), Uuid::try_parse(text)) {
        // Only the hyphenated form: one command must not be known under two spellings.
        (36, Ok(u)) => Ok(CommandId(u)),
        _ => Err(Unreadable(Rejection::invalid("command_id", "is required: a UUID that the client makes once"))),
    }
}

impl CommandEnvelope {
    /// Reads the bytes of a PUBLISH on the command topic of `context` at `site`.
    pub fn read(bytes: &[u8], context: Context, site: Option<&SiteId>) -> Result<Self, Unreadable> {
        let map = read_object(bytes)?;
        let command_id = read_id(&map)?;
        let type_name: String = map.get("type").and_then(Value::as_str).unwrap_or_default().chars().take(64).collect();

        let mut f = Fields::new(&map, "");
        f.also_known("command_id");
        let named = f.take::<String>("type");
        let schema = f.take::<Option<u16>>("schema").flatten().unwrap_or(1);
        let aggregate_id = f.take::<Option<AggregateId>>("aggregate_id").flatten();
        let expected_version = f.take::<Option<Version>>("expected_version").flatten();
        let occurred_at = f.take::<Option<Instant>>("occurred_at").flatten();
        let captured_offline = f.take::<Option<bool>>("captured_offline").flatten().unwrap_or(false);
        let device_id = f.take::<Option<Text<64>>>("device_id").flatten();
        let correlation_id = f.take::<Option<CorrelationId>>("correlation_id").flatten();
        let causation_id = f.take::<Option<CausationId>>("causation_id").flatten();
        let payload = f.take::<Map<String, Value>>("payload");

        let command_type = named.and_then(|name| match name.parse::<CommandType>() {
            Ok(t) if t.context() == context => Some(t),
            Ok(t) => {
                f.fail("type", &format!("{t} goes to context {}, not to {context}", t.context()));
                None
            }
            Err(_) => {
                let known: Vec<&str> =
                    CommandType::ALL.iter().filter(|t| t.context() == context).map(|t| t.as_str()).collect();
                f.fail("type", &format!("is not a command of {context}; the commands are {}", known.join(", ")));
                None
            }
        });
        if schema != 1 {
            f.fail("schema", "is not known here; this is schema 1");
        }

        let mut aggregate = aggregate_id;
        let mut command = None;
        let mut ignored = Vec::new();
        if let (Some(t), Some(mut payload)) = (command_type, payload) {
            if t.is_strict() && expected_version.is_none() {
                f.fail("expected_version", "is required for this command: the version you last saw");
            }
            check_repeated(&mut f, &mut payload, t, aggregate_id, site);
            match Command::read_noting(t, &payload, &mut ignored) {
                Ok(c) => {
                    let derived = c.derived_id();
                    match (aggregate_id, derived) {
                        (Some(a), Some(d)) if a != d => {
                            f.fail("aggregate_id", &format!("must be {d} for this payload, or absent"));
                        }
                        // The service finds a unit by its serial number.
                        (None, None) if c.names_a_unit() => {}
                        (None, None) => f.fail("aggregate_id", "is required"),
                        _ => aggregate = aggregate_id.or(derived),
                    }
                    command = Some(c);
                }
                Err(errors) => {
                    if aggregate_id.is_none() && t.aggregate() == crate::enums::AggregateKind::WorkOrder {
                        f.fail("aggregate_id", "is required");
                    }
                    for e in errors {
                        f.fail(&e.field, &e.message);
                    }
                }
            }
        }
        let (errors, unknown) = f.finish();
        ignored.extend(unknown);
        let command = match command {
            Some(c) if errors.is_empty() => Ok(c),
            _ => Err(Rejection::validation(errors)),
        };
        Ok(CommandEnvelope {
            command_id,
            payload_hash: hash(&type_name, aggregate, map.get("payload")),
            type_name,
            aggregate_id: aggregate,
            expected_version,
            occurred_at,
            captured_offline,
            device_id,
            correlation_id,
            causation_id,
            command,
            ignored,
        })
    }
}

/// A payload may repeat the aggregate's id and the site; they must then say the same.
fn check_repeated(
    f: &mut Fields<'_>,
    payload: &mut Map<String, Value>,
    t: CommandType,
    aggregate_id: Option<AggregateId>,
    site: Option<&SiteId>,
) {
    if let Some(v) = payload.remove(t.id_field()) {
        let same = v.as_str().and_then(|s| s.parse::<AggregateId>().ok()).is_some_and(|id| Some(id) == aggregate_id);
        if !same && !v.is_null() {
            f.fail(&format!("payload.{}", t.id_field()), "must equal aggregate_id");
        }
    }
    if t.aggregate() == crate::enums::AggregateKind::WorkOrder
        && let Some(v) = payload.remove("site_id")
        && !v.is_null()
        && v.as_str() != site.map(SiteId::as_str)
    {
        f.fail("payload.site_id", "must equal the site of the topic");
    }
}

fn hash(type_name: &str, aggregate: Option<AggregateId>, payload: Option<&Value>) -> [u8; 32] {
    let mut c = digest::Context::new(&digest::SHA256);
    c.update(type_name.as_bytes());
    c.update(&[0]);
    if let Some(a) = aggregate {
        c.update(a.as_bytes());
    }
    c.update(&[0]);
    // Objects of serde_json are sorted maps, so equal payloads have equal bytes. A secret is left
    // out: a fast hash of it in the log would invite guessing.
    match payload {
        Some(Value::Object(m)) if m.contains_key("secret") => {
            let open: Map<String, Value> =
                m.iter().filter(|(k, _)| *k != "secret").map(|(k, v)| (k.clone(), v.clone())).collect();
            c.update(Value::Object(open).to_string().as_bytes());
        }
        Some(p) => c.update(p.to_string().as_bytes()),
        None => {}
    }
    let mut out = [0; 32];
    out.copy_from_slice(c.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Value) -> CommandEnvelope {
        CommandEnvelope::read(json.to_string().as_bytes(), Context::Production, Some(&SiteId::new("plant-1").unwrap()))
            .unwrap()
    }

    fn failing(e: CommandEnvelope) -> Vec<String> {
        let d = e.command.unwrap_err().details.unwrap();
        d["fields"].as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap().to_owned()).collect()
    }

    const ID: &str = "01937b1e-0000-7000-8000-000000000001";

    #[test]
    fn a_good_command_is_read() {
        let e = read(serde_json::json!({"command_id": ID, "type": "work-order.release", "aggregate_id": ID,
            "expected_version": 2, "occurred_at": "2026-03-02T09:00:00.000Z",
            "payload": {"allow_shortage": true, "work_order_id": ID, "site_id": "plant-1"}}));
        assert_eq!(e.command.unwrap().command_type(), CommandType::WorkOrderRelease);
        assert_eq!(e.expected_version, Some(Version(2)));
    }

    #[test]
    fn all_failing_fields_are_named_at_once() {
        let e = read(serde_json::json!({"command_id": ID, "type": "work-order.release", "aggregate_id": "x",
            "occurred_at": "yesterday", "payload": {"allow_shortage": "yes", "site_id": "plant-2"}}));
        let fields = failing(e);
        for f in ["aggregate_id", "occurred_at", "expected_version", "payload.allow_shortage", "payload.site_id"] {
            assert!(fields.iter().any(|x| x == f), "{f} is missing in {fields:?}");
        }
    }

    #[test]
    fn fields_that_are_not_known_are_ignored_and_named() {
        let e = read(serde_json::json!({"command_id": ID, "type": "work-order.report-quantity", "aggregate_id": ID,
            "actor": "admin", "payload": {"op": 10, "report_id": ID, "good": "1", "user": "admin",
                "scrap": [{"qty": "1", "reason": "surface", "colour": "red"}]}}));
        assert!(e.command.is_ok(), "{:?}", e.command);
        assert_eq!(e.ignored, ["payload.user", "actor"]);
        // However many there are.
        let many: Map<String, Value> = (0..200).map(|n| (format!("{n:0200}"), Value::Null)).collect();
        let e = read(serde_json::json!({"command_id": ID, "type": "work-order.release", "aggregate_id": ID,
            "expected_version": 2, "payload": many}));
        assert!(e.command.is_ok());
        assert_eq!((e.ignored.len(), e.ignored[0].len()), (20, 100));
    }

    #[test]
    fn a_nested_field_is_named_by_its_path() {
        let e = read(serde_json::json!({"command_id": ID, "type": "work-order.report-quantity", "aggregate_id": ID,
            "payload": {"op": 10, "report_id": ID, "scrap": [{"qty": "1", "reason": "surface"}, {"qty": "-1", "reason": "surface"}]}}));
        assert_eq!(failing(e), ["payload.scrap[1].qty"]);
    }

    #[test]
    fn bytes_without_a_command_id_are_unreadable() {
        for bad in ["", "[]", "{", "{}", r#"{"command_id":7}"#, r#"{"command_id":"01937b1e00007000800000000000 0001"}"#]
        {
            assert!(CommandEnvelope::read(bad.as_bytes(), Context::Production, None).is_err(), "{bad}");
            assert!(command_id_of(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(command_id_of(deep.as_bytes()).is_err());
    }

    #[test]
    fn unknown_types_and_other_contexts_are_refused_with_what_exists() {
        let e = read(
            serde_json::json!({"command_id": ID, "type": "work-order.explode", "aggregate_id": ID, "payload": {}}),
        );
        assert!(e.command.unwrap_err().message.contains("work-order.create"));
        let e = read(serde_json::json!({"command_id": ID, "type": "account.disable", "payload": {"account": "a"}}));
        assert!(e.command.unwrap_err().message.contains("identity"));
    }

    #[test]
    fn the_hash_tells_a_repeat_from_a_reuse() {
        let base = serde_json::json!({"command_id": ID, "type": "work-order.release", "aggregate_id": ID,
            "expected_version": 2, "payload": {"allow_shortage": true}});
        let mut later = base.clone();
        later["occurred_at"] = "2026-03-02T09:00:00Z".into();
        let mut other = base.clone();
        other["payload"]["allow_shortage"] = false.into();
        assert_eq!(read(base.clone()).payload_hash, read(later).payload_hash);
        assert_ne!(read(base).payload_hash, read(other).payload_hash);
    }

    #[test]
    fn ids_of_reference_data_follow_from_kind_and_code() {
        let doc = serde_json::json!({"command_id": ID, "type": "reference.retire", "payload": {"kind": "cell", "code": "cell-9"}});
        let e = read(doc.clone());
        assert!(e.aggregate_id.is_some() && e.command.is_ok());
        let mut wrong = doc;
        wrong["aggregate_id"] = ID.into();
        assert_eq!(failing(read(wrong)), ["aggregate_id"]);
    }
}

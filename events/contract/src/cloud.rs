//! The CloudEvents 1.0 form (JSON, structured mode) of a stored event, and the envelope in which
//! the audit trail shows it.

use serde_json::{Value, json};

use crate::commit::{StoredCommit, StoredEvent};
use crate::enums::Context;
use crate::event::{DecodeError, Event, kebab};
use crate::topics;

/// The content type of a published event.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Decodes the payload of a stored event.
pub fn decode(e: &StoredEvent) -> Result<Event, DecodeError> {
    Event::decode(&e.event.event_type, e.event.schema, &e.event.payload)
}

/// The topic and the CloudEvent of one event of a commit.
pub fn cloud_event(context: Context, commit: &StoredCommit, e: &StoredEvent, data: &Event) -> (String, Value) {
    let site = commit.head.site.as_ref().map_or(topics::NO_SITE, |s| s.as_str());
    let kebab_type = kebab(&e.event.event_type);
    let mut v = json!({
        "specversion": "1.0",
        "id": e.event.event_id,
        "source": format!("/millwright/{site}/{context}"),
        "type": format!("mw.{kebab_type}.v{}", e.event.schema),
        "subject": e.event.stream.to_string(),
        "time": e.event.occurred_at,
        "datacontenttype": "application/json",
        "sequence": e.event.version,
        "position": e.position,
        "recordedtime": commit.head.recorded_at,
        "commandid": commit.head.command_id,
        "actor": commit.head.account,
        "data": data.data(),
    });
    if let Some(c) = commit.head.correlation_id {
        v["correlationid"] = json!(c);
    }
    if let Some(c) = commit.head.causation_id {
        v["causationid"] = json!(c);
    }
    if let Some(r) = commit.head.role {
        v["actorrole"] = json!(r);
    }
    if e.event.late {
        v["late"] = json!(true);
    }
    (topics::event(site, e.event.stream.kind.as_str(), &kebab_type), v)
}

/// The event envelope of the audit trail and of `replay`.
pub fn envelope(commit: &StoredCommit, e: &StoredEvent, data: &Event) -> Value {
    json!({
        "event_id": e.event.event_id,
        "type": e.event.event_type,
        "schema": e.event.schema,
        "aggregate_type": e.event.stream.kind,
        "aggregate_id": e.event.stream.id,
        "version": e.event.version,
        "position": e.position,
        "occurred_at": e.event.occurred_at,
        "recorded_at": commit.head.recorded_at,
        "late": e.event.late,
        "actor": {"sub": commit.head.account, "role": commit.head.role},
        "site_id": commit.head.site,
        "device_id": commit.head.device,
        "command_id": commit.head.command_id,
        "correlation_id": commit.head.correlation_id,
        "causation_id": commit.head.causation_id,
        "payload": data.data(),
    })
}

//! The CloudEvents 1.0 form (JSON, structured mode) of a stored event, and the envelope in which
//! the audit trail shows it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::commit::{StoredCommit, StoredEvent};
use crate::enums::{Context, Role};
use crate::event::{DecodeError, Event, kebab};
use crate::ids::{AccountName, CausationId, CommandId, CorrelationId, EventId, Position, StreamId, Version};
use crate::time::Instant;
use crate::topics;

/// The content type of a published event.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Decodes the payload of a stored event.
pub fn decode(e: &StoredEvent) -> Result<Event, DecodeError> {
    Event::decode(&e.event.event_type, e.event.schema, &e.event.payload)
}

/// A CloudEvent as it is written. Every event that happens is written once, so no JSON value is built
/// on the way.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: EventId,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: StreamId,
    time: Instant,
    datacontenttype: &'static str,
    sequence: Version,
    position: Position,
    recordedtime: Instant,
    commandid: CommandId,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<CorrelationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<CausationId>,
    actor: &'a AccountName,
    #[serde(skip_serializing_if = "Option::is_none")]
    actorrole: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<bool>,
    data: &'a Event,
}

/// The topic and the CloudEvent, JSON, of one event of a commit.
pub fn cloud_event(context: Context, commit: &StoredCommit, e: &StoredEvent, data: &Event) -> (String, Vec<u8>) {
    let site = commit.head.site.as_ref().map_or(topics::NO_SITE, |s| s.as_str());
    let kebab_type = kebab(&e.event.event_type);
    let event = CloudEvent {
        specversion: "1.0",
        id: e.event.event_id,
        source: format!("/millwright/{site}/{context}"),
        event_type: format!("mw.{kebab_type}.v{}", e.event.schema),
        subject: e.event.stream,
        time: e.event.occurred_at,
        datacontenttype: "application/json",
        sequence: e.event.version,
        position: e.position,
        recordedtime: commit.head.recorded_at,
        commandid: commit.head.command_id,
        correlationid: commit.head.correlation_id,
        causationid: commit.head.causation_id,
        actor: &commit.head.account,
        actorrole: commit.head.role,
        late: e.event.late.then_some(true),
        data,
    };
    // Plain data; serialising it can't fail.
    let bytes = serde_json::to_vec(&event).unwrap_or_default();
    (topics::event(site, e.event.stream.kind.as_str(), &kebab_type), bytes)
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

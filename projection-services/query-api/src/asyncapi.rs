//! What travels over MQTT, described for machines: AsyncAPI 3.0, made from the addresses of the
//! topics and the registries of commands and events.

use std::sync::OnceLock;

use axum::response::Response;
use mw_contract::event::kebab;
use mw_contract::{CommandType, Context, Event, EventType, MachineState, Reply, cloud, topics};
use mw_production_views::read::plant::{EQUIPMENT, LIVE};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::openapi::row;
use crate::work_orders::json_text;

/// `GET /asyncapi.json`.
pub async fn show() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    json_text(TEXT.get_or_init(|| document().to_string()).clone())
}

/// The document. Operations are named as seen from Millwright, as the standard has it: it receives
/// commands and sends events.
pub fn document() -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into()).into_generator();
    let mut messages = Map::new();
    let mut names: Map<String, Value> = Map::new();
    let mut add = |channel: &str, name: String, message: Value| {
        let reference = json!({"$ref": format!("#/components/messages/{name}")});
        if let Some(all) = names.entry(channel).or_insert_with(|| json!({})).as_object_mut() {
            all.insert(name.clone(), reference);
        }
        messages.insert(name, message);
    };
    for command in CommandType::ALL {
        let payload = command.payload_schema(&mut generator);
        add("command", command.as_str().replace('.', "-"), of_command(*command, &payload.to_value()));
    }
    let reply = generator.subschema_for::<Reply>();
    add("reply", "reply".into(), json!({"contentType": "application/json", "payload": reply}));
    for event in EventType::ALL {
        let data = event.schema(&mut generator);
        add("event", kebab(event.as_str()), of_event(*event, &data.to_value()));
    }
    for (channel, message) in said_by_devices() {
        add("device", format!("device-{channel}"), message);
    }
    let cell: Vec<_> = EQUIPMENT.fields.iter().filter(|f| !LIVE.contains(&f.name)).copied().collect();
    add("cell-state", "cell-state".into(), json!({"contentType": "application/json", "payload": row(&cell)}));
    add("line-state", "line-state".into(), json!({"contentType": "application/json", "payload": line_state()}));
    let words = json!({"type": "string", "enum": ["starting", "online", "offline"]});
    add("status", "status".into(), json!({"contentType": "text/plain", "payload": words}));

    let channels: Map<String, Value> = topics::ADDRESSES
        .iter()
        .map(|(name, address, about)| {
            let parameters: Map<String, Value> = placeholders(address).map(|p| (p.to_owned(), parameter(p))).collect();
            let channel = json!({"address": address, "description": about, "parameters": parameters,
                "messages": names.get(*name).cloned().unwrap_or_else(|| json!({}))});
            ((*name).to_owned(), channel)
        })
        .collect();
    let operation = |action: &str, channel: &str| {
        json!({"action": action, "channel": {"$ref": format!("#/channels/{channel}")},
            "bindings": {"mqtt": {"qos": 1, "bindingVersion": "0.2.0",
                "retain": matches!(channel, "line-state" | "cell-state" | "status")}}})
    };
    let mut decide = operation("receive", "command");
    decide["reply"] = json!({"channel": {"$ref": "#/channels/reply"},
        "address": {"location": "$message.header#/responseTopic",
            "description": "At or below the account's reply topic; that topic itself unless one is given"}});
    let schemas: Map<String, Value> = generator.take_definitions(true);
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Millwright over MQTT",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Commands and their replies, events, what machines say, and the retained states. \
                MQTT 3.1.1 and 5. A PUBACK on a command topic means that the outcome is on stable storage.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            "decideCommand": decide,
            "publishEvent": operation("send", "event"),
            "takeWhatDevicesSay": operation("receive", "device"),
            "showLine": operation("send", "line-state"),
            "showCell": operation("send", "cell-state"),
            "showService": operation("send", "status"),
        },
        "components": {"messages": messages, "schemas": schemas},
    })
}

/// The names in the braces of an address.
fn placeholders(address: &str) -> impl Iterator<Item = &str> {
    address.split('/').filter_map(|level| level.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(name: &str) -> Value {
    match name {
        "site" => json!({"description": "A site, or - for what belongs to none"}),
        "context" => json!({"enum": Context::ALL.iter().map(|c| c.as_str()).collect::<Vec<_>>()}),
        "channel" => json!({"enum": said_by_devices().iter().map(|(c, _)| *c).collect::<Vec<_>>()}),
        "event" => json!({"description": "The event's type in kebab case, such as work-order-released"}),
        _ => json!({}),
    }
}

/// A command in its envelope.
fn of_command(command: CommandType, payload: &Value) -> Value {
    let id = json!({"type": "string", "format": "uuid"});
    let mut required = vec!["command_id", "type", "payload"];
    if command.is_strict() {
        required.push("expected_version");
    }
    json!({
        "name": command.as_str(),
        "contentType": "application/json",
        "description": format!("For context {}", command.context()),
        "payload": {
            "type": "object", "required": required,
            "properties": {
                "command_id": id, "type": {"const": command.as_str()}, "aggregate_id": id,
                "expected_version": {"type": "integer", "minimum": 0},
                "occurred_at": {"type": "string", "format": "date-time"}, "schema": {"const": 1},
                "captured_offline": {"type": "boolean"}, "device_id": {"type": "string"},
                "correlation_id": id, "causation_id": id, "payload": payload,
            },
        },
    })
}

/// An event as a CloudEvent.
fn of_event(event: EventType, data: &Value) -> Value {
    let version = Event::REGISTERED.iter().filter(|(name, _)| *name == event.as_str()).map(|(_, v)| *v).max();
    let text = json!({"type": "string"});
    json!({
        "name": event.as_str(),
        "contentType": cloud::CONTENT_TYPE,
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "subject", "time", "sequence", "position", "data"],
            "properties": {
                "specversion": {"const": "1.0"}, "id": {"type": "string", "format": "uuid"}, "source": text,
                "type": {"const": format!("mw.{}.v{}", kebab(event.as_str()), version.unwrap_or(1))},
                "subject": text, "time": {"type": "string", "format": "date-time"},
                "datacontenttype": {"const": "application/json"},
                "sequence": {"type": "integer"}, "position": {"type": "integer"},
                "recordedtime": {"type": "string", "format": "date-time"}, "commandid": text,
                "correlationid": text, "causationid": text, "actor": text, "actorrole": text,
                "late": {"const": true}, "data": data,
            },
        },
    })
}

/// What a machine may say on its own topics, by channel. A bare value stands for an object with `v`.
fn said_by_devices() -> Vec<(&'static str, Value)> {
    let states: Vec<&str> = MachineState::ALL.iter().map(|s| s.as_str()).collect();
    let (text, time) = (json!({"type": "string"}), json!({"type": "string", "format": "date-time"}));
    let number = json!({"type": ["number", "string"]});
    let object = |mut properties: Value, bare: Value| {
        properties["ts"] = time.clone();
        properties["seq"] = json!({"type": "integer"});
        let long = json!({"type": "object", "properties": properties});
        json!({"contentType": "application/json", "payload": {"anyOf": [long, bare]}})
    };
    let state = json!({"enum": states});
    let alarm = json!({"enum": ["active", "cleared"]});
    vec![
        ("state", object(json!({"v": state, "state": state}), state.clone())),
        (
            "counter",
            object(
                json!({"v": number, "value": number, "u": text, "unit": text, "reset": {"type": "boolean"}}),
                number.clone(),
            ),
        ),
        (
            "alarm",
            object(
                json!({"v": alarm, "state": alarm, "code": text, "text": text,
                    "severity": {"type": "integer", "minimum": 1, "maximum": 1000},
                    "alarm_id": {"type": "string", "format": "uuid"}, "raised_at": time, "cleared_at": time}),
                alarm.clone(),
            ),
        ),
        ("telemetry", json!({"payload": {"description": "Anything: it is passed on to who listens and not kept"}})),
    ]
}

fn line_state() -> Value {
    json!({
        "type": "object", "required": ["site", "line", "states", "cells", "down", "orders", "open_alarms"],
        "properties": {
            "site": {"type": "string"}, "line": {"type": "string"},
            "states": {"type": "object", "additionalProperties": {"type": "integer"}},
            "cells": {"type": "array", "items": {"type": "object"}},
            "down": {"type": "array", "items": {"type": "string"}},
            "orders": {"type": "array", "items": {"type": "string"}}, "open_alarms": {"type": "integer"},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(v: &Value, found: &mut Vec<String>) {
        match v {
            Value::Object(m) => {
                if let Some(Value::String(r)) = m.get("$ref") {
                    found.push(r.clone());
                }
                m.values().for_each(|x| references(x, found));
            }
            Value::Array(a) => a.iter().for_each(|x| references(x, found)),
            _ => {}
        }
    }

    #[test]
    fn every_command_and_event_is_described_and_every_reference_leads_somewhere() {
        let d = document();
        let messages = |channel: &str| d["channels"][channel]["messages"].as_object().unwrap().len();
        assert_eq!(messages("command"), CommandType::ALL.len());
        assert_eq!(messages("event"), EventType::ALL.len());
        for (name, _, _) in topics::ADDRESSES {
            assert!(messages(name) > 0, "{name}");
        }
        let mut found = Vec::new();
        references(&d, &mut found);
        assert!(found.len() > 200, "{}", found.len());
        for r in found {
            let pointer = r.strip_prefix('#').unwrap_or_else(|| panic!("{r}"));
            assert!(d.pointer(pointer).is_some(), "{r} leads nowhere");
        }
        let plan = &d["components"]["messages"]["work-order-plan"]["payload"];
        assert!(plan["required"].as_array().unwrap().contains(&json!("expected_version")));
    }
}

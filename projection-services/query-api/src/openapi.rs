//! The API's description of itself, OpenAPI 3.1, made from the table of routes and the types that
//! are sent.

use std::sync::OnceLock;

use axum::response::Response;
use mw_contract::{ReferenceKind, Reply, ids};
use mw_production_views::columns::{FIELDS, Field, Kind};
use mw_production_views::read::board::CARDS;
use mw_production_views::read::plant::{DOWNTIME, EQUIPMENT, STOCK};
use mw_production_views::read::tables::{INBOX, QUALITY, QUEUE, SCHEDULE, SHORTAGES};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::routes::{ROUTES, Route};
use crate::work_orders::json_text;

/// `GET /openapi.json`.
pub async fn show() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    json_text(TEXT.get_or_init(|| document().to_string()).clone())
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for r in ROUTES {
        let entry = paths.entry(r.path).or_insert_with(|| json!({}));
        entry[r.method] = operation(r);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Millwright",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What dashboards and auditors read. Commands travel over MQTT.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        // Aggregate ids of reference documents: UUIDv5 of `kind:code` in this namespace.
        "x-reference-namespace": ids::NAMESPACE,
    })
}

fn operation(r: &Route) -> Value {
    let mut parameters: Vec<Value> = r
        .path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    for p in (r.params)() {
        let mut schema = json!({"type": p.kind});
        if !p.values.is_empty() {
            schema["examples"] = json!(p.values);
        }
        parameters.push(json!({"name": p.name, "in": "query", "description": p.about, "schema": schema}));
    }
    let good = match r.answer {
        Some(name) => json!({
            "description": r.summary,
            "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}},
        }),
        None => json!({"description": r.summary}),
    };
    let problem = json!({
        "description": "What was wrong, and what to do",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    });
    let mut op = json!({
        "summary": r.summary, "parameters": parameters, "responses": {"200": good, "default": problem},
        "security": if r.secured { json!([{"bearer": []}]) } else { json!([]) },
    });
    if r.method == "post" {
        op["requestBody"] = json!({
            "required": true,
            "content": {"application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/TokenRequest"}}},
        });
    }
    op
}

fn schemas() -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into()).into_generator();
    let mut all = Map::new();
    let reply = generator.subschema_for::<Reply>();
    for kind in ReferenceKind::ALL {
        let (name, schema) = kind.schema(&mut generator);
        all.insert(name.to_owned(), schema.into());
    }
    for (name, schema) in generator.take_definitions(true) {
        all.insert(name, schema);
    }
    all.entry("Reply").or_insert_with(|| reply.into());
    all.insert("WorkOrderRow".into(), row(FIELDS));
    for (name, table) in [
        ("Equipment", &EQUIPMENT),
        ("Downtime", &DOWNTIME),
        ("Stock", &STOCK),
        ("Queue", &QUEUE),
        ("Schedule", &SCHEDULE),
        ("Shortage", &SHORTAGES),
        ("Quality", &QUALITY),
        ("Inbox", &INBOX),
    ] {
        all.insert(format!("{name}Row"), row(table.fields));
        all.insert(format!("{name}Page"), page(&format!("{name}Row")));
    }
    // It joins contexts, and each has a position of its own.
    all.insert(
        "InboxPage".into(),
        json!({
            "type": "object", "required": ["items", "next", "positions"],
            "properties": {
                "items": {"type": "array", "items": {"$ref": "#/components/schemas/InboxRow"}},
                "next": {"type": ["string", "null"]},
                "positions": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        }),
    );
    crate::ticket_schemas::add(&mut all);
    all.insert("BoardCard".into(), row(CARDS.fields));
    let columns = json!({"type": "array", "items": {
        "type": "object", "required": ["state", "count"],
        "properties": {
            "state": {"enum": mw_contract::WorkOrderState::ALL}, "count": {"type": "integer"},
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/BoardCard"}},
        },
    }});
    all.insert(
        "Board".into(),
        json!({
            "type": "object", "required": ["columns", "position"],
            "properties": {
                "columns": columns, "position": {"type": "integer"},
                "lanes": {"type": "array", "items": {
                    "type": "object", "required": ["lane", "columns"],
                    "properties": {"lane": {"type": ["string", "integer", "null"]}, "columns": columns},
                }},
            },
        }),
    );
    let fixed = json!({
        "WorkOrderPage": page("WorkOrderRow"),
        "TrailPage": page("TrailRow"),
        "EventPage": page("EventEnvelope"),
        "Kpis": figures("Kpi"),
        "Pareto": figures("ParetoReason"),
        "Kpi": {
            "type": "object",
            "required": ["kpi", "name", "value", "unit", "numerator", "denominator", "group", "revision", "provisional"],
            "properties": {
                "kpi": {"type": "string", "examples": ["K-03"]}, "name": {"type": "string"},
                "value": {"type": ["string", "null"], "description": "A decimal number, 4 digits after the point"},
                "unit": {
                    "type": "string", "description": "K-32: the currency, or money where nothing was paid",
                    "examples": ["ratio", "pieces/h", "h", "min", "weeks", "points", "EUR"],
                },
                "numerator": {"type": ["string", "null"]}, "denominator": {"type": ["string", "null"]},
                "group": {"type": ["string", "null"]}, "revision": {"type": "integer"},
                "provisional": {"type": "boolean", "description": "Until 24 hours after the end of the interval"},
                "computed_at": {"type": "string", "format": "date-time"}, "event_position": {"type": "integer"},
                "late_events_after": {"type": "integer", "description": "Changes recorded after this revision"},
                "rolled": {"type": ["string", "null"], "description": "K-09: the product over operations"},
                "operations": {"type": "array", "items": {"type": "object"}, "description": "K-09: each operation"},
                "median": {"type": ["string", "null"], "description": "K-17, K-21, K-23"},
                "p90": {"type": ["string", "null"], "description": "K-17, K-21, K-23"},
                "withheld": {"type": "string", "description": "K-14, K-27: why there is no value"},
                "window_days": {"type": "integer", "description": "K-24: a fault that comes back within so many days was not fixed"},
                "unestimated": {"type": "string", "description": "K-28: open tickets that nobody has estimated"},
                "lots": {"type": "array", "items": {"type": "object"}, "description": "K-31: each lot"},
                "unpriced_hours": {"type": "string", "description": "K-32: hours at sites that have no labour_rate"},
            },
        },
        "ParetoReason": {
            "type": "object", "required": ["reason", "count", "hours", "percent", "cumulative_percent", "vital"],
            "properties": {
                "reason": {"type": "string"}, "count": {"type": "integer"},
                "cost": {"type": "array", "description": "Faults: in each currency", "items": {
                    "type": "object", "properties": {"amount": {"type": "string"}, "currency": {"type": "string"}},
                }},
                "hours": {"type": ["string", "null"]}, "quantity": {"type": ["string", "null"]},
                "percent": {"type": "string"}, "cumulative_percent": {"type": "string"},
                "vital": {"type": "boolean", "description": "One of those that make up the first 80 %"},
            },
        },
        "WorkOrder": {
            "type": "object", "description": "The fields of a row, and what belongs to the order",
            "required": ["id", "version", "state", "operations", "units", "notes"],
            "properties": {
                "id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"}, "state": {"type": "string"},
                "operations": {"type": "array", "items": {"type": "object"}},
                "materials": {"type": "array", "items": {"type": "object"}},
                "units": {"type": "array", "items": {"type": "object"}},
                "notes": {"type": "array", "items": {"type": "object"}},
                "totals": {"type": "object"}, "position": {"type": "integer"},
            },
        },
        "Equipment": {
            "type": "object", "description": "The fields of a row, and what belongs to the machine",
            "required": ["id", "version", "cell", "alarms", "counters", "downtimes"],
            "properties": {
                "id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"}, "cell": {"type": "string"},
                "alarms": {"type": "array", "items": {"type": "object"}},
                "counters": {"type": "array", "items": {"type": "object"}},
                "downtimes": {"type": "array", "items": {"type": "object"}}, "position": {"type": "integer"},
            },
        },
        "Unit": {
            "type": "object", "description": "One produced unit",
            "required": ["id", "version", "serial", "product", "status", "as_built", "as_maintained"],
            "properties": {
                "id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"},
                "serial": {"type": "string"}, "product": {"type": "string"}, "status": {"type": "string"},
                "customer": {"type": ["string", "null"]}, "warranty": {"type": ["object", "null"]},
                "as_built": {"type": "array", "items": {"type": "object"}},
                "as_maintained": {"type": "array", "items": {"type": "object"}}, "position": {"type": "integer"},
            },
        },
        "Trace": {
            "type": "object", "description": "A unit, the order that made it, its tickets, and units with a lot in common",
            "required": ["unit", "order", "tickets", "positions"],
            "properties": {"unit": {"$ref": "#/components/schemas/Unit"}, "order": {"type": ["object", "null"]},
                "tickets": {"type": "array", "items": {"type": "object"}},
                "siblings": {"type": "array", "items": {"type": "object"}}, "more_siblings": {"type": "boolean"},
                "positions": {"type": "object"}},
        },
        "WhereUsed": {
            "type": "object", "required": ["items", "positions"],
            "properties": {
                "items": {"type": "array", "items": {"type": "object"}},
                "orders": {"type": "array", "items": {"type": "object"}},
                "tickets": {
                    "type": "array", "items": {"type": "object"}, "description": "Those that put it in or took it out",
                },
                "next": {"type": ["string", "null"]}, "position": {"type": "integer"},
                "positions": {"type": "object"},
            },
        },
        "Differences": {
            "type": "object", "description": "What changed between two versions; items of lists by their own key",
            "required": ["id", "from", "to", "changes"],
            "properties": {
                "id": {"type": "string", "format": "uuid"}, "from": {"type": "integer"}, "to": {"type": "integer"},
                "changes": {"type": "array", "items": {"type": "object", "properties": {
                    "path": {"type": "string"}, "old": {}, "new": {},
                }}},
                "position": {"type": "integer"},
            },
        },
        "TrailRow": {
            "type": "object", "description": "One event, or one refused command",
            "required": ["type", "words", "recorded_at", "occurred_at", "actor", "command_id", "refused"],
            "properties": {
                "position": {"type": ["integer", "null"]}, "version": {"type": ["integer", "null"]},
                "type": {"type": "string"}, "words": {"type": "string"},
                "recorded_at": {"type": "string", "format": "date-time"},
                "occurred_at": {"type": "string", "format": "date-time"},
                "actor": {"type": "string"}, "role": {"type": ["string", "null"]},
                "changes": {"type": "array", "items": {"type": "object"}},
                "command_id": {"type": "string", "format": "uuid"}, "refused": {"type": "boolean"},
                "error": {"type": ["object", "null"]},
            },
        },
        "EventEnvelope": {
            "type": "object",
            "required": ["event_id", "type", "aggregate_type", "aggregate_id", "version", "position", "payload"],
            "properties": {
                "event_id": {"type": "string", "format": "uuid"}, "type": {"type": "string"},
                "schema": {"type": "integer"}, "aggregate_type": {"type": "string"},
                "aggregate_id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"},
                "position": {"type": "integer"}, "occurred_at": {"type": "string", "format": "date-time"},
                "recorded_at": {"type": "string", "format": "date-time"}, "actor": {"type": "object"},
                "command_id": {"type": "string", "format": "uuid"}, "payload": {"type": "object"},
            },
        },
        "Problem": {
            "type": "object", "required": ["type", "title", "status"],
            "properties": {
                "type": {"type": "string", "format": "uri"}, "title": {"type": "string"},
                "status": {"type": "integer"}, "detail": {"type": "string"},
                "parameter": {"type": "string"}, "allowed": {"type": "array", "items": {"type": "string"}},
            },
        },
        "TokenRequest": {
            "type": "object", "required": ["grant_type"],
            "properties": {
                "grant_type": {"type": "string", "enum": ["password", "client_credentials", "refresh_token"]},
                "username": {"type": "string"}, "password": {"type": "string"}, "client_id": {"type": "string"},
                "client_secret": {"type": "string"}, "refresh_token": {"type": "string"},
            },
        },
        "Token": {
            "type": "object", "required": ["access_token", "token_type", "expires_in"],
            "properties": {
                "access_token": {"type": "string"}, "token_type": {"type": "string", "const": "Bearer"},
                "expires_in": {"type": "integer"}, "refresh_token": {"type": "string"},
            },
        },
        "JwkSet": {
            "type": "object", "required": ["keys"],
            "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
        },
        "Status": {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}},
    });
    if let Value::Object(fixed) = fixed {
        all.extend(fixed);
    }
    Value::Object(all)
}

/// Items that are computed from the logs of some contexts.
fn figures(of: &str) -> Value {
    json!({
        "type": "object", "required": ["items", "position", "positions"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{of}")}},
            "position": {"type": "integer"},
            "positions": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    })
}

/// A page of rows.
pub(crate) fn page(of: &str) -> Value {
    json!({
        "type": "object", "required": ["items", "next", "position"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{of}")}},
            "next": {"type": ["string", "null"]}, "position": {"type": "integer"},
        },
    })
}

/// A row of a list.
pub(crate) fn row(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for f in fields {
        let kind = match f.kind {
            Kind::Int | Kind::Seconds => "integer",
            Kind::Bool => "boolean",
            Kind::Origin => "object",
            // What a document holds is said by its values.
            Kind::Json => {
                properties.insert(f.name.to_owned(), json!({}));
                continue;
            }
            _ => "string",
        };
        let mut schema = if f.nullable { json!({"type": [kind, "null"]}) } else { json!({"type": kind}) };
        match f.kind {
            Kind::Uuid => schema["format"] = json!("uuid"),
            Kind::Instant => schema["format"] = json!("date-time"),
            Kind::State => schema["enum"] = json!(mw_contract::WorkOrderState::ALL),
            Kind::Seconds => schema["description"] = json!("Whole seconds"),
            Kind::Number | Kind::Hours | Kind::Days => schema["description"] = json!("A decimal number as a string"),
            _ => {}
        }
        properties.insert(f.name.to_owned(), schema);
    }
    json!({"type": "object", "properties": properties})
}

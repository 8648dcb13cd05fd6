//! The schemas of what after-service shows, for the API's description of itself.

use mw_after_service_views::parts_usage::PARTS_USAGE;
use mw_after_service_views::plans::PLANS;
use mw_after_service_views::read::board::TICKET_CARDS;
use mw_after_service_views::read::lists::{AT_RISK_CLOCKS, CUSTOMERS_TICKETS, TICKETS};
use mw_after_service_views::read::queue::DAY_PLAN;
use mw_contract::TicketState;
use mw_production_views::read::plant::MY_UNITS;
use serde_json::{Map, Value, json};

use crate::openapi::{page, row};

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A page that joins contexts.
fn joined(of: &str) -> Value {
    json!({
        "type": "object", "required": ["items", "next", "position", "positions"],
        "properties": {
            "items": {"type": "array", "items": reference(of)}, "next": {"type": ["string", "null"]},
            "position": {"type": "integer"},
            "positions": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    })
}

/// Adds them.
pub fn add(all: &mut Map<String, Value>) {
    for (name, table) in [("Ticket", &TICKETS), ("SlaAtRisk", &AT_RISK_CLOCKS), ("DayPlan", &DAY_PLAN)] {
        all.insert(format!("{name}Row"), row(table.fields));
        all.insert(format!("{name}Page"), page(&format!("{name}Row")));
    }
    all.insert("PartUsageRow".into(), row(PARTS_USAGE.fields));
    all.insert("PartUsagePage".into(), page("PartUsageRow"));
    all.insert("MaintenancePlanRow".into(), row(PLANS.fields));
    let mut plans = page("MaintenancePlanRow");
    plans["properties"]["positions"] = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    all.insert("MaintenancePlanPage".into(), plans);
    all.insert("CustomersTicketRow".into(), row(CUSTOMERS_TICKETS.fields));
    all.insert("MyUnitRow".into(), row(MY_UNITS.fields));
    all.insert("MyUnitPage".into(), joined("MyUnitRow"));
    all.insert("MyTicketPage".into(), joined("MyTicket"));
    all.insert("TicketCard".into(), row(TICKET_CARDS.fields));
    let objects = json!({"type": "array", "items": {"type": "object"}});
    let fixed = json!({
        "TicketBoard": {
            "type": "object", "required": ["columns", "position"],
            "properties": {
                "columns": {"type": "array", "items": {
                    "type": "object", "required": ["state", "count", "items"],
                    "properties": {
                        "state": {"enum": TicketState::ALL}, "count": {"type": "integer"},
                        "items": {"type": "array", "items": reference("TicketCard")},
                    },
                }},
                "position": {"type": "integer"},
            },
        },
        "Ticket": {
            "type": "object", "description": "The fields of a row, and what belongs to the ticket",
            "required": ["id", "version", "number", "state", "title", "warranty", "comments", "quotes", "visits"],
            "properties": {
                "id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"},
                "number": {"type": "string"}, "state": {"enum": TicketState::ALL}, "title": {"type": "string"},
                "description": {"description": "The text for a reader in scope, or that it is sealed"},
                "unit": {"type": "object", "description": "Serial number, product, and the order that made it"},
                "warranty": {"type": "object"}, "sla": {"type": "object", "properties": {
                    "policy": {}, "least": {"type": ["string", "null"]}, "clocks": objects,
                }},
                "comments": objects, "quotes": objects, "visits": objects, "sessions": objects, "trips": objects,
                "work_logs": objects, "diagnoses": objects, "parts_requests": objects, "parts_consumed": objects,
                "parts_returned": objects, "returns": objects, "replacement_orders": objects, "links": objects,
                "occurrences": objects, "checklist": objects, "ratings": objects, "reopenings": objects,
                "totals": {"type": "object"}, "position": {"type": "integer"},
            },
        },
        "MyTicket": {
            "type": "object", "description": "A ticket as its customer sees it",
            "required": ["id", "version", "number", "state", "title", "comments", "quotes_to_approve", "visits"],
            "properties": {
                "id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"},
                "number": {"type": "string"}, "state": {"enum": TicketState::ALL}, "title": {"type": "string"},
                "warranty": {"type": "object"}, "comments": objects, "quotes": objects,
                "quotes_to_approve": objects, "visits": objects, "rating": {"type": ["object", "null"]},
            },
        },
        "Backlog": {
            "type": "object", "required": ["items", "position"],
            "properties": {
                "items": {"type": "array", "items": {
                    "type": "object", "required": ["bucket", "count", "estimated_hours", "hold_hours"],
                    "properties": {
                        "bucket": {"type": "string"}, "count": {"type": "integer"},
                        "estimated_hours": {"type": "string"}, "hold_hours": {"type": "string"},
                        "unestimated": {"type": "integer"}, "by_state": objects, "by_team": objects,
                        "by_line": objects,
                    },
                }},
                "position": {"type": "integer"},
            },
        },
    });
    if let Value::Object(fixed) = fixed {
        all.extend(fixed);
    }
}

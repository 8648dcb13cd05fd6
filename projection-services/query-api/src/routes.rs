//! The one table of routes. A route that is not in it does not exist, and what is in it is
//! documented.

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use mw_after_service_views::parts_usage::PARTS_USAGE;
use mw_after_service_views::plans::PLANS;
use mw_after_service_views::read::backlog::BACKLOG;
use mw_after_service_views::read::board::TICKET_CARDS;
use mw_after_service_views::read::lists::{AT_RISK_CLOCKS, CUSTOMERS_TICKETS, TICKETS};
use mw_after_service_views::read::queue::DAY_PLAN;
use mw_production_views::read::board::CARDS;
use mw_production_views::read::filter::{FILTERS, allowed};
use mw_production_views::read::plant::{DOWNTIME, EQUIPMENT, MY_UNITS, STOCK};
use mw_production_views::read::table::Table;
use mw_production_views::read::tables::{INBOX, QUALITY, QUEUE, SCHEDULE, SHORTAGES};

use crate::problem::Problem;
use crate::server::State;
use crate::{asyncapi, audit, boards, commands, docs, figures, inbox, lists, openapi, ops, plant, token, work_orders};
use crate::{maintenance, my, service, tickets};

/// A parameter of a query string.
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its JSON Schema type.
    pub kind: &'static str,
    /// The values that it takes, where they are few and known beforehand.
    pub values: Vec<String>,
}

/// A route.
pub struct Route {
    /// `get` or `post`.
    pub method: &'static str,
    /// The path, with `{…}` where an id stands.
    pub path: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Does it take a token?
    pub secured: bool,
    /// Parameters of the query string.
    pub params: fn() -> Vec<Param>,
    /// The name of the answer's schema; `None` for a page or a text.
    pub answer: Option<&'static str>,
    handler: fn() -> MethodRouter<State>,
}

fn param(name: &'static str, kind: &'static str, about: &'static str) -> Param {
    Param { name, about, kind, values: Vec::new() }
}

fn none() -> Vec<Param> {
    Vec::new()
}

fn min_position() -> Vec<Param> {
    vec![param("min_position", "string", "Wait up to 5 s until this position (N or context:N) can be read")]
}

fn document() -> Vec<Param> {
    let mut p = vec![param("as_of", "string", "As it was then: an instant (recorded time) or position:N")];
    p.extend(min_position());
    p
}

fn versions() -> Vec<Param> {
    let mut p = vec![
        param("from", "integer", "The earlier version, 0 for before the first; the one before `to` unless given"),
        param("to", "integer", "The later version; the last unless given"),
    ];
    p.extend(min_position());
    p
}

fn named_unit() -> Vec<Param> {
    let mut p = vec![param("product", "string", "Which product's, where several have a unit of this serial number")];
    p.extend(document());
    p
}

fn paging() -> Vec<Param> {
    let mut p = vec![
        param("limit", "integer", "Items on a page, 1 to 500; 50 unless given"),
        param("cursor", "string", "The `next` of the page before"),
    ];
    p.extend(min_position());
    p
}

fn used() -> Vec<Param> {
    let mut p = paging();
    p.push(param("format", "string", "json or csv"));
    p
}

fn list() -> Vec<Param> {
    sorted(FILTERS.iter().map(|f| Param { values: allowed(f.takes), ..param(f.name, "string", f.about) }).collect())
}

fn of(table: &Table) -> Vec<Param> {
    sorted(table.filters.iter().map(|f| Param { values: f.allowed(), ..param(f.name, "string", f.about) }).collect())
}

fn schedule() -> Vec<Param> {
    let mut p = vec![
        param("week", "string", "Bars of this week (ISO 8601, such as 2026-W10), unless from or to is given"),
        param("from", "string", "Bars behind this time; Monday unless given"),
        param("to", "string", "Bars before this time; a week behind `from` unless given"),
    ];
    p.extend(of(&SCHEDULE));
    p
}

fn board() -> Vec<Param> {
    let mut p = vec![param("lane", "string", "Lanes by line or priority")];
    p.extend(of(&CARDS).into_iter().filter(|p| p.name != "cursor"));
    p
}

fn ticket_board() -> Vec<Param> {
    of(&TICKET_CARDS).into_iter().filter(|p| p.name != "cursor").collect()
}

fn day_plan() -> Vec<Param> {
    let mut p = vec![param("day", "string", "The day, such as 2026-03-02; today unless given")];
    p.extend(of(&DAY_PLAN));
    p
}

fn backlog() -> Vec<Param> {
    of(&BACKLOG).into_iter().filter(|p| !matches!(p.name, "cursor" | "sort")).collect()
}

/// Filters, and what every list takes beside.
fn sorted(mut p: Vec<Param>) -> Vec<Param> {
    p.push(param("sort", "string", "A field of the items, with - before it for the other way round"));
    p.push(param("format", "string", "json or csv"));
    p.extend(paging());
    p
}

fn period() -> Vec<Param> {
    let mut p = vec![
        param("actor", "string", "Of these accounts"),
        param("type", "string", "Of these event types"),
        param("from", "string", "Recorded at this time or later"),
        param("to", "string", "Recorded before or at this time"),
    ];
    p.extend(paging());
    p
}

fn audit_params() -> Vec<Param> {
    let mut p = vec![
        param("context", "string", "production, after-service or identity; production unless given"),
        param("after", "integer", "Positions beyond this one"),
        param("stream", "string", "Of this stream, KIND/UUID"),
    ];
    p.extend(period());
    p
}

fn of_figures(all: &[(&'static str, &'static str)]) -> Vec<Param> {
    all.iter().map(|(name, about)| param(name, if *name == "revision" { "integer" } else { "string" }, about)).collect()
}

/// Every route.
pub const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/v1/work-orders",
        summary: "Work orders",
        secured: true,
        params: list,
        answer: Some("WorkOrderPage"),
        handler: || get(work_orders::index),
    },
    Route {
        method: "get",
        path: "/v1/work-orders/{id}",
        summary: "One work order with everything that belongs to it",
        secured: true,
        params: document,
        answer: Some("WorkOrder"),
        handler: || get(work_orders::show),
    },
    Route {
        method: "get",
        path: "/v1/work-orders/{id}/diff",
        summary: "What changed between two versions of a work order",
        secured: true,
        params: versions,
        answer: Some("Differences"),
        handler: || get(work_orders::diff),
    },
    Route {
        method: "get",
        path: "/v1/work-orders/{id}/events",
        summary: "What happened to a work order, refused commands too",
        secured: true,
        params: period,
        answer: Some("TrailPage"),
        handler: || get(work_orders::history),
    },
    Route {
        method: "get",
        path: "/v1/boards/work-orders",
        summary: "Work orders as cards in columns by state",
        secured: true,
        params: board,
        answer: Some("Board"),
        handler: || get(boards::work_orders),
    },
    Route {
        method: "get",
        path: "/v1/queues/cells/{cell}",
        summary: "What a cell has to do, the next first",
        secured: true,
        params: || of(&QUEUE),
        answer: Some("QueuePage"),
        handler: || get(lists::queue),
    },
    Route {
        method: "get",
        path: "/v1/schedule",
        summary: "Planned and actual work, and the load of cells and lines",
        secured: true,
        params: schedule,
        answer: Some("SchedulePage"),
        handler: || get(lists::schedule),
    },
    Route {
        method: "get",
        path: "/v1/equipment",
        summary: "Machines: what they do, why they stand still",
        secured: true,
        params: || of(&EQUIPMENT),
        answer: Some("EquipmentPage"),
        handler: || get(plant::equipment),
    },
    Route {
        method: "get",
        path: "/v1/equipment/{id}",
        summary: "One machine with its alarms, counters and downtimes",
        secured: true,
        params: document,
        answer: Some("Equipment"),
        handler: || get(plant::machine),
    },
    Route {
        method: "get",
        path: "/v1/downtime",
        summary: "When machines stood still, and why",
        secured: true,
        params: || of(&DOWNTIME),
        answer: Some("DowntimePage"),
        handler: || get(plant::downtime),
    },
    Route {
        method: "get",
        path: "/v1/stock",
        summary: "What is on hand, kept and free",
        secured: true,
        params: || of(&STOCK),
        answer: Some("StockPage"),
        handler: || get(plant::stock),
    },
    Route {
        method: "get",
        path: "/v1/units/{serial}",
        summary: "One unit: as built, as maintained, its warranty",
        secured: true,
        params: named_unit,
        answer: Some("Unit"),
        handler: || get(plant::unit),
    },
    Route {
        method: "get",
        path: "/v1/units/{serial}/trace",
        summary: "A unit with the order, the work and the components behind it, its tickets and its siblings",
        secured: true,
        params: named_unit,
        answer: Some("Trace"),
        handler: || get(plant::trace),
    },
    Route {
        method: "get",
        path: "/v1/where-used/{serial-or-lot}",
        summary: "The units that a component's serial number or lot is or was in with their tickets, and the orders that handled it",
        secured: true,
        params: used,
        answer: Some("WhereUsed"),
        handler: || get(plant::where_used),
    },
    Route {
        method: "get",
        path: "/v1/shortages",
        summary: "Missing material",
        secured: true,
        params: || of(&SHORTAGES),
        answer: Some("ShortagePage"),
        handler: || get(lists::shortages),
    },
    Route {
        method: "get",
        path: "/v1/quality",
        summary: "Inspections and nonconformances",
        secured: true,
        params: || of(&QUALITY),
        answer: Some("QualityPage"),
        handler: || get(lists::quality),
    },
    Route {
        method: "get",
        path: "/v1/inbox",
        summary: "Refused commands that a person should look at",
        secured: true,
        params: || of(&INBOX),
        answer: Some("InboxPage"),
        handler: || get(inbox::index),
    },
    Route {
        method: "get",
        path: "/v1/tickets",
        summary: "Repair tickets; a customer sees its own",
        secured: true,
        params: || of(&TICKETS),
        answer: Some("TicketPage"),
        handler: || get(tickets::index),
    },
    Route {
        method: "get",
        path: "/v1/tickets/{id}",
        summary: "One ticket with everything that belongs to it, or what of it its customer sees",
        secured: true,
        params: document,
        answer: Some("Ticket"),
        handler: || get(tickets::show),
    },
    Route {
        method: "get",
        path: "/v1/tickets/{id}/events",
        summary: "What happened to a ticket, refused commands too",
        secured: true,
        params: period,
        answer: Some("TrailPage"),
        handler: || get(tickets::history),
    },
    Route {
        method: "get",
        path: "/v1/boards/tickets",
        summary: "Tickets as cards in columns by state",
        secured: true,
        params: ticket_board,
        answer: Some("TicketBoard"),
        handler: || get(service::board),
    },
    Route {
        method: "get",
        path: "/v1/queues/technicians/{account}",
        summary: "A technician's visits of a day, and the tickets that the technician has",
        secured: true,
        params: day_plan,
        answer: Some("DayPlanPage"),
        handler: || get(service::technician),
    },
    Route {
        method: "get",
        path: "/v1/sla/at-risk",
        summary: "Clocks that run out, and those that ran out and still run",
        secured: true,
        params: || of(&AT_RISK_CLOCKS),
        answer: Some("SlaAtRiskPage"),
        handler: || get(service::at_risk),
    },
    Route {
        method: "get",
        path: "/v1/backlog",
        summary: "Open tickets by age, with their estimated hours",
        secured: true,
        params: backlog,
        answer: Some("Backlog"),
        handler: || get(service::backlog),
    },
    Route {
        method: "get",
        path: "/v1/my/units",
        summary: "A customer's own units and their warranty",
        secured: true,
        params: || of(&MY_UNITS),
        answer: Some("MyUnitPage"),
        handler: || get(my::units),
    },
    Route {
        method: "get",
        path: "/v1/my/tickets",
        summary: "A customer's own tickets: public comments, quotes to approve, visits, rating",
        secured: true,
        params: || of(&CUSTOMERS_TICKETS),
        answer: Some("MyTicketPage"),
        handler: || get(my::tickets),
    },
    Route {
        method: "get",
        path: "/v1/maintenance-plans",
        summary: "Maintenance plans: what their counters show, and when they will be due",
        secured: true,
        params: || of(&PLANS),
        answer: Some("MaintenancePlanPage"),
        handler: || get(maintenance::plans),
    },
    Route {
        method: "get",
        path: "/v1/parts-usage",
        summary: "Parts that tickets used: cost, coverage, and what has yet to come back",
        secured: true,
        params: || of(&PARTS_USAGE),
        answer: Some("PartUsagePage"),
        handler: || get(maintenance::parts),
    },
    Route {
        method: "get",
        path: "/v1/kpis",
        summary: "KPIs K-01 to K-34 of an interval",
        secured: true,
        params: || of_figures(figures::KPI_PARAMS),
        answer: Some("Kpis"),
        handler: || get(figures::kpis),
    },
    Route {
        method: "get",
        path: "/v1/pareto/{kind}",
        summary: "What costs most: stop-reason, scrap-reason, rework-reason, fault-symptom, fault-cause",
        secured: true,
        params: || of_figures(figures::PARETO_PARAMS),
        answer: Some("Pareto"),
        handler: || get(figures::pareto),
    },
    Route {
        method: "get",
        path: "/v1/commands/{command_id}",
        summary: "The outcome of a command, in the shape of its reply",
        secured: true,
        params: min_position,
        answer: Some("Reply"),
        handler: || get(commands::show),
    },
    Route {
        method: "get",
        path: "/v1/audit/events",
        summary: "The log itself",
        secured: true,
        params: audit_params,
        answer: Some("EventPage"),
        handler: || get(audit::events),
    },
    Route {
        method: "post",
        path: "/v1/token",
        summary: "A token for a secret or a refresh token (RFC 6749)",
        secured: false,
        params: none,
        answer: Some("Token"),
        handler: || post(token::grant),
    },
    Route {
        method: "get",
        path: "/.well-known/jwks.json",
        summary: "The keys that verify tokens (RFC 7517)",
        secured: false,
        params: none,
        answer: Some("JwkSet"),
        handler: || get(token::jwks),
    },
    Route {
        method: "get",
        path: "/livez",
        summary: "Does the process answer?",
        secured: false,
        params: none,
        answer: Some("Status"),
        handler: || get(ops::livez),
    },
    Route {
        method: "get",
        path: "/readyz",
        summary: "Is every service up?",
        secured: false,
        params: none,
        answer: Some("Status"),
        handler: || get(ops::readyz),
    },
    Route {
        method: "get",
        path: "/metrics",
        summary: "OpenMetrics, for this machine or roles that may see them",
        secured: false,
        params: none,
        answer: None,
        handler: || get(ops::metrics),
    },
    Route {
        method: "get",
        path: "/openapi.json",
        summary: "This description",
        secured: false,
        params: none,
        answer: None,
        handler: || get(openapi::show),
    },
    Route {
        method: "get",
        path: "/asyncapi.json",
        summary: "What travels over MQTT: AsyncAPI 3",
        secured: false,
        params: none,
        answer: None,
        handler: || get(asyncapi::show),
    },
    Route {
        method: "get",
        path: "/docs",
        summary: "A page that shows this description",
        secured: false,
        params: none,
        answer: None,
        handler: || get(docs::index),
    },
    Route {
        method: "get",
        path: "/docs/",
        summary: "The page",
        secured: false,
        params: none,
        answer: None,
        handler: || get(docs::page),
    },
    Route {
        method: "get",
        path: "/docs/{file}",
        summary: "A file of the page",
        secured: false,
        params: none,
        answer: None,
        handler: || get(docs::asset),
    },
];

/// The router.
pub fn router(state: State) -> Router {
    let mut r = Router::new();
    for route in ROUTES {
        r = r.route(route.path, (route.handler)());
    }
    r.fallback(|| async { Problem::not_found("this path does not exist; /openapi.json lists what there is") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(state)
}

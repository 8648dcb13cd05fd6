//! What a technician has to do (RM-12): the visits of a day, and the tickets behind them.

use mw_views::columns::{Field, Kind, field};
use mw_views::read::page::Direction;
use mw_views::read::table::{SITE, Table, Takes, narrow, priorities};

use super::OWN;
use super::lists::Q;
use super::lists::{BY_REMAINING, FROM, states};

/// Earlier tickets of the same unit or machine, the last ones first: those of the same site, and of customers
/// only where this one is of one, so that no scope shows more through it.
const HISTORY: &str = "(SELECT json_group_array(json_object('number', h.number, 'title', h.title, 'state', h.state,
    'symptom', h.symptom, 'resolution', h.resolution, 'opened_at', strftime('%Y-%m-%dT%H:%M:%fZ', h.opened_at / 1000.0,
    'unixepoch'))) FROM (SELECT * FROM ticket x WHERE x.seq <> t.seq AND x.site = t.site
        AND (x.customer IS NULL) = (t.customer IS NULL) AND ((x.serial = t.serial
        AND x.product IS t.product) OR x.equipment = t.equipment) ORDER BY x.opened_at DESC LIMIT 10) h)";

const PARTS: &str = "(SELECT d.doc ->> '$.parts_requests' FROM ticket_doc d WHERE d.seq = t.seq)";

const TICKET: [Field; 25] = [
    field("ticket_id", "t.id", Kind::Uuid, false),
    field("number", "t.number", Kind::Text, false),
    field("version", "t.version", Kind::Int, false),
    field("title", "t.title", Kind::Text, false),
    field("state", "t.state", Kind::Text, false),
    field("site", "t.site", Kind::Text, false),
    field("customer", "t.customer", Kind::Text, true),
    field("address_ref", "t.service_site", Kind::Text, true),
    field("contact_ref", "t.contact", Kind::Text, true),
    field("serial", "t.serial", Kind::Text, true),
    field("product", "t.product", Kind::Text, true),
    field("equipment_id", "t.equipment", Kind::Uuid, true),
    field("service_mode", "t.service_mode", Kind::Text, true),
    field("severity", "t.severity", Kind::Int, true),
    field("priority", "t.priority", Kind::Int, true),
    field("warranty", "t.warranty", Kind::Text, false),
    field("commercial", "t.commercial", Kind::Text, false),
    field("lead", "t.lead", Kind::Text, true),
    field("helpers", "t.helpers", Kind::Json, false),
    field("due", "t.sla_due", Kind::Instant, true),
    field("open_sessions", "t.sessions", Kind::Json, false),
    field("travel", "t.trips", Kind::Json, false),
    field("checklist", "t.checklist", Kind::Json, false),
    field("parts_requests", PARTS, Kind::Json, true),
    field("unit_history", HISTORY, Kind::Json, false),
];

const VISIT: [Field; 7] = [
    field("visit_id", "v.visit_id", Kind::Uuid, true),
    field("window_start", "v.window_start", Kind::Instant, true),
    field("window_end", "v.window_end", Kind::Instant, true),
    field("location", "v.location", Kind::Text, true),
    field("visit_state", "v.state", Kind::Text, true),
    field("customer_confirmed", "v.confirmed", Kind::Bool, true),
    field("parts_to_bring", "COALESCE(v.parts, '[]')", Kind::Json, false),
];

/// Visits, and open tickets that have none to come.
const VISITS: &str = "(SELECT seq, visit_id, window_start, window_end, location, technician, state, confirmed, parts
        FROM visit WHERE state <> 'cancelled'
    UNION ALL SELECT seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM ticket WHERE open = 1 AND lead IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM visit x WHERE x.seq = ticket.seq AND x.state = 'planned')) v
    JOIN ticket t ON t.seq = v.seq JOIN json_each(p.b) d ON d.key = t.site";

const fn both() -> [Field; 32] {
    let mut all = [VISIT[0]; 32];
    let mut i = 0;
    while i < 32 {
        all[i] = if i < 7 { VISIT[i] } else { TICKET[i - 7] };
        i += 1;
    }
    all
}

static VISIT_AND_TICKET: [Field; 32] = both();
static TICKET_ALONE: [Field; 25] = TICKET;

/// The visits of technician `a` on a day, with their tickets, and where `b` says so also the tickets that have
/// no visit to come, last. `b` is a JSON object with the beginning and end of the day at each site, in
/// milliseconds, and whether such tickets belong to it.
pub static DAY_PLAN: Table = Table {
    name: "day-plan",
    from: VISITS,
    only: "(v.technician IS p.a OR t.lead = p.a OR EXISTS (SELECT 1 FROM json_each(t.helpers) h WHERE h.value = p.a))
        AND CASE WHEN v.visit_id IS NULL THEN json_extract(d.value, '$[2]')
            ELSE v.window_start < json_extract(d.value, '$[1]') AND v.window_end >= json_extract(d.value, '$[0]') END",
    site: "t.site",
    own: OWN,
    fields: &VISIT_AND_TICKET,
    filters: &[
        Q,
        narrow("site", "t.site", SITE, "sites"),
        narrow("state", "t.state", Takes::Words(states), "states of tickets"),
        narrow("priority", "t.priority", Takes::Words(priorities), "priorities, 1 is the most urgent"),
    ],
    order: (&["COALESCE(v.window_start, 9007199254740991)"], Direction::Ascending),
    key: &["v.seq", "COALESCE(v.visit_id, x'')"],
};

/// The open tickets of technician `a`, visits or not, the least time left first.
pub static ASSIGNED: Table = Table {
    name: "assigned",
    from: FROM,
    only: "t.open = 1 AND (t.lead = p.a OR EXISTS (SELECT 1 FROM json_each(t.helpers) h WHERE h.value = p.a))",
    site: "t.site",
    own: OWN,
    fields: &TICKET_ALONE,
    filters: &[],
    order: (&[BY_REMAINING, "COALESCE(t.priority, 9)"], Direction::Ascending),
    key: &["t.seq"],
};

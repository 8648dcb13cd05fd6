//! Working days of a ticket.

use mw_calendar::BusinessCalendar;
use mw_contract::event::ticket_parts::{CalendarV1, OpenHoursV1};
use mw_contract::reference::Document;
use mw_contract::{Code, Instant, ReferenceKind, SiteId, Text};
use rusqlite::Connection;

use crate::facts;
use crate::tickets::{self, Ticket};

/// The time zone of a site.
pub(super) fn zone(tx: &Connection, site: &SiteId) -> rusqlite::Result<String> {
    Ok(match facts::document(tx, ReferenceKind::Site, site.as_str())? {
        Some(Document::Site(s)) => s.time_zone,
        _ => "UTC".to_owned(),
    })
}

/// So many working days after a moment: of the calendar that the ticket's clocks run by; without one,
/// Monday to Friday at its site.
pub(super) fn after(tx: &Connection, t: &Ticket, from: Instant, days: u16) -> rusqlite::Result<Instant> {
    let calendar = match tickets::policy(tx, t.id)? {
        Some(p) => Some(p.calendar),
        None => weekdays(&zone(tx, &t.site)?),
    };
    let due = calendar.and_then(|c| BusinessCalendar::from_stored(&c).days_after(from, days));
    // A calendar without a working day in ten years says nothing.
    Ok(due.unwrap_or_else(|| from.plus_millis(i64::from(days) * 24 * 3_600_000)))
}

fn weekdays(zone: &str) -> Option<CalendarV1> {
    let open = |weekday| OpenHoursV1 { weekday, from_minute: 0, to_minute: 1440 };
    Some(CalendarV1 {
        calendar_id: Code::new("weekdays").ok()?,
        time_zone: Text::new(zone).ok()?,
        hours: (0..5).map(open).collect(),
        holidays: Vec::new(),
    })
}

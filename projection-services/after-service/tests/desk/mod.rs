//! A service desk on paper: events by hand, put through the projection into a file in memory.

use mw_after_service_views::ServiceFigureViews;
use mw_after_service_views::figures::report::kpis;
use mw_contract::commit::{CommitHead, NewEvent, Outcome, StoredCommit, StoredEvent};
use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::event::ticket_parts::*;
use mw_contract::*;
use mw_figures::calendar::Documents;
use mw_figures::documents::{self, Version as DocumentVersion};
use mw_figures::given::Production;
use mw_figures::question::{Group, Item, Question};
use mw_figures::spans::Span;
use mw_policy::{Account, Route, Scope, query_scope};
use mw_projection::Projection;
use rusqlite::Connection;
use serde_json::Value;
use uuid::Uuid;

pub struct Desk {
    pub conn: Connection,
    pub log: Vec<(StoredCommit, Event)>,
    pub given: Production,
    documents: Connection,
    views: ServiceFigureViews,
    next: u64,
    /// Recorded so many milliseconds after it happened.
    pub delay: i64,
}

/// `09:00` on Monday, 2 March 2026, in Berlin, or `3 09:00` on another day of that March (before the
/// clocks change), or a full instant.
pub fn at(t: &str) -> Instant {
    match t.len() {
        5 => format!("2026-03-02T{t}:00+01:00").parse().unwrap(),
        6..=8 => {
            let (day, time) = t.split_once(' ').unwrap();
            format!("2026-03-{day:0>2}T{time}:00+01:00").parse().unwrap()
        }
        _ => t.parse().unwrap(),
    }
}

pub fn code<T: std::str::FromStr>(s: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    s.parse().unwrap()
}

pub fn text<const N: usize>(s: &str) -> Text<N> {
    Text::new(s).unwrap()
}

pub fn entity(n: u128) -> EntityId {
    EntityId(Uuid::from_u128(n))
}

pub fn ticket_id(n: u128) -> AggregateId {
    AggregateId(Uuid::from_u128(n))
}

pub fn scope(sites: &[&str]) -> Scope {
    let account = Account {
        name: code("planner-1"),
        roles: [Role::Planner].into(),
        sites: sites.iter().map(|s| code(s)).collect(),
        customer_id: None,
        cell: None,
        disabled: false,
        service: false,
    };
    query_scope(&account, Route::Figures).unwrap()
}

pub fn policy() -> PolicyV1 {
    PolicyV1 {
        policy_code: code("standard"),
        calendar: CalendarV1 {
            calendar_id: code("standard"),
            time_zone: text("Europe/Berlin"),
            hours: (0..5).map(|weekday| OpenHoursV1 { weekday, from_minute: 540, to_minute: 1020 }).collect(),
            holidays: vec![],
        },
        targets: vec![],
        response_by_assignment: true,
        approval_pauses: true,
        workshop_from_receipt: false,
    }
}

pub fn views_in_memory() -> (Connection, ServiceFigureViews) {
    let conn = Connection::open_in_memory().unwrap();
    let views = ServiceFigureViews::new();
    views.create_tables(&conn).unwrap();
    views.create_indexes(&conn).unwrap();
    (conn, views)
}

impl Desk {
    pub fn new() -> Desk {
        let (conn, views) = views_in_memory();
        let documents = Connection::open_in_memory().unwrap();
        documents.execute_batch(documents::TABLE).unwrap();
        let mut d = Desk { conn, log: Vec::new(), given: Production::default(), documents, views, next: 0, delay: 0 };
        d.put(ReferenceKind::Site, "plant-1", r#"{"time_zone":"Europe/Berlin"}"#, "2026-01-01T00:00:00Z");
        d
    }

    /// A document of reference data.
    pub fn put(&mut self, kind: ReferenceKind, name: &str, document: &str, when: &str) {
        self.next += 1;
        let when = at(when).millis();
        let v = DocumentVersion { put_at: when, recorded: when, retired: false, doc: document.into() };
        documents::put(&self.documents, kind, name, self.next, &v).unwrap();
        self.given.documents = Documents::load(&self.documents).unwrap();
    }

    /// Something happened, and was recorded `delay` later.
    pub fn event(&mut self, kind: AggregateKind, id: AggregateId, event: impl Into<Event>, when: Instant) {
        self.recorded(kind, id, event, when, when.plus_millis(self.delay));
    }

    pub fn recorded(
        &mut self,
        kind: AggregateKind,
        id: AggregateId,
        event: impl Into<Event>,
        when: Instant,
        recorded: Instant,
    ) {
        self.next += 1;
        let event = event.into();
        let version = self.log.iter().filter(|(c, _)| c.events[0].event.stream.id == id).count() as u64 + 1;
        let (_, schema, payload) = event.encode().unwrap();
        let commit = StoredCommit {
            number: CommitNumber(self.next),
            last_position: Position(self.next),
            head: CommitHead {
                command_id: CommandId(Uuid::from_u128(self.next.into())),
                command_type: "test".into(),
                account: code("technician-1"),
                role: Some(Role::Technician),
                site: Some(code("plant-1")),
                payload_hash: [0; 32],
                aggregate_id: Some(id),
                version: Version(version),
                recorded_at: recorded,
                occurred_at: when,
                device: None,
                correlation_id: None,
                causation_id: None,
                outcome: Outcome::Accepted,
                warnings: Vec::new(),
            },
            events: vec![StoredEvent {
                position: Position(self.next),
                event: NewEvent {
                    stream: StreamId::new(kind, id),
                    version: Version(version),
                    event_id: EventId(Uuid::from_u128(self.next.into())),
                    event_type: event.event_type().as_str().into(),
                    schema,
                    occurred_at: when,
                    late: false,
                    payload,
                },
            }],
        };
        self.views.apply(&self.conn, &commit, std::slice::from_ref(&event)).unwrap();
        self.views.finish(&self.conn).unwrap();
        self.log.push((commit, event));
    }

    pub fn tk(&mut self, n: u128, event: impl Into<Event>, when: &str) {
        self.event(AggregateKind::Ticket, ticket_id(n), event, at(when));
    }

    /// A ticket of customer `acme` about unit SN-`unit` of `pump-200`, with a policy.
    pub fn open(&mut self, n: u128, unit: u32, symptom: Option<&str>, when: &str) {
        self.opened(n, unit, symptom, when, |_| {});
        self.tk(n, SlaStartedV1 { cycle: 1, policy: policy(), priority: None, clocks: vec![] }, when);
    }

    /// The same without a policy, changed before.
    pub fn opened(
        &mut self,
        n: u128,
        unit: u32,
        symptom: Option<&str>,
        when: &str,
        change: impl FnOnce(&mut TicketOpenedV1),
    ) {
        let mut e = TicketOpenedV1 {
            number: text(&format!("TK-2026-{n:06}")),
            site_id: code("plant-1"),
            kind: TicketKind::CustomerRepair,
            customer_id: Some(code("acme")),
            serial: Some(text(&format!("SN-{unit}"))),
            product_id: Some(code("pump-200")),
            equipment_id: None,
            symptom: symptom.map(code),
            down_since: None,
            estimated_effort: None,
            plan_id: None,
            follows: None,
            ..TicketOpenedV1::sample()
        };
        change(&mut e);
        self.tk(n, e, when);
    }

    pub fn triage(&mut self, n: u128, mode: ServiceMode, team: Option<&str>, effort_h: Option<u64>, when: &str) {
        let e = TicketTriagedV1 {
            service_mode: mode,
            team: team.map(code),
            estimated_effort: effort_h.map(|h| Seconds(h * 3600)),
            ..TicketTriagedV1::sample()
        };
        self.tk(n, e, when);
    }

    pub fn answer(&mut self, n: u128, by_staff: bool, when: &str) {
        let visibility = Visibility::Public;
        self.tk(n, CommentAddedV1 { visibility, by_staff, ..CommentAddedV1::sample() }, when);
    }

    pub fn arrive(&mut self, n: u128, trip: u128, who: &str, from: &str, to: &str) {
        let start = TravelStartedV1 { trip_id: entity(trip), technician: code(who), ..TravelStartedV1::sample() };
        self.tk(n, start, from);
        let arrived =
            TechnicianArrivedV1 { trip_id: entity(trip), technician: code(who), ..TechnicianArrivedV1::sample() };
        self.tk(n, arrived, to);
    }

    pub fn work(&mut self, n: u128, session: u128, who: &str, from: &str, to: &str) {
        let start = WorkStartedV1 {
            session_id: entity(session),
            technician: code(who),
            visit_id: None,
            ..WorkStartedV1::sample()
        };
        self.tk(n, start, from);
        let pause = WorkPausedV1 { session_id: entity(session), technician: code(who), ..WorkPausedV1::sample() };
        self.tk(n, pause, to);
    }

    pub fn log_work(
        &mut self,
        n: u128,
        id: u128,
        who: &str,
        activity: LogActivity,
        chargeable: bool,
        span: (&str, &str),
    ) {
        let log = WorkLogV1 { activity, start: at(span.0), end: at(span.1), chargeable };
        let e = WorkLoggedV1 { log_id: entity(id), technician: code(who), log, ..WorkLoggedV1::sample() };
        self.tk(n, e, span.1);
    }

    pub fn resolve(&mut self, n: u128, code: ResolutionCode, when: &str) {
        let e =
            TicketResolvedV1 { resolution_code: code, cause: None, downtime_end: None, ..TicketResolvedV1::sample() };
        self.tk(n, e, when);
    }

    pub fn close(&mut self, n: u128, when: &str) {
        self.tk(n, TicketClosedV1::sample(), when);
    }

    pub fn reopen(&mut self, n: u128, cycle: u16, when: &str) {
        self.tk(n, TicketReopenedV1 { cycle, ..TicketReopenedV1::sample() }, when);
    }

    pub fn warranty(&mut self, n: u128, status: WarrantyStatus, when: &str) {
        self.tk(n, WarrantyCheckedV1 { status, unit: None, ..WarrantyCheckedV1::sample() }, when);
    }

    pub fn ask(&self, q: &Question) -> Vec<Item> {
        kpis(&self.conn, &scope(&["plant-1"]), q, &self.given, self.next).unwrap()
    }
}

pub fn question(from: &str, to: &str, group: Option<Group>) -> Question {
    Question {
        span: Span::new(at(from).millis(), at(to).millis()),
        group,
        kpis: Vec::new(),
        site: None,
        line: None,
        cell: None,
        product: None,
        revision: None,
        now: at(to),
    }
}

/// A field of a KPI in a group.
pub fn field(items: &[Item], name: &str, group: Option<&str>, field: &str) -> Value {
    let one = items.iter().find(|i| i.name == name && i.fields["group"].as_str() == group);
    one.unwrap_or_else(|| panic!("no {name} of {group:?}")).fields.get(field).cloned().unwrap_or(Value::Null)
}

pub fn value(items: &[Item], name: &str) -> String {
    field(items, name, None, "value").as_str().unwrap_or("null").to_owned()
}

/// `numerator/denominator`.
pub fn parts(items: &[Item], name: &str) -> String {
    let of = |f: &str| field(items, name, None, f).as_str().unwrap_or("null").to_owned();
    format!("{}/{}", of("numerator"), of("denominator"))
}

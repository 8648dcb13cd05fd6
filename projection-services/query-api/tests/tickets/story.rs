//! Five tickets, written straight into the log of after-service.

use mw_contract::event::samples::Sample;
use mw_contract::event::ticket::*;
use mw_contract::event::ticket_parts::*;
use mw_contract::*;
use uuid::Uuid;

use crate::history::*;
use crate::plant::Plant;

/// Monday, 09:00 in Berlin: the beginning of the demonstration's working time.
pub const T: &str = "2026-03-02T08:00:00.000Z";

pub fn entity() -> EntityId {
    EntityId(Uuid::now_v7())
}

/// Text of `subject`, sealed by after-service.
pub fn sealed(p: &Plant, subject: &str, words: &str) -> Sealed {
    let mut s = Sealed::Plain(words.to_owned());
    p.service_vault.seal(subject, &mut s).unwrap();
    s
}

pub fn opened(number: &str, site: &str, customer: Option<&str>, serial: Option<&str>) -> TicketOpenedV1 {
    TicketOpenedV1 {
        number: text(number),
        site_id: code(site),
        kind: if customer.is_some() { TicketKind::CustomerRepair } else { TicketKind::InternalMaintenance },
        channel: if customer.is_some() { Channel::Portal } else { Channel::Operator },
        title: text("Pump is silent"),
        description: None,
        customer_id: customer.map(code),
        contact_id: Some(code("contact-7")),
        service_site: Some(code("hall-3")),
        serial: serial.map(text),
        product_id: serial.map(|_| code("pump-200")),
        equipment_id: customer.is_none().then(|| AggregateId(Uuid::from_u128(77))),
        severity: None,
        symptom: Some(code("other")),
        down_since: None,
        preferred_windows: vec![],
        attachments: vec![],
        alarm: None,
        dedupe_key: None,
        plan_id: None,
        follows: None,
        checklist: vec![text("look"), text("listen")],
        estimated_effort: Some(Seconds(5400)),
        signature_required: false,
    }
}

/// Mon-Fri 09:00-17:00 in Berlin, as the demonstration has it.
pub fn policy() -> PolicyV1 {
    let day = |weekday| OpenHoursV1 { weekday, from_minute: 540, to_minute: 1020 };
    let target = |clock, target| ClockTargetV1 { clock, target: Seconds(target), warn_pct: vec![75, 90] };
    PolicyV1 {
        policy_code: code("standard"),
        calendar: CalendarV1 {
            calendar_id: code("office-berlin"),
            time_zone: text("Europe/Berlin"),
            hours: (0..5).map(day).collect(),
            holidays: vec![],
        },
        targets: vec![target(SlaClock::FirstResponse, 7200), target(SlaClock::Resolution, 28800)],
        response_by_assignment: false,
        approval_pauses: true,
        workshop_from_receipt: false,
    }
}

pub fn clocks(response: &str, resolution: &str) -> Event {
    let clock = |clock, target: u64, due: &str| ClockV1 {
        clock,
        target: Seconds(target),
        remaining_s: target as i64,
        due: Some(at(due)),
    };
    let clocks = vec![clock(SlaClock::FirstResponse, 7200, response), clock(SlaClock::Resolution, 28800, resolution)];
    SlaStartedV1 { cycle: 1, policy: policy(), priority: Some(2), clocks }.into()
}

pub fn triaged(priority: u8, team: &str) -> Event {
    TicketTriagedV1 {
        severity: 2,
        priority,
        category: code("other"),
        service_mode: ServiceMode::OnSite,
        team: Some(code(team)),
        required_skills: vec![],
        estimated_effort: None,
        override_reason: None,
        checklist: vec![],
    }
    .into()
}

pub fn comment(p: &Plant, words: &str, visibility: Visibility, by_staff: bool) -> Event {
    let text = sealed(p, "acme", words);
    CommentAddedV1 { comment_id: entity(), text, visibility, by_staff, attachments: vec![] }.into()
}

pub fn assigned(lead: &str) -> Event {
    TechnicianAssignedV1 { lead: code(lead), helpers: vec![], team: None, due_start: None, override_reason: None }
        .into()
}

pub fn visit(start: &str, end: &str) -> Event {
    VisitScheduledV1 {
        visit: VisitV1 {
            visit_id: entity(),
            window_start: at(start),
            window_end: at(end),
            location: VisitLocation::Site,
        },
        technician: code("technician-1"),
        parts_to_bring: vec![PartLineV1 { item_id: code("seal-5"), qty: qty("2") }],
        customer_confirmed: true,
        forced: false,
    }
    .into()
}

pub fn quote(p: &Plant) -> QuoteSubmittedV1 {
    QuoteSubmittedV1 {
        terms: Some(sealed(p, "acme", "net within 30 days")),
        resume_state: TicketState::Triaged,
        supersedes: None,
        revision: 1,
        quote_id: entity(),
        ..Sample::sample()
    }
}

pub struct Story {
    /// Of acme, assigned, with a visit tomorrow; its resolution is due today at 16:00 UTC.
    pub a: Stream,
    /// Internal, new, no clock.
    pub b: Stream,
    /// Of acme at the other site, on hold with an hour left.
    pub c: Stream,
    /// Of zeta, closed.
    pub d: Stream,
    /// Of acme, waiting for an answer to a quote.
    pub e: Stream,
}

pub async fn story(p: &Plant) -> Story {
    let site = Stream::new;
    let (mut a, mut b, mut c, mut d, mut e) =
        (site("plant-1"), site("plant-1"), site("plant-2"), site("plant-1"), site("plant-1"));
    let mut told = opened("TK-2026-000001", "plant-1", Some("acme"), Some("S-1"));
    told.description = Some(sealed(p, "acme", "Mrs Miller rang"));
    a.happened(p, "customer-1", T, vec![told.into(), clocks("2026-03-02T10:00:00.000Z", "2026-03-02T16:00:00.000Z")]);
    let warranty = WarrantyCheckedV1 {
        status: WarrantyStatus::InWarranty,
        serial: Some(text("S-1")),
        commercial: Commercial::NotRequired,
        terms: Some(WarrantyTermsV1 {
            warranty_end: Some("2027-03-01".parse().unwrap()),
            basis: CoverageBasis::ShipDate,
            ..Sample::sample()
        }),
        unit: Some(KnownUnitV1 {
            product_id: code("pump-200"),
            work_order_id: Some(AggregateId(Uuid::from_u128(5))),
            work_order_number: Some(text("WO-2026-000009")),
            line_id: Some(code("line-1")),
            open_recalls: vec![],
            ..Sample::sample()
        }),
        as_of: "2026-03-02".parse().unwrap(),
    };
    let minute = "2026-03-02T08:05:00.000Z";
    a.happened(p, "dispatcher-1", minute, vec![triaged(2, "field"), warranty.into()]);
    a.happened(
        p,
        "dispatcher-1",
        minute,
        vec![
            comment(p, "We are on it", Visibility::Public, true),
            SlaMetV1 { clock: SlaClock::FirstResponse, spare: Seconds(6900) }.into(),
            comment(p, "he always complains", Visibility::Internal, true),
        ],
    );
    a.happened(p, "customer-1", minute, vec![comment(p, "thank you", Visibility::Public, false)]);
    a.happened(
        p,
        "dispatcher-1",
        minute,
        vec![assigned("technician-1"), visit("2026-03-03T09:00:00.000Z", "2026-03-03T11:00:00.000Z")],
    );
    let unused = PartsConsumedV1 {
        consumption_id: entity(),
        serial: None,
        product_id: None,
        lines: vec![PartUseV1 {
            item_id: code("seal-5"),
            qty: qty("2"),
            coverage: Coverage::Warranty,
            unit_cost: serde_json::from_str(r#"{"amount":"3.25","currency":"EUR"}"#).unwrap(),
            ..Sample::sample()
        }],
    };
    a.happened(p, "technician-1", minute, vec![unused.into()]);

    b.happened(
        p,
        "operator-1",
        "2026-02-25T08:00:00.000Z",
        vec![opened("TK-2026-000002", "plant-1", None, None).into()],
    );

    c.happened(
        p,
        "customer-1",
        T,
        vec![
            opened("TK-2026-000003", "plant-2", Some("acme"), Some("S-2")).into(),
            clocks("2026-03-02T10:00:00.000Z", "2026-03-02T16:00:00.000Z"),
            triaged(1, "shop"),
            SlaMetV1 { clock: SlaClock::FirstResponse, spare: Seconds(6900) }.into(),
        ],
    );
    let held = TicketHeldV1 {
        reason: code("waiting_customer"),
        pauses_sla: true,
        resume_state: TicketState::Triaged,
        expected_until: None,
        note: None,
    };
    c.happened(
        p,
        "dispatcher-2",
        T,
        vec![
            held.into(),
            SlaPausedV1 { clock: SlaClock::Resolution, cause: SlaPauseCause::Hold, remaining_s: 3600 }.into(),
        ],
    );

    d.happened(
        p,
        "customer-2",
        "2026-02-20T08:00:00.000Z",
        vec![opened("TK-2026-000004", "plant-1", Some("zeta"), Some("S-1")).into(), triaged(3, "field")],
    );
    let resolved = TicketResolvedV1 {
        resolution_code: ResolutionCode::AdviceGiven,
        text: sealed(p, "zeta", "switched it on"),
        cause: None,
        remedy: None,
        downtime_end: None,
        customer_signature: None,
        follow_up: false,
        checklist_done: vec![2],
        verification_required: false,
    };
    let closed = TicketClosedV1 { reason: CloseReason::Manual, note: None, ..Sample::sample() };
    d.happened(p, "dispatcher-1", "2026-02-21T08:00:00.000Z", vec![resolved.into(), closed.into()]);

    e.happened(
        p,
        "customer-1",
        "2026-03-02T07:00:00.000Z",
        vec![
            opened("TK-2026-000005", "plant-1", Some("acme"), Some("S-3")).into(),
            triaged(4, "shop"),
            quote(p).into(),
        ],
    );
    p.settled().await;
    Story { a, b, c, d, e }
}

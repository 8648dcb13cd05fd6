//! What the events of maintenance plans say.

use std::fmt::Write;

use mw_contract::event::ticket_parts::PlanTargetV1;
use mw_contract::{Event, Sealed};

/// One sentence; `None` for an event that is not of a plan.
pub(super) fn words(event: &Event) -> Option<String> {
    let next = |s: &mut String, day: Option<mw_contract::Date>, counter: Option<mw_contract::Number>| {
        if let Some(d) = day {
            let _ = write!(s, ", next due {d}");
        }
        if let Some(c) = counter {
            let _ = write!(s, ", next at {c}");
        }
    };
    Some(match event {
        Event::PlanCreated(e) => {
            let mut s = format!("made plan {} for {}", e.name, target(&e.target));
            if let Some(c) = &e.trigger.calendar {
                let _ = write!(s, ", due by {c}");
            }
            if let Some(c) = &e.trigger.counter {
                let _ = write!(s, ", every {} {} of {}", c.every, c.unit, c.name);
            }
            s
        }
        Event::PlanActivated(e) => {
            let mut s = "plan activated".to_owned();
            next(&mut s, e.next_due, None);
            s
        }
        Event::PlanSuspended(e) => match &e.reason {
            Some(r) => format!("plan suspended: {r}"),
            None => "plan suspended".to_owned(),
        },
        Event::PlanAmended(e) => {
            let all = [
                ("name", e.name.is_some()),
                ("trigger", e.trigger.is_some()),
                ("lead", e.lead.is_some()),
                ("template", e.template.is_some()),
                ("floating", e.floating.is_some()),
            ];
            let names: Vec<&str> = all.iter().filter(|(_, there)| *there).map(|(n, _)| *n).collect();
            let mut s = format!("plan amended: {}", if names.is_empty() { "nothing".into() } else { names.join(", ") });
            next(&mut s, e.next_due, None);
            s
        }
        Event::PlanDue(e) => {
            let mut s = format!("maintenance due ({})", e.cause);
            if let Some(d) = e.due_on {
                let _ = write!(s, " on {d}");
            }
            if let Some(c) = &e.due_counter {
                let _ = write!(s, " at {c}");
            }
            if let Some(c) = &e.counter_value {
                let _ = write!(s, ", counter shows {c}");
            }
            s
        }
        Event::PlanDone(e) => {
            let mut s = format!("maintenance done on {}", e.done_on);
            if let Some(c) = &e.counter {
                let _ = write!(s, " at {c}");
            }
            next(&mut s, e.next_due, e.next_counter);
            s
        }
        Event::PlanSkipped(e) => {
            let mut s = format!("maintenance left out this time: {}", e.reason);
            next(&mut s, e.next_due, e.next_counter);
            s
        }
        _ => return None,
    })
}

fn target(t: &PlanTargetV1) -> String {
    match (&t.equipment_id, &t.serial, &t.product_id) {
        (Some(id), ..) => format!("machine {id}"),
        (None, Some(serial), _) => format!("unit {serial}"),
        (None, None, Some(product)) => format!("the family of {product}"),
        (None, None, None) => t.kind.to_string(),
    }
}

/// The reason code that an event gives.
pub(super) fn reason(event: &Event) -> Option<String> {
    match event {
        Event::PlanSuspended(e) => e.reason.as_ref().map(ToString::to_string),
        Event::PlanSkipped(e) => Some(e.reason.to_string()),
        _ => None,
    }
}

/// Its note.
pub(super) fn note(event: &Event) -> Option<&Sealed> {
    match event {
        Event::PlanSuspended(e) => e.note.as_ref(),
        Event::PlanSkipped(e) => e.note.as_ref(),
        _ => None,
    }
}

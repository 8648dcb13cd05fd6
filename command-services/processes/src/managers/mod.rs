//! The process managers, one file each.

mod alarm_tickets;
mod alarms;
mod causes;
mod children;
mod days;
mod downtime;
mod housekeeping;
mod material;
mod parts;
mod plans;
mod replacement;
mod rework;
mod shifts;
mod sla;
mod ticket_end;
mod unit_care;
mod units;
mod waits;

use crate::manager::Manager;

/// All of them, in the order in which they see an event.
pub fn all() -> Vec<Box<dyn Manager>> {
    vec![
        Box::new(material::Material),
        Box::new(units::Units),
        Box::new(downtime::Downtime),
        Box::new(housekeeping::Housekeeping),
        Box::new(rework::Rework),
        Box::new(children::Children),
        Box::new(alarms::Alarms),
        Box::new(replacement::Replacement),
        Box::new(causes::Causes),
        Box::new(sla::Sla),
        Box::new(plans::Plans),
        Box::new(parts::Parts),
        Box::new(waits::Waits),
        Box::new(unit_care::UnitCare),
        Box::new(ticket_end::TicketEnd),
    ]
}

//! The process managers, one file each.

mod children;
mod downtime;
mod housekeeping;
mod material;
mod rework;
mod shifts;
mod units;

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
    ]
}

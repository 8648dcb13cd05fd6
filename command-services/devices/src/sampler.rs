//! Which readings become commands.
//!
//! Owns the memory of what was last sent of each machine. A state goes out when it is another one,
//! at most once a second; a counter at most once a minute; an alarm when it begins, when it is
//! over, and at most once a second while it goes on. What came too early is not lost: the last
//! value goes out when its time has come ([`Sampler::due`]).

use std::collections::HashMap;

use mw_contract::{CellId, Code, EntityId, Instant, MachineState, SiteId};
use uuid::Uuid;

use crate::reading::{Message, Reading};

/// Least time between two states, and between two raises of one alarm, milliseconds.
const STATE_EVERY: i64 = 1_000;
/// Least time between two readings of one counter, milliseconds.
const COUNTER_EVERY: i64 = 60_000;
/// The most counters and alarm codes of one machine that are remembered; more are not taken.
const MOST_NAMES: usize = 300;

/// A machine by its place.
pub type Place = (SiteId, CellId);

/// What is known of one machine.
#[derive(Debug, Default)]
struct Machine {
    state: Option<MachineState>,
    state_sent: Option<Instant>,
    state_waits: Option<Message>,
    counters: HashMap<Code, Counter>,
    alarms: HashMap<Code, Alarm>,
}

#[derive(Debug)]
struct Counter {
    sent: Instant,
    waits: Option<Message>,
}

#[derive(Debug)]
struct Alarm {
    id: EntityId,
    active: bool,
    raised: Instant,
}

/// Remembers what was sent.
#[derive(Debug, Default)]
pub struct Sampler {
    machines: HashMap<Place, Machine>,
}

/// A reading that is worth a command; an alarm has got its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Worth {
    /// The reading.
    pub message: Message,
    /// Of an alarm.
    pub alarm_id: Option<EntityId>,
}

impl Sampler {
    /// What the log says of a machine's state: whoever said it, the next one differs from this.
    pub fn state_is(&mut self, place: &Place, state: MachineState) {
        self.machine(place).state = Some(state);
    }

    /// What the log says of an alarm.
    pub fn alarm_is(&mut self, place: &Place, code: &Code, id: EntityId, active: bool, raised: Instant) {
        self.machine(place).alarms.insert(code.clone(), Alarm { id, active, raised });
    }

    /// Takes a message; gives it back when a command must say it now.
    pub fn take(&mut self, place: &Place, message: Message, now: Instant) -> Option<Worth> {
        let m = self.machine(place);
        match &message.reading {
            Reading::Alive => None,
            Reading::State(state) => {
                if m.state == Some(*state) {
                    m.state_waits = None;
                    return None;
                }
                if m.state_sent.is_some_and(|t| now.since(t) < STATE_EVERY) {
                    m.state_waits = Some(message);
                    return None;
                }
                m.state = Some(*state);
                m.state_sent = Some(now);
                m.state_waits = None;
                Some(Worth { message, alarm_id: None })
            }
            Reading::Counter { name, reset, .. } => {
                let full = m.counters.len() >= MOST_NAMES;
                match m.counters.get_mut(name) {
                    // A reset is told at once: what counts up to it must not be mixed with what follows.
                    Some(c) if !reset && now.since(c.sent) < COUNTER_EVERY => c.waits = Some(message),
                    None if full => {}
                    _ => {
                        m.counters.insert(name.clone(), Counter { sent: now, waits: None });
                        return Some(Worth { message, alarm_id: None });
                    }
                }
                None
            }
            Reading::Alarm { code, active, alarm_id, .. } => {
                let (code, active, given) = (code.clone(), *active, *alarm_id);
                let known = m.alarms.get(&code);
                if known.is_none() && m.alarms.len() >= MOST_NAMES {
                    return None;
                }
                let id = match known {
                    Some(k) if k.active && !active => given.unwrap_or(k.id),
                    // Nothing is over that did not begin.
                    _ if !active => return None,
                    Some(k) if k.active && now.since(k.raised) < STATE_EVERY => return None,
                    Some(k) if k.active => k.id,
                    _ => given.unwrap_or_else(|| fresh(place, &code, &message, now)),
                };
                m.alarms.insert(code, Alarm { id, active, raised: now });
                Some(Worth { message, alarm_id: Some(id) })
            }
        }
    }

    /// What had to wait and need not any longer.
    pub fn due(&mut self, now: Instant) -> Vec<(Place, Worth)> {
        let mut waiting = Vec::new();
        for (place, m) in &mut self.machines {
            if m.state_sent.is_none_or(|t| now.since(t) >= STATE_EVERY) {
                waiting.extend(m.state_waits.take().map(|w| (place.clone(), w)));
            }
            for c in m.counters.values_mut().filter(|c| now.since(c.sent) >= COUNTER_EVERY) {
                waiting.extend(c.waits.take().map(|w| (place.clone(), w)));
            }
        }
        let take = |(place, message): (Place, Message)| self.take(&place, message, now).map(|w| (place, w));
        waiting.into_iter().filter_map(take).collect()
    }

    fn machine(&mut self, place: &Place) -> &mut Machine {
        self.machines.entry(place.clone()).or_default()
    }
}

/// An id for an alarm that brought none: the same for the same message sent twice.
fn fresh(place: &Place, code: &Code, message: &Message, now: Instant) -> EntityId {
    let at = message.at.unwrap_or(now);
    let name = format!("alarm:{}:{}:{code}:{at}", place.0, place.1);
    EntityId(Uuid::new_v5(&mw_contract::ids::NAMESPACE, name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mw_contract::topics::DeviceChannel::{self, Alarm, Counter, State};

    fn at(ms: i64) -> Instant {
        Instant::clamped(1_700_000_000_000 + ms)
    }

    struct Case(Sampler, Place);

    impl Case {
        fn new() -> Self {
            Case(Sampler::default(), ("plant-1".parse().unwrap(), "cell-1".parse().unwrap()))
        }

        fn take(&mut self, ms: i64, channel: DeviceChannel, payload: &str) -> Option<Worth> {
            let m = crate::reading::read(channel, "thing", payload.as_bytes()).unwrap();
            self.0.take(&self.1.clone(), m, at(ms))
        }
    }

    #[test]
    fn a_state_goes_out_when_it_is_another_one() {
        let mut c = Case::new();
        assert!(c.take(0, State, "running").is_some());
        assert!(c.take(5_000, State, "running").is_none());
        assert!(c.take(6_000, State, "down").is_some());
        let place = c.1.clone();
        c.0.state_is(&place, MachineState::Offline);
        assert!(c.take(9_000, State, "down").is_some(), "it was offline meanwhile");
    }

    #[test]
    fn a_flapping_state_goes_out_once_a_second_and_the_last_one_for_sure() {
        let mut c = Case::new();
        let sent = (0..100).filter(|i| c.take(i * 20, State, if i % 2 == 0 { "down" } else { "idle" }).is_some());
        assert!((2..=3).contains(&sent.count()));
        let late = c.0.due(at(10_000));
        assert!(late.len() <= 1);
        // Whatever was last is what is known.
        assert!(c.take(20_000, State, "idle").is_none());
        // A state that came back to what was sent needs no telling.
        assert!(c.take(30_000, State, "down").is_some());
        assert!(c.take(30_100, State, "idle").is_none());
        assert!(c.take(30_200, State, "down").is_none());
        assert!(c.0.due(at(40_000)).is_empty());
    }

    #[test]
    fn a_counter_goes_out_once_a_minute_with_its_last_value() {
        let mut c = Case::new();
        let sent = (0..600).filter(|i| c.take(i * 100, Counter, &i.to_string()).is_some());
        assert_eq!(sent.count(), 1);
        assert!(c.0.due(at(59_999)).is_empty());
        let due = c.0.due(at(60_000));
        let Reading::Counter { value, .. } = &due[0].1.message.reading else { panic!() };
        assert_eq!((due.len(), value.to_string().as_str()), (1, "599"));
        assert!(c.0.due(at(120_000)).is_empty(), "nothing new");
        assert!(c.take(61_000, Counter, r#"{"v":0,"reset":true}"#).is_some(), "a reset does not wait");
    }

    #[test]
    fn an_alarm_keeps_its_id_until_it_is_over() {
        let mut c = Case::new();
        let first = c.take(0, Alarm, "{}").unwrap().alarm_id;
        assert!(first.is_some());
        assert!(c.take(500, Alarm, "{}").is_none(), "too soon");
        assert_eq!(c.take(2_000, Alarm, "{}").unwrap().alarm_id, first);
        assert_eq!(c.take(2_100, Alarm, "cleared").unwrap().alarm_id, first);
        assert!(c.take(2_200, Alarm, "cleared").is_none());
        let second = c.take(2_300, Alarm, "{}").unwrap().alarm_id;
        assert!(second.is_some() && second != first);
    }

    #[test]
    fn names_without_end_are_not_remembered() {
        let mut c = Case::new();
        let place = c.1.clone();
        let mut sent = 0;
        for i in 0..1000 {
            let m = crate::reading::read(Counter, &format!("n{i}"), b"1").unwrap();
            sent += usize::from(c.0.take(&place, m, at(0)).is_some());
        }
        assert_eq!(sent, MOST_NAMES);
    }
}

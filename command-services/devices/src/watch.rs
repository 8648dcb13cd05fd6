//! The equipment that is registered, as production's log says, and which of it is silent.

use std::collections::HashMap;

use mw_contract::{AggregateId, AggregateKind, Event, Instant, MachineState, Seconds, StateSource, StreamId};

use crate::sampler::{Place, Sampler};

/// One machine.
#[derive(Debug)]
struct Watched {
    id: AggregateId,
    /// Silence after which it counts as offline.
    timeout: Seconds,
    state: Option<MachineState>,
    /// It speaks for itself: silence means something.
    speaks: bool,
    last_sign: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Watch {
    places: HashMap<AggregateId, Place>,
    machines: HashMap<Place, Watched>,
}

impl Watch {
    /// Folds one event; the sampler learns what was said by others.
    pub fn learn(&mut self, stream: &StreamId, event: &Event, now: Instant, sampler: &mut Sampler) {
        if stream.kind != AggregateKind::Equipment {
            return;
        }
        if let Event::EquipmentRegistered(e) = event {
            let place = (e.site_id.clone(), e.code.clone());
            let timeout = e.no_signal_timeout;
            let machine = Watched { id: stream.id, timeout, state: None, speaks: false, last_sign: now };
            self.machines.insert(place.clone(), machine);
            self.places.insert(stream.id, place);
            return;
        }
        let Some(place) = self.places.get(&stream.id) else { return };
        match event {
            Event::MachineStateChanged(e) => {
                sampler.state_is(place, e.new);
                if let Some(m) = self.machines.get_mut(place) {
                    m.state = Some(e.new);
                    if e.source == StateSource::Device {
                        // However it said so: on its own topics or by a command.
                        (m.speaks, m.last_sign) = (true, now);
                    }
                }
            }
            Event::AlarmRaised(e) => sampler.alarm_is(place, &e.code, e.alarm_id, true, now),
            Event::AlarmCleared(e) => sampler.alarm_is(place, &e.code, e.alarm_id, false, now),
            _ => {}
        }
    }

    /// The equipment at a place.
    pub fn equipment(&self, place: &Place) -> Option<AggregateId> {
        self.machines.get(place).map(|m| m.id)
    }

    /// A machine has said something, whatever it was.
    pub fn sign_of(&mut self, place: &Place, now: Instant) {
        if let Some(m) = self.machines.get_mut(place) {
            m.speaks = true;
            m.last_sign = now;
        }
    }

    /// Nobody was listened to until now: silence begins here.
    pub fn listening_since(&mut self, now: Instant) {
        self.machines.values_mut().for_each(|m| m.last_sign = now);
    }

    /// Machines that have just been silent for too long; each is named once.
    pub fn fell_silent(&mut self, now: Instant) -> Vec<(Place, AggregateId)> {
        let silent = |m: &Watched| {
            let limit = i64::try_from(m.timeout.0).unwrap_or(i64::MAX).saturating_mul(1000);
            m.speaks && m.state != Some(MachineState::Offline) && now.since(m.last_sign) >= limit
        };
        let fallen = self.machines.iter_mut().filter(|(_, m)| silent(m));
        fallen
            .map(|(place, m)| {
                // What the log answers comes later; until then it is not named again.
                m.state = Some(MachineState::Offline);
                (place.clone(), m.id)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mw_contract::event::equipment::{EquipmentRegisteredV1, MachineStateChangedV1};

    fn at(s: i64) -> Instant {
        Instant::clamped(1_700_000_000_000 + s * 1000)
    }

    fn registered(timeout: u64) -> Event {
        EquipmentRegisteredV1 {
            code: "cell-1".parse().unwrap(),
            name: None,
            class: None,
            site_id: "plant-1".parse().unwrap(),
            area: None,
            line_id: "line-1".parse().unwrap(),
            ideal_cycle: None,
            no_signal_timeout: Seconds(timeout),
            alarm_threshold: 700,
            sparkplug_id: None,
        }
        .into()
    }

    fn state(new: MachineState, source: StateSource) -> Event {
        MachineStateChangedV1 {
            cell_id: "cell-1".parse().unwrap(),
            old: None,
            new,
            duration: Seconds(0),
            source,
            sequence: None,
            counter: None,
        }
        .into()
    }

    #[test]
    fn only_a_machine_that_speaks_can_fall_silent() {
        let (mut w, mut s) = (Watch::default(), Sampler::default());
        let stream = StreamId::new(AggregateKind::Equipment, AggregateId(uuid::Uuid::from_u128(1)));
        let place: Place = ("plant-1".parse().unwrap(), "cell-1".parse().unwrap());
        w.learn(&stream, &registered(300), at(0), &mut s);
        assert_eq!(w.equipment(&place), Some(stream.id));
        w.learn(&stream, &state(MachineState::Running, StateSource::Manual), at(0), &mut s);
        assert!(w.fell_silent(at(10_000)).is_empty(), "people report its state");
        w.learn(&stream, &state(MachineState::Running, StateSource::Device), at(0), &mut s);
        w.listening_since(at(10_000));
        assert!(w.fell_silent(at(10_299)).is_empty());
        w.sign_of(&place, at(10_299));
        assert!(w.fell_silent(at(10_598)).is_empty());
        assert_eq!(w.fell_silent(at(10_599)), [(place.clone(), stream.id)]);
        assert!(w.fell_silent(at(10_600)).is_empty(), "said once");
        // A command of its own is a sign of life as well.
        w.learn(&stream, &state(MachineState::Running, StateSource::Device), at(10_650), &mut s);
        assert!(w.fell_silent(at(10_949)).is_empty());
        assert_eq!(w.fell_silent(at(10_950)).len(), 1);
        // It comes back, and may fall silent again.
        w.learn(&stream, &state(MachineState::Running, StateSource::Device), at(10_700), &mut s);
        w.sign_of(&place, at(10_700));
        assert_eq!(w.fell_silent(at(11_000)).len(), 1);
    }
}

//! Messages to a client: QoS, expiry, properties, the window.
//!
//! Owns the acknowledgements to the router, which must come exactly in the order of its
//! messages: one out of order makes it drop the link.

use std::sync::Arc;

use rumqttd::protocol::{Packet, PubAck, PubAckReason};
use rumqttd::{Forward, Notification};

use super::{Conn, End, InFlight, MESSAGES_A_TURN, RetainedOut};
use crate::codec::encode::Delivery;
use crate::envelope::{Incoming, NO_ORIGIN, router_ids};
use crate::registry::Unacked;

/// Retained messages that may wait for their PUBACK at once.
const RETAINED_WINDOW: usize = 100;
/// Retained messages taken from the store in one step.
const RETAINED_STEP: usize = 64;
/// What a step costs at least of a turn's messages: one that finds nothing looks at many topics.
const STEP_COST: usize = MESSAGES_A_TURN / 8;

impl Conn {
    /// Is there room for another message?
    pub(super) fn may_take(&self) -> bool {
        self.out.len() < self.shared.limits.max_write_queue && self.unanswered < usize::from(self.terms.receive_maximum)
    }

    /// Delivers what the router has and what is retained, so that neither starves the other when
    /// the client's window is narrow. Is there more to do at once?
    pub(super) fn deliver_both(&mut self) -> Result<bool, End> {
        if self.session.retained.is_empty() && self.session.retained_unacked.is_empty() {
            return self.deliver();
        }
        let first = self.router_first;
        let mut more = false;
        let mut went_first = None;
        for router in [first, !first] {
            let before = self.out.len();
            more |= if router { self.deliver()? } else { self.deliver_retained() };
            if self.out.len() > before {
                went_first.get_or_insert(router);
            }
        }
        if let Some(router) = went_first {
            self.router_first = !router;
        }
        Ok(more)
    }

    /// Takes what the router has, up to a bound. Is there more at once?
    fn deliver(&mut self) -> Result<bool, End> {
        for _ in 0..MESSAGES_A_TURN {
            if !self.may_take() {
                return Ok(false);
            }
            match self.link.try_next()? {
                None => return Ok(false),
                Some(Notification::Forward(f)) => self.on_forward(f),
                // It says so only of a link that it ends itself, which nothing here gives it cause for.
                Some(Notification::Disconnect(..)) => return Err(End::NoRouter),
                // The front door has acknowledged for itself.
                Some(_) => {}
            }
        }
        Ok(true)
    }

    fn on_forward(&mut self, mut f: Forward) {
        let topic = std::mem::take(&mut f.publish.topic);
        let payload = std::mem::take(&mut f.publish.payload);
        let (router_id, router_qos) = router_ids(&f.publish);
        let subscription_ids = f.properties.map(|p| p.subscription_identifiers).unwrap_or_default();
        let mut entry = InFlight { router_id, packet_id: 0, done: true, topic: Vec::new(), cursor: f.cursor };
        self.put(&mut entry, &topic, payload, router_qos, &subscription_ids);
        if router_qos > 0 {
            if !entry.done {
                self.unanswered += 1;
                entry.topic = topic.to_vec();
            }
            self.in_flight.push_back(entry);
            self.settle();
        }
    }

    fn put(
        &mut self,
        entry: &mut InFlight,
        topic: &[u8],
        payload: bytes::Bytes,
        router_qos: u8,
        subscription_ids: &[usize],
    ) {
        let Some(m) = Incoming::read(payload) else {
            self.shared.metrics.publishes_dropped.inc();
            return;
        };
        let Ok(expiry) = m.remaining() else {
            self.shared.metrics.publishes_dropped.inc();
            return;
        };
        let Ok(name) = std::str::from_utf8(topic) else { return };
        if !self.wants(name, m.origin) {
            return;
        }
        let mut dup = false;
        if m.at_least_once && router_qos > 0 {
            (entry.packet_id, dup) = self.packet_id(topic, entry.cursor);
        }
        let delivery = Delivery {
            dup,
            retain: m.retain && self.retain_as_published(name),
            packet_id: (entry.packet_id > 0).then_some(entry.packet_id),
            topic,
            props: &m.props,
            expiry,
            subscription_ids,
            payload: &m.payload,
        };
        if delivery.put(&mut self.out, self.terms.version, self.terms.max_packet) {
            self.shared.metrics.publishes_out.inc();
            entry.done = entry.packet_id == 0;
        } else {
            self.shared.metrics.publishes_dropped.inc();
            entry.packet_id = 0;
        }
    }

    /// A packet id, and whether the client was sent this message before under it.
    fn packet_id(&mut self, topic: &[u8], cursor: Option<(u64, u64)>) -> (u16, bool) {
        let before = self.session.unacked.iter().position(|u| Some(u.cursor) == cursor && u.topic == topic);
        if let Some(i) = before {
            let id = self.session.unacked.swap_remove(i).packet_id;
            if !self.in_use(id) {
                return (id, true);
            }
        }
        (self.fresh_packet_id(), false)
    }

    fn fresh_packet_id(&mut self) -> u16 {
        loop {
            // At most a hundred of the router's and a hundred retained ones are in use, so this ends.
            self.session.last_packet_id = self.session.last_packet_id.checked_add(1).unwrap_or(1);
            let id = self.session.last_packet_id;
            let promised = self.session.unacked.iter().map(|u| u.packet_id);
            let mut promised = promised.chain(self.session.retained_unacked.iter().map(|(id, _)| *id));
            if !self.in_use(id) && !promised.any(|p| p == id) {
                return id;
            }
        }
    }

    fn in_use(&self, id: u16) -> bool {
        self.in_flight.iter().any(|f| !f.done && f.packet_id == id)
            || self.retained_in_flight.iter().any(|(p, _)| *p == id)
    }

    /// Delivers retained messages to new subscriptions, as far as there is room. Is there more to
    /// do at once?
    fn deliver_retained(&mut self) -> bool {
        // Those of an earlier connection first, under their old ids.
        while !self.session.retained_unacked.is_empty() && self.may_take_retained() {
            let (id, out) = self.session.retained_unacked.remove(0);
            // The subscription behind it may have been taken away meanwhile.
            if !self.strict || self.wants(&out.kept.topic, NO_ORIGIN) {
                self.put_retained(out, Some((id, true)));
            }
        }
        let mut budget = MESSAGES_A_TURN;
        while budget > 0 && self.may_take_retained() {
            let Some(mut cursor) = self.session.retained.pop_front() else { return false };
            let room = usize::from(self.terms.receive_maximum) - self.unanswered;
            let room = room.min(RETAINED_WINDOW - self.retained_in_flight.len()).min(budget).min(RETAINED_STEP);
            let mut found = Vec::new();
            let shared = Arc::clone(&self.shared);
            let mut more = shared.retained.next(&mut cursor, room, |k| found.push(k));
            budget = budget.saturating_sub(found.len().max(STEP_COST));
            let s = cursor.subscription;
            let mut last = None;
            for kept in found {
                // A few large ones can fill the queue.
                if !self.may_take()
                    && let Some(last) = last.take()
                {
                    cursor.go_on_after(last);
                    more = true;
                    break;
                }
                last = Some(Arc::clone(&kept.topic));
                if s.no_local && *kept.from == *self.client_id {
                    continue;
                }
                let at_least_once = kept.at_least_once && s.qos > 0;
                let id = at_least_once.then(|| (self.fresh_packet_id(), false));
                self.put_retained(RetainedOut { kept, subscription_id: s.id }, id);
            }
            if more {
                self.session.retained.push_front(cursor);
            }
        }
        !self.session.retained.is_empty() && self.may_take_retained()
    }

    fn may_take_retained(&self) -> bool {
        self.may_take() && self.retained_in_flight.len() < RETAINED_WINDOW
    }

    fn put_retained(&mut self, out: RetainedOut, id: Option<(u16, bool)>) {
        let kept = &out.kept;
        let Ok(expiry) = kept.remaining() else { return };
        let subscription_ids: Vec<usize> = out.subscription_id.iter().map(|id| *id as usize).collect();
        let delivery = Delivery {
            dup: id.is_some_and(|(_, dup)| dup),
            retain: true,
            packet_id: id.map(|(id, _)| id),
            topic: kept.topic.as_bytes(),
            props: &kept.props,
            expiry,
            subscription_ids: &subscription_ids,
            payload: &kept.payload,
        };
        if !delivery.put(&mut self.out, self.terms.version, self.terms.max_packet) {
            self.shared.metrics.publishes_dropped.inc();
            return;
        }
        self.shared.metrics.publishes_out.inc();
        if let Some((id, _)) = id {
            self.retained_in_flight.push((id, out));
            self.unanswered += 1;
        }
    }

    pub(super) fn on_puback(&mut self, id: u16) {
        if let Some(i) = self.retained_in_flight.iter().position(|(p, _)| *p == id) {
            self.retained_in_flight.remove(i);
            self.unanswered -= 1;
            return;
        }
        // One that nobody waits for is a client's echo from an earlier connection: no harm.
        if let Some(f) = self.in_flight.iter_mut().find(|f| !f.done && f.packet_id == id) {
            f.done = true;
            self.unanswered -= 1;
            self.settle();
        }
    }

    /// Acknowledges to the router, from the front, what needs nothing more from the client.
    fn settle(&mut self) {
        while self.in_flight.front().is_some_and(|f| f.done)
            && let Some(f) = self.in_flight.pop_front()
        {
            self.link.queue(Packet::PubAck(PubAck { pkid: f.router_id, reason: PubAckReason::Success }, None));
        }
    }

    /// What the client has and did not acknowledge: the router will give it again.
    pub(super) fn unacked(&mut self) -> Vec<Unacked> {
        let open = self.in_flight.drain(..).filter(|f| !f.done);
        open.filter_map(|f| f.cursor.map(|cursor| Unacked { topic: f.topic, cursor, packet_id: f.packet_id })).collect()
    }
}

//! Messages to a client: QoS, expiry, properties, the window.
//!
//! Owns the acknowledgements to the router, which must come exactly in the order of its
//! messages: one out of order makes it drop the link.

use rumqttd::protocol::{Packet, PubAck, PubAckReason};
use rumqttd::{Forward, Notification};

use super::{Conn, End, InFlight, MESSAGES_A_TURN};
use crate::codec::encode::Delivery;
use crate::envelope::{Incoming, router_ids};
use crate::registry::Unacked;

impl Conn {
    /// Is there room for another message?
    pub(super) fn may_take(&self) -> bool {
        self.out.len() < self.shared.limits.max_write_queue && self.unanswered < usize::from(self.terms.receive_maximum)
    }

    /// Takes what the router has, up to a bound. Is there more at once?
    pub(super) fn deliver(&mut self) -> Result<bool, End> {
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
        loop {
            // At most a hundred are in use, so this ends.
            self.session.last_packet_id = self.session.last_packet_id.checked_add(1).unwrap_or(1);
            let id = self.session.last_packet_id;
            if !self.in_use(id) && !self.session.unacked.iter().any(|u| u.packet_id == id) {
                return (id, false);
            }
        }
    }

    fn in_use(&self, id: u16) -> bool {
        self.in_flight.iter().any(|f| !f.done && f.packet_id == id)
    }

    pub(super) fn on_puback(&mut self, id: u16) {
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

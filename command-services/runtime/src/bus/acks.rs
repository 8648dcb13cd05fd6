//! The acknowledgements of one connection after another: in the order of the messages, and none
//! of an earlier connection. One out of order, or an old packet id after a reconnect, would make
//! the broker's router give up the link and what it still held.

use std::collections::VecDeque;

use parking_lot::Mutex;
use rumqttc::v5::mqttbytes::v5::Publish;
use tokio::sync::Notify;

#[derive(Default)]
struct Inner {
    /// Which connection this is.
    epoch: u64,
    /// The number of the first of `open`.
    first: u64,
    /// Messages of this connection that are not acknowledged: each with whether it is done.
    open: VecDeque<(Publish, bool)>,
    /// Those whose turn has come.
    ready: VecDeque<Publish>,
    /// The service is ending: what is not done by now stays with the broker.
    frozen: bool,
}

/// What is open, and what may go out.
#[derive(Default)]
pub(super) struct Acks {
    inner: Mutex<Inner>,
    /// Wakes the sender.
    pub work: Notify,
}

impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acks")
    }
}

impl Acks {
    /// A new connection: nothing of the old one may be acknowledged any more.
    pub fn next_epoch(&self) {
        let mut i = self.inner.lock();
        i.epoch += 1;
        i.first = 0;
        i.open.clear();
        i.ready.clear();
    }

    /// A message came: its epoch and number.
    pub fn opened(&self, message: &Publish) -> (u64, u64) {
        let mut i = self.inner.lock();
        let seq = i.first + i.open.len() as u64;
        // The payload belongs to the service; an acknowledgement needs the packet id alone.
        let stub = Publish { pkid: message.pkid, qos: message.qos, ..Publish::default() };
        i.open.push_back((stub, false));
        (i.epoch, seq)
    }

    pub fn done(&self, epoch: u64, seq: u64) {
        let mut i = self.inner.lock();
        if i.frozen || i.epoch != epoch {
            return;
        }
        let Some(at) = seq.checked_sub(i.first).and_then(|n| usize::try_from(n).ok()) else { return };
        if let Some(entry) = i.open.get_mut(at) {
            entry.1 = true;
        }
        let mut woke = false;
        while i.open.front().is_some_and(|(_, done)| *done)
            && let Some((message, _)) = i.open.pop_front()
        {
            i.first += 1;
            i.ready.push_back(message);
            woke = true;
        }
        drop(i);
        if woke {
            self.work.notify_one();
        }
    }

    /// The next one that may go out.
    pub fn next(&self) -> Option<Publish> {
        self.inner.lock().ready.pop_front()
    }

    /// Nothing that is not done by now is acknowledged.
    pub fn freeze(&self) {
        self.inner.lock().frozen = true;
    }

    pub fn is_settled(&self) -> bool {
        self.inner.lock().ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(pkid: u16) -> Publish {
        Publish { pkid, ..Publish::default() }
    }

    fn out(a: &Acks) -> Vec<u16> {
        std::iter::from_fn(|| a.next()).map(|p| p.pkid).collect()
    }

    #[test]
    fn they_go_out_in_order_whatever_is_done_first() {
        let a = Acks::default();
        a.next_epoch();
        let r: Vec<_> = [7, 9, 8].map(|id| a.opened(&message(id))).into();
        a.done(r[1].0, r[1].1);
        assert!(out(&a).is_empty());
        a.done(r[0].0, r[0].1);
        assert_eq!(out(&a), [7, 9]);
        a.done(r[2].0, r[2].1);
        assert_eq!(out(&a), [8]);
    }

    #[test]
    fn none_of_an_earlier_connection_and_none_after_the_end() {
        let a = Acks::default();
        a.next_epoch();
        let old = a.opened(&message(1));
        a.next_epoch();
        let new = a.opened(&message(1));
        a.done(old.0, old.1);
        assert!(out(&a).is_empty());
        a.done(new.0, new.1);
        assert_eq!(out(&a), [1]);
        let late = a.opened(&message(2));
        a.freeze();
        a.done(late.0, late.1);
        assert!(out(&a).is_empty());
    }
}

//! The acknowledgements of one connection after another: in the order of the messages, and none
//! of an earlier connection. One out of order, or an old packet id after a reconnect, would make
//! the broker's router give up the link and what it still held. And none before the answer that was
//! published for its message: a process that ends between the two is given the message again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Those whose turn has come, each with how much had been published by then.
    ready: VecDeque<(Publish, u64)>,
    /// The service is ending: what is not done by now stays with the broker.
    frozen: bool,
}

/// What is open, and what may go out.
#[derive(Default)]
pub(super) struct Acks {
    inner: Mutex<Inner>,
    /// How many messages were given to be published.
    handed: AtomicU64,
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

    /// So many messages were given to be published so far.
    pub fn handed(&self, count: u64) {
        self.handed.store(count, Ordering::Release);
    }

    pub fn done(&self, epoch: u64, seq: u64) {
        let after = self.handed.load(Ordering::Acquire);
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
            i.ready.push_back((message, after));
            woke = true;
        }
        drop(i);
        if woke {
            self.work.notify_one();
        }
    }

    /// The next one that may go out when so many messages have gone out.
    pub fn next(&self, sent: u64) -> Option<Publish> {
        let mut i = self.inner.lock();
        let goes = i.ready.front().is_some_and(|(_, after)| *after <= sent);
        if goes { i.ready.pop_front().map(|(message, _)| message) } else { None }
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
        out_after(a, 0)
    }

    fn out_after(a: &Acks, sent: u64) -> Vec<u16> {
        std::iter::from_fn(|| a.next(sent)).map(|p| p.pkid).collect()
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
    fn none_goes_out_before_the_answer_to_its_message() {
        let a = Acks::default();
        a.next_epoch();
        let r: Vec<_> = [7, 8].map(|id| a.opened(&message(id))).into();
        a.handed(3);
        a.done(r[0].0, r[0].1);
        a.handed(5);
        a.done(r[1].0, r[1].1);
        assert!(out_after(&a, 2).is_empty());
        assert_eq!(out_after(&a, 4), [7]);
        assert_eq!(out_after(&a, 5), [8]);
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

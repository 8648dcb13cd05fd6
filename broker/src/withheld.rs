//! Withheld acknowledgements: who waits for which command's outcome.
//!
//! Owns the table of waiting commands and the thread that watches all replies. It must never
//! release an acknowledgement without a stored outcome. A reply that it does not see costs the
//! client a reconnect (the connection closes after the outcome timeout and the command is sent
//! again), never a lost command.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use mw_contract::enums::Context;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::command::ReplyProbe;
use crate::control::{Control, Lane};
use crate::limits::{AccountState, Accounts};
use crate::link::{LinkReceiver, Message};
use crate::metrics::Metrics;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    account: u32,
    context: u8,
    command: Uuid,
}

struct Waiter {
    control: Arc<Control>,
    seq: u64,
}

#[derive(Default)]
struct Table {
    first: HashMap<Key, Waiter>,
    /// Those behind the first, for commands that were sent again: almost always empty.
    more: HashMap<Key, VecDeque<Waiter>>,
}

/// The commands that wait, over all connections.
#[derive(Default)]
pub(crate) struct Withheld {
    table: Mutex<Table>,
}

impl Withheld {
    fn add(&self, key: Key, w: Waiter) {
        let mut t = self.table.lock();
        if let Entry::Vacant(e) = t.first.entry(key) {
            e.insert(w);
        } else {
            t.more.entry(key).or_default().push_back(w);
        }
    }

    /// Takes the oldest waiter of a command.
    fn pop(&self, key: Key) -> Option<Waiter> {
        let mut t = self.table.lock();
        let w = t.first.remove(&key)?;
        if let Some(q) = t.more.get_mut(&key) {
            let next = q.pop_front();
            if q.is_empty() {
                t.more.remove(&key);
            }
            if let Some(next) = next {
                t.first.insert(key, next);
            }
        }
        Some(w)
    }

    fn remove(&self, key: Key, control: &Arc<Control>, seq: u64) {
        let same = |w: &Waiter| w.seq == seq && Arc::ptr_eq(&w.control, control);
        let mut t = self.table.lock();
        if t.first.get(&key).is_some_and(same) {
            t.first.remove(&key);
            if let Some(next) = t.more.get_mut(&key).and_then(VecDeque::pop_front) {
                t.first.insert(key, next);
            }
        } else if let Some(q) = t.more.get_mut(&key) {
            q.retain(|w| !same(w));
        }
        if t.more.get(&key).is_some_and(VecDeque::is_empty) {
            t.more.remove(&key);
        }
    }

    /// A stored outcome was published.
    fn release(&self, account: &AccountState, context: Context, command: Uuid) -> bool {
        let key = Key { account: account.id, context: context.number(), command };
        match self.pop(key) {
            Some(w) => {
                w.control.release(context, w.seq);
                true
            }
            None => false,
        }
    }
}

/// One acknowledgement of a connection that is not given yet.
struct Held {
    packet_id: u16,
    since: Instant,
    /// What the table holds of it; `None` once its fate is known.
    key: Option<(Key, Arc<AccountState>)>,
    code: Option<(u8, &'static str)>,
}

/// One lane's acknowledgements of a connection, in the order of their publishes.
#[derive(Default)]
struct Line {
    /// The sequence number of the front.
    base: u64,
    held: VecDeque<Held>,
}

/// All that one connection waits for. Lanes do not delay each other.
pub(crate) struct HeldBack {
    lines: HashMap<Lane, Line>,
    waiting: usize,
    metrics: Metrics,
}

impl HeldBack {
    pub fn new(metrics: Metrics) -> Self {
        HeldBack { lines: HashMap::new(), waiting: 0, metrics }
    }

    /// How many acknowledgements are held.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Is this packet id of a held publish?
    pub fn holds(&self, packet_id: u16) -> bool {
        self.lines.values().any(|l| l.held.iter().any(|h| h.packet_id == packet_id))
    }

    /// Holds a publish back until its command's outcome.
    pub fn wait_for(
        &mut self,
        table: &Withheld,
        control: &Arc<Control>,
        account: &Arc<AccountState>,
        context: Context,
        command: Uuid,
        packet_id: u16,
        now: Instant,
    ) {
        let key = Key { account: account.id, context: context.number(), command };
        let line = self.lines.entry(context.into()).or_default();
        let seq = line.base + line.held.len() as u64;
        line.held.push_back(Held { packet_id, since: now, key: Some((key, Arc::clone(account))), code: None });
        self.waiting += 1;
        self.metrics.withheld.inc();
        account.withheld.fetch_add(1, Relaxed);
        table.add(key, Waiter { control: Arc::clone(control), seq });
    }

    /// Holds a retained publish back until it is on disk; gives the number under which it is
    /// released.
    pub fn wait_for_disk(&mut self, packet_id: u16, now: Instant) -> u64 {
        let line = self.lines.entry(Lane::RETAINED).or_default();
        let seq = line.base + line.held.len() as u64;
        line.held.push_back(Held { packet_id, since: now, key: None, code: None });
        self.waiting += 1;
        self.metrics.withheld.inc();
        seq
    }

    /// A publish whose answer is known, behind those that wait in its context.
    pub fn answer(&mut self, context: Context, packet_id: u16, code: u8, why: &'static str, now: Instant) {
        let line = self.lines.entry(context.into()).or_default();
        line.held.push_back(Held { packet_id, since: now, key: None, code: Some((code, why)) });
        self.waiting += 1;
        self.metrics.withheld.inc();
    }

    /// What one waited for is on disk.
    pub fn released(&mut self, lane: Lane, seq: u64) {
        let Some(line) = self.lines.get_mut(&lane) else { return };
        let Some(i) = seq.checked_sub(line.base).and_then(|i| usize::try_from(i).ok()) else { return };
        let Some(h) = line.held.get_mut(i) else { return };
        if let Some((_, account)) = h.key.take() {
            account.withheld.fetch_sub(1, Relaxed);
            self.metrics.released.inc();
        } else if lane != Lane::RETAINED {
            return;
        }
        h.code.get_or_insert((0, ""));
    }

    /// Gives out every acknowledgement that has none waiting before it.
    pub fn drain(&mut self, mut give: impl FnMut(u16, u8, &'static str)) {
        for line in self.lines.values_mut() {
            while let Some((packet_id, (code, why))) = line.held.front().and_then(|h| h.code.map(|c| (h.packet_id, c)))
            {
                line.held.pop_front();
                line.base += 1;
                self.waiting -= 1;
                self.metrics.withheld.dec();
                give(packet_id, code, why);
            }
        }
    }

    /// Since when the oldest has waited.
    pub fn oldest(&self) -> Option<Instant> {
        self.lines.values().filter_map(|l| l.held.front().map(|h| h.since)).min()
    }

    /// The connection ends: nobody waits any more.
    pub fn clear(&mut self, table: &Withheld, control: &Arc<Control>) {
        for line in self.lines.values_mut() {
            for (i, h) in line.held.drain(..).enumerate() {
                self.metrics.withheld.dec();
                if let Some((key, account)) = h.key {
                    account.withheld.fetch_sub(1, Relaxed);
                    table.remove(key, control, line.base + i as u64);
                }
            }
        }
        self.lines.clear();
        self.waiting = 0;
    }
}

/// The thread that hears all replies. Ends with the router.
pub(crate) fn watch(mut replies: LinkReceiver, table: &Withheld, accounts: &Accounts, metrics: &Metrics) {
    let mut next_offset = None;
    while let Ok(m) = replies.recv_blocking() {
        // One subscription, so the router's offsets are 1 apart: a jump is a reply that its
        // segments dropped before this thread read it. Whoever waits for it times out.
        if let Some(missed) = next_offset.map(|n| m.offset.saturating_sub(n)).filter(|n| *n > 0) {
            metrics.replies_missed.inc_by(missed);
            tracing::warn!(missed, "replies were dropped before the front door saw them");
        }
        next_offset = Some(m.offset + 1);
        seen(&m, table, accounts);
    }
}

fn seen(m: &Message, table: &Withheld, accounts: &Accounts) {
    let mut levels = m.topic.split('/').skip(3);
    if levels.next() != Some("rsp") {
        return;
    }
    let Some(account) = levels.next().and_then(|a| accounts.get(a)) else { return };
    if account.withheld.load(Relaxed) == 0 {
        return;
    }
    if let Some(reply) = ReplyProbe::read(&m.payload)
        && let Some(command) = reply.command_id
        && reply.is_final()
    {
        table.release(&account, reply.context, command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mw_contract::AccountName;

    const P: Context = Context::Production;

    fn setup() -> (Withheld, Accounts, Arc<Control>, Arc<AccountState>, HeldBack) {
        let accounts = Accounts::default();
        let a = accounts.get_or_add(&AccountName::new("planner-1").unwrap());
        (Withheld::default(), accounts, Arc::new(Control::default()), a, HeldBack::new(Metrics::default()))
    }

    fn given(h: &mut HeldBack, c: &Control) -> Vec<(u16, u8)> {
        for (context, seq) in c.take_released() {
            h.released(context, seq);
        }
        let mut out = Vec::new();
        h.drain(|id, code, _| out.push((id, code)));
        out
    }

    fn reply(id: Uuid, context: &str, retryable: Option<bool>) -> Message {
        let error = retryable.map_or(String::new(), |r| format!(r#","error":{{"retryable":{r}}}"#));
        Message {
            topic: "mw/v1/plant-1/rsp/planner-1/x".into(),
            payload: format!(r#"{{"command_id":"{id}","context":"{context}"{error}}}"#).into(),
            ..Message::default()
        }
    }

    #[test]
    fn acknowledgements_keep_the_order_of_their_publishes_within_a_context() {
        let (t, accounts, c, a, mut h) = setup();
        let now = Instant::now();
        let (one, two, three) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        h.wait_for(&t, &c, &a, P, one, 11, now);
        h.wait_for(&t, &c, &a, P, two, 12, now);
        h.answer(P, 13, 0x99, "", now);
        h.wait_for(&t, &c, &a, Context::Identity, three, 14, now);
        seen(&reply(two, "production", None), &t, &accounts);
        assert_eq!(given(&mut h, &c), []);
        seen(&reply(three, "identity", Some(false)), &t, &accounts);
        assert_eq!(given(&mut h, &c), [(14, 0)], "one context never delays another");
        seen(&reply(one, "identity", None), &t, &accounts);
        seen(&reply(one, "production", Some(true)), &t, &accounts);
        assert_eq!(given(&mut h, &c), [], "a retryable outcome is not stored");
        seen(&reply(one, "production", None), &t, &accounts);
        assert_eq!(given(&mut h, &c), [(11, 0), (12, 0), (13, 0x99)]);
        assert_eq!((h.len(), a.withheld.load(Relaxed)), (0, 0));
    }

    #[test]
    fn one_reply_releases_the_oldest_of_a_command_sent_again() {
        let (t, accounts, c, a, mut h) = setup();
        let id = Uuid::from_u128(1);
        for packet in 1..=3 {
            h.wait_for(&t, &c, &a, P, id, packet, Instant::now());
        }
        for packet in 1..=3 {
            seen(&reply(id, "production", None), &t, &accounts);
            assert_eq!(given(&mut h, &c), [(packet, 0)]);
        }
        assert!(t.table.lock().first.is_empty() && t.table.lock().more.is_empty());
    }

    #[test]
    fn a_connection_that_ends_leaves_nothing_behind() {
        let (t, accounts, c, a, mut h) = setup();
        let (c2, mut h2) = (Arc::new(Control::default()), HeldBack::new(Metrics::default()));
        let id = Uuid::from_u128(1);
        h.wait_for(&t, &c, &a, P, id, 1, Instant::now());
        h2.wait_for(&t, &c2, &a, P, id, 9, Instant::now());
        h.clear(&t, &c);
        seen(&reply(id, "production", None), &t, &accounts);
        assert_eq!(given(&mut h2, &c2), [(9, 0)]);
        assert_eq!(a.withheld.load(Relaxed), 0);
        assert!(t.table.lock().first.is_empty() && t.table.lock().more.is_empty());
    }
}

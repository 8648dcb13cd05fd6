//! Who holds which client id, and the sessions that outlive their connection.
//!
//! Owns the rule that a client id belongs to one connection at a time and to one account: a newer
//! connection of the same account gets it only after the older one has let go of everything, its
//! link to the router included. It hands out slots, the names of links: the router remembers
//! every name it ever linked, so names are used again.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mw_contract::AccountName;
use parking_lot::Mutex;

use crate::control::{Control, Kick};
use crate::retained::Cursor;
use crate::session::RetainedOut;
use crate::will::Will;

/// One subscription of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Subscription {
    pub qos: u8,
    pub id: Option<u32>,
    pub no_local: bool,
    pub retain_as_published: bool,
}

/// A message that a client got and did not acknowledge before its connection ended.
pub(crate) struct Unacked {
    pub topic: Vec<u8>,
    pub cursor: (u64, u64),
    pub packet_id: u16,
}

/// What a client finds again when it comes back.
#[derive(Default)]
pub(crate) struct Session {
    pub subscriptions: HashMap<String, Subscription>,
    pub unacked: Vec<Unacked>,
    /// Subscriptions whose retained messages are not all delivered yet.
    pub retained: VecDeque<Cursor>,
    /// Retained messages that the client got and did not acknowledge.
    pub retained_unacked: Vec<(u16, RetainedOut)>,
    pub last_packet_id: u16,
}

/// How a session waits for its client.
pub(crate) struct Keep {
    pub session: Session,
    pub until: Instant,
    pub will: Option<Will>,
}

enum State {
    Connected(Arc<Control>),
    Kept { keep: Keep, epoch: u64 },
}

struct Entry {
    account: AccountName,
    slot: Slot,
    state: State,
}

/// A name for a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub id: u32,
    /// The router may still hold a session under this name.
    pub used: bool,
}

impl Slot {
    /// The link's name.
    pub fn name(self) -> String {
        format!("s{}", self.id)
    }
}

/// A client id was taken.
pub(crate) struct Joined {
    pub slot: Slot,
    /// The session to go on with.
    pub session: Option<Session>,
    /// A will whose delay the new session cut short.
    pub will: Option<Will>,
}

/// Why a client id can't be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum JoinError {
    OtherAccount,
    TooMany,
}

#[derive(Default)]
struct Inner {
    clients: HashMap<Box<str>, Entry>,
    per_account: HashMap<AccountName, usize>,
    free: Vec<Slot>,
    slots: u32,
    epochs: u64,
}

impl Inner {
    fn release(&mut self, account: &AccountName, slot: Slot) {
        if let Some(n) = self.per_account.get_mut(account) {
            *n -= 1;
            if *n == 0 {
                self.per_account.remove(account);
            }
        }
        self.free.push(slot);
    }
}

/// All client ids of the broker.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

impl Registry {
    /// Takes a client id for a connection, and waits until its last holder has ended.
    pub async fn join(
        &self,
        client_id: &str,
        account: &AccountName,
        control: &Arc<Control>,
        clean: bool,
        max_per_account: usize,
    ) -> Result<Joined, JoinError> {
        loop {
            let older = {
                let mut guard = self.inner.lock();
                let i = &mut *guard;
                match i.clients.get_mut(client_id) {
                    None => {
                        let n = i.per_account.entry(account.clone()).or_default();
                        if *n >= max_per_account {
                            if *n == 0 {
                                i.per_account.remove(account);
                            }
                            return Err(JoinError::TooMany);
                        }
                        *n += 1;
                        let slot = i.free.pop().unwrap_or_else(|| {
                            i.slots += 1;
                            Slot { id: i.slots, used: false }
                        });
                        let state = State::Connected(Arc::clone(control));
                        i.clients.insert(client_id.into(), Entry { account: account.clone(), slot, state });
                        return Ok(Joined { slot, session: None, will: None });
                    }
                    Some(e) if e.account != *account => return Err(JoinError::OtherAccount),
                    Some(e) => match std::mem::replace(&mut e.state, State::Connected(Arc::clone(control))) {
                        State::Kept { keep, .. } => {
                            let (session, will) = if clean { (None, keep.will) } else { (Some(keep.session), None) };
                            return Ok(Joined { slot: e.slot, session, will });
                        }
                        State::Connected(older) => {
                            // It keeps the id until it has let go.
                            e.state = State::Connected(Arc::clone(&older));
                            older
                        }
                    },
                }
            };
            older.kick(Kick::TakenOver);
            older.ended().await;
        }
    }

    /// Lets go of a client id. `slot` says what became of its link. The answer names the kept
    /// session, for a will that is due later.
    pub fn leave(&self, client_id: &str, control: &Arc<Control>, slot: Slot, keep: Option<Keep>) -> Option<u64> {
        let mut guard = self.inner.lock();
        let i = &mut *guard;
        let MapEntry::Occupied(mut e) = i.clients.entry(client_id.into()) else { return None };
        if !matches!(&e.get().state, State::Connected(c) if Arc::ptr_eq(c, control)) {
            return None;
        }
        if let Some(keep) = keep {
            i.epochs += 1;
            let epoch = i.epochs;
            let e = e.get_mut();
            e.slot = slot;
            e.state = State::Kept { keep, epoch };
            return Some(epoch);
        }
        let e = e.remove();
        i.release(&e.account, slot);
        None
    }

    /// The will of a session that is still kept, once its delay is over.
    pub fn take_will(&self, client_id: &str, of: u64) -> Option<(AccountName, Will)> {
        match self.inner.lock().clients.get_mut(client_id) {
            Some(Entry { account, state: State::Kept { keep, epoch }, .. }) if *epoch == of => {
                keep.will.take().map(|w| (account.clone(), w))
            }
            _ => None,
        }
    }

    /// Ends the sessions whose time is over; gives the wills that they leave behind.
    pub fn expire(&self, now: Instant) -> Vec<(AccountName, Will)> {
        let mut wills = Vec::new();
        let mut guard = self.inner.lock();
        let i = &mut *guard;
        let over: Vec<Box<str>> = i
            .clients
            .iter()
            .filter(|(_, e)| matches!(&e.state, State::Kept { keep, .. } if keep.until <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            if let Some(e) = i.clients.remove(&id) {
                i.release(&e.account, Slot { used: true, ..e.slot });
                if let State::Kept { keep: Keep { will: Some(w), .. }, .. } = e.state {
                    wills.push((e.account, w));
                }
            }
        }
        wills
    }

    /// The mailboxes of an account's connections, of all without one.
    pub fn connected(&self, of: Option<&AccountName>) -> Vec<Arc<Control>> {
        let guard = self.inner.lock();
        let mine = guard.clients.values().filter(|e| of.is_none_or(|a| e.account == *a));
        mine.filter_map(|e| match &e.state {
            State::Connected(c) => Some(Arc::clone(c)),
            State::Kept { .. } => None,
        })
        .collect()
    }

    /// Ends an account's kept sessions at once.
    pub fn forget(&self, account: &AccountName) {
        let mut guard = self.inner.lock();
        for e in guard.clients.values_mut().filter(|e| e.account == *account) {
            if let State::Kept { keep, .. } = &mut e.state {
                keep.until = Instant::now();
                keep.will = None;
            }
        }
        drop(guard);
        self.expire(Instant::now());
    }
}

/// When a session of so many seconds ends.
pub(crate) fn lifetime(seconds: u32, most: Duration) -> Duration {
    Duration::from_secs(u64::from(seconds)).min(most)
}

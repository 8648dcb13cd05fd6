//! What others may tell a connection's task.

use std::sync::atomic::{AtomicBool, Ordering};

use mw_contract::enums::Context;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::codec::reason;

/// Why a connection is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kick {
    /// Its client id was taken over by a newer connection.
    TakenOver,
    /// Its account was disabled or is gone.
    AccountEnded(&'static str),
    /// The broker stops.
    Shutdown,
}

impl Kick {
    /// The MQTT 5 reason code and text.
    pub fn reason(self) -> (u8, &'static str) {
        match self {
            Kick::TakenOver => (reason::SESSION_TAKEN_OVER, "the client id connected again"),
            Kick::AccountEnded(why) => (reason::NOT_AUTHORIZED, why),
            Kick::Shutdown => (reason::SERVER_SHUTTING_DOWN, "the broker stops"),
        }
    }
}

/// What an acknowledgement waits for; those of one lane keep their order, and none delays another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Lane(u8);

impl Lane {
    /// A retained message on its way to the disk.
    pub const RETAINED: Lane = Lane(u8::MAX);
}

impl From<Context> for Lane {
    /// The outcome of a command.
    fn from(c: Context) -> Lane {
        Lane(c.number())
    }
}

/// The mailbox of one connection.
pub(crate) struct Control {
    wake: Notify,
    kick: Mutex<Option<Kick>>,
    released: Mutex<Vec<(Lane, u64)>>,
    recheck: AtomicBool,
    ended: watch::Sender<bool>,
}

impl Default for Control {
    fn default() -> Self {
        Control {
            wake: Notify::new(),
            kick: Mutex::new(None),
            released: Mutex::new(Vec::new()),
            recheck: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        }
    }
}

impl Control {
    /// Asks the connection to end. The first reason stays.
    pub fn kick(&self, why: Kick) {
        self.kick.lock().get_or_insert(why);
        self.wake.notify_one();
    }

    /// Was it asked to end?
    pub fn kicked(&self) -> Option<Kick> {
        *self.kick.lock()
    }

    /// The account changed: what it may hear is to be looked at again.
    pub fn recheck(&self) {
        self.recheck.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Is a look at the subscriptions due?
    pub fn take_recheck(&self) -> bool {
        self.recheck.swap(false, Ordering::AcqRel)
    }

    /// What a held acknowledgement waited for is on disk.
    pub fn release(&self, lane: impl Into<Lane>, seq: u64) {
        self.released.lock().push((lane.into(), seq));
        self.wake.notify_one();
    }

    /// The outcomes since the last call.
    pub fn take_released(&self) -> Vec<(Lane, u64)> {
        std::mem::take(&mut *self.released.lock())
    }

    /// Waits until something of the above happened.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Says that the connection holds nothing any more.
    pub fn set_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Did it say so?
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits for that.
    pub async fn ended(&self) {
        let mut rx = self.ended.subscribe();
        // The sender lives in self, so this only returns when it is true.
        let _ = rx.wait_for(|e| *e).await;
    }
}

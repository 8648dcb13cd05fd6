//! What a service still waits for. Readiness, the log and the status topic all say the same,
//! because all of them ask here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// What a service may wait for, as an operator reads it.
pub mod what {
    /// A connection to the broker.
    pub const BROKER: &str = "the broker";
    /// The accounts, from the copy on disk or from identity.
    pub const ACCOUNTS: &str = "the accounts (identity has not answered, and there is no copy on disk)";
    /// The log folded, listeners open.
    pub const START: &str = "its own start";
    /// What after-service knows of production: up to date, or from an earlier life.
    pub const PRODUCTION: &str = "its copy of production";
    /// Read models that follow their logs.
    pub const VIEWS: &str = "the read models";
    /// Process managers that follow the log of production.
    pub const MANAGERS: &str = "the log of production";
}

#[derive(Clone, Default, PartialEq, Eq)]
struct State {
    lacking: BTreeSet<&'static str>,
    failed: Option<String>,
}

type Why = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// The needs of one service. Cheap to clone.
#[derive(Clone)]
pub struct Needs {
    state: Arc<watch::Sender<State>>,
    /// What is known of the trouble behind a need.
    why: Arc<Mutex<BTreeMap<&'static str, Why>>>,
}

impl Needs {
    /// A service that lacks all of these.
    pub fn new(lacking: &[&'static str]) -> Self {
        let state = State { lacking: lacking.iter().copied().collect(), failed: None };
        if !lacking.is_empty() {
            tracing::info!("waiting for {}", lacking.join(", "));
        }
        Needs { state: Arc::new(watch::Sender::new(state)), why: Arc::default() }
    }

    /// This is there.
    pub fn met(&self, what: &'static str) {
        if self.state.send_if_modified(|s| s.lacking.remove(what)) {
            match self.ready() {
                Ok(()) => tracing::info!("no longer waiting for {what}; ready"),
                Err(why) => tracing::info!("no longer waiting for {what}; {why}"),
            }
        }
    }

    /// This is not there any more.
    pub fn lacks(&self, what: &'static str) {
        if self.state.send_if_modified(|s| s.lacking.insert(what)) {
            tracing::warn!("waiting for {what} again");
        }
    }

    /// Meets or lacks it.
    pub fn set(&self, what: &'static str, there: bool) {
        if there { self.met(what) } else { self.lacks(what) }
    }

    /// It can't go on.
    pub fn failed(&self, why: &str) {
        self.state.send_modify(|s| s.failed = Some(why.to_owned()));
    }

    /// Is everything there? `Err` says what is not.
    pub fn ready(&self) -> Result<(), String> {
        let s = self.state.borrow();
        if let Some(why) = &s.failed {
            return Err(format!("stopped: {why}"));
        }
        if s.lacking.is_empty() {
            return Ok(());
        }
        let whys = self.why.lock();
        let one = |what: &&'static str| match whys.get(what).and_then(|why| why()) {
            Some(why) => format!("{what} ({why})"),
            None => (*what).to_owned(),
        };
        Err(format!("waiting for: {}", s.lacking.iter().map(one).collect::<Vec<_>>().join(", ")))
    }

    /// Where to look for the trouble behind a need.
    pub fn explain(&self, what: &'static str, why: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.why.lock().insert(what, Box::new(why));
    }

    /// Waits until everything is there.
    pub async fn all_met(&self) {
        // The sender lives in `self`.
        let _ = self.state.subscribe().wait_for(|s| s.lacking.is_empty() && s.failed.is_none()).await;
    }

    /// Waits until this is there.
    pub async fn is_met(&self, what: &'static str) {
        let _ = self.state.subscribe().wait_for(|s| !s.lacking.contains(what)).await;
    }

    /// Wakes on every change.
    pub async fn changed(&self, seen: &mut NeedsSeen) {
        let rx = seen.0.get_or_insert_with(|| self.state.subscribe());
        let _ = rx.changed().await;
    }

    /// Keeps `what` in step with a watched condition.
    pub fn follow(&self, what: &'static str, mut there: watch::Receiver<bool>) {
        let needs = self.clone();
        tokio::spawn(async move {
            loop {
                let now = *there.borrow_and_update();
                needs.set(what, now);
                if there.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// See [`Needs::changed`].
#[derive(Default)]
pub struct NeedsSeen(Option<watch::Receiver<State>>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_lacking() {
        let n = Needs::new(&[what::BROKER, what::START]);
        assert_eq!(n.ready().unwrap_err(), "waiting for: its own start, the broker");
        n.met(what::START);
        n.met(what::BROKER);
        assert!(n.ready().is_ok());
        n.lacks(what::BROKER);
        n.explain(what::BROKER, || Some("connection refused".to_owned()));
        assert_eq!(n.ready().unwrap_err(), "waiting for: the broker (connection refused)");
        n.failed("the log stopped");
        assert_eq!(n.ready().unwrap_err(), "stopped: the log stopped");
    }
}

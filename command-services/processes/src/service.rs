//! Works on what was read of the logs, fires timers, sends.
//!
//! First a log is read to its head; nothing is sent to its context meanwhile, because the outcome may
//! stand further on. Then commands go out, each again after 1, 2, 4 … 60 s without an outcome; a reply
//! counts for nothing, the log says how a command ended. Each log has a reader and a bus of its own:
//! while one context is away, the work on the other goes on.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mw_contract::{CommandId, CommitNumber, Context};
use mw_log::LogReader;
use mw_log::quiet::{self, GivesWay};
use mw_runtime::{Bus, Clock, Outbound};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::feed::{self, BATCH, Feed, Found};
use crate::metrics::Of;
use crate::{Metrics, ProcessError, Store};

/// Commands of a context that are on their way at once.
const IN_FLIGHT: usize = 64;
/// The least time between two transactions under load, which then hold more commits each.
const GATHER: Duration = Duration::from_millis(25);
/// How often timers and repeats are looked at: the clock of a demonstration may be moved any time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The longest wait before a command is sent again.
const MOST: Duration = Duration::from_secs(60);
/// A command that was sent so often without an outcome is counted as overdue.
const OVERDUE: u32 = 5;

/// A context that is followed.
pub struct Followed {
    /// Its log.
    pub reader: Arc<dyn LogReader>,
    /// Where its commands go: a connection that waits for one context's answers keeps those of another
    /// waiting, so each has its own.
    pub bus: Arc<dyn Bus>,
}

/// What the service is made of.
pub struct Parts {
    /// Where its file is.
    pub dir: PathBuf,
    /// Production and after-service.
    pub followed: Vec<Followed>,
    /// Business time.
    pub clock: Arc<dyn Clock>,
    /// What it counts.
    pub metrics: Metrics,
}

/// Where it stands with one log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stand {
    /// The last commit that was worked on.
    pub head: CommitNumber,
    /// Has it read the log to its head, so that it sends to that context?
    pub live: bool,
    /// Up to which commit commands were looked through.
    pub looked: CommitNumber,
    /// Why it waits.
    pub trouble: Option<String>,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// With each log.
    pub logs: BTreeMap<Context, Stand>,
    /// How many commands had no outcome when they were last looked through.
    pub open: u64,
    /// Why it has stopped.
    pub stopped: Option<String>,
}

/// Looks at a running service.
#[derive(Clone)]
pub struct Handle(watch::Receiver<Progress>);

impl Handle {
    /// Where it stands, and every change of it.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.0.clone()
    }

    /// Waits until everything of a log up to a commit was worked on and each command, of whatever
    /// context, has its outcome. What those outcomes cause in turn is in later commits. `false`: it has
    /// stopped.
    pub async fn settled(&self, context: Context, commit: CommitNumber) -> bool {
        let mut progress = self.0.clone();
        let there = |p: &Progress| p.open == 0 && p.logs.get(&context).is_some_and(|l| l.live && l.looked >= commit);
        progress.wait_for(there).await.is_ok()
    }

    /// Waits until both logs were read to their heads, as far as they can be read. `false`: it has stopped.
    pub async fn read_up(&self) -> bool {
        let read = |l: &Stand| l.live || l.trouble.is_some();
        let mut progress = self.0.clone();
        let done =
            progress.wait_for(|p| p.stopped.is_some() || (!p.logs.is_empty() && p.logs.values().all(read))).await;
        done.is_ok_and(|p| p.stopped.is_none())
    }

    /// Does it follow the logs? `Err` says why not.
    pub fn ready(&self) -> Result<(), String> {
        let p = self.0.borrow();
        if let Some(why) = &p.stopped {
            return Err(format!("the process managers have stopped: {why}"));
        }
        for (context, log) in &p.logs {
            match &log.trouble {
                Some(why) => {
                    return Err(format!("the process managers do not follow the log of {context}: {why}"));
                }
                None if !log.live => return Err(format!("the process managers read the log of {context}")),
                None => {}
            }
        }
        Ok(())
    }
}

/// The service, not yet running.
pub struct Service {
    parts: Parts,
    progress: watch::Sender<Progress>,
    sent: HashMap<CommandId, (u32, Instant)>,
}

/// The service and the handle to it. Nothing happens until [`Service::run`].
pub fn start(parts: Parts) -> (Handle, Service) {
    let logs = parts.followed.iter().map(|f| (f.reader.context(), Stand::default())).collect();
    let (progress, seen) = watch::channel(Progress { logs, ..Progress::default() });
    (Handle(seen), Service { parts, progress, sent: HashMap::new() })
}

/// On a thread that gives way: what follows from a command must not stand before the next one.
async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, ProcessError> + Send + 'static,
) -> Result<T, ProcessError> {
    quiet::run("processes", GivesWay::Later, f).await.ok_or(ProcessError::Interrupted)?
}

/// The readers of the logs, and the heads that they had when reading began.
struct Reading {
    finds: mpsc::Receiver<(Context, Found)>,
    targets: BTreeMap<Context, CommitNumber>,
    _feeds: Vec<Feed>,
    _joins: Vec<Join>,
}

/// Passes on what a feed found; it ends when it is dropped.
struct Join(tokio::task::JoinHandle<()>);

impl Drop for Join {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Service {
    /// Works until `shutdown`. An error is final; its reason is in [`Progress`] too.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ProcessError> {
        let result = tokio::select! {
            biased;
            () = shutdown => Ok(()),
            r = self.work() => r,
        };
        if let Err(e) = &result {
            tracing::error!(error = %e, "the process managers stopped");
            self.progress.send_modify(|p| p.stopped = Some(e.to_string()));
        }
        result
    }

    async fn work(&mut self) -> Result<(), ProcessError> {
        let dir = self.parts.dir.clone();
        let mut store = blocking(move || Store::open(&dir)).await?;
        let mut reading = self.read_on(&store);
        let mut not_before = Instant::now();
        loop {
            let now = self.parts.clock.now();
            let mut fired = 0;
            if self.may_fire() {
                (store, fired) = blocking(move || store.fire(now, BATCH).map(|n| (store, n))).await?;
            }
            for (bus, messages) in self.look_through(&store)? {
                self.parts.metrics.sent.inc_by(messages.len() as u64);
                bus.publish(messages).await?;
            }
            let wait = if fired < BATCH { LOOK_EVERY } else { Duration::ZERO };
            // The clock of a demonstration may be moved any time, so nobody waits longer than that.
            let Ok(Some(first)) = tokio::time::timeout(wait, reading.finds.recv()).await else { continue };
            // Under load a few more milliseconds make one transaction of many; what lies behind has no time.
            if matches!(&first.1, Found::Commits(c) if c.len() < BATCH) {
                tokio::time::sleep_until(not_before).await;
            }
            let mut found = vec![first];
            while let Ok(more) = reading.finds.try_recv() {
                found.push(more);
            }
            for (context, found) in found {
                let (s, go_on) = self.take(store, &mut reading, context, found).await?;
                store = s;
                if !go_on {
                    tracing::warn!(%context, "the log does not hold the commit of the checkpoint; starting over");
                    store = blocking(move || store.reset()).await?;
                    reading = self.read_on(&store);
                    break;
                }
            }
            not_before = Instant::now() + GATHER;
        }
    }

    /// Begins to read each log after its checkpoint.
    fn read_on(&self, store: &Store) -> Reading {
        let (give, finds) = mpsc::channel(2 * self.parts.followed.len());
        let (mut feeds, mut joins) = (Vec::new(), Vec::new());
        for f in &self.parts.followed {
            let (feed, mut found) = feed::start(f.reader.clone(), store.head(f.reader.context()));
            let give = give.clone();
            joins.push(Join(tokio::spawn(async move {
                while let Some(what) = found.recv().await {
                    if give.send(what).await.is_err() {
                        break;
                    }
                }
            })));
            feeds.push(feed);
        }
        self.progress.send_modify(|p| p.logs.values_mut().for_each(|l| *l = Stand::default()));
        Reading { finds, targets: BTreeMap::new(), _feeds: feeds, _joins: joins }
    }

    /// Timers wait while a log is read to its head: what comes there may take them away. One that can't be
    /// read holds up no timer.
    fn may_fire(&self) -> bool {
        self.progress.borrow().logs.values().all(|l| l.live || l.trouble.is_some())
    }

    /// Works on what a reader found. `false`: the log is another than that of the checkpoint.
    async fn take(
        &self,
        mut store: Store,
        reading: &mut Reading,
        context: Context,
        found: Found,
    ) -> Result<(Store, bool), ProcessError> {
        match found {
            Found::Trouble(why) => {
                tracing::warn!(%context, reason = why, "the log can't be read; trying again");
                self.log(context, |l| l.trouble = Some(why.clone()));
            }
            Found::Base(stored, head) => {
                if !store.stands_on(context, stored.as_deref())? {
                    return Ok((store, false));
                }
                reading.targets.insert(context, head.commit);
                self.log(context, |l| l.trouble = None);
            }
            Found::Commits(commits) => {
                if !commits.is_empty() {
                    store = blocking(move || store.apply(context, &commits).map(|()| store)).await?;
                }
                let head = store.head(context);
                let live = reading.targets.get(&context).is_some_and(|t| head >= *t);
                if live {
                    store.read_once(context)?;
                }
                self.log(context, |l| {
                    if live && !l.live {
                        tracing::info!(%context, commit = %head, "the process managers follow the log");
                    }
                    (l.head, l.live, l.trouble) = (head, l.live || live, None);
                });
            }
        }
        Ok((store, true))
    }

    fn log(&self, context: Context, f: impl FnOnce(&mut Stand)) {
        self.progress.send_modify(|p| f(p.logs.entry(context).or_default()));
    }

    /// Counts what waits, and gives what is to be sent now.
    fn look_through(&mut self, store: &Store) -> Result<Vec<(Arc<dyn Bus>, Vec<Outbound>)>, ProcessError> {
        let depth = store.depth()?;
        let m = &self.parts.metrics;
        m.open.set(depth.open as i64);
        m.failed.set(depth.failed as i64);
        m.timers.set(depth.timers as i64);
        for f in &self.parts.followed {
            let context = f.reader.context();
            let lag = f.reader.known_head().commit.0.saturating_sub(store.head(context).0);
            m.lag.get_or_create(&Of::context(context)).set(lag as i64);
        }
        self.progress.send_if_modified(|p| {
            let mut changed = p.open != depth.open;
            p.open = depth.open;
            for (context, log) in &mut p.logs {
                changed |= log.looked != store.head(*context);
                log.looked = store.head(*context);
            }
            changed
        });
        let mut ready = Vec::new();
        if depth.open > 0 {
            for context in self.parts.followed.iter().map(|f| f.reader.context()) {
                ready.extend(store.ready(context, IN_FLIGHT * 4)?);
            }
        }
        self.sent.retain(|id, _| ready.iter().any(|r| r.command_id == *id));
        let mut out = Vec::new();
        for n in 0..self.parts.followed.len() {
            let messages = self.due_messages(store, n, &ready);
            if !messages.is_empty() {
                out.push((self.parts.followed[n].bus.clone(), messages));
            }
        }
        let overdue = self.sent.values().filter(|(tries, _)| *tries >= OVERDUE).count();
        self.parts.metrics.overdue.set(overdue as i64);
        Ok(out)
    }

    /// What may be sent to a context and was not sent lately.
    fn due_messages(&mut self, store: &Store, n: usize, ready: &[crate::outbox::Row]) -> Vec<Outbound> {
        let f = &self.parts.followed[n];
        let context = f.reader.context();
        let flow = f.bus.flow();
        // A bus keeps what was not acknowledged and sends it again by itself; more of the same helps nobody.
        let is_stuck = flow.handed.saturating_sub(flow.settled) >= 4 * IN_FLIGHT as u64;
        if is_stuck || !self.progress.borrow().logs.get(&context).is_some_and(|l| l.live) {
            return Vec::new();
        }
        let now = Instant::now();
        let ready = || ready.iter().filter(|r| r.context == context);
        let on_their_way = ready().filter(|r| self.sent.get(&r.command_id).is_some_and(|(t, _)| *t < OVERDUE)).count();
        let mut room = IN_FLIGHT.saturating_sub(on_their_way);
        let mut messages = Vec::new();
        for row in ready() {
            let tries = match self.sent.get(&row.command_id) {
                None if room == 0 => continue,
                None => {
                    room -= 1;
                    0
                }
                Some((_, again)) if *again > now => continue,
                Some((tries, _)) => *tries,
            };
            let wait = Duration::from_secs(1 << tries.min(6)).min(MOST);
            self.sent.insert(row.command_id, (tries.saturating_add(1), now + wait));
            if tries + 1 == OVERDUE {
                tracing::error!(command_id = %row.command_id, command = row.command, "a command has no outcome yet");
            }
            messages.push(row.message(store.account()));
        }
        messages
    }
}

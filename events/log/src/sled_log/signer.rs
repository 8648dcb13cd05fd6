//! Signs the head of the log, at most once a second, and at a clean end.
//!
//! The checkpoint file says less than or as much as the log holds, never more: only frontiers of
//! synced batches come here. A checkpoint that can't be written stops nothing, since it only
//! proves; the log says so once a minute and tries again.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mw_contract::Context;
use parking_lot::{Condvar, Mutex};

use crate::checkpoint::CheckpointKey;
use crate::error::LogError;
use crate::files;
use crate::merkle::Frontier;

const EVERY: Duration = Duration::from_secs(1);
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

struct State {
    latest: Frontier,
    closing: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct Signer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Result<(), LogError>>>>,
}

impl Signer {
    /// `signed` is the size that the checkpoint on disk already covers.
    pub fn start(
        context: Context,
        path: PathBuf,
        key: Arc<CheckpointKey>,
        frontier: Frontier,
        signed: u64,
    ) -> Result<Self, LogError> {
        files::create_dir(&files::parent(&path))?;
        let shared =
            Arc::new(Shared { state: Mutex::new(State { latest: frontier, closing: false }), changed: Condvar::new() });
        let thread = {
            let (shared, path) = (shared.clone(), path.clone());
            std::thread::Builder::new()
                .name(format!("{context}-signer"))
                .spawn(move || run(&shared, context, &path, &key, signed))
        };
        let thread = thread.map_err(LogError::io("starting the signer of", path))?;
        Ok(Signer { shared, thread: Mutex::new(Some(thread)) })
    }

    /// The log has come this far, durably.
    pub fn note(&self, frontier: &Frontier) {
        let mut s = self.shared.state.lock();
        s.latest.clone_from(frontier);
        drop(s);
        self.shared.changed.notify_one();
    }

    /// Signs what is not signed yet, and ends.
    pub fn close(&self) -> Result<(), LogError> {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_one();
        match self.thread.lock().take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(r)) => r,
            Some(Err(_)) => Err(LogError::Stopped("the checkpoint thread panicked".into())),
        }
    }
}

fn run(
    shared: &Shared,
    context: Context,
    path: &std::path::Path,
    key: &CheckpointKey,
    mut signed: u64,
) -> Result<(), LogError> {
    let mut complained: Option<Instant> = None;
    loop {
        let (latest, closing) = {
            let mut s = shared.state.lock();
            while s.latest.size() <= signed && !s.closing {
                shared.changed.wait(&mut s);
            }
            (s.latest.clone(), s.closing)
        };
        if latest.size() > signed {
            let note = key.sign(context, latest.size(), &latest.root());
            match files::replace(path, note.as_bytes(), false) {
                Ok(()) => signed = latest.size(),
                Err(e) if closing => return Err(e),
                Err(e) => {
                    if complained.is_none_or(|t| t.elapsed() >= COMPLAIN_EVERY) {
                        tracing::error!(error = %e, "the signed checkpoint can't be written; trying again");
                        complained = Some(Instant::now());
                    }
                }
            }
        }
        if closing {
            return Ok(());
        }
        let mut s = shared.state.lock();
        let until = Instant::now() + EVERY;
        while !s.closing && !shared.changed.wait_until(&mut s, until).timed_out() {}
    }
}

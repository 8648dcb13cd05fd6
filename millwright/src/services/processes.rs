//! The process managers, as `up` and a process of their own run them.

use std::path::Path;
use std::sync::Arc;

use mw_processes::{Followed, Handle, Metrics, Parts};
use mw_runtime::Clock;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::meters::Meters;

/// Running process managers.
pub struct Processes {
    /// Where they stand.
    pub handle: Handle,
    task: JoinHandle<()>,
}

/// Starts them on the logs of production and after-service; they end when `stopped` says so.
pub fn start(
    dir: &Path,
    followed: Vec<Followed>,
    clock: Arc<dyn Clock>,
    stopped: &watch::Receiver<bool>,
    meters: &Meters,
) -> Processes {
    let metrics = meters.register(Metrics::register);
    let (handle, service) = mw_processes::start(Parts { dir: dir.to_owned(), followed, clock, metrics });
    let mut stopped = stopped.clone();
    let task = tokio::spawn(async move {
        let end = async move { drop(stopped.wait_for(|s| *s).await) };
        // The reason is in its progress, where readiness sees it. People's commands go on.
        let _ = service.run(end).await;
    });
    Processes { handle, task }
}

impl Processes {
    /// Waits for their end.
    pub async fn stopped(self) {
        let _ = self.task.await;
    }
}

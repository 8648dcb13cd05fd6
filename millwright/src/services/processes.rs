//! The process managers, as `up` and a process of their own run them.

use std::path::Path;
use std::sync::Arc;

use mw_log::LogReader;
use mw_processes::{Handle, Metrics, Parts};
use mw_runtime::{Bus, Clock};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::meters::Meters;

/// Running process managers.
pub struct Processes {
    /// Where they stand.
    pub handle: Handle,
    task: JoinHandle<()>,
}

/// Starts them; they end when `stopped` says so.
pub fn start(
    dir: &Path,
    reader: Arc<dyn LogReader>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    stopped: &watch::Receiver<bool>,
    meters: &Meters,
) -> Processes {
    let metrics = meters.register(Metrics::register);
    let (handle, service) = mw_processes::start(Parts { dir: dir.to_owned(), reader, bus, clock, metrics });
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

//! After-service's copy of production, as `up` and a process of its own run it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use mw_known::Handle;
use mw_log::LogReader;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::meters::Meters;

/// How long a start waits for production when there is a copy of an earlier life: decisions then go on
/// with that one.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The copy, kept up to date.
pub struct Known {
    /// What is known, and how far.
    pub handle: Handle,
    task: JoinHandle<()>,
}

/// Opens the copy and follows production's log until `stopped` says so.
pub fn start(
    dir: &Path,
    reader: Arc<dyn LogReader>,
    stopped: &watch::Receiver<bool>,
    meters: &Meters,
) -> Result<Known> {
    let (handle, service) = mw_known::start(dir, reader.clone())?;
    let mut stopped = stopped.clone();
    let task = tokio::spawn(service.run(async move { drop(stopped.wait_for(|s| *s).await) }));
    let progress = handle.progress();
    meters.looked_at(
        "millwright_known_lag",
        "Commits of production that decisions of after-service do not see yet",
        move || {
            let behind = reader.known_head().commit.0.saturating_sub(progress.borrow().head.0);
            i64::try_from(behind).unwrap_or(i64::MAX)
        },
    );
    Ok(Known { handle, task })
}

impl Known {
    /// Waits for its end.
    pub async fn stopped(self) {
        let _ = self.task.await;
    }
}

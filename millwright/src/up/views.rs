//! The read models of this process.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use mw_log::{EventLog, LocalReader, LogReader, SledLog};
use mw_production_views::{IdentityViews, ProductionViews};
use mw_projection::service::{Factory, Handle, State, service};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Running read models.
#[derive(Clone)]
pub struct Views {
    pub production: Handle,
    pub identity: Handle,
    logs: [Arc<SledLog>; 2],
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// Starts them; they end when `stopped` says so.
pub fn start(
    dir: &Path,
    identity: &Arc<SledLog>,
    production: &Arc<SledLog>,
    stopped: &watch::Receiver<bool>,
) -> Result<Views> {
    std::fs::create_dir_all(dir)?;
    let mut tasks = Vec::new();
    let mut run = |factory: Factory, log: &Arc<SledLog>| {
        let reader: Arc<dyn LogReader> = Arc::new(LocalReader(log.clone()));
        let (handle, service) = service(dir, factory, reader);
        let mut stopped = stopped.clone();
        tasks.push(tokio::spawn(async move {
            let end = async move { drop(stopped.wait_for(|s| *s).await) };
            // The reason is in its progress, where readiness sees it. Commands go on: what they do is in
            // the log, and the read model catches up when it can be built again.
            let _ = service.run(end).await;
        }));
        handle
    };
    let of_production = run(Arc::new(|| Box::new(ProductionViews::new())), production);
    let of_identity = run(Arc::new(|| Box::new(IdentityViews)), identity);
    Ok(Views {
        production: of_production,
        identity: of_identity,
        logs: [production.clone(), identity.clone()],
        tasks: Arc::new(Mutex::new(tasks)),
    })
}

impl Views {
    fn each(&self) -> [(&Handle, &Arc<SledLog>); 2] {
        [(&self.production, &self.logs[0]), (&self.identity, &self.logs[1])]
    }

    /// Waits until they have read what the logs hold now, or have stopped: a read model that can't
    /// go on keeps nobody from working.
    pub async fn caught_up(&self) {
        for (handle, log) in self.each() {
            if !handle.reached(log.head().commit).await {
                tracing::error!(read_model = handle.name(), "starting without this read model");
            }
        }
    }

    /// Do all of them follow their logs?
    pub fn are_live(&self) -> bool {
        self.each().iter().all(|(h, _)| h.progress().borrow().state == State::Live)
    }

    /// Waits for their end.
    pub async fn stopped(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for t in tasks {
            let _ = t.await;
        }
    }
}

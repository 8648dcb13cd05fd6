//! The read models of this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use mw_after_service_views::{AfterServiceViews, ServiceFigureViews};
use mw_contract::Context;
use mw_log::LogReader;
use mw_production_views::{FigureViews, ProductionViews, TrailViews};
use mw_projection::service::{Factory, Handle, State, service};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::meters::Meters;

/// The log of a context, here or elsewhere.
pub type Readers = BTreeMap<Context, Arc<dyn LogReader>>;

/// Running read models.
#[derive(Clone)]
pub struct Views {
    each: Arc<Vec<(Context, Handle)>>,
    readers: Arc<Readers>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// The read models that are made from a context's log.
fn projections(context: Context) -> Vec<Factory> {
    match context {
        Context::Production => {
            vec![Arc::new(|| Box::new(ProductionViews::new())), Arc::new(|| Box::new(FigureViews::new()))]
        }
        Context::AfterService => {
            vec![Arc::new(|| Box::new(AfterServiceViews::new())), Arc::new(|| Box::new(ServiceFigureViews::new()))]
        }
        Context::Identity => vec![Arc::new(move || Box::new(TrailViews(context)))],
    }
}

/// Starts the read models of these logs; they end when `stopped` says so.
pub fn start(dir: &Path, readers: Readers, stopped: &watch::Receiver<bool>, meters: &Meters) -> Result<Views> {
    std::fs::create_dir_all(dir)?;
    let mut tasks = Vec::new();
    let mut each = Vec::new();
    let all = readers.iter().flat_map(|(c, r)| projections(*c).into_iter().map(move |p| (c, r, p)));
    for (context, reader, projection) in all {
        let (handle, service) = service(dir, projection, reader.clone());
        let mut stopped = stopped.clone();
        tasks.push(tokio::spawn(async move {
            let end = async move { drop(stopped.wait_for(|s| *s).await) };
            // The reason is in its progress, where readiness sees it. Commands go on: what they do is in
            // the log, and the read model catches up when it can be built again.
            let _ = service.run(end).await;
        }));
        count(&handle, reader, meters);
        each.push((*context, handle));
    }
    Ok(Views { each: Arc::new(each), readers: Arc::new(readers), tasks: Arc::new(Mutex::new(tasks)) })
}

/// Position and lag of a read model.
fn count(handle: &Handle, reader: &Arc<dyn LogReader>, meters: &Meters) {
    let name = handle.name().replace('-', "_");
    let progress = handle.progress();
    meters.looked_at(&format!("millwright_projection_{name}_position"), "Position that can be read", move || {
        i64::try_from(progress.borrow().head.position.0).unwrap_or(i64::MAX)
    });
    let (progress, reader) = (handle.progress(), reader.clone());
    meters.looked_at(
        &format!("millwright_projection_{name}_lag"),
        "Events of the log that can't be read yet",
        move || {
            let behind = reader.known_head().position.0.saturating_sub(progress.borrow().head.position.0);
            i64::try_from(behind).unwrap_or(i64::MAX)
        },
    );
}

impl Views {
    /// The read model of this name.
    pub fn named(&self, name: &str) -> Option<Handle> {
        self.each.iter().map(|(_, h)| h).find(|h| h.name() == name).cloned()
    }

    /// Waits until they have read what the logs hold now, or have stopped: a read model that can't
    /// go on keeps nobody from working.
    pub async fn caught_up(&self) {
        for (context, handle) in &*self.each {
            let Some(reader) = self.readers.get(context) else { continue };
            let reached = match reader.head().await {
                Ok(head) => handle.reached(head.commit).await,
                Err(e) => {
                    tracing::error!(%context, error = %e, "the log can't be read");
                    false
                }
            };
            if !reached {
                tracing::error!(read_model = handle.name(), "starting without this read model");
            }
        }
    }

    /// Do all of them follow their logs? `Err` names one that does not.
    pub fn are_live(&self) -> Result<(), String> {
        for (_, h) in &*self.each {
            let name = h.name();
            match &h.progress().borrow().state {
                State::Live => {}
                State::Building => return Err(format!("the read model {name} is being built")),
                State::Waiting(why) | State::Stopped(why) => {
                    return Err(format!("the read model {name} does not follow its log: {why}"));
                }
            }
        }
        Ok(())
    }

    /// Waits for their end.
    pub async fn stopped(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for t in tasks {
            let _ = t.await;
        }
    }
}

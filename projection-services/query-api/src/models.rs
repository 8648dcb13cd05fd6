//! The read models behind the queries: a few connections each, used from blocking threads, and
//! waiting until a model has come far enough.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mw_after_service_views::{AfterServiceViews, ServiceFigureViews};
use mw_contract::{Context, Head};
use mw_log::LogReader;
use mw_production_views::{FigureViews, ProductionViews, TrailViews};
use mw_projection::files::Files;
use mw_projection::service::Handle;
use mw_projection::view::{View, ViewError};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Queries of one model at once. SQLite readers do not block each other; two cores gain nothing
/// from more.
const READERS: usize = 4;
/// How long `min_position` waits.
const WAIT: Duration = Duration::from_secs(5);
/// How often a checkpoint of another process's projection is looked at while somebody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One read model.
pub struct Model {
    views: Mutex<Vec<View>>,
    permits: Arc<Semaphore>,
    /// The projection, when it runs in this process.
    handle: Option<Handle>,
    log: Arc<dyn LogReader>,
}

impl Model {
    fn new(dir: &Path, name: &'static str, schema: u32, handle: Option<Handle>, log: Arc<dyn LogReader>) -> Arc<Self> {
        let views = (0..READERS).map(|_| View::new(Files::new(dir, name, schema), schema)).collect();
        Arc::new(Model { views: Mutex::new(views), permits: Arc::new(Semaphore::new(READERS)), handle, log })
    }

    /// Runs a query on a thread where it may block.
    ///
    /// # Errors
    /// 503 while the model is being built, 500 when the query fails.
    pub async fn query<T: Send + 'static>(
        self: &Arc<Self>,
        q: impl FnOnce(&Connection, Head) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|e| Problem::internal(&e))?;
        let me = self.clone();
        let ran = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let taken = me.views.lock().pop();
            let Some(mut view) = taken else { return Err(None) };
            let result = view.read(q);
            me.views.lock().push(view);
            result.map_err(Some)
        });
        match ran.await {
            Ok(Ok(v)) => Ok(v),
            Ok(Err(Some(ViewError::NotBuilt(name)))) => {
                Err(Problem::unavailable(format!("read model {name} is being built; ask again")))
            }
            Ok(Err(Some(e))) => Err(Problem::internal(&e)),
            Ok(Err(None)) => Err(Problem::internal(&"no reader is left: a query has panicked")),
            Err(e) => Err(Problem::internal(&e)),
        }
    }

    /// Waits, 5 s at most, until the rows of this position can be read.
    pub async fn reach(self: &Arc<Self>, position: Option<u64>) -> Result<(), Problem> {
        let Some(wanted) = position else { return Ok(()) };
        let Some(handle) = &self.handle else { return self.reach_by_looking(wanted).await };
        let mut progress = handle.progress();
        let there = tokio::time::timeout(WAIT, progress.wait_for(|p| p.head.position.0 >= wanted)).await;
        match there {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Problem::behind(wanted, handle.progress().borrow().head.position.0)),
        }
    }

    /// The same where the projection runs in another process: its checkpoint is in the file.
    async fn reach_by_looking(self: &Arc<Self>, wanted: u64) -> Result<(), Problem> {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let there = self.head().await?.map_or(0, |h| h.position.0);
            if there >= wanted {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(Problem::behind(wanted, there));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The checkpoint; `None` while the model is being built.
    ///
    /// # Errors
    /// 500 when it can't be read.
    pub async fn head(self: &Arc<Self>) -> Result<Option<Head>, Problem> {
        match self.query(|_, head| Ok(head)).await {
            Ok(head) => Ok(Some(head)),
            Err(p) if p.is_unavailable() => Ok(None),
            Err(p) => Err(p),
        }
    }

    /// The log that it is made from.
    pub fn log(&self) -> &Arc<dyn LogReader> {
        &self.log
    }
}

/// All read models.
#[derive(Clone)]
pub struct Models {
    /// Orders, their trail, outcomes.
    pub production: Arc<Model>,
    /// What KPIs and paretos are computed from.
    pub figures: Arc<Model>,
    /// The trail of accounts, outcomes.
    pub identity: Arc<Model>,
    /// Tickets, their trail, outcomes.
    pub after_service: Arc<Model>,
    /// What KPIs and paretos of tickets are computed from; plans, parts, and tickets in traces.
    pub service_figures: Arc<Model>,
}

impl Models {
    /// Over the files in `dir`. `of` gives each read model's log by context and name, and its
    /// projection's handle where that runs in this process.
    pub fn new(dir: &Path, of: impl Fn(Context, &'static str) -> (Option<Handle>, Arc<dyn LogReader>)) -> Models {
        let model = |context, name, schema| {
            let (handle, log) = of(context, name);
            Model::new(dir, name, schema, handle, log)
        };
        Models {
            production: model(Context::Production, ProductionViews::NAME, ProductionViews::SCHEMA),
            figures: model(Context::Production, FigureViews::NAME, FigureViews::SCHEMA),
            identity: model(Context::Identity, Context::Identity.as_str(), TrailViews::SCHEMA),
            after_service: model(Context::AfterService, AfterServiceViews::NAME, AfterServiceViews::SCHEMA),
            service_figures: model(Context::AfterService, ServiceFigureViews::NAME, ServiceFigureViews::SCHEMA),
        }
    }

    /// The model of a context.
    pub fn of(&self, context: Context) -> &Arc<Model> {
        match context {
            Context::Production => &self.production,
            Context::Identity => &self.identity,
            Context::AfterService => &self.after_service,
        }
    }

    /// The first model of every context, where its outcomes are.
    pub fn all(&self) -> impl Iterator<Item = (Context, &Arc<Model>)> {
        Context::ALL.iter().map(|c| (*c, self.of(*c)))
    }

    /// Every model.
    pub fn each(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.all().map(|(_, m)| m).chain([&self.figures, &self.service_figures])
    }
}

//! The read models behind the queries: a few connections each, used from blocking threads, and
//! waiting until a model has come far enough.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mw_contract::{Context, Head};
use mw_log::LogReader;
use mw_production_views::{IdentityViews, ProductionViews};
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

/// One read model.
pub struct Model {
    views: Mutex<Vec<View>>,
    permits: Arc<Semaphore>,
    handle: Handle,
    log: Arc<dyn LogReader>,
}

impl Model {
    fn new(dir: &Path, name: &'static str, schema: u32, handle: Handle, log: Arc<dyn LogReader>) -> Arc<Self> {
        let views = (0..READERS).map(|_| View::new(Files::new(dir, name), schema)).collect();
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
    pub async fn reach(&self, position: Option<u64>) -> Result<(), Problem> {
        let Some(wanted) = position else { return Ok(()) };
        let mut progress = self.handle.progress();
        let there = tokio::time::timeout(WAIT, progress.wait_for(|p| p.head.position.0 >= wanted)).await;
        match there {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Problem::behind(wanted, self.handle.progress().borrow().head.position.0)),
        }
    }

    /// The log that it is made from.
    pub fn log(&self) -> &Arc<dyn LogReader> {
        &self.log
    }
}

/// All read models of this process.
#[derive(Clone)]
pub struct Models {
    /// Orders, their trail, outcomes.
    pub production: Arc<Model>,
    /// The trail of accounts, outcomes.
    pub identity: Arc<Model>,
}

impl Models {
    /// Over the files in `dir`; each model with its projection's handle and its log.
    pub fn new(dir: &Path, production: (Handle, Arc<dyn LogReader>), identity: (Handle, Arc<dyn LogReader>)) -> Models {
        Models {
            production: Model::new(dir, ProductionViews::NAME, ProductionViews::SCHEMA, production.0, production.1),
            identity: Model::new(dir, IdentityViews::NAME, IdentityViews::SCHEMA, identity.0, identity.1),
        }
    }

    /// The model of a context, if there is one.
    pub fn of(&self, context: Context) -> Option<&Arc<Model>> {
        match context {
            Context::Production => Some(&self.production),
            Context::Identity => Some(&self.identity),
            Context::AfterService => None,
        }
    }

    /// Every model.
    pub fn all(&self) -> [&Arc<Model>; 2] {
        [&self.production, &self.identity]
    }
}

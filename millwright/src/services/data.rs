//! The data directory: one process at a time, and where everything in it lies.

use std::fs::{File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use mw_contract::Context;
use mw_log::{CheckpointKey, OpenOptions, SledLog, Vault};
use mw_runtime::metrics::Metrics;

/// Says that a history is being played.
const HISTORY: &str = "history-is-played";

/// A locked data directory. The lock ends with the process, however it ends.
pub struct Data {
    dir: PathBuf,
    _lock: File,
}

impl Data {
    /// Makes the directory where it is missing, and locks it.
    pub fn lock(dir: &Path) -> Result<Arc<Self>> {
        // Keys, secrets and the control socket are below it: nobody else's business.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("data directory {}", dir.display()))?;
        let path = dir.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("data directory {}", dir.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Arc::new(Data { dir: dir.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => bail!(
                "data directory {} is in use by another millwright; stop it, or give --data another directory",
                dir.display()
            ),
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("data directory {}", dir.display())),
        }
    }

    /// A file or directory below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Is a history to be played into it? Only a directory without a log takes one; it is marked
    /// until [`Data::history_is_played`].
    ///
    /// # Errors
    /// When an earlier play was interrupted: half a history is none.
    pub fn takes_history(&self) -> Result<bool> {
        let mark = self.path(HISTORY);
        if mark.exists() {
            bail!(
                "playing the history into {} was interrupted; delete the directory and start again",
                self.dir.display()
            );
        }
        if self.path("logs").exists() {
            return Ok(false);
        }
        std::fs::write(&mark, "").with_context(|| format!("{}", mark.display()))?;
        Ok(true)
    }

    /// The history is there as a whole.
    pub fn history_is_played(&self) -> Result<()> {
        let mark = self.path(HISTORY);
        std::fs::remove_file(&mark).with_context(|| format!("{}", mark.display()))
    }

    /// Opens a context's log; the key that signs its head is made at the first start.
    pub fn log(&self, context: Context, metrics: &Metrics) -> Result<Arc<SledLog>> {
        let key = CheckpointKey::load_or_create(&self.path("keys/checkpoint.key"))?;
        let sync = metrics.sync.clone();
        let options = OpenOptions::under(&self.dir, context, Arc::new(key));
        Ok(SledLog::open(options.timing_syncs(move |took| sync.observe(took.as_secs_f64())))?)
    }

    /// Opens the keys of a context's data subjects. What was destroyed of them is listed outside of
    /// the vault too, where putting a vault back does not replace it.
    pub fn vault(&self, context: Context) -> Result<Arc<Vault>> {
        let (vault, erased) = (self.path("vault"), self.path("erased"));
        Ok(Arc::new(Vault::open_with_list(&vault.join(context.as_str()), &erased.join(context.as_str()))?))
    }
}

/// The contexts that have a log here, whether or not a service runs.
pub fn contexts_with_a_log(data: &Path) -> Vec<Context> {
    let has_log = |c: &Context| data.join("logs").join(c.as_str()).join("db").exists();
    Context::ALL.iter().copied().filter(has_log).collect()
}

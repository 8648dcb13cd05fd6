//! sled 0.34 with everything that it needs to keep what it is given.
//!
//! What is guarded, and against what:
//! - `flush` hands the pages to the kernel and no further, so `<dir>/db` is synced with
//!   `fdatasync` after every flush, before anyone hears of it.
//! - sled's background flush is off: it would write at times nobody asked for.
//! - values that grow large go to `blobs/`, which nothing syncs: whoever writes splits them into
//!   parts of [`PART`] bytes, and a file in `blobs/` is an error.
//! - a `snap.*.generating` that a crash left behind can make an opening fail: it is removed first.
//! - sled may panic where it meets damage: a panic becomes an error.
//! - one process at a time, by a lock file.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::LogError;
use crate::files;

/// The most bytes of one value. A leaf of sled takes up to 17 values and spills at 128 KiB, a
/// quarter of a segment: this leaves a leaf of full parts half of that.
pub(crate) const PART: usize = 4 * 1024;

/// Makes what was flushed durable. Tests put failures here.
pub(crate) type SyncFn = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

pub(crate) struct GuardedSled {
    db: sled::Db,
    file: File,
    dir: PathBuf,
    sync: Option<SyncFn>,
    // Last, so that it is let go after sled is closed.
    _lock: File,
}

impl GuardedSled {
    /// Opens or makes it. `sync` is `None` when nothing need survive a power loss.
    pub fn open(dir: &Path, cache_bytes: u64, sync: Option<SyncFn>) -> Result<Self, LogError> {
        files::create_dir(dir)?;
        let lock = lock(dir)?;
        for entry in fs::read_dir(dir).map_err(LogError::io("listing", dir))? {
            let entry = entry.map_err(LogError::io("listing", dir))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                tracing::warn!(file = %entry.path().display(), "removing an unfinished snapshot that a crash left");
                fs::remove_file(entry.path()).map_err(LogError::io("removing", entry.path()))?;
            }
        }
        let config = sled::Config::new()
            .path(dir)
            .flush_every_ms(None)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            .use_compression(false);
        let db = guarded(dir, || config.open())?;
        let path = dir.join("db");
        let file = File::open(&path).map_err(LogError::io("opening", &path))?;
        let store = GuardedSled { db, file, dir: dir.to_owned(), sync, _lock: lock };
        if store.sync.is_some() {
            // The files that sled has just made, and their names.
            for name in ["db", "conf"] {
                let path = dir.join(name);
                match File::open(&path) {
                    Ok(f) => f.sync_all().map_err(LogError::io("syncing", &path))?,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(LogError::io("opening", &path)(e)),
                }
            }
            files::sync_dir(dir)?;
        }
        store.check_blobs()?;
        Ok(store)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a call into sled; its errors and its panics are both errors of the engine.
    pub fn run<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, LogError> {
        guarded(&self.dir, || call(&self.db))
    }

    /// Something about what is stored.
    pub fn engine(&self, reason: &str) -> LogError {
        LogError::Engine { dir: self.dir.clone(), reason: reason.to_owned() }
    }

    /// Makes everything that was written durable.
    pub fn flush(&self) -> Result<(), LogError> {
        guarded(&self.dir, || self.db.flush())?;
        if let Some(sync) = &self.sync {
            sync(&self.file).map_err(LogError::io("syncing", self.dir.join("db")))?;
            self.check_blobs()?;
        }
        Ok(())
    }

    fn check_blobs(&self) -> Result<(), LogError> {
        let path = self.dir.join("blobs");
        match fs::read_dir(&path).map(|mut d| d.next()) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.engine("a value has spilled into blobs/, which is not durable")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(LogError::io("listing", path)(e)),
        }
    }
}

/// Takes the directory for this process alone.
pub(crate) fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join("lock");
    let mut options = fs::OpenOptions::new();
    let lock = options.create(true).truncate(false).write(true).open(&path).map_err(LogError::io("opening", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(LogError::InUse(dir.to_owned())),
        Err(fs::TryLockError::Error(e)) => Err(LogError::io("locking", &path)(e)),
    }
}

/// Runs a call into sled; its errors and its panics are both errors of the engine.
fn guarded<T>(dir: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, LogError> {
    let reason = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(v)) => return Ok(v),
        Ok(Err(e)) => e.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            format!("it gave up: {text}")
        }
    };
    Err(LogError::Engine { dir: dir.to_owned(), reason })
}

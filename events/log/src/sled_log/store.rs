//! Frames in sled, with everything that sled 0.34 needs to keep them.
//!
//! What is guarded, and against what:
//! - `flush` hands the pages to the kernel and no further, so `<dir>/db` is synced with
//!   `fdatasync` after every flush, before anyone hears of it.
//! - sled's background flush is off: it would write at times nobody asked for.
//! - values that grow large go to `blobs/`, which nothing syncs: frames are split into parts of
//!   [`PART`] bytes, and a file in `blobs/` stops the log.
//! - a `snap.*.generating` that a crash left behind can make an opening fail: it is removed first.
//! - sled may panic where it meets damage: a panic becomes an error.
//!
//! One tree. Keys of frames are the commit number (u64) and the part (u16), big endian; the key
//! [`FRONTIER`] holds the Merkle frontier after the last batch. This module must never decode a
//! frame's body, and never change a record that is there.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mw_contract::CommitNumber;

use crate::error::LogError;
use crate::files;
use crate::frame;

/// The most bytes of one value. A leaf of sled takes up to 17 values and spills at 128 KiB, a
/// quarter of a segment: this leaves a leaf of full parts half of that.
pub(super) const PART: usize = 4 * 1024;
/// Numbers of commits stay below 2^56, so no key of a frame begins with this byte.
const FRONTIER: [u8; 1] = [0xff];

/// Makes what was flushed durable. Tests put failures here.
pub(super) type SyncFn = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

pub(super) struct Store {
    db: sled::Db,
    file: File,
    dir: PathBuf,
    sync: Option<SyncFn>,
    // Last, so that it is let go after sled is closed.
    _lock: File,
}

fn key(number: u64, part: u16) -> [u8; 10] {
    let mut k = [0; 10];
    k[..8].copy_from_slice(&number.to_be_bytes());
    k[8..].copy_from_slice(&part.to_be_bytes());
    k
}

fn read_key(k: &[u8]) -> Option<(u64, u16)> {
    let (n, p) = k.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*n), u16::from_be_bytes(p.try_into().ok()?)))
}

impl Store {
    /// Opens or makes the store. `sync` is `None` when nothing need survive a power loss.
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
        let store = Store { db, file, dir: dir.to_owned(), sync, _lock: lock };
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

    /// Stores consecutive frames and the frontier after them: all or nothing, and durable when
    /// this returns. After an error nobody knows what is on the disk.
    pub fn append(&self, first: CommitNumber, frames: &[Vec<u8>], frontier: Vec<u8>) -> Result<(), LogError> {
        let mut batch = sled::Batch::default();
        for (i, frame) in frames.iter().enumerate() {
            for (part, bytes) in frame.chunks(PART).enumerate() {
                batch.insert(&key(first.0 + i as u64, part as u16), bytes);
            }
        }
        batch.insert(&FRONTIER, frontier);
        guarded(&self.dir, || self.db.apply_batch(batch))?;
        self.flush()
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

    /// The frontier after the last batch; `None` in an empty store.
    pub fn frontier(&self) -> Result<Option<Vec<u8>>, LogError> {
        Ok(guarded(&self.dir, || self.db.get(FRONTIER))?.map(|v| v.to_vec()))
    }

    /// The number of the last commit; zero in an empty store.
    pub fn last(&self) -> Result<CommitNumber, LogError> {
        let last = guarded(&self.dir, || self.db.range(..&FRONTIER[..]).next_back().transpose())?;
        match last {
            None => Ok(CommitNumber::ZERO),
            Some((k, _)) => match read_key(&k) {
                Some((n, _)) => Ok(CommitNumber(n)),
                None => Err(self.engine("a record has a key that no log writes")),
            },
        }
    }

    /// The frame of one commit; `None` when it has no record.
    pub fn frame(&self, number: CommitNumber) -> Result<Option<Vec<u8>>, LogError> {
        let mut found = None;
        self.scan(number, &mut |n, bytes| {
            if n == number {
                found = Some(bytes.to_vec());
            }
            Ok(false)
        })?;
        Ok(found)
    }

    /// Gives the frames from number `from` on, in order, until `each` says `false`. Parts are put
    /// together here; a part that is missing is [`LogError::Corrupt`].
    pub fn scan(
        &self,
        from: CommitNumber,
        each: &mut dyn FnMut(CommitNumber, &[u8]) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        let mut parts = self.db.range(&key(from.0, 0)[..]..&FRONTIER[..]);
        let mut joined: Vec<u8> = Vec::new();
        // The commit whose parts are being collected, and the part that comes next.
        let mut open: Option<(u64, u16)> = None;
        while let Some((k, bytes)) = guarded(&self.dir, || parts.next().transpose())? {
            let Some((number, part)) = read_key(&k) else {
                return Err(self.engine("a record has a key that no log writes"));
            };
            if let Some((n, _)) = open.filter(|&open| open != (number, part)) {
                return Err(LogError::Corrupt {
                    commit: CommitNumber(n),
                    reason: "a part of its frame is missing".into(),
                });
            }
            if open.is_none() && part != 0 {
                let reason = "the first part of its frame is missing".into();
                return Err(LogError::Corrupt { commit: CommitNumber(number), reason });
            }
            let whole = |b: &[u8]| frame::announced_len(b).is_none_or(|l| b.len() as u64 >= u64::from(l));
            // A frame that says it is longer than this part goes on in the next; a damaged length
            // shows when that next part is not there.
            let more = if open.is_none() && (bytes.len() < PART || whole(&bytes)) {
                if !each(CommitNumber(number), &bytes)? {
                    return Ok(());
                }
                continue;
            } else {
                joined.extend_from_slice(&bytes);
                joined.len() <= frame::MAX_FRAME && bytes.len() == PART && !whole(&joined)
            };
            if more {
                open = Some((number, part + 1));
            } else {
                open = None;
                let go_on = each(CommitNumber(number), &joined)?;
                joined.clear();
                if !go_on {
                    return Ok(());
                }
            }
        }
        match open {
            Some((n, _)) => {
                Err(LogError::Corrupt { commit: CommitNumber(n), reason: "the end of its frame is missing".into() })
            }
            None => Ok(()),
        }
    }

    /// Bytes on the disk.
    pub fn size_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    fn engine(&self, reason: &str) -> LogError {
        LogError::Engine { dir: self.dir.clone(), reason: reason.to_owned() }
    }

    /// Overwrites a record, as damage would.
    #[cfg(test)]
    pub fn damage(&self, number: u64, part: u16, bytes: Option<&[u8]>) {
        match bytes {
            Some(b) => self.db.insert(key(number, part), b).unwrap(),
            None => self.db.remove(key(number, part)).unwrap(),
        };
        self.db.flush().unwrap();
    }

    #[cfg(test)]
    pub fn raw_part(&self, number: u64, part: u16) -> Option<Vec<u8>> {
        self.db.get(key(number, part)).unwrap().map(|v| v.to_vec())
    }
}

/// Takes the directory for this process alone.
pub(super) fn lock(dir: &Path) -> Result<File, LogError> {
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

//! The durable engine: sled as a plain list of frames, an index beside it, a signed head.
//!
//! - [`store`]: frames and parts in sled, and every guard around it.
//! - [`index`]: where streams and commands are; disposable.
//! - [`signer`]: the signed checkpoint, once a second of activity and at a clean end.
//!
//! The order of one append: number and check the batch ([`crate::plan`]), make the frames, hash
//! them, write them with the frontier in one sled batch, flush, `fdatasync`; then, and only then,
//! show them: index, recent commits, head.

mod index;
mod signer;
mod store;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mw_contract::commit::{Head, NewCommit, StoredCommit};
use mw_contract::{AccountName, CommandId, CommitNumber, Context, Position, StreamId, Version};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::checkpoint::{self, CheckpointKey};
use crate::error::LogError;
use crate::frame;
use crate::guarded::{self, SyncFn};
use crate::merkle::{Frontier, leaf_hash};
use crate::plan::{index_in, plan};
use crate::traits::{EventLog, StreamHead};
use crate::verify::Frames;
use index::{Found, Index};
use signer::Signer;
use store::Store;

/// Bytes after which one read ends.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// How many of the newest commits stay in memory for readers that follow the head.
const RECENT: usize = 1024;

/// What an append survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power loss: `fdatasync` before anyone hears of it.
    #[default]
    Synced,
    /// The end of the process, not of the machine. To fill logs for measurements and tests.
    Written,
}

/// Where a log lives and how it is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Whose log.
    pub context: Context,
    /// sled's directory.
    pub log_dir: PathBuf,
    /// The disposable index's directory.
    pub index_dir: PathBuf,
    /// The file of the signed head.
    pub checkpoint: PathBuf,
    /// Signs it.
    pub key: Arc<CheckpointKey>,
    /// What an append survives.
    pub durability: Durability,
    /// sled's page cache. Small is enough: nothing is read twice.
    pub cache_bytes: u64,
    sync: Option<SyncFn>,
}

impl OpenOptions {
    /// The usual places under a data directory: `logs/`, `index/`, `checkpoints/`, by context.
    pub fn under(data: &Path, context: Context, key: Arc<CheckpointKey>) -> Self {
        let name = context.as_str();
        OpenOptions {
            context,
            log_dir: data.join("logs").join(name),
            index_dir: data.join("index").join(name),
            checkpoint: data.join("checkpoints").join(name),
            key,
            durability: Durability::Synced,
            cache_bytes: 16 * 1024 * 1024,
            sync: None,
        }
    }

    /// Tells how long each `fdatasync` took.
    pub fn timing_syncs(mut self, told: impl Fn(std::time::Duration) + Send + Sync + 'static) -> Self {
        self.sync = Some(Arc::new(move |file: &File| {
            let began = std::time::Instant::now();
            file.sync_data()?;
            told(began.elapsed());
            Ok(())
        }));
        self
    }

    /// Replaces `fdatasync`, to see what happens when it fails. For tests.
    #[doc(hidden)]
    pub fn sync_with(mut self, f: impl Fn(&File) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.sync = Some(Arc::new(f));
        self
    }
}

struct Appender {
    head: Head,
    frontier: Frontier,
    stopped: Option<String>,
}

/// A log on sled.
pub struct SledLog {
    context: Context,
    store: Arc<Store>,
    index: Index,
    appender: Mutex<Appender>,
    recent: RwLock<VecDeque<Arc<StoredCommit>>>,
    head: watch::Sender<Head>,
    signer: Signer,
}

impl SledLog {
    /// Opens or makes a log.
    ///
    /// Fails rather than go on with a log that lost something: when it is shorter than its signed
    /// head ([`LogError::Shorter`]), differs from it, or its last commits can't be read.
    pub fn open(o: OpenOptions) -> Result<Arc<Self>, LogError> {
        let sync: Option<SyncFn> = match (o.durability, o.sync) {
            (_, Some(f)) => Some(f),
            (Durability::Synced, None) => Some(Arc::new(|f: &File| f.sync_data())),
            (Durability::Written, None) => None,
        };
        let store = Arc::new(Store::open(&o.log_dir, o.cache_bytes, sync)?);
        let last = store.last()?;
        let frontier = match store.frontier()? {
            None => Frontier::default(),
            Some(b) => Frontier::from_bytes(&b).ok_or_else(|| LogError::Corrupt {
                commit: last,
                reason: "the Merkle frontier can't be read".into(),
            })?,
        };
        if frontier.size() != last.0 {
            let reason = format!("the Merkle frontier is of {} commits, the log has {last}", frontier.size());
            return Err(LogError::Corrupt { commit: last, reason });
        }
        let signed = checkpoint::read(&o.checkpoint, o.key.public(), o.context)?;
        if let Some(c) = &signed {
            if c.size > last.0 {
                let (dir, checkpoint) = (o.log_dir.clone(), o.checkpoint.clone());
                return Err(LogError::Shorter { dir, checkpoint, have: last, signed: CommitNumber(c.size) });
            }
            if c.size == last.0 && c.root != frontier.root() {
                let reason = format!("it was signed for other commits than the {last} in {}", o.log_dir.display());
                return Err(LogError::Checkpoint { path: o.checkpoint, reason });
            }
        }
        let head = match last {
            CommitNumber::ZERO => Head::default(),
            n => read_one(&store, n)?.head_after(),
        };
        let index = catch_up(&store, Found::open(&o.index_dir)?, last)?.start(o.context.to_string())?;
        let signed = signed.map_or(0, |c| c.size);
        let signer = Signer::start(o.context, o.checkpoint, o.key, frontier.clone(), signed)?;
        Ok(Arc::new(SledLog {
            context: o.context,
            store,
            index,
            appender: Mutex::new(Appender { head, frontier, stopped: None }),
            recent: RwLock::default(),
            head: watch::Sender::new(head),
            signer,
        }))
    }

    /// The Merkle frontier over everything that is on stable storage.
    pub fn frontier(&self) -> Frontier {
        self.appender.lock().frontier.clone()
    }

    /// Bytes of the log on the disk, the index not counted.
    pub fn size_on_disk(&self) -> u64 {
        self.store.size_on_disk()
    }

    /// Ends cleanly: nothing more is appended, the index is written, the head is signed.
    pub fn close(&self) -> Result<(), LogError> {
        let failed = self.appender.lock().stopped.replace("it was closed".into());
        self.index.close();
        self.signer.close()?;
        match failed {
            // What reached the disk after a failure is not known, so nothing is flushed over it.
            Some(_) => Ok(()),
            None => self.store.flush(),
        }
    }

    fn append_planned(&self, a: &mut Appender, stored: Vec<StoredCommit>) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        let mut frontier = a.frontier.clone();
        let mut frames = Vec::with_capacity(stored.len());
        for c in &stored {
            let f = frame::encode_stored(c);
            if f.len() > frame::MAX_FRAME {
                let (id, n) = (c.head.command_id, f.len());
                return Err(LogError::Invalid(format!("the commit of command {id} has {n} bytes, too many")));
            }
            frontier.append(leaf_hash(&f));
            frames.push(f);
        }
        let Some((first, last)) = stored.first().map(|c| c.number).zip(stored.last().map(StoredCommit::head_after))
        else {
            return Ok(Vec::new());
        };
        if let Err(e) = self.store.append(first, &frames, frontier.to_bytes()) {
            a.stopped = Some(e.to_string());
            return Err(e);
        }
        a.head = last;
        a.frontier = frontier;
        let stored: Vec<Arc<StoredCommit>> = stored.into_iter().map(Arc::new).collect();
        {
            let mut recent = self.recent.write();
            recent.extend(stored.iter().cloned());
            let over = recent.len().saturating_sub(RECENT);
            recent.drain(..over);
        }
        self.signer.note(&a.frontier);
        let indexed = self.index.add(&stored);
        self.head.send_replace(last);
        if let Err(e) = indexed {
            // These commits are stored and will be answered; the next ones find no index to ask.
            tracing::error!(error = %e, "the log stops: its index has failed");
            a.stopped = Some(e.to_string());
        }
        Ok(stored)
    }

    fn recent_from(&self, from: CommitNumber, limit: usize) -> Option<Vec<Arc<StoredCommit>>> {
        let recent = self.recent.read();
        let first = recent.front()?.number;
        let skip = from.0.checked_sub(first.0)?;
        Some(recent.iter().skip(usize::try_from(skip).ok()?).take(limit).cloned().collect())
    }

    fn commit(&self, number: CommitNumber) -> Result<Arc<StoredCommit>, LogError> {
        match self.recent_from(number, 1).and_then(|mut c| c.pop()) {
            Some(c) => Ok(c),
            None => read_one(&self.store, number).map(Arc::new),
        }
    }

    #[cfg(test)]
    fn store(&self) -> &Store {
        &self.store
    }
}

fn read_one(store: &Store, number: CommitNumber) -> Result<StoredCommit, LogError> {
    match store.frame(number)? {
        Some(f) => decode(number, &f),
        None => Err(LogError::Corrupt { commit: number, reason: "it is missing".into() }),
    }
}

/// Decodes the frame stored under `number`, which must be the one it was written with.
pub(crate) fn decode(number: CommitNumber, frame: &[u8]) -> Result<StoredCommit, LogError> {
    let corrupt = |reason: String| LogError::Corrupt { commit: number, reason };
    let c = frame::decode_commit(frame).map_err(|e| corrupt(e.to_string()))?;
    if c.number != number {
        return Err(corrupt(format!("its frame is of commit {}", c.number)));
    }
    Ok(c)
}

/// Brings an index to the end of its log, or makes it anew when it is another log's.
fn catch_up(store: &Store, mut found: Found, last: CommitNumber) -> Result<Found, LogError> {
    let at = found.upto.commit;
    if at != CommitNumber::ZERO {
        let leaf = if at <= last { store.frame(at)?.map(|f| leaf_hash(&f)) } else { None };
        if leaf.is_none_or(|l| l[..] != found.upto.leaf) {
            tracing::warn!(%at, "the log's index is of another log; making it anew");
            found = found.discard()?;
        }
    }
    let mut next = found.upto.commit.next();
    while next <= last {
        let mut batch = Vec::new();
        let mut leaf = None;
        store.scan(next, &mut |n, f| {
            if n != next {
                return Err(LogError::Corrupt { commit: next, reason: "it is missing".into() });
            }
            batch.push(Arc::new(decode(n, f)?));
            next = next.next();
            let full = batch.len() >= 10_000 || next > last;
            if full {
                leaf = Some(leaf_hash(f));
            }
            Ok(!full)
        })?;
        let Some(leaf) = leaf else {
            return Err(LogError::Corrupt { commit: next, reason: "it is missing".into() });
        };
        found.add(&batch, &leaf)?;
    }
    Ok(found)
}

impl EventLog for SledLog {
    fn context(&self) -> Context {
        self.context
    }

    fn append(&self, batch: Vec<NewCommit>) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        let mut a = self.appender.lock();
        if let Some(why) = &a.stopped {
            return Err(LogError::Stopped(why.clone()));
        }
        let stored = plan(
            self.context,
            a.head,
            batch,
            |s| Ok(self.index.stream_head(s)?.map_or(Version(0), |h| h.version)),
            |account, id| Ok(self.index.command(account, id)?.filter(|(_, done)| *done).map(|(n, _)| n)),
        )?;
        self.append_planned(&mut a, stored)
    }

    fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        let head = self.head().commit;
        let from = from.max(CommitNumber(1));
        if limit == 0 || from > head {
            return Ok(Vec::new());
        }
        if let Some(mut c) = self.recent_from(from, limit) {
            // A commit is among the recent ones just before the head says so.
            c.retain(|c| c.number <= head);
            return Ok(c);
        }
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        self.store.scan(from, &mut |n, f| {
            if n > head {
                return Ok(false);
            }
            if n != next {
                return Err(LogError::Corrupt { commit: next, reason: "it is missing".into() });
            }
            found.push(Arc::new(decode(n, f)?));
            next = next.next();
            bytes += f.len();
            Ok(found.len() < limit && bytes < READ_BYTES)
        })?;
        if found.is_empty() {
            return Err(LogError::Corrupt { commit: from, reason: "it is missing".into() });
        }
        Ok(found)
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        from: Version,
        limit: usize,
    ) -> Result<Vec<(Arc<StoredCommit>, usize)>, LogError> {
        let from = from.max(Version(1));
        let mut events: Vec<(Arc<StoredCommit>, usize)> = Vec::new();
        for (i, (version, number)) in self.index.stream(stream, from, limit)?.into_iter().enumerate() {
            let commit = match events.last().filter(|(c, _)| c.number == number) {
                Some((c, _)) => c.clone(),
                None => self.commit(number)?,
            };
            let gapless = version.0 == from.0 + i as u64;
            match index_in(&commit, stream, version).filter(|_| gapless) {
                Some(at) => events.push((commit, at)),
                None => {
                    let reason = format!("the index looks for version {version} of {stream} there");
                    return Err(LogError::Corrupt { commit: number, reason });
                }
            }
        }
        Ok(events)
    }

    fn stream_head(&self, stream: &StreamId) -> Result<Option<StreamHead>, LogError> {
        self.index.stream_head(stream)
    }

    fn outcome(&self, account: &AccountName, id: &CommandId) -> Result<Option<Arc<StoredCommit>>, LogError> {
        match self.index.command(account, id)? {
            Some((number, _)) => self.commit(number).map(Some),
            None => Ok(None),
        }
    }

    fn head(&self) -> Head {
        *self.head.borrow()
    }

    fn commit_of(&self, position: Position) -> Result<Option<CommitNumber>, LogError> {
        let head = self.head();
        if position.0 == 0 || position > head.position {
            return Ok(None);
        }
        // The first commit that reaches the position; each reads one frame.
        let (mut low, mut high) = (1, head.commit.0);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.commit(CommitNumber(middle))?.last_position < position {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(Some(CommitNumber(low)))
    }

    fn subscribe(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }
}

impl Frames for SledLog {
    fn context(&self) -> Context {
        self.context
    }

    fn frontier(&self) -> Result<Frontier, LogError> {
        Ok(SledLog::frontier(self))
    }

    fn scan(&self, each: &mut dyn FnMut(CommitNumber, &[u8]) -> Result<bool, LogError>) -> Result<(), LogError> {
        let head = self.head().commit;
        self.store.scan(CommitNumber(1), &mut |n, f| if n > head { Ok(false) } else { each(n, f) })
    }
}

impl Drop for SledLog {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::error!(error = %e, "closing the log failed");
        }
    }
}

/// A log at rest, to be checked as it lies there: no index, no comparison with its signed head.
///
/// It is a copy that is opened, for sled mends what it finds damaged, and a check must leave the
/// damage as it is. The copy is made beside the log (in the system's temporary directory when
/// that can't be written) and goes away with this value; it takes as much space as the log.
pub struct AtRest {
    context: Context,
    store: Store,
    // Dropped in this order: sled first, then its files, then the lock on the original.
    _copy: tempfile::TempDir,
    _lock: File,
}

impl AtRest {
    /// Opens the frames alone. [`LogError::InUse`] while a service has the log open;
    /// nothing is made where there is no log.
    pub fn open(dir: &Path, context: Context) -> Result<Self, LogError> {
        if !dir.join("db").exists() {
            let e = io::Error::new(io::ErrorKind::NotFound, "there is no log here");
            return Err(LogError::io("opening", dir)(e));
        }
        let lock = guarded::lock(dir)?;
        let beside = dir.parent().unwrap_or(dir);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".check-");
        let copy = builder.tempdir_in(beside).or_else(|_| builder.tempdir());
        let copy = copy.map_err(LogError::io("making a copy of", dir))?;
        copy_files(dir, copy.path()).map_err(LogError::io("making a copy of", dir))?;
        let store = Store::open(copy.path(), 16 * 1024 * 1024, None)?;
        Ok(AtRest { context, store, _copy: copy, _lock: lock })
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy_files(&entry.path(), &target)?;
        } else if entry.file_name() != "lock" {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl Frames for AtRest {
    fn context(&self) -> Context {
        self.context
    }

    fn frontier(&self) -> Result<Frontier, LogError> {
        let bytes = self.store.frontier()?.unwrap_or_else(|| Frontier::default().to_bytes());
        Frontier::from_bytes(&bytes).ok_or_else(|| LogError::Engine {
            dir: self.store.dir().to_owned(),
            reason: "the Merkle frontier can't be read".into(),
        })
    }

    fn scan(&self, each: &mut dyn FnMut(CommitNumber, &[u8]) -> Result<bool, LogError>) -> Result<(), LogError> {
        self.store.scan(CommitNumber(1), each)
    }
}

#[cfg(test)]
mod tests;

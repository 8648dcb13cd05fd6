//! Reads one log in a task of its own, so that a log that does not answer holds up nothing but itself.

use std::sync::Arc;
use std::time::Duration;

use mw_contract::{CommitNumber, Context, Head, StoredCommit};
use mw_log::{LogError, LogReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Commits in one piece.
pub const BATCH: usize = 500;
/// Pieces that are read ahead.
const AHEAD: usize = 2;
/// How long after a failed read the log is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a reader found.
#[derive(Debug)]
pub enum Found {
    /// What the log has at the checkpoint, and where its head is.
    Base(Option<Arc<StoredCommit>>, Head),
    /// The commits that follow.
    Commits(Vec<Arc<StoredCommit>>),
    /// The log can't be read now; it is asked again.
    Trouble(String),
}

/// The reader of one log; it ends when it is dropped.
#[derive(Debug)]
pub struct Feed(JoinHandle<()>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads a log from its checkpoint on, the commit at the checkpoint first.
pub fn start(reader: Arc<dyn LogReader>, from: CommitNumber) -> (Feed, mpsc::Receiver<(Context, Found)>) {
    let (found, finds) = mpsc::channel(AHEAD);
    let task = tokio::spawn(async move {
        let context = reader.context();
        let mut out = Out { context, found };
        // Whoever reads the pieces is gone: so is the need for more.
        let _ = read(&*reader, from, &mut out).await;
    });
    (Feed(task), finds)
}

struct Out {
    context: Context,
    found: mpsc::Sender<(Context, Found)>,
}

/// Nobody listens any more.
struct Gone;

impl Out {
    async fn give(&mut self, what: Found) -> Result<(), Gone> {
        self.found.send((self.context, what)).await.map_err(|_| Gone)
    }

    async fn trouble(&mut self, e: &LogError) -> Result<(), Gone> {
        self.give(Found::Trouble(e.to_string())).await?;
        tokio::time::sleep(ASK_AGAIN).await;
        Ok(())
    }
}

async fn read(reader: &dyn LogReader, from: CommitNumber, out: &mut Out) -> Result<(), Gone> {
    loop {
        match base(reader, from).await {
            Ok((stored, head)) => break out.give(Found::Base(stored, head)).await?,
            Err(e) => out.trouble(&e).await?,
        }
    }
    let mut seen = from;
    loop {
        match reader.read(seen.next(), BATCH).await {
            Ok(commits) => {
                let behind = commits.len() == BATCH;
                if let Some(last) = commits.last() {
                    seen = last.number;
                }
                // An empty piece says that the log can be read again.
                out.give(Found::Commits(commits)).await?;
                if behind {
                    continue;
                }
            }
            Err(e) => {
                out.trouble(&e).await?;
                continue;
            }
        }
        if let Err(e) = reader.wait(seen).await {
            out.trouble(&e).await?;
        }
    }
}

async fn base(reader: &dyn LogReader, from: CommitNumber) -> Result<(Option<Arc<StoredCommit>>, Head), LogError> {
    let stored = match from {
        CommitNumber::ZERO => None,
        at => reader.read(at, 1).await?.into_iter().next(),
    };
    Ok((stored, reader.head().await?))
}

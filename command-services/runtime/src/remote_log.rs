//! A log read over MQTT: a server beside the log, and a `LogReader` in another process.
//!
//! Topics, services only, below `mw/v1/-/log/{context}/`: `req` carries requests, `rsp/{reader}`
//! the chunks for one reader (a service's name, so the set of topics is small and fixed), `head`
//! a wake-up after every batch. A request is JSON; a chunk is a version byte, the request's
//! number, the head of the log, and frames as they are stored, each with its length before it.
//! A reader asks for one piece at a time, so it is never given more than it can take.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use mw_contract::commit::{Head, StoredCommit};
use mw_contract::topics::Internal;
use mw_contract::{AccountName, CommitNumber, Context, Position};
use mw_log::{EventLog, LogError, LogReader, frame};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify, watch};
use uuid::Uuid;

use crate::bus::{Bus, BusError, Outbound};

/// The version of the chunk format.
const WIRE_VERSION: u8 = 1;
/// A chunk ends before it grows over this.
const MAX_CHUNK_BYTES: usize = 128 * 1024;
/// How long a reader waits for a chunk before it asks again: soon at first, for the question may
/// have been lost with a connection or come before there was somebody to hear it.
const ASK_AGAIN_FIRST: Duration = Duration::from_millis(250);
const ASK_AGAIN: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Request {
    v: u8,
    reader: String,
    number: u64,
    from: u64,
    limit: usize,
}

fn wire(reason: impl Into<String>) -> LogError {
    LogError::Remote(reason.into())
}

/// Answers readers in other processes. Ends when the bus does.
pub async fn serve(log: Arc<dyn EventLog>, bus: Arc<dyn Bus>) -> Result<(), BusError> {
    let context = log.context();
    let request_topic = Internal::LogRequest.topic(context);
    bus.subscribe(&request_topic).await?;
    let mut heads = log.subscribe();
    // Whoever asked before there was somebody to hear it asks again.
    heads.mark_changed();
    loop {
        tokio::select! {
            m = bus.recv() => {
                let m = m?;
                if m.topic != request_topic {
                    continue;
                }
                let Ok(r) = serde_json::from_slice::<Request>(&m.payload) else {
                    tracing::warn!(%context, "a log request can't be read");
                    continue;
                };
                let Ok(reader) = AccountName::new(&r.reader) else { continue };
                let log = log.clone();
                let answer = tokio::task::spawn_blocking(move || chunk(&*log, &r)).await;
                match answer {
                    Ok(Ok(payload)) => {
                        let topic = Internal::LogChunk { reader }.topic(context);
                        bus.publish(vec![Outbound { topic, payload, ..Outbound::default() }]).await?;
                    }
                    // The reader asks again; the log itself reports what is wrong with it.
                    Ok(Err(e)) => tracing::error!(%context, error = %e, "a chunk of the log can't be read"),
                    Err(e) => tracing::error!(%context, error = %e, "reading the log was interrupted"),
                }
            }
            changed = heads.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let h = *heads.borrow_and_update();
                let payload = Bytes::from(format!("{} {}", h.commit, h.position));
                bus.publish(vec![Outbound { topic: Internal::LogHead.topic(context), payload, ..Outbound::default() }]).await?;
            }
        }
    }
}

fn chunk(log: &dyn EventLog, r: &Request) -> Result<Bytes, LogError> {
    let head = log.head();
    let mut out = BytesMut::with_capacity(4096);
    out.put_u8(WIRE_VERSION);
    out.put_u64(r.number);
    out.put_u64(head.commit.0);
    out.put_u64(head.position.0);
    for c in log.read(CommitNumber(r.from), r.limit.min(500))? {
        let f = frame::encode_stored(&c);
        if out.len() + f.len() > MAX_CHUNK_BYTES && out.len() > 25 {
            break;
        }
        out.put_u32(u32::try_from(f.len()).map_err(|_| wire("frame too long"))?);
        out.extend_from_slice(&f);
    }
    Ok(out.freeze())
}

fn read_chunk(
    payload: &[u8],
    numbers: RangeInclusive<u64>,
) -> Result<Option<(Head, Vec<Arc<StoredCommit>>)>, LogError> {
    let take = |at: usize| -> Result<u64, LogError> {
        let b = payload.get(at..at + 8).ok_or_else(|| wire("chunk too short"))?;
        Ok(u64::from_be_bytes(b.try_into().map_err(|_| wire("chunk too short"))?))
    };
    if payload.first() != Some(&WIRE_VERSION) {
        return Err(wire("the log is served in a format that this program does not know"));
    }
    if !numbers.contains(&take(1)?) {
        return Ok(None);
    }
    let head = Head { commit: CommitNumber(take(9)?), position: Position(take(17)?) };
    let mut rest = &payload[25..];
    let mut commits = Vec::new();
    while !rest.is_empty() {
        let (len, tail) = rest.split_at_checked(4).ok_or_else(|| wire("chunk cut off"))?;
        let len = u32::from_be_bytes(len.try_into().map_err(|_| wire("chunk cut off"))?) as usize;
        let (f, tail) = tail.split_at_checked(len).ok_or_else(|| wire("chunk cut off"))?;
        commits.push(Arc::new(frame::decode_commit(f).map_err(|e| wire(e.to_string()))?));
        rest = tail;
    }
    Ok(Some((head, commits)))
}

/// Commit and position of a wake-up.
fn read_head(payload: &[u8]) -> Option<Head> {
    let (c, p) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    Some(Head { commit: CommitNumber(c.parse().ok()?), position: Position(p.parse().ok()?) })
}

struct Asking {
    bus: Arc<dyn Bus>,
    number: u64,
}

/// A log in another process.
pub struct RemoteReader {
    context: Context,
    reader: AccountName,
    asking: Mutex<Asking>,
    chunks: Mutex<tokio::sync::mpsc::Receiver<Bytes>>,
    head: watch::Receiver<Head>,
    head_tx: watch::Sender<Head>,
    /// The log said something.
    heard: Arc<Notify>,
}

impl RemoteReader {
    /// Reads `context`'s log over a bus that this reader has for itself. `reader` is the name of
    /// the service that reads.
    pub async fn start(context: Context, reader: AccountName, bus: Arc<dyn Bus>) -> Result<Arc<Self>, BusError> {
        let mine = Internal::LogChunk { reader: reader.clone() }.topic(context);
        let wake = Internal::LogHead.topic(context);
        bus.subscribe(&mine).await?;
        bus.subscribe(&wake).await?;
        let (chunk_tx, chunks) = tokio::sync::mpsc::channel(16);
        let (head_tx, head) = watch::channel(Head::default());
        let me = Arc::new(RemoteReader {
            context,
            reader,
            // An answer that an earlier life of this service asked for must not be taken for ours.
            asking: Mutex::new(Asking { bus: bus.clone(), number: Uuid::new_v4().as_u64_pair().0 >> 1 }),
            chunks: Mutex::new(chunks),
            head,
            head_tx: head_tx.clone(),
            heard: Arc::default(),
        });
        let heard = me.heard.clone();
        tokio::spawn(async move {
            while let Ok(m) = bus.recv().await {
                if m.topic == mine {
                    // A reader that gave up on a chunk asks again, so a full queue loses nothing.
                    let _ = chunk_tx.try_send(m.payload);
                } else if m.topic == wake {
                    heard.notify_one();
                    let Some(h) = read_head(&m.payload) else { continue };
                    head_tx.send_if_modified(|old| {
                        if h.commit > old.commit {
                            *old = h;
                            true
                        } else {
                            false
                        }
                    });
                }
            }
        });
        Ok(me)
    }

    async fn ask(&self, from: CommitNumber, limit: usize) -> Result<(Head, Vec<Arc<StoredCommit>>), LogError> {
        let mut asking = self.asking.lock().await;
        let mut chunks = self.chunks.lock().await;
        let mut patience = ASK_AGAIN_FIRST;
        let first = asking.number + 1;
        loop {
            asking.number += 1;
            let request = Request {
                v: WIRE_VERSION,
                reader: self.reader.to_string(),
                number: asking.number,
                from: from.0,
                limit,
            };
            let payload = serde_json::to_vec(&request).map_err(|e| wire(e.to_string()))?;
            let message = Outbound {
                topic: Internal::LogRequest.topic(self.context),
                payload: payload.into(),
                ..Outbound::default()
            };
            asking.bus.publish(vec![message]).await.map_err(|e| wire(e.to_string()))?;
            let asked = tokio::time::Instant::now();
            let deadline = asked + patience;
            patience = (patience * 2).min(ASK_AGAIN);
            loop {
                let chunk = tokio::select! {
                    biased;
                    chunk = chunks.recv() => chunk,
                    () = self.heard.notified() => {
                        // It is there, and has not answered: it may not have heard the question.
                        if asked.elapsed() >= ASK_AGAIN_FIRST { break } else { continue }
                    }
                    () = tokio::time::sleep_until(deadline) => break,
                };
                let chunk = chunk.ok_or_else(|| wire("the bus has ended"))?;
                if let Some((head, commits)) = read_chunk(&chunk, first..=asking.number)? {
                    self.head_tx.send_if_modified(|old| {
                        if head.commit > old.commit {
                            *old = head;
                            true
                        } else {
                            false
                        }
                    });
                    return Ok((head, commits));
                }
            }
            tracing::debug!(context = %self.context, %from, "no answer from the log yet; asking again");
        }
    }
}

#[async_trait]
impl LogReader for RemoteReader {
    fn context(&self) -> Context {
        self.context
    }

    async fn read(&self, from: CommitNumber, limit: usize) -> Result<Vec<Arc<StoredCommit>>, LogError> {
        Ok(self.ask(from, limit).await?.1)
    }

    async fn head(&self) -> Result<Head, LogError> {
        // Nothing stands beyond the greatest number, so this chunk holds the head alone.
        Ok(self.ask(CommitNumber(u64::MAX), 1).await?.0)
    }

    fn known_head(&self) -> Head {
        *self.head.borrow()
    }

    async fn wait(&self, seen: CommitNumber) -> Result<(), LogError> {
        let mut head = self.head.clone();
        // A wake-up may get lost with the connection, so look again from time to time.
        match tokio::time::timeout(ASK_AGAIN, head.wait_for(|h| h.commit > seen)).await {
            Ok(Ok(_)) | Err(_) => Ok(()),
            Ok(Err(_)) => Err(wire("the bus has ended")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_chunks_are_errors_and_old_answers_are_passed_over() {
        let mut good = BytesMut::new();
        good.put_u8(WIRE_VERSION);
        good.put_u64(7);
        good.put_u64(1);
        good.put_u64(1);
        assert_eq!(read_chunk(&good, 6..=7).unwrap().unwrap().1.len(), 0);
        assert!(read_chunk(&good, 8..=9).unwrap().is_none());
        assert!(read_chunk(&good[..20], 7..=7).is_err());
        good.put_u32(100);
        assert!(read_chunk(&good, 6..=7).is_err());
        assert!(read_chunk(&[9, 0], 7..=7).is_err());
        assert!(read_chunk(&[], 7..=7).is_err());
    }
}

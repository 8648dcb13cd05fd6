//! Questions between services: one asks, the owner of a context answers. Only what can't be read
//! from a log: log-ins, the public keys of tokens, sealed text for a reader in scope.
//!
//! A question is JSON on `mw/v1/-/log/{context}/ask`, an answer JSON on `…/answer/{asker}`. Both
//! carry the format's version, so that services of two versions can work together while one
//! replaces the other: a version may add members, and whoever does not know them passes over them.
//!
//! A question that gets no answer is sent again under its number, for it may have come before there
//! was somebody to hear it; the owner works on each number once and gives the same answer again.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;
use mw_contract::topics::Internal;
use mw_contract::{AccountName, Context};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, oneshot};
use uuid::Uuid;

use crate::bus::{Bus, BusError, Outbound};

/// The version of the format.
pub const WIRE_VERSION: u8 = 1;
/// Questions that are worked on at once; more wait in the bus.
const AT_ONCE: usize = 256;
/// Questions that are remembered with their answers: more than can be asked again.
const RECENT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// How long after a question it is sent again.
const AGAIN: Duration = Duration::from_millis(300);
/// How long an answer is waited for after there was none the last time.
const WHILE_SILENT: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Question {
    v: u8,
    from: String,
    n: u64,
    body: Value,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    v: u8,
    n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The owner did not answer in time.
    #[error("{0} does not answer")]
    Silent(Context),
    /// The owner can't answer this.
    #[error("{context} answers: {reason}")]
    Refused {
        /// Whose answer.
        context: Context,
        /// What it says.
        reason: String,
    },
}

/// Answers questions.
#[async_trait]
pub trait Answers: Send + Sync + 'static {
    /// The answer to one, or why there is none. `from` is the service that asks.
    async fn answer(&self, from: &AccountName, body: Value) -> Result<Value, String>;
}

/// Answers what is asked of `context`, each question in a task of its own. Ends when the bus does.
pub async fn serve(context: Context, bus: Arc<dyn Bus>, answers: Arc<dyn Answers>) -> Result<(), BusError> {
    let topic = Internal::Ask.topic(context);
    bus.subscribe(&topic).await?;
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let recent: Arc<Mutex<LruCache<(AccountName, u64), Option<Bytes>>>> = Arc::new(Mutex::new(LruCache::new(RECENT)));
    loop {
        let m = bus.recv().await?;
        if m.topic != topic {
            continue;
        }
        let Ok(q) = serde_json::from_slice::<Question>(&m.payload) else {
            tracing::warn!(%context, "a question of another service can't be read");
            continue;
        };
        let Ok(from) = AccountName::new(&q.from) else { continue };
        let key = (from.clone(), q.n);
        let known = recent.lock().get(&key).cloned();
        if let Some(known) = known {
            if let Some(payload) = known {
                let topic = Internal::Answer { asker: from }.topic(context);
                bus.publish(vec![Outbound { topic, payload, ..Outbound::default() }]).await?;
            }
            continue;
        }
        recent.lock().put(key.clone(), None);
        let Ok(permit) = room.clone().acquire_owned().await else { return Ok(()) };
        let (bus, answers, recent) = (bus.clone(), answers.clone(), recent.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let (body, error) = match answers.answer(&from, q.body).await {
                Ok(v) => (Some(v), None),
                Err(e) => (None, Some(e)),
            };
            let answer = Answer { v: WIRE_VERSION, n: q.n, body, error };
            let payload = Bytes::from(serde_json::to_vec(&answer).unwrap_or_default());
            recent.lock().put(key, Some(payload.clone()));
            let topic = Internal::Answer { asker: from }.topic(context);
            // When this fails the bus has ended, and the loop above with it.
            let _ = bus.publish(vec![Outbound { topic, payload, ..Outbound::default() }]).await;
        });
    }
}

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Answer>>>;

/// Asks the owner of one context.
pub struct Asker {
    context: Context,
    me: AccountName,
    bus: Arc<dyn Bus>,
    next: AtomicU64,
    waiting: Arc<Waiting>,
    /// The last question had no answer, and nothing was heard since.
    silent: Arc<AtomicBool>,
}

/// Forgets a question whose asker has gone away.
struct Forget<'a>(&'a Waiting, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Asker {
    /// Over a bus of its own. `me` is the service that asks.
    ///
    /// # Errors
    /// When the bus has ended.
    pub async fn start(context: Context, me: AccountName, bus: Arc<dyn Bus>) -> Result<Arc<Self>, BusError> {
        Self::start_hearing(context, me, bus, Arc::default()).await
    }

    /// The same, and `news` is told when the owner announces new keys ([`Internal::Keys`]).
    ///
    /// # Errors
    /// When the bus has ended.
    pub async fn start_hearing(
        context: Context,
        me: AccountName,
        bus: Arc<dyn Bus>,
        news: Arc<Notify>,
    ) -> Result<Arc<Self>, BusError> {
        let mine = Internal::Answer { asker: me.clone() }.topic(context);
        let keys = Internal::Keys.topic(context);
        bus.subscribe(&mine).await?;
        bus.subscribe(&keys).await?;
        let waiting: Arc<Waiting> = Arc::default();
        let asker = Asker {
            context,
            me,
            bus: bus.clone(),
            // An answer to an earlier life of this service must not be taken for ours.
            next: AtomicU64::new(Uuid::new_v4().as_u64_pair().0 >> 1),
            waiting: waiting.clone(),
            silent: Arc::default(),
        };
        let silent = asker.silent.clone();
        tokio::spawn(async move {
            while let Ok(m) = bus.recv().await {
                silent.store(false, Ordering::Relaxed);
                if m.topic == keys {
                    news.notify_one();
                    continue;
                }
                if m.topic != mine {
                    continue;
                }
                match serde_json::from_slice::<Answer>(&m.payload) {
                    Ok(a) => {
                        if let Some(to) = waiting.lock().remove(&a.n) {
                            // Whoever asked may have gone away.
                            let _ = to.send(a);
                        }
                    }
                    Err(e) => tracing::warn!(%context, error = %e, "an answer can't be read"),
                }
            }
        });
        Ok(Arc::new(asker))
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, body: Value, within: Duration) -> Result<Value, AskError> {
        let silent = || AskError::Silent(self.context);
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (to, answer) = oneshot::channel();
        self.waiting.lock().insert(n, to);
        let _forget = Forget(&self.waiting, n);
        let question = Question { v: WIRE_VERSION, from: self.me.to_string(), n, body };
        let payload = serde_json::to_vec(&question).unwrap_or_default();
        let topic = Internal::Ask.topic(self.context);
        let question = Outbound { topic, payload: payload.into(), ..Outbound::default() };
        let asked = async {
            let mut answer = std::pin::pin!(answer);
            let mut again = AGAIN;
            loop {
                self.bus.publish(vec![question.clone()]).await.map_err(|_| silent())?;
                match tokio::time::timeout(again, &mut answer).await {
                    Ok(a) => return a.map_err(|_| silent()),
                    Err(_) => again *= 2,
                }
            }
        };
        // Whoever waits for somebody who is known to be away should hear of it soon.
        let within = if self.silent.load(Ordering::Relaxed) { within.min(WHILE_SILENT) } else { within };
        let a = match tokio::time::timeout(within, asked).await {
            Ok(a) => a?,
            Err(_) => {
                self.silent.store(true, Ordering::Relaxed);
                return Err(silent());
            }
        };
        match (a.body, a.error) {
            (Some(body), _) => Ok(body),
            (None, reason) => {
                Err(AskError::Refused { context: self.context, reason: reason.unwrap_or_else(|| "nothing".to_owned()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Inbound;
    use tokio::sync::mpsc;

    /// Two ends of a wire.
    struct Wire {
        out: mpsc::UnboundedSender<Outbound>,
        input: tokio::sync::Mutex<mpsc::UnboundedReceiver<Outbound>>,
    }

    fn wires() -> [Arc<Wire>; 2] {
        let ((a, from_a), (b, from_b)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        [Wire { out: a, input: from_b.into() }, Wire { out: b, input: from_a.into() }].map(Arc::new)
    }

    #[async_trait]
    impl Bus for Wire {
        async fn subscribe(&self, _: &str) -> Result<(), BusError> {
            Ok(())
        }

        async fn recv(&self) -> Result<Inbound, BusError> {
            let m = self.input.lock().await.recv().await.ok_or(BusError::RouterStopped)?;
            Ok(Inbound {
                topic: m.topic,
                payload: m.payload,
                response_topic: None,
                correlation_data: None,
                receipt: None,
            })
        }

        async fn publish(&self, messages: Vec<Outbound>) -> Result<(), BusError> {
            messages.into_iter().for_each(|m| drop(self.out.send(m)));
            Ok(())
        }
    }

    /// Counts how often it was asked for 3.
    #[derive(Default)]
    struct Doubles(AtomicU64);

    #[async_trait]
    impl Answers for Doubles {
        async fn answer(&self, from: &AccountName, body: Value) -> Result<Value, String> {
            assert_eq!(from.as_str(), "query-api");
            match body.as_u64() {
                Some(0) => std::future::pending().await,
                // Long enough to be asked again.
                Some(3) => {
                    self.0.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(AGAIN * 2).await;
                    Ok(6.into())
                }
                Some(n) => Ok((2 * n).into()),
                None => Err("no number".into()),
            }
        }
    }

    #[tokio::test]
    async fn many_at_once_each_gets_its_own_answer() {
        let [a, b] = wires();
        let doubles = Arc::new(Doubles::default());
        tokio::spawn(serve(Context::Identity, b, doubles.clone()));
        let asker = Asker::start(Context::Identity, AccountName::new("query-api").unwrap(), a).await.unwrap();
        let long = Duration::from_secs(10);
        let short = Duration::from_millis(20);
        let (one, two, none, silent) = tokio::join!(
            asker.ask(1.into(), long),
            asker.ask(2.into(), long),
            asker.ask("x".into(), long),
            asker.ask(0.into(), short)
        );
        assert_eq!((one.unwrap(), two.unwrap()), (2.into(), 4.into()));
        assert!(matches!(none, Err(AskError::Refused { reason, .. }) if reason == "no number"));
        assert_eq!(silent, Err(AskError::Silent(Context::Identity)));
        assert!(asker.waiting.lock().is_empty(), "nothing is remembered of those");
        assert_eq!(asker.ask(3.into(), long).await.unwrap(), 6);
        assert_eq!(doubles.0.load(Ordering::Relaxed), 1, "what is asked again is not done again");
    }

    #[test]
    fn the_format_is_frozen() {
        let q: Question =
            serde_json::from_str(r#"{"v":1,"from":"broker","n":7,"body":{"op":"keys"},"later":true}"#).unwrap();
        assert_eq!((q.v, q.from.as_str(), q.n), (1, "broker", 7));
        let a = Answer { v: 1, n: 7, body: Some(Value::Null), error: None };
        assert_eq!(serde_json::to_string(&a).unwrap(), r#"{"v":1,"n":7,"body":null}"#);
        let a: Answer = serde_json::from_str(r#"{"v":1,"n":7,"error":"no"}"#).unwrap();
        assert_eq!(a.error.as_deref(), Some("no"));
    }
}

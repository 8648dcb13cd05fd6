//! Sealed text for readers in scope. The keys are with the command service of each context: in its
//! process they are at hand, elsewhere it is asked. A text is opened by the context that sealed it.
//!
//! A query runs inside a read transaction on a blocking thread and must not wait for another
//! service there. So it runs with what is known, notes what it could not open, and runs again once
//! that was asked for, in one go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use mw_contract::{Context, Sealed};
use mw_views::{NeverOpens, TextOpener};
use parking_lot::Mutex;
use uuid::Uuid;

/// A document can change between two runs; what is sealed in it after so many stays so.
const ROUNDS: usize = 3;

/// Opens text whose keys are in another process.
#[async_trait]
pub trait RemoteTexts: Send + Sync + 'static {
    /// The texts, in order; `None` where the key was destroyed or can't be asked for now.
    async fn open(&self, sealed: Vec<Sealed>) -> Vec<Option<String>>;
}

/// Where sealed text is opened.
#[derive(Clone)]
pub enum Texts {
    /// In this process.
    Here(Arc<dyn TextOpener>),
    /// In another one.
    Elsewhere(Arc<dyn RemoteTexts>),
}

impl Texts {
    /// For one request.
    pub fn session(&self) -> Session {
        Session { texts: self.clone(), known: Arc::default(), rounds: 0 }
    }
}

/// Where each context's text is opened. One that has no entry seals no text, or nobody opens it.
#[derive(Clone, Default)]
pub struct Vaults(BTreeMap<Context, Texts>);

impl Vaults {
    /// Of these contexts.
    pub fn new(of: impl IntoIterator<Item = (Context, Texts)>) -> Self {
        Vaults(of.into_iter().collect())
    }

    /// The texts of a context for one request.
    pub fn session(&self, of: Context) -> Session {
        self.0.get(&of).map_or_else(|| Texts::Here(Arc::new(NeverOpens)).session(), Texts::session)
    }
}

type Key = (Uuid, Vec<u8>);

#[derive(Default)]
struct Known {
    opened: Mutex<HashMap<Key, Option<String>>>,
    missing: Mutex<Vec<Sealed>>,
}

impl TextOpener for Known {
    fn open(&self, sealed: &Sealed) -> Option<String> {
        let Sealed::Cipher { key_id, bytes } = sealed else {
            return match sealed {
                Sealed::Plain(t) => Some(t.clone()),
                Sealed::Cipher { .. } => None,
            };
        };
        match self.opened.lock().get(&(*key_id, bytes.clone())) {
            Some(known) => known.clone(),
            None => {
                self.missing.lock().push(sealed.clone());
                None
            }
        }
    }
}

/// The texts of one request.
pub struct Session {
    texts: Texts,
    known: Arc<Known>,
    rounds: usize,
}

impl Session {
    /// What a run of the query opens text with.
    pub fn opener(&self) -> Arc<dyn TextOpener> {
        match &self.texts {
            Texts::Here(opener) => opener.clone(),
            Texts::Elsewhere(_) => self.known.clone(),
        }
    }

    /// Was the last run complete? If not, what it lacked has been asked for: run it again.
    pub async fn complete(&mut self) -> bool {
        let Texts::Elsewhere(remote) = &self.texts else { return true };
        let missing = std::mem::take(&mut *self.known.missing.lock());
        self.rounds += 1;
        if missing.is_empty() || self.rounds > ROUNDS {
            return true;
        }
        let mut texts = remote.open(missing.clone()).await.into_iter();
        let mut opened = self.known.opened.lock();
        for s in missing {
            let text = texts.next().flatten();
            if let Sealed::Cipher { key_id, bytes } = s {
                opened.insert((key_id, bytes), text);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Upper;

    #[async_trait]
    impl RemoteTexts for Upper {
        async fn open(&self, sealed: Vec<Sealed>) -> Vec<Option<String>> {
            let one = |s: &Sealed| match s {
                Sealed::Cipher { bytes, .. } if bytes != b"gone" => Some(String::from_utf8_lossy(bytes).to_uppercase()),
                _ => None,
            };
            sealed.iter().map(one).collect()
        }
    }

    #[tokio::test]
    async fn a_second_run_has_what_the_first_lacked() {
        let cipher = |b: &[u8]| Sealed::Cipher { key_id: Uuid::nil(), bytes: b.to_vec() };
        let mut s = Texts::Elsewhere(Arc::new(Upper)).session();
        let run = |s: &Session| [&b"a"[..], b"gone"].map(|b| s.opener().open(&cipher(b)));
        assert_eq!(run(&s), [None, None]);
        assert!(!s.complete().await);
        assert_eq!(run(&s), [Some("A".to_owned()), None]);
        assert!(s.complete().await, "what was destroyed is not asked for again");
        assert_eq!(s.opener().open(&Sealed::Plain("p".into())).as_deref(), Some("p"));
    }
}

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

/// What became of a text that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// It is open.
    Text(String),
    /// Its key was destroyed.
    Erased,
    /// Its key can't be asked for now, or there never was one.
    NotNow,
}

/// Opens text whose keys are in another process.
#[async_trait]
pub trait RemoteTexts: Send + Sync + 'static {
    /// The texts, in order; what is lacking at the end can't be asked for now.
    async fn open(&self, sealed: Vec<Sealed>) -> Vec<Opened>;
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
    opened: Mutex<HashMap<Key, Opened>>,
    missing: Mutex<Vec<Sealed>>,
}

impl TextOpener for Known {
    fn open(&self, sealed: &Sealed) -> Option<String> {
        let (key_id, bytes) = match sealed {
            Sealed::Plain(t) => return Some(t.clone()),
            Sealed::Erased => return None,
            Sealed::Cipher { key_id, bytes } => (key_id, bytes),
        };
        match self.opened.lock().get(&(*key_id, bytes.clone())) {
            Some(Opened::Text(text)) => Some(text.clone()),
            Some(Opened::Erased | Opened::NotNow) => None,
            None => {
                self.missing.lock().push(sealed.clone());
                None
            }
        }
    }

    fn is_erased(&self, sealed: &Sealed) -> bool {
        let Sealed::Cipher { key_id, bytes } = sealed else { return *sealed == Sealed::Erased };
        self.opened.lock().get(&(*key_id, bytes.clone())) == Some(&Opened::Erased)
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
            let text = texts.next().unwrap_or(Opened::NotNow);
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
        async fn open(&self, sealed: Vec<Sealed>) -> Vec<Opened> {
            let one = |s: &Sealed| match s {
                Sealed::Cipher { bytes, .. } if bytes == b"gone" => Opened::Erased,
                Sealed::Cipher { bytes, .. } if bytes == b"late" => Opened::NotNow,
                Sealed::Cipher { bytes, .. } => Opened::Text(String::from_utf8_lossy(bytes).to_uppercase()),
                Sealed::Plain(_) | Sealed::Erased => Opened::NotNow,
            };
            sealed.iter().map(one).collect()
        }
    }

    #[tokio::test]
    async fn a_second_run_has_what_the_first_lacked() {
        let cipher = |b: &[u8]| Sealed::Cipher { key_id: Uuid::nil(), bytes: b.to_vec() };
        let mut s = Texts::Elsewhere(Arc::new(Upper)).session();
        let texts = [&b"a"[..], b"gone", b"late"].map(cipher);
        let run = |s: &Session| texts.each_ref().map(|t| s.opener().open(t));
        let erased = |s: &Session| texts.each_ref().map(|t| s.opener().is_erased(t));
        assert_eq!((run(&s), erased(&s)), ([None, None, None], [false; 3]));
        assert!(!s.complete().await);
        assert_eq!((run(&s), erased(&s)), ([Some("A".to_owned()), None, None], [false, true, false]));
        assert!(s.complete().await, "what was destroyed is not asked for again");
        assert_eq!(s.opener().open(&Sealed::Plain("p".into())).as_deref(), Some("p"));
    }
}

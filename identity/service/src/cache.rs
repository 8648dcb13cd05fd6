//! Secrets that were right a moment ago, so that eight clients of one account that connect again
//! don't cost eight argon2 runs. Holds keyed hashes under a key of this process alone, in bounded
//! memory, and forgets an account the moment its secret or its standing changes.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use lru::LruCache;
use mw_contract::AccountName;
use parking_lot::Mutex;

use crate::error::IdentityError;
use crate::secrets::random_bytes;

/// How long a secret counts as right without being hashed again.
const LIFE: Duration = Duration::from_secs(300);
/// Most accounts remembered.
const ACCOUNTS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();

struct Entry {
    tag: hmac::Tag,
    until: Instant,
}

struct Inner {
    entries: LruCache<AccountName, Entry>,
    /// Grows with every [`SuccessCache::forget`].
    epoch: u64,
}

/// The moment at which a check began; a success found since may only be remembered when nothing
/// was forgotten meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

/// Remembers which secrets were right.
pub struct SuccessCache {
    key: hmac::Key,
    inner: Mutex<Inner>,
}

impl SuccessCache {
    /// Empty, with a fresh key.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn new() -> Result<Self, IdentityError> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()?);
        Ok(SuccessCache { key, inner: Mutex::new(Inner { entries: LruCache::new(ACCOUNTS), epoch: 0 }) })
    }

    fn message(account: &AccountName, secret: &str) -> Vec<u8> {
        // An account name has no zero byte, so two pairs never make the same message.
        [account.as_str().as_bytes(), &[0], secret.as_bytes()].concat()
    }

    /// Was this the account's secret within the last minutes?
    pub fn knows(&self, account: &AccountName, secret: &str, now: Instant) -> bool {
        let message = zeroize::Zeroizing::new(Self::message(account, secret));
        let mut inner = self.inner.lock();
        match inner.entries.get(account) {
            Some(e) if e.until > now => hmac::verify(&self.key, &message, e.tag.as_ref()).is_ok(),
            _ => false,
        }
    }

    /// Ask for it before the secret is checked.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.inner.lock().epoch)
    }

    /// Remembers a success of a check that began at `began`.
    pub fn remember(&self, account: &AccountName, secret: &str, began: Epoch, now: Instant) {
        let message = zeroize::Zeroizing::new(Self::message(account, secret));
        let tag = hmac::sign(&self.key, &message);
        let mut inner = self.inner.lock();
        if inner.epoch == began.0 {
            inner.entries.put(account.clone(), Entry { tag, until: now + LIFE });
        }
    }

    /// The account's secret or standing has changed.
    pub fn forget(&self, account: &AccountName) {
        let mut inner = self.inner.lock();
        inner.epoch += 1;
        inner.entries.pop(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_known_for_a_while_and_only_as_it_was() {
        let c = SuccessCache::new().unwrap();
        let (a, b) = (AccountName::new("a").unwrap(), AccountName::new("b").unwrap());
        let now = Instant::now();
        c.remember(&a, "right", c.epoch(), now);
        assert!(c.knows(&a, "right", now));
        assert!(!c.knows(&a, "wrong", now));
        assert!(!c.knows(&b, "right", now));
        assert!(!c.knows(&a, "right", now + LIFE));
        c.forget(&a);
        assert!(!c.knows(&a, "right", now));
    }

    #[test]
    fn a_check_that_began_before_a_change_is_not_remembered() {
        let c = SuccessCache::new().unwrap();
        let a = AccountName::new("a").unwrap();
        let began = c.epoch();
        c.forget(&a);
        c.remember(&a, "old", began, Instant::now());
        assert!(!c.knows(&a, "old", Instant::now()));
    }
}

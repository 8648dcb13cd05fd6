//! Refresh tokens: 256 random bits, stored as SHA-256 only, good for one use. Using one gives the
//! next of its family. Using one a second time ends the family: either the client or a thief has
//! a copy, and it can't be told which.

use std::sync::Arc;

use aws_lc_rs::digest;
use mw_contract::AccountName;
use rusqlite::{OptionalExtension as _, params};

use crate::error::IdentityError;
use crate::secrets::{SecretStore, random_bytes};
use crate::strict::{decode_base64url, encode_base64url};
use crate::tokens::UnixSeconds;

/// How long a refresh token is good for, in seconds: 30 days.
pub const LIFE: u64 = 30 * 24 * 3600;
/// Most tokens kept of one account, used ones too; the oldest give way.
const MOST: i64 = 400;

/// What came of using a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Used {
    /// The account, and the next token.
    Renewed {
        /// Whose it is.
        account: AccountName,
        /// The next of the family.
        token: String,
    },
    /// Unknown, expired, ended, or used before.
    Refused,
}

/// The refresh tokens, in the store of the secrets. Its calls block.
pub struct RefreshStore {
    store: Arc<SecretStore>,
}

impl RefreshStore {
    /// In this store.
    pub fn new(store: Arc<SecretStore>) -> Self {
        RefreshStore { store }
    }

    /// The first token of a new family.
    ///
    /// # Errors
    /// When the store or the random source fails.
    pub fn issue(&self, account: &AccountName, now: UnixSeconds) -> Result<String, IdentityError> {
        let (token, hash) = fresh()?;
        let family = random_bytes::<16>()?;
        self.store.with_db(|db| {
            let tx = db.transaction()?;
            tx.execute("DELETE FROM refresh WHERE expires < ?1", params![seconds(now.0)])?;
            put(&tx, &hash, &family, account.as_str(), now)?;
            tx.commit()
        })?;
        Ok(token)
    }

    /// Uses a token up.
    ///
    /// # Errors
    /// When the store or the random source fails; the token is then still good.
    pub fn redeem(&self, token: &str, now: UnixSeconds) -> Result<Used, IdentityError> {
        let Some(hash) = hash_of(token) else { return Ok(Used::Refused) };
        let (next, next_hash) = fresh()?;
        let account = self.store.with_db(|db| {
            let tx = db.transaction()?;
            let row: Option<(Vec<u8>, String, i64, bool)> = tx
                .query_row(
                    "SELECT family, account, expires, used FROM refresh WHERE hash = ?1",
                    params![hash.as_slice()],
                    |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)),
                )
                .optional()?;
            let outcome = match row {
                Some((family, _, _, true)) => {
                    tx.execute("DELETE FROM refresh WHERE family = ?1", params![family])?;
                    None
                }
                Some((family, account, expires, false)) if expires > seconds(now.0) => {
                    tx.execute("UPDATE refresh SET used = 1 WHERE hash = ?1", params![hash.as_slice()])?;
                    put(&tx, &next_hash, &family, &account, now)?;
                    Some(account)
                }
                _ => None,
            };
            tx.commit()?;
            Ok(outcome)
        })?;
        Ok(match account.map(|a| AccountName::new(&a)) {
            Some(Ok(account)) => Used::Renewed { account, token: next },
            _ => Used::Refused,
        })
    }

    /// Ends all tokens of an account.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn end_all(&self, account: &AccountName) -> Result<(), IdentityError> {
        self.store
            .with_db(|db| db.execute("DELETE FROM refresh WHERE account = ?1", params![account.as_str()]).map(|_| ()))
    }
}

fn put(
    db: &rusqlite::Connection,
    hash: &[u8; 32],
    family: &[u8],
    account: &str,
    now: UnixSeconds,
) -> Result<(), rusqlite::Error> {
    db.execute(
        "INSERT INTO refresh (hash, family, account, expires) VALUES (?1, ?2, ?3, ?4)",
        params![hash.as_slice(), family, account, seconds(now.0.saturating_add(LIFE))],
    )?;
    // Used ones go first: without them a reuse is merely refused.
    db.execute(
        "DELETE FROM refresh WHERE hash IN (SELECT hash FROM refresh WHERE account = ?1
         ORDER BY used, expires DESC, hash = ?2 DESC LIMIT -1 OFFSET ?3)",
        params![account, hash.as_slice(), MOST],
    )
    .map(|_| ())
}

fn seconds(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn fresh() -> Result<(String, [u8; 32]), IdentityError> {
    let bytes = random_bytes::<32>()?;
    Ok((encode_base64url(bytes), sha256(&bytes)))
}

fn hash_of(token: &str) -> Option<[u8; 32]> {
    if token.len() != 43 {
        return None;
    }
    decode_base64url(token).map(|b| sha256(&b))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

//! Secret hashes (argon2id) in a private SQLite file beside identity's log, mode 0600.
//!
//! How a new secret becomes the secret, so that a crash at any point leaves either the old state
//! or the new one:
//! 1. Once its command is decided, [`SecretStore::stage`] hashes the secret and stores the hash
//!    durably under the account and the version that the event will have. Nobody can log in with
//!    it yet. If the event is never committed, the next one of that version stages again.
//! 2. The event is committed, or not.
//! 3. Whoever follows the log sees the event and calls [`SecretStore::apply`], which promotes the
//!    staged hash and remembers the commit in the same transaction. After a crash the log is
//!    followed again from before, so a promotion can come late but is never lost or repeated.
//!
//! What was staged by a process that died before the commit is deleted at the next start.

use std::path::Path;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params};
use aws_lc_rs::rand;
use mw_contract::{AccountName, CommitNumber, Version};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};
use zeroize::Zeroizing;

use crate::error::IdentityError;

/// Bytes of the system's random source.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut b = [0; N];
    rand::fill(&mut b).map_err(|_| IdentityError::Crypto("the random source"))?;
    Ok(b)
}

/// A new secret of 32 characters: 190 bits, and none that is easily taken for another.
///
/// # Errors
/// When the random source fails.
pub fn random_secret() -> Result<String, IdentityError> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = String::with_capacity(32);
    while out.len() < 32 {
        // Values from 248 up are thrown away: they would make some characters likelier.
        let fresh = random_bytes::<48>()?;
        out.extend(fresh.iter().filter(|b| **b < 248).map(|b| char::from(ALPHABET[usize::from(*b % 62)])));
    }
    out.truncate(32);
    Ok(out)
}

/// What hashing costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for HashCost {
    /// 19 MiB, 2 passes, 1 lane: the usual advice for argon2id of a log-in.
    fn default() -> Self {
        HashCost { memory: 19 * 1024, passes: 2 }
    }
}

/// The private store. Its calls block (disk, argon2): not for an async thread.
pub struct SecretStore {
    db: Mutex<Connection>,
    argon2: Argon2<'static>,
    /// A hash that no secret has, so that an unknown account costs what a known one does.
    decoy: String,
    /// The highest staged row of earlier processes.
    left_over: i64,
}

/// What one commit of identity's log does to secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The hash staged for this event becomes the account's. Where none was staged the account
    /// keeps what it has.
    Promote {
        /// Whose secret it is.
        account: &'a AccountName,
        /// The version of the event that sets it.
        version: Version,
    },
    /// The account's refresh tokens end.
    EndRefresh {
        /// Whose.
        account: &'a AccountName,
    },
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS secret (account TEXT PRIMARY KEY, hash TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS staged (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, version INTEGER NOT NULL,
        hash TEXT NOT NULL, UNIQUE (account, version)) STRICT;
    CREATE TABLE IF NOT EXISTS watermark (one INTEGER PRIMARY KEY CHECK (one = 1), commit_no INTEGER NOT NULL) STRICT;
    INSERT OR IGNORE INTO watermark VALUES (1, 0);
    CREATE TABLE IF NOT EXISTS refresh (
        hash BLOB PRIMARY KEY, family BLOB NOT NULL, account TEXT NOT NULL,
        expires INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS refresh_family ON refresh (family);
    CREATE INDEX IF NOT EXISTS refresh_account ON refresh (account, expires);
    CREATE INDEX IF NOT EXISTS refresh_expires ON refresh (expires);
";

impl SecretStore {
    /// Opens or makes `DIR/identity/secrets.db`.
    ///
    /// # Errors
    /// When the file can't be opened, made private, or is no store of ours.
    pub fn open(path: &Path, cost: HashCost) -> Result<Arc<Self>, IdentityError> {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(IdentityError::file(dir))?;
        }
        // Made with its mode, so that there is no moment in which others can open it; the files
        // that SQLite puts beside it take its mode.
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .and_then(|f| f.set_permissions(std::fs::Permissions::from_mode(0o600)))
            .map_err(IdentityError::file(path))?;
        let db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "secure_delete", "ON")?;
        db.pragma_update(None, "cache_size", -512)?;
        db.execute_batch(SCHEMA)?;
        let left_over = db.query_row("SELECT coalesce(max(id), 0) FROM staged", [], |r| r.get(0))?;
        let params =
            Params::new(cost.memory, cost.passes, 1, None).map_err(|_| IdentityError::Crypto("argon2 setup"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params);
        let decoy = hash(&argon2, &random_secret()?)?;
        Ok(Arc::new(SecretStore { db: Mutex::new(db), argon2, decoy, left_over }))
    }

    /// Hashes the secret that comes with an event and keeps it until the event is committed as
    /// this version of the account. `None` takes back what was staged for that version before.
    /// Costs an argon2 run and a disk sync.
    ///
    /// # Errors
    /// When hashing or storing fails: the event must then not be committed.
    pub fn stage(&self, account: &AccountName, version: Version, secret: Option<&str>) -> Result<(), IdentityError> {
        match secret {
            Some(secret) => {
                let hash = hash(&self.argon2, secret)?;
                self.db.lock().execute(
                    "INSERT OR REPLACE INTO staged (account, version, hash) VALUES (?1, ?2, ?3)",
                    params![account.as_str(), integer(version.0), hash],
                )?;
            }
            None => {
                self.db.lock().execute(
                    "DELETE FROM staged WHERE account = ?1 AND version = ?2",
                    params![account.as_str(), integer(version.0)],
                )?;
            }
        }
        Ok(())
    }

    /// Sets a secret at once, without a command: for repairs of a system at rest, and tests.
    ///
    /// # Errors
    /// When hashing or storing fails.
    pub fn set(&self, account: &AccountName, secret: &str) -> Result<(), IdentityError> {
        let hash = hash(&self.argon2, secret)?;
        self.db.lock().execute("INSERT OR REPLACE INTO secret VALUES (?1, ?2)", params![account.as_str(), hash])?;
        Ok(())
    }

    /// The last commit whose effects are in the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn applied_to(&self) -> Result<CommitNumber, IdentityError> {
        let n: i64 = self.db.lock().query_row("SELECT commit_no FROM watermark", [], |r| r.get(0))?;
        Ok(CommitNumber(u64::try_from(n).unwrap_or(0)))
    }

    /// Applies what one commit does, once: a commit at or before [`Self::applied_to`] has no
    /// effect, so replaying history changes nothing.
    ///
    /// # Errors
    /// When the store can't be written; nothing of the commit is applied then.
    pub fn apply(&self, commit: CommitNumber, effects: &[Effect<'_>]) -> Result<(), IdentityError> {
        let n = integer(commit.0);
        let mut db = self.db.lock();
        let tx = db.transaction()?;
        if tx.execute("UPDATE watermark SET commit_no = ?1 WHERE commit_no < ?1", params![n])? == 0 {
            return Ok(());
        }
        for effect in effects {
            match effect {
                Effect::Promote { account, version } => {
                    let key = params![account.as_str(), integer(version.0)];
                    tx.execute(
                        "INSERT OR REPLACE INTO secret (account, hash)
                         SELECT account, hash FROM staged WHERE account = ?1 AND version = ?2",
                        key,
                    )?;
                    tx.execute("DELETE FROM staged WHERE account = ?1 AND version = ?2", key)?;
                }
                Effect::EndRefresh { account } => {
                    tx.execute("DELETE FROM refresh WHERE account = ?1", params![account.as_str()])?;
                }
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// To be called once the log that this process found has been applied: deletes what earlier
    /// processes staged for commands that were never committed, and pulls a watermark back that
    /// is ahead of the log, which is then another log.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn settle(&self, head: CommitNumber) -> Result<(), IdentityError> {
        let n = integer(head.0);
        let db = self.db.lock();
        db.execute("DELETE FROM staged WHERE id <= ?1", params![self.left_over])?;
        if db.execute("UPDATE watermark SET commit_no = ?1 WHERE commit_no > ?1", params![n])? > 0 {
            tracing::warn!(%head, "the secret store had seen more commits than identity's log has");
        }
        Ok(())
    }

    /// Is this the account's secret? Costs an argon2 run, for an unknown account too.
    ///
    /// # Errors
    /// When the store can't be read or holds a hash that can't be.
    pub fn verify(&self, account: &str, secret: &str) -> Result<bool, IdentityError> {
        let stored: Option<String> = {
            let db = self.db.lock();
            let mut q = db.prepare_cached("SELECT hash FROM secret WHERE account = ?1")?;
            q.query_row(params![account], |r| r.get(0)).optional()?
        };
        let known = stored.is_some();
        let text = stored.unwrap_or_else(|| self.decoy.clone());
        let parsed = PasswordHash::new(&text).map_err(|_| IdentityError::Crypto("reading a stored hash"))?;
        let right = self.argon2.verify_password(secret.as_bytes(), &parsed).is_ok();
        Ok(known && right)
    }

    pub(crate) fn with_db<T>(
        &self,
        f: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, IdentityError> {
        Ok(f(&mut self.db.lock())?)
    }
}

fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn hash(argon2: &Argon2<'_>, secret: &str) -> Result<String, IdentityError> {
    let salt = Zeroizing::new(random_bytes::<16>()?);
    let hash = argon2
        .hash_password_with_salt(secret.as_bytes(), salt.as_slice())
        .map_err(|_| IdentityError::Crypto("argon2"))?;
    Ok(hash.to_string())
}

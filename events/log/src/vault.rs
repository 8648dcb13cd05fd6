//! The keys of data subjects. Text of a person is sealed under that person's key before a frame is
//! made, so destroying the key makes it unreadable without changing a byte of history.
//!
//! One file a key, `{key id}.key`, readable by its owner alone: a format byte, the 32 bytes of the
//! key, the subject. The key id is random and says nothing of the subject. `destroyed` lists the
//! ids of destroyed keys: a key that a restored backup brings back is removed again at the next
//! opening. A key is on stable storage before anything is sealed with it.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use mw_contract::Sealed;
use parking_lot::RwLock;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::LogError;
use crate::files;

const FORMAT: u8 = 1;
const KEY_LEN: usize = 32;
const DESTROYED: &str = "destroyed";

/// Why the vault can't do what it is asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VaultError {
    /// Its files.
    #[error(transparent)]
    Files(#[from] LogError),
    /// A key file that is not one.
    #[error("key file {path}: {reason}")]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The cryptographic library refused.
    #[error("sealing failed: {0}")]
    Crypto(&'static str),
}

#[derive(Default)]
struct Keys {
    of_subject: HashMap<String, Uuid>,
    by_id: HashMap<Uuid, LessSafeKey>,
}

/// The keys of one context's data subjects. Safe to share between threads.
pub struct Vault {
    dir: PathBuf,
    keys: RwLock<Keys>,
}

impl Vault {
    /// Opens the vault in `dir`, which is made when it is missing.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        files::create_dir(dir)?;
        let destroyed = destroyed(dir)?;
        let mut keys = Keys::default();
        let mut removed = false;
        for entry in fs::read_dir(dir).map_err(LogError::io("listing", dir))? {
            let path = entry.map_err(LogError::io("listing", dir))?.path();
            if path.extension().is_some_and(|e| e == "tmp") {
                // A key that was never used: its file was not complete.
                fs::remove_file(&path).map_err(LogError::io("removing", &path))?;
                continue;
            }
            if path.extension().is_none_or(|e| e != "key") {
                continue;
            }
            let id = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<Uuid>().ok());
            let id = id.ok_or(VaultError::KeyFile { path: path.clone(), reason: "its name is not a key id" })?;
            if destroyed.contains(&id) {
                fs::remove_file(&path).map_err(LogError::io("removing", &path))?;
                removed = true;
                continue;
            }
            let bytes = Zeroizing::new(fs::read(&path).map_err(LogError::io("reading", &path))?);
            let (key, subject) = read_key(&bytes)
                .ok_or(VaultError::KeyFile { path: path.clone(), reason: "it is torn or not a key file" })?;
            keys.by_id.insert(id, cipher(key)?);
            keys.of_subject.insert(subject.to_owned(), id);
        }
        if removed {
            files::sync_dir(dir)?;
        }
        Ok(Vault { dir: dir.to_owned(), keys: RwLock::new(keys) })
    }

    /// Seals plain text under the key of `subject`, which is made when there is none. What is
    /// sealed already stays as it is.
    pub fn seal(&self, subject: &str, text: &mut Sealed) -> Result<(), VaultError> {
        let Sealed::Plain(plain) = text else { return Ok(()) };
        let id = self.key_of(subject)?;
        let keys = self.keys.read();
        let key = keys.by_id.get(&id).ok_or(VaultError::Crypto("the key was destroyed meanwhile"))?;
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| VaultError::Crypto("the system gives no random bytes"))?;
        let mut body = std::mem::take(plain).into_bytes();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(id.as_bytes()), &mut body)
            .map_err(|_| VaultError::Crypto("the text is refused"))?;
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&body);
        *text = Sealed::Cipher { key_id: id, bytes };
        Ok(())
    }

    /// The text; `None` when its key was destroyed or the ciphertext was altered.
    pub fn open_text(&self, text: &Sealed) -> Option<String> {
        let (key_id, bytes) = match text {
            Sealed::Plain(t) => return Some(t.clone()),
            Sealed::Cipher { key_id, bytes } => (key_id, bytes),
        };
        let (nonce, body) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let keys = self.keys.read();
        let key = keys.by_id.get(key_id)?;
        let plain =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(key_id.as_bytes()), &mut body).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }

    /// Destroys the key of `subject`: whatever was sealed under it stays unreadable for ever, also
    /// after a backup brings the file back. `false` when there is none.
    pub fn destroy(&self, subject: &str) -> Result<bool, VaultError> {
        let mut keys = self.keys.write();
        let Some(id) = keys.of_subject.get(subject).copied() else { return Ok(false) };
        // First the note that it is gone, then the file: a crash between the two is finished at
        // the next opening.
        let list = self.dir.join(DESTROYED);
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&list)
            .and_then(|mut f| f.write_all(format!("\n{id}\n").as_bytes()).and_then(|()| f.sync_all()))
            .map_err(LogError::io("writing", &list))?;
        files::sync_dir(&self.dir)?;
        keys.of_subject.remove(subject);
        keys.by_id.remove(&id);
        let path = self.path(&id);
        // Overwriting first helps on plain disks only; elsewhere the file system decides.
        let zeros = [0u8; 1 + KEY_LEN];
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut f| f.write_all(&zeros).and_then(|()| f.sync_all()))
            .and_then(|()| fs::remove_file(&path))
            .map_err(LogError::io("destroying", &path))?;
        files::sync_dir(&self.dir)?;
        Ok(true)
    }

    fn path(&self, id: &Uuid) -> PathBuf {
        self.dir.join(format!("{id}.key"))
    }

    fn key_of(&self, subject: &str) -> Result<Uuid, VaultError> {
        if let Some(id) = self.keys.read().of_subject.get(subject) {
            return Ok(*id);
        }
        let mut keys = self.keys.write();
        if let Some(id) = keys.of_subject.get(subject) {
            return Ok(*id);
        }
        let id = Uuid::new_v4();
        let mut file = Zeroizing::new(vec![FORMAT; 1 + KEY_LEN]);
        rand::fill(&mut file[1..]).map_err(|_| VaultError::Crypto("the system gives no random bytes"))?;
        let key = cipher(&file[1..])?;
        file.extend_from_slice(subject.as_bytes());
        files::replace(&self.path(&id), &file, true)?;
        keys.by_id.insert(id, key);
        keys.of_subject.insert(subject.to_owned(), id);
        Ok(id)
    }
}

fn destroyed(dir: &Path) -> Result<Vec<Uuid>, VaultError> {
    let path = dir.join(DESTROYED);
    let Some(bytes) = files::read_if_there(&path)? else { return Ok(Vec::new()) };
    // A torn line belongs to a destruction that never removed its file; each entry starts a line of
    // its own, so it spoils no other.
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(|l| l.parse().ok()).collect())
}

fn read_key(file: &[u8]) -> Option<(&[u8], &str)> {
    let (&FORMAT, rest) = file.split_first()? else { return None };
    let (key, subject) = rest.split_at_checked(KEY_LEN)?;
    Some((key, std::str::from_utf8(subject).ok()?))
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| VaultError::Crypto("the key is refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(v: &Vault, subject: &str, text: &str) -> Sealed {
        let mut s = Sealed::Plain(text.into());
        v.seal(subject, &mut s).unwrap();
        s
    }

    fn parts(s: &Sealed) -> (Uuid, Vec<u8>) {
        match s {
            Sealed::Cipher { key_id, bytes } => (*key_id, bytes.clone()),
            Sealed::Plain(_) => panic!("not sealed"),
        }
    }

    #[test]
    fn what_is_sealed_opens_again_after_a_restart_and_shows_nothing_before() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let a = sealed(&v, "acme", "call Mrs Miller");
        let b = sealed(&v, "acme", "call Mrs Miller");
        assert_ne!(parts(&a).1, parts(&b).1, "the same text must not look the same");
        assert_eq!(parts(&a).0, parts(&b).0);
        let bytes = parts(&a).1;
        assert!(!bytes.windows(6).any(|w| w == b"Miller"));
        drop(v);
        let v = Vault::open(dir.path()).unwrap();
        assert_eq!(v.open_text(&a).as_deref(), Some("call Mrs Miller"));
        assert_eq!(parts(&sealed(&v, "acme", "x")).0, parts(&a).0, "one key a subject");
        assert_ne!(parts(&sealed(&v, "other", "x")).0, parts(&a).0);
    }

    #[test]
    fn altered_or_moved_ciphertext_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let (key_id, bytes) = parts(&sealed(&v, "acme", "text"));
        for i in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[i] ^= 1;
            assert_eq!(v.open_text(&Sealed::Cipher { key_id, bytes }), None);
        }
        let other = parts(&sealed(&v, "other", "text")).0;
        assert_eq!(v.open_text(&Sealed::Cipher { key_id: other, bytes: bytes.clone() }), None);
        assert_eq!(v.open_text(&Sealed::Cipher { key_id, bytes: bytes[..5].to_vec() }), None);
    }

    #[test]
    fn a_destroyed_key_stays_destroyed_even_when_a_backup_brings_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let old = sealed(&v, "acme", "text");
        let file = dir.path().join(format!("{}.key", parts(&old).0));
        let backup = fs::read(&file).unwrap();
        assert!(v.destroy("acme").unwrap());
        assert!(!v.destroy("acme").unwrap());
        assert_eq!(v.open_text(&old), None);
        assert!(!file.exists());
        fs::write(&file, backup).unwrap();
        let v = Vault::open(dir.path()).unwrap();
        assert_eq!(v.open_text(&old), None);
        assert!(!file.exists());
        assert_ne!(parts(&sealed(&v, "acme", "new")).0, parts(&old).0);
    }

    #[test]
    fn a_torn_key_file_is_an_error_and_file_names_say_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let id = parts(&sealed(&v, "acme", "text")).0;
        for e in fs::read_dir(dir.path()).unwrap() {
            assert!(!e.unwrap().file_name().to_string_lossy().contains("acme"));
        }
        drop(v);
        let file = dir.path().join(format!("{id}.key"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&file, [FORMAT; 9]).unwrap();
        assert!(matches!(Vault::open(dir.path()), Err(VaultError::KeyFile { .. })));
    }
}

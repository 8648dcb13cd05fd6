//! The keys of data subjects. Free text is sealed under the key of the one whose personal data it is
//! before a frame is made, so destroying the key makes it unreadable without changing a byte of
//! history.
//!
//! One file a key, `{key id}.key`, readable by its owner alone: a format byte, the 32 bytes of the
//! key, the subject. The key id is random and says nothing of the subject. A key is on stable
//! storage before anything is sealed with it.
//!
//! The list `destroyed` has the ids of destroyed keys and of the erasures that destroyed them; it
//! names no subject. A second copy of it lies outside of the vault, where a restored vault does not
//! replace it. What either copy has is gone: its key file is removed again at the next opening, and
//! an erasure that is in it is not done again, so that text of a subject who came back stays.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use mw_contract::{DataSubject, EventId, Sealed};
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
    /// More than one only where files of two vaults came together.
    of_subject: HashMap<String, Vec<Uuid>>,
    by_id: HashMap<Uuid, LessSafeKey>,
    /// Destroyed keys, and the erasures that are done.
    gone: HashSet<Uuid>,
}

/// The keys of one context's data subjects. Safe to share between threads.
pub struct Vault {
    dir: PathBuf,
    /// The list of what is gone, and its copy outside.
    lists: Vec<PathBuf>,
    keys: RwLock<Keys>,
}

impl Vault {
    /// Opens the vault in `dir`, which is made when it is missing. Its list of destroyed keys is in
    /// it alone: a vault that a backup replaces whole is protected by [`Vault::open_with_list`] only.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        Vault::with_lists(dir, vec![dir.join(DESTROYED)])
    }

    /// Opens the vault in `dir` with the copy of its list of destroyed keys in the file `list`, which
    /// lies outside of `dir` and is made with the first erasure.
    pub fn open_with_list(dir: &Path, list: &Path) -> Result<Self, VaultError> {
        Vault::with_lists(dir, vec![list.to_owned(), dir.join(DESTROYED)])
    }

    fn with_lists(dir: &Path, lists: Vec<PathBuf>) -> Result<Self, VaultError> {
        files::create_dir(dir)?;
        let mut keys = Keys { gone: one_list(&lists)?, ..Keys::default() };
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
            if keys.gone.contains(&id) {
                destroy_file(&path)?;
                removed = true;
                continue;
            }
            let bytes = Zeroizing::new(fs::read(&path).map_err(LogError::io("reading", &path))?);
            let (key, subject) = read_key(&bytes)
                .ok_or(VaultError::KeyFile { path: path.clone(), reason: "it is torn or not a key file" })?;
            keys.by_id.insert(id, cipher(key)?);
            keys.of_subject.entry(subject.to_owned()).or_default().push(id);
        }
        if removed {
            files::sync_dir(dir)?;
        }
        Ok(Vault { dir: dir.to_owned(), lists, keys: RwLock::new(keys) })
    }

    /// Seals plain text under the key of `subject`, which is made when there is none. What is
    /// sealed already stays as it is.
    pub fn seal(&self, subject: &DataSubject, text: &mut Sealed) -> Result<(), VaultError> {
        let Sealed::Plain(plain) = text else { return Ok(()) };
        let id = self.key_of(&subject.key_name())?;
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
            Sealed::Erased => return None,
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

    /// Was the key of this text destroyed?
    pub fn is_erased(&self, text: &Sealed) -> bool {
        match text {
            Sealed::Plain(_) => false,
            Sealed::Erased => true,
            Sealed::Cipher { key_id, .. } => self.keys.read().gone.contains(key_id),
        }
    }

    /// Destroys what `subject` has of keys: whatever was sealed under them stays unreadable for
    /// ever, also after a backup brings their files back. What is sealed for the subject afterwards
    /// gets a new key. `false` when this erasure was done before.
    ///
    /// # Errors
    /// When a list or a key file can't be written. Ask again: until it has succeeded nothing of the
    /// subject is opened, and nothing is sealed for it.
    pub fn erase(&self, erasure: EventId, subject: &DataSubject) -> Result<bool, VaultError> {
        let mut keys = self.keys.write();
        if keys.gone.contains(&erasure.0) {
            return Ok(false);
        }
        let name = subject.key_name();
        let ids = keys.of_subject.get(&name).cloned().unwrap_or_default();
        ids.iter().for_each(|id| drop(keys.by_id.remove(id)));
        // First the note that they are gone, then the files: a crash between the two is finished at
        // the next opening.
        let gone: BTreeSet<Uuid> = ids.iter().copied().chain([erasure.0]).collect();
        for list in &self.lists {
            note(list, &gone)?;
        }
        keys.gone.extend(&ids);
        for id in &ids {
            destroy_file(&self.path(id))?;
        }
        files::sync_dir(&self.dir)?;
        keys.of_subject.remove(&name);
        keys.gone.insert(erasure.0);
        Ok(true)
    }

    fn path(&self, id: &Uuid) -> PathBuf {
        self.dir.join(format!("{id}.key"))
    }

    fn key_of(&self, subject: &str) -> Result<Uuid, VaultError> {
        let first = |keys: &Keys| keys.of_subject.get(subject).and_then(|ids| ids.first().copied());
        if let Some(id) = first(&self.keys.read()) {
            return Ok(id);
        }
        let mut keys = self.keys.write();
        if let Some(id) = first(&keys) {
            return Ok(id);
        }
        let id = Uuid::new_v4();
        let mut file = Zeroizing::new(vec![FORMAT; 1 + KEY_LEN]);
        rand::fill(&mut file[1..]).map_err(|_| VaultError::Crypto("the system gives no random bytes"))?;
        let key = cipher(&file[1..])?;
        file.extend_from_slice(subject.as_bytes());
        files::replace(&self.path(&id), &file, true)?;
        keys.by_id.insert(id, key);
        keys.of_subject.insert(subject.to_owned(), vec![id]);
        Ok(id)
    }
}

/// What any copy of the list has; afterwards each copy has all of it.
fn one_list(lists: &[PathBuf]) -> Result<HashSet<Uuid>, VaultError> {
    let each = lists.iter().map(|l| read_list(l)).collect::<Result<Vec<_>, _>>()?;
    let all: BTreeSet<Uuid> = each.iter().flatten().copied().collect();
    for (list, has) in lists.iter().zip(&each) {
        let lacking: BTreeSet<Uuid> = all.difference(has).copied().collect();
        if !lacking.is_empty() {
            note(list, &lacking)?;
        }
    }
    Ok(all.into_iter().collect())
}

fn read_list(path: &Path) -> Result<BTreeSet<Uuid>, VaultError> {
    let Some(bytes) = files::read_if_there(path)? else { return Ok(BTreeSet::new()) };
    // A torn line belongs to an erasure that never removed a file; each entry starts a line of its
    // own, so it spoils no other.
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(|l| l.parse().ok()).collect())
}

/// Adds ids to a list, on stable storage.
fn note(list: &Path, ids: &BTreeSet<Uuid>) -> Result<(), VaultError> {
    let dir = files::parent(list);
    files::create_dir(&dir)?;
    let lines: String = std::iter::once("\n".to_owned()).chain(ids.iter().map(|id| format!("{id}\n"))).collect();
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(list)
        .and_then(|mut f| f.write_all(lines.as_bytes()).and_then(|()| f.sync_all()))
        .map_err(LogError::io("writing", list))?;
    Ok(files::sync_dir(&dir)?)
}

/// Removes a key file, if it is there. Overwriting it first helps on plain disks only; elsewhere the
/// file system decides.
fn destroy_file(path: &Path) -> Result<(), VaultError> {
    let zeros = [0u8; 1 + KEY_LEN];
    let destroyed = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut f| f.write_all(&zeros).and_then(|()| f.sync_all()))
        .and_then(|()| fs::remove_file(path));
    match destroyed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(LogError::io("destroying", path)(e).into()),
        _ => Ok(()),
    }
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

    fn customer(code: &str) -> DataSubject {
        DataSubject::Customer(code.parse().unwrap())
    }

    fn account(name: &str) -> DataSubject {
        DataSubject::Account(name.parse().unwrap())
    }

    fn erasure() -> EventId {
        EventId(Uuid::now_v7())
    }

    fn sealed(v: &Vault, subject: &str, text: &str) -> Sealed {
        sealed_for(v, &customer(subject), text)
    }

    fn sealed_for(v: &Vault, subject: &DataSubject, text: &str) -> Sealed {
        let mut s = Sealed::Plain(text.into());
        v.seal(subject, &mut s).unwrap();
        s
    }

    /// A copy of everything in a directory, as a backup has it.
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for e in fs::read_dir(from).unwrap() {
            let path = e.unwrap().path();
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }

    fn parts(s: &Sealed) -> (Uuid, Vec<u8>) {
        match s {
            Sealed::Cipher { key_id, bytes } => (*key_id, bytes.clone()),
            other => panic!("not sealed: {other:?}"),
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
    fn a_destroyed_key_stays_destroyed_even_when_a_backup_brings_its_file_back() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let (old, other) = (sealed(&v, "acme", "text"), sealed(&v, "other", "text"));
        let file = dir.path().join(format!("{}.key", parts(&old).0));
        let backup = fs::read(&file).unwrap();
        assert!(!v.is_erased(&old));
        let erased = erasure();
        assert!(v.erase(erased, &customer("acme")).unwrap());
        assert!(!v.erase(erased, &customer("acme")).unwrap(), "an erasure is done once");
        assert_eq!((v.open_text(&old), v.is_erased(&old)), (None, true));
        assert_eq!((v.open_text(&other).as_deref(), v.is_erased(&other)), (Some("text"), false));
        assert!(!file.exists());
        fs::write(&file, backup).unwrap();
        let v = Vault::open(dir.path()).unwrap();
        assert_eq!((v.open_text(&old), v.is_erased(&old)), (None, true));
        assert!(!file.exists());
        assert_ne!(parts(&sealed(&v, "acme", "new")).0, parts(&old).0);
    }

    #[test]
    fn a_vault_that_a_backup_replaces_whole_gives_nothing_back() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let open = || Vault::open_with_list(&at("vault"), &at("erased/production")).unwrap();
        let v = open();
        assert!(!at("erased").exists(), "nothing was erased yet");
        let old = sealed(&v, "acme", "text");
        copy(&at("vault"), &at("backup"));
        v.erase(erasure(), &customer("acme")).unwrap();
        drop(v);
        fs::remove_dir_all(at("vault")).unwrap();
        fs::rename(at("backup"), at("vault")).unwrap();
        let v = open();
        assert_eq!((v.open_text(&old), v.is_erased(&old)), (None, true));
        drop(v);
        // The vault heals its own list from the copy, and the copy from the vault's list.
        fs::remove_dir_all(at("erased")).unwrap();
        let v = open();
        assert!(v.is_erased(&old) && at("erased/production").exists());
        for list in ["vault/destroyed", "erased/production"] {
            assert!(!fs::read_to_string(at(list)).unwrap().contains("acme"), "{list} names a subject");
        }
    }

    #[test]
    fn without_any_list_the_erasure_is_done_again_on_what_a_backup_brought_back() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let v = Vault::open(&at("vault")).unwrap();
        let old = sealed(&v, "acme", "text");
        copy(&at("vault"), &at("elsewhere"));
        let erased = erasure();
        v.erase(erased, &customer("acme")).unwrap();
        let v = Vault::open(&at("elsewhere")).unwrap();
        assert_eq!(v.open_text(&old).as_deref(), Some("text"));
        // What identity's log tells again at the start.
        assert!(v.erase(erased, &customer("acme")).unwrap());
        assert_eq!((v.open_text(&old), v.is_erased(&old)), (None, true));
    }

    #[test]
    fn whoever_comes_back_after_an_erasure_has_a_new_key_that_no_restart_destroys() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let (first, second) = (erasure(), erasure());
        // Before there is any key, too.
        v.erase(first, &customer("acme")).unwrap();
        let new = sealed(&v, "acme", "back again");
        for v in [v, Vault::open(dir.path()).unwrap()] {
            assert!(!v.erase(first, &customer("acme")).unwrap());
            assert_eq!(v.open_text(&new).as_deref(), Some("back again"));
        }
        let v = Vault::open(dir.path()).unwrap();
        assert!(v.erase(second, &customer("acme")).unwrap());
        assert_eq!((v.open_text(&new), v.is_erased(&new)), (None, true));
    }

    #[test]
    fn a_crash_after_the_note_is_finished_at_the_next_opening() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let old = sealed(&v, "acme", "text");
        let file = dir.path().join(format!("{}.key", parts(&old).0));
        let erased = erasure();
        note(&dir.path().join(DESTROYED), &[parts(&old).0, erased.0].into()).unwrap();
        drop(v);
        assert!(file.exists());
        let v = Vault::open(dir.path()).unwrap();
        assert!(!file.exists() && v.is_erased(&old));
        let new = sealed(&v, "acme", "new");
        assert!(!v.erase(erased, &customer("acme")).unwrap());
        assert_eq!(v.open_text(&new).as_deref(), Some("new"));
    }

    #[test]
    fn an_erasure_that_cannot_be_noted_leaves_nothing_readable_and_succeeds_later() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("erased/production");
        let v = Vault::open_with_list(&dir.path().join("vault"), &list).unwrap();
        let old = sealed(&v, "acme", "text");
        // A directory stands where the list belongs.
        fs::create_dir_all(&list).unwrap();
        let erased = erasure();
        assert!(v.erase(erased, &customer("acme")).is_err());
        assert_eq!(v.open_text(&old), None);
        assert!(v.seal(&customer("acme"), &mut Sealed::Plain("new".into())).is_err());
        fs::remove_dir(&list).unwrap();
        assert!(v.erase(erased, &customer("acme")).unwrap());
        assert!(v.is_erased(&old));
        sealed(&v, "acme", "new");
    }

    #[test]
    fn a_customer_and_an_account_of_one_name_are_erased_each_alone() {
        let dir = tempfile::tempdir().unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let of_customer = sealed_for(&v, &customer("acme"), "theirs");
        let of_account = sealed_for(&v, &account("acme"), "mine");
        v.erase(erasure(), &account("acme")).unwrap();
        assert_eq!(v.open_text(&of_customer).as_deref(), Some("theirs"));
        assert_eq!(v.open_text(&of_account), None);
    }

    #[test]
    fn a_key_file_made_under_the_name_of_an_account_is_that_accounts() {
        let dir = tempfile::tempdir().unwrap();
        let id = Uuid::new_v4();
        let mut file = vec![FORMAT];
        file.extend([7u8; KEY_LEN]);
        file.extend(b"planner-1");
        fs::write(dir.path().join(format!("{id}.key")), file).unwrap();
        let v = Vault::open(dir.path()).unwrap();
        let text = sealed_for(&v, &account("planner-1"), "text");
        assert_eq!(parts(&text).0, id);
        v.erase(erasure(), &account("planner-1")).unwrap();
        assert!(v.is_erased(&text));
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

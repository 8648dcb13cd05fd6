//! The signed head of a log: a C2SP tlog-checkpoint in a C2SP signed note, Ed25519.
//!
//! ```text
//! millwright/production
//! 1741
//! (root, base64)
//!
//! — millwright (key hash and signature, base64)
//! ```
//! One key signs the checkpoints of all contexts of a service; the first line says which log it
//! is. The private key stays in its file and in this module.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as B64;
use mw_contract::Context;
use zeroize::Zeroizing;

use crate::error::LogError;
use crate::files;
use crate::merkle::Hash;

/// The name of the key in signed notes.
const KEY_NAME: &str = "millwright";
/// "Ed25519" in signed notes.
const ALGORITHM: u8 = 1;
/// No checkpoint is longer; more is not read.
const MAX_NOTE: usize = 16 * 1024;

/// Why a text is not a checkpoint, or not one to trust.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCheckpoint {
    /// Not in the form of a checkpoint.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// Of another log.
    #[error("it is of log {found}, not {expected}")]
    Origin {
        /// What its first line says.
        found: String,
        /// What was wanted.
        expected: String,
    },
    /// No signature of the key.
    #[error("it bears no signature of key {0}")]
    Unsigned(String),
    /// A signature of the key that does not hold.
    #[error("its signature does not hold: it was altered or signed with another key")]
    Signature,
}

/// A statement that a log has `size` commits under the Merkle root `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log, `millwright/{context}`.
    pub origin: String,
    /// How many commits.
    pub size: u64,
    /// The root over their frames.
    pub root: Hash,
}

impl Checkpoint {
    /// The origin line of a context's log.
    pub fn origin_of(context: Context) -> String {
        format!("millwright/{context}")
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, B64.encode(self.root))
    }

    /// Reads the statement of a note without checking who signed it.
    pub fn parse(note: &str) -> Result<Self, BadCheckpoint> {
        if note.len() > MAX_NOTE {
            return Err(BadCheckpoint::Form("it is too long"));
        }
        let (text, _) = note.split_once("\n\n").ok_or(BadCheckpoint::Form("no empty line before the signatures"))?;
        let mut lines = text.lines();
        let origin = lines.next().filter(|o| !o.is_empty()).ok_or(BadCheckpoint::Form("no origin line"))?;
        let digits = lines.next().ok_or(BadCheckpoint::Form("no size line"))?;
        let size: u64 = digits.parse().map_err(|_| BadCheckpoint::Form("the size is not a number"))?;
        if size.to_string() != digits {
            return Err(BadCheckpoint::Form("the size is not in its plain form"));
        }
        let root = lines.next().ok_or(BadCheckpoint::Form("no root line"))?;
        let root = B64.decode(root).ok().and_then(|r| Hash::try_from(r).ok());
        let root = root.ok_or(BadCheckpoint::Form("the root is not 32 bytes of base64"))?;
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }
}

/// The public half: checks checkpoints. Its text is the `name+hash+key` of signed notes.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: [u8; 32],
}

impl VerifyingKey {
    fn id(&self) -> [u8; 4] {
        let mut b = self.name.clone().into_bytes();
        b.extend_from_slice(&[b'\n', ALGORITHM]);
        b.extend_from_slice(&self.key);
        let h = digest(&SHA256, &b);
        let mut id = [0; 4];
        id.copy_from_slice(&h.as_ref()[..4]);
        id
    }

    /// Reads `name+hash+key`.
    pub fn parse(text: &str) -> Result<Self, BadCheckpoint> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadCheckpoint::Form("a key is written as name+hash+key"));
        };
        let bytes = B64.decode(key).map_err(|_| BadCheckpoint::Form("the key is not base64"))?;
        let Some((&ALGORITHM, Ok(key))) = bytes.split_first().map(|(a, k)| (a, <[u8; 32]>::try_from(k))) else {
            return Err(BadCheckpoint::Form("the key is not an Ed25519 key"));
        };
        let k = VerifyingKey { name: name.to_owned(), key };
        if hex(&k.id()) != id {
            return Err(BadCheckpoint::Form("the key does not match its hash"));
        }
        Ok(k)
    }

    /// Reads a public key file, such as the `.pub` beside a private one.
    pub fn load(path: &Path) -> Result<Self, LogError> {
        let text = std::fs::read_to_string(path).map_err(LogError::io("reading", path))?;
        VerifyingKey::parse(&text).map_err(|e| trouble(path, e))
    }

    /// Reads a note and checks that this key signed it and that it is of `context`'s log.
    pub fn verify(&self, note: &str, context: Context) -> Result<Checkpoint, BadCheckpoint> {
        let c = Checkpoint::parse(note)?;
        let expected = Checkpoint::origin_of(context);
        if c.origin != expected {
            return Err(BadCheckpoint::Origin { found: c.origin, expected });
        }
        let at = note.find("\n\n").ok_or(BadCheckpoint::Form("no empty line before the signatures"))?;
        let (text, signatures) = (&note[..at + 1], &note[at + 2..]);
        for line in signatures.lines() {
            let Some((name, sig)) = line.strip_prefix("— ").and_then(|l| l.split_once(' ')) else {
                return Err(BadCheckpoint::Form("a signature line is not one"));
            };
            let Ok(sig) = B64.decode(sig) else {
                return Err(BadCheckpoint::Form("a signature is not base64"));
            };
            // Others may have signed too: a witness's line is not ours to judge.
            if name == self.name && sig.get(..4) == Some(&self.id()[..]) {
                return match UnparsedPublicKey::new(&ED25519, self.key).verify(text.as_bytes(), &sig[4..]) {
                    Ok(()) => Ok(c),
                    Err(_) => Err(BadCheckpoint::Signature),
                };
            }
        }
        Err(BadCheckpoint::Unsigned(self.to_string()))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut b = vec![ALGORITHM];
        b.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), B64.encode(b))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// The key that signs checkpoints.
pub struct CheckpointKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl CheckpointKey {
    /// Reads the key at `path`, or makes one: the private file readable by its owner alone, the
    /// public key beside it with the extension `.pub`; both synced before this returns.
    pub fn load_or_create(path: &Path) -> Result<Self, LogError> {
        let key = match files::read_if_there(path)? {
            Some(text) => {
                let text = Zeroizing::new(text);
                let seed = read_private(&text).ok_or_else(|| trouble(path, "not a private key of a signed note"))?;
                CheckpointKey::from_seed(&seed).map_err(|e| trouble(path, e))?
            }
            None => {
                let mut seed = Zeroizing::new([0u8; 32]);
                rand::fill(&mut *seed).map_err(|_| trouble(path, "the system gives no random bytes"))?;
                let key = CheckpointKey::from_seed(&seed).map_err(|e| trouble(path, e))?;
                let mut b = Zeroizing::new(vec![ALGORITHM]);
                b.extend_from_slice(&*seed);
                let text =
                    Zeroizing::new(format!("PRIVATE+KEY+{KEY_NAME}+{}+{}\n", hex(&key.public.id()), B64.encode(&*b)));
                files::create_dir(&files::parent(path))?;
                files::replace(path, text.as_bytes(), true)?;
                key
            }
        };
        let public = path.with_extension("pub");
        let text = format!("{}\n", key.public);
        if files::read_if_there(&public)?.as_deref() != Some(text.as_bytes()) {
            files::replace(&public, text.as_bytes(), false)?;
        }
        Ok(key)
    }

    fn from_seed(seed: &[u8; 32]) -> Result<Self, &'static str> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| "the key is refused")?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| "the key has a wrong length")?;
        Ok(CheckpointKey { pair, public: VerifyingKey { name: KEY_NAME.to_owned(), key } })
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs that `context`'s log has `size` commits under `root`: the whole note.
    pub fn sign(&self, context: Context, size: u64, root: &Hash) -> String {
        let text = Checkpoint { origin: Checkpoint::origin_of(context), size, root: *root }.text();
        let mut sig = self.public.id().to_vec();
        sig.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n— {KEY_NAME} {}\n", B64.encode(sig))
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointKey({})", self.public)
    }
}

fn read_private(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let key = text.strip_prefix("PRIVATE+KEY+")?.splitn(3, '+').nth(2)?;
    let bytes = Zeroizing::new(B64.decode(key).ok()?);
    match bytes.split_first()? {
        (&ALGORITHM, seed) => seed.try_into().ok().map(Zeroizing::new),
        _ => None,
    }
}

fn trouble(path: &Path, reason: impl fmt::Display) -> LogError {
    LogError::Checkpoint { path: PathBuf::from(path), reason: reason.to_string() }
}

fn hex(b: &[u8]) -> String {
    b.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads a checkpoint file and checks its signature; `None` when there is none yet.
pub fn read(path: &Path, key: &VerifyingKey, context: Context) -> Result<Option<Checkpoint>, LogError> {
    let Some(bytes) = files::read_if_there(path)? else { return Ok(None) };
    let note = String::from_utf8(bytes).map_err(|_| trouble(path, "it is not text"))?;
    key.verify(&note, context).map(Some).map_err(|e| trouble(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> CheckpointKey {
        CheckpointKey::from_seed(&[7; 32]).unwrap()
    }

    #[test]
    fn a_note_reads_back_and_any_change_is_noticed() {
        let k = key();
        let note = k.sign(Context::Production, 1741, &[9; 32]);
        let c = k.public().verify(&note, Context::Production).unwrap();
        assert_eq!((c.size, c.root), (1741, [9; 32]));
        assert!(matches!(k.public().verify(&note, Context::Identity), Err(BadCheckpoint::Origin { .. })));
        for i in 0..note.len() {
            let mut b = note.clone().into_bytes();
            b[i] ^= 1;
            if let Ok(changed) = String::from_utf8(b) {
                let r = k.public().verify(&changed, Context::Production);
                // The last line break carries nothing.
                assert!(r.is_err() || i == note.len() - 1, "byte {i} changed unnoticed");
            }
        }
        let other = CheckpointKey::from_seed(&[8; 32]).unwrap();
        assert!(matches!(other.public().verify(&note, Context::Production), Err(BadCheckpoint::Unsigned(_))));
    }

    #[test]
    fn the_note_has_the_form_of_c2sp() {
        let k = key();
        let note = k.sign(Context::AfterService, 3, &[0; 32]);
        let lines: Vec<&str> = note.split('\n').collect();
        assert_eq!(lines[..4], ["millwright/after-service", "3", &B64.encode([0; 32]), ""]);
        assert!(lines[4].starts_with("— millwright "));
        assert_eq!(B64.decode(lines[4].rsplit(' ').next().unwrap()).unwrap().len(), 4 + 64);
        assert_eq!(lines[5..], [""]);
    }

    #[test]
    fn a_key_is_made_once_and_its_public_half_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/checkpoint.key");
        let a = CheckpointKey::load_or_create(&path).unwrap();
        let b = CheckpointKey::load_or_create(&path).unwrap();
        assert_eq!(a.public(), b.public());
        assert_eq!(&VerifyingKey::load(&dir.path().join("keys/checkpoint.pub")).unwrap(), a.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(CheckpointKey::load_or_create(&path), Err(LogError::Checkpoint { .. })));
    }

    #[test]
    fn odd_notes_are_errors() {
        let k = key();
        for bad in ["", "\n\n", "a\n\n", "a\n1\n\n", "a\n01\nAAAA\n\n", "millwright/production\n1\nAA==\n\n— x y\n"] {
            assert!(k.public().verify(bad, Context::Production).is_err(), "{bad:?}");
        }
    }
}

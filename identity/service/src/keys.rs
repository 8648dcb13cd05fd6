//! The Ed25519 keys that sign tokens. Owns `DIR/keys/token-*.json`, one private JWK a file, mode
//! 0600. A private key never leaves this module.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::IdentityError;
use crate::jwk::{JwkSet, PublicKey};
use crate::secrets::random_bytes;
use crate::strict::{decode_base64url, encode_base64url, read_object};
use crate::tokens::UnixSeconds;

/// How long a key that signs no more still verifies: the life of a device's token, and an hour.
pub const OVERLAP: u64 = 25 * 3600;

#[derive(Clone)]
struct SigningKey {
    kid: String,
    created: UnixSeconds,
    /// When it stopped signing; `None` for the one that signs.
    retired: Option<UnixSeconds>,
    seed: Arc<Zeroizing<[u8; 32]>>,
    pair: Arc<Ed25519KeyPair>,
    signer: EncodingKey,
    path: PathBuf,
}

struct Keys {
    /// The last one signs.
    all: Vec<Arc<SigningKey>>,
    public: Arc<JwkSet>,
}

/// The keys of this product's tokens: one signs, the others still verify.
pub struct KeyRing {
    dir: PathBuf,
    keys: ArcSwap<Keys>,
    rotating: parking_lot::Mutex<()>,
}

impl KeyRing {
    /// Reads the keys in `dir` (`DIR/keys`), and makes the first one where there is none.
    ///
    /// # Errors
    /// When a file can't be read or written, is no key, or is open to others than its owner.
    pub fn open(dir: &Path, now: UnixSeconds) -> Result<Self, IdentityError> {
        std::fs::create_dir_all(dir).map_err(IdentityError::file(dir))?;
        let mut all = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(IdentityError::file(dir))? {
            let path = entry.map_err(IdentityError::file(dir))?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if name.starts_with("token-") && name.ends_with(".json") {
                all.push(Arc::new(load(&path)?));
            }
        }
        all.sort_by(|a, b| (a.retired.is_none(), a.created, &a.kid).cmp(&(b.retired.is_none(), b.created, &b.kid)));
        let ring = KeyRing {
            dir: dir.to_owned(),
            keys: ArcSwap::from_pointee(Keys::new(all)),
            rotating: parking_lot::Mutex::new(()),
        };
        if ring.keys.load().all.last().is_none_or(|k| k.retired.is_some()) {
            ring.rotate(now)?;
        }
        Ok(ring)
    }

    /// Makes a new key, which signs from now on. The old ones verify for [`OVERLAP`] and are then
    /// deleted by a later rotation.
    ///
    /// # Errors
    /// When a file can't be written; the ring then stays as it was.
    pub fn rotate(&self, now: UnixSeconds) -> Result<String, IdentityError> {
        let _one_at_a_time = self.rotating.lock();
        let fresh = Arc::new(make(&self.dir, now)?);
        save(&fresh)?;
        let mut all = Vec::new();
        for key in &self.keys.load().all {
            match key.retired {
                Some(at) if at.0.saturating_add(OVERLAP) < now.0 => {
                    std::fs::remove_file(&key.path).map_err(IdentityError::file(&key.path))?;
                }
                Some(_) => all.push(key.clone()),
                None => {
                    let old = SigningKey { retired: Some(now), ..SigningKey::clone(key) };
                    save(&old)?;
                    all.push(Arc::new(old));
                }
            }
        }
        let kid = fresh.kid.clone();
        all.push(fresh);
        self.keys.store(Arc::new(Keys::new(all)));
        Ok(kid)
    }

    /// The public halves, for verifiers and `/.well-known/jwks.json`.
    pub fn public(&self) -> Arc<JwkSet> {
        self.keys.load().public.clone()
    }

    /// Signs with the current key: what `message` makes of that key's id, and the signature of it,
    /// base64url.
    pub(crate) fn sign(&self, message: impl FnOnce(&str) -> String) -> Result<(String, String), IdentityError> {
        let keys = self.keys.load();
        let key = keys.all.last().ok_or(IdentityError::Crypto("finding a signing key"))?;
        let message = message(&key.kid);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.signer, Algorithm::EdDSA)
            .map_err(|_| IdentityError::Crypto("signing"))?;
        Ok((message, signature))
    }
}

impl Keys {
    fn new(all: Vec<Arc<SigningKey>>) -> Self {
        let public = all.iter().filter_map(|k| {
            let x: [u8; 32] = k.pair.public_key().as_ref().try_into().ok()?;
            Some(PublicKey::ed25519(k.kid.clone(), x))
        });
        let public = Arc::new(JwkSet::new(public));
        Keys { all, public }
    }
}

fn make(dir: &Path, now: UnixSeconds) -> Result<SigningKey, IdentityError> {
    let seed = Zeroizing::new(random_bytes::<32>()?);
    let kid = encode_base64url(random_bytes::<9>()?);
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
        .map_err(|_| IdentityError::Crypto("making a signing key"))?;
    let path = dir.join(format!("token-{kid}.json"));
    let signer = signer(&pair)?;
    Ok(SigningKey { kid, created: now, retired: None, seed: Arc::new(seed), pair: Arc::new(pair), signer, path })
}

fn save(key: &SigningKey) -> Result<(), IdentityError> {
    let document = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": key.kid, "created": key.created.0,
        "retired": key.retired.map(|t| t.0),
        "x": encode_base64url(key.pair.public_key()), "d": encode_base64url(key.seed.as_slice()),
    });
    write_private(&key.path, Zeroizing::new(document.to_string()).as_bytes())
}

fn load(path: &Path) -> Result<SigningKey, IdentityError> {
    let bad = |reason: &str| IdentityError::Content { path: path.to_owned(), reason: reason.to_owned() };
    let mode = std::fs::metadata(path).map_err(IdentityError::file(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(bad("a private key must be readable by its owner only (chmod 600)"));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(IdentityError::file(path))?);
    let map = read_object(&bytes).ok_or_else(|| bad("not a JSON object"))?;
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let kid = text("kid").filter(|k| !k.is_empty()).ok_or_else(|| bad("no kid"))?.to_owned();
    let created = map.get("created").and_then(Value::as_u64).map(UnixSeconds).ok_or_else(|| bad("no created"))?;
    let retired = map.get("retired").and_then(Value::as_u64).map(UnixSeconds);
    let part = |name| text(name).and_then(decode_base64url).map(Zeroizing::new);
    let (seed, public) = part("d").zip(part("x")).ok_or_else(|| bad("no d or no x"))?;
    // Checks that both halves belong together, so a damaged file is noticed here.
    let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public).map_err(|_| bad("d and x are no key pair"))?;
    let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice()).map_err(|_| bad("d is not 32 bytes"))?);
    let signer = signer(&pair)?;
    Ok(SigningKey { kid, created, retired, seed: Arc::new(seed), pair: Arc::new(pair), signer, path: path.to_owned() })
}

/// The pair in the form that makes tokens.
fn signer(pair: &Ed25519KeyPair) -> Result<EncodingKey, IdentityError> {
    let der = pair.to_pkcs8v1().map_err(|_| IdentityError::Crypto("encoding a signing key"))?;
    Ok(EncodingKey::from_ed_der(der.as_ref()))
}

/// Writes a file that only its owner may read, whole or not at all, and on stable storage.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("new");
    let written = (|| {
        let mut f = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        f.write_all(bytes)?;
        f.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(dir)?.sync_all()
    })();
    written.map_err(IdentityError::file(path))
}

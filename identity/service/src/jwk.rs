//! Public keys that verify tokens. The algorithm belongs to the key: it is fixed when the key is
//! read and never taken from a token.

use std::collections::HashMap;
use std::path::Path;

use jsonwebtoken::{Algorithm, DecodingKey};
use mw_contract::Role;
use serde_json::{Map, Value, json};

use crate::error::IdentityError;
use crate::strict::{decode_base64url, encode_base64url, read_object};

/// Most keys of one set.
const MAX_KEYS: usize = 64;

/// What a key can verify, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Ed25519([u8; 32]),
    P256(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// One public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kid: String,
    material: Material,
}

impl PublicKey {
    /// An Ed25519 key.
    pub fn ed25519(kid: impl Into<String>, public: [u8; 32]) -> Self {
        PublicKey { kid: kid.into(), material: Material::Ed25519(public) }
    }

    /// Its id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm that it verifies.
    pub fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Ed25519(_) => "EdDSA",
            Material::P256(_) => "ES256",
            Material::Rsa { .. } => "RS256",
        }
    }

    /// Is `signature` (base64url) this key's signature of `message`? The algorithm is the key's.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let (key, algorithm) = match &self.material {
            Material::Ed25519(x) => (DecodingKey::from_ed_der(x), Algorithm::EdDSA),
            Material::P256(p) => (DecodingKey::from_ec_der(p), Algorithm::ES256),
            Material::Rsa { n, e } => (DecodingKey::from_rsa_raw_components(n, e), Algorithm::RS256),
        };
        jsonwebtoken::crypto::verify(signature, message, &key, algorithm).unwrap_or(false)
    }

    fn to_json(&self) -> Value {
        let (kid, alg) = (&self.kid, self.algorithm());
        match &self.material {
            Material::Ed25519(x) => json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": alg, "kid": kid,
                "x": encode_base64url(x)}),
            Material::P256(p) => json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": alg, "kid": kid,
                "x": encode_base64url(&p[1..33]), "y": encode_base64url(&p[33..])}),
            Material::Rsa { n, e } => json!({"kty": "RSA", "use": "sig", "alg": alg, "kid": kid,
                "n": encode_base64url(n), "e": encode_base64url(e)}),
        }
    }

    /// Reads one member of a key set. `Ok(None)` is a key that is not for verifying tokens.
    fn from_json(jwk: &Map<String, Value>) -> Result<Option<Self>, String> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|u| u != "sig") {
            return Ok(None);
        }
        let bytes = |name: &str| {
            text(name).and_then(decode_base64url).ok_or_else(|| format!("member {name:?} is missing or not base64url"))
        };
        let material = match (text("kty"), text("crv")) {
            (Some("OKP"), Some("Ed25519")) => {
                Material::Ed25519(bytes("x")?.try_into().map_err(|_| "member \"x\" is not 32 bytes".to_owned())?)
            }
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err("members \"x\" and \"y\" are not 32 bytes each".to_owned());
                }
                Material::P256([&[4][..], &x, &y].concat())
            }
            (Some("RSA"), _) => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                if n.len() < 256 {
                    return Err("an RSA key needs 2048 bits at least".to_owned());
                }
                Material::Rsa { n, e }
            }
            // Shared secrets least of all: whoever can verify with one can sign with it.
            _ => return Ok(None),
        };
        let kid = text("kid").filter(|k| !k.is_empty()).ok_or("a key has no kid")?.to_owned();
        let key = PublicKey { kid, material };
        match text("alg") {
            Some(alg) if alg != key.algorithm() => Ok(None),
            _ => Ok(Some(key)),
        }
    }
}

/// Keys by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet {
    keys: HashMap<String, PublicKey>,
}

impl JwkSet {
    /// These keys; of two with one id the later wins.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        JwkSet { keys: keys.into_iter().map(|k| (k.kid.clone(), k)).collect() }
    }

    /// The key of this id.
    pub fn get(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.get(kid)
    }

    /// Is there no key?
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The document of `/.well-known/jwks.json`.
    pub fn to_json(&self) -> Value {
        let mut keys: Vec<&PublicKey> = self.keys.values().collect();
        keys.sort_by(|a, b| a.kid.cmp(&b.kid));
        json!({"keys": keys.into_iter().map(PublicKey::to_json).collect::<Vec<_>>()})
    }

    /// Reads such a document. Keys for other uses are left out.
    ///
    /// # Errors
    /// When it is none, when a key for verifying is malformed or has no `kid`, when an id stands
    /// twice, or when no key is left.
    pub fn from_json(bytes: &[u8]) -> Result<Self, IdentityError> {
        let bad = |reason: String| IdentityError::Keys(reason);
        let map = read_object(bytes).ok_or_else(|| bad("not a JSON object without duplicates".to_owned()))?;
        let members = map.get("keys").and_then(Value::as_array).ok_or_else(|| bad("no member \"keys\"".to_owned()))?;
        if members.len() > MAX_KEYS {
            return Err(bad(format!("more than {MAX_KEYS} keys")));
        }
        let mut keys = HashMap::new();
        for (i, member) in members.iter().enumerate() {
            let jwk = member.as_object().ok_or_else(|| bad(format!("keys[{i}] is not an object")))?;
            if let Some(key) = PublicKey::from_json(jwk).map_err(|e| bad(format!("keys[{i}]: {e}")))?
                && let Some(twice) = keys.insert(key.kid.clone(), key)
            {
                return Err(bad(format!("kid {:?} stands twice", twice.kid)));
            }
        }
        if keys.is_empty() {
            return Err(bad("no key in it verifies EdDSA, ES256 or RS256".to_owned()));
        }
        Ok(JwkSet { keys })
    }
}

/// An issuer besides this product whose tokens are taken. They count only as far as the local
/// account of their `sub` has the same roles and sites.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// The exact `iss` of its tokens.
    pub issuer: String,
    /// Its keys.
    pub keys: JwkSet,
    /// What its role names mean here; names that are not in it stand for themselves.
    pub roles: HashMap<String, Role>,
}

impl TrustedIssuer {
    /// Reads the issuer's keys from a file.
    ///
    /// # Errors
    /// When the file can't be read or is no key set.
    pub fn from_file(
        issuer: impl Into<String>,
        path: &Path,
        roles: HashMap<String, Role>,
    ) -> Result<Self, IdentityError> {
        let bytes = std::fs::read(path).map_err(IdentityError::file(path))?;
        let keys = JwkSet::from_json(&bytes)
            .map_err(|e| IdentityError::Content { path: path.to_owned(), reason: e.to_string() })?;
        Ok(TrustedIssuer { issuer: issuer.into(), keys, roles })
    }
}

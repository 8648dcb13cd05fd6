//! Making and checking tokens: JWTs, compact form, of this product or of a trusted issuer.
//!
//! A token is checked in this order: its form, its header, its issuer, its key, its signature,
//! and only then its claims. The header is believed in one thing: which of the issuer's keys to
//! try. Any member of a header that could bring a key, an algorithm or a meaning of its own is
//! refused, known or not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use mw_contract::{AccountName, CellId, CustomerId, Role, SiteId};
use mw_policy::Account;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::IdentityError;
use crate::jwk::{JwkSet, TrustedIssuer};
use crate::keys::KeyRing;
use crate::strict::{decode_base64url, encode_base64url, read_object};

/// Seconds since 1970, real time: tokens never follow the demo's clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The machine's clock.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixSeconds(since.map(|d| d.as_secs()).unwrap_or(0))
    }
}

/// `iss` of this product's tokens.
pub const ISSUER: &str = "millwright";
/// `aud` that every token must have.
pub const AUDIENCE: &str = "millwright";
/// Life of a person's token, seconds.
pub const PERSON_LIFE: u64 = 15 * 60;
/// Life of a device's token, seconds.
pub const DEVICE_LIFE: u64 = 24 * 3600;
/// How far clocks may differ, seconds.
pub const LEEWAY: u64 = 60;
/// The longest token that is looked at, bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// 9999-12-31T23:59:59Z: times beyond are nonsense.
const LAST: u64 = 253_402_300_799;

/// Why a token is refused. For logs; a client hears only that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three segments of canonical base64url with JSON objects.
    #[error("malformed token")]
    Malformed,
    /// A header member that is not taken, or the wrong `typ`.
    #[error("token header is not acceptable")]
    Header,
    /// An issuer that is not trusted.
    #[error("unknown token issuer")]
    Issuer,
    /// The issuer has no such key.
    #[error("unknown token key")]
    Key,
    /// Not the algorithm of the key.
    #[error("token algorithm is not its key's")]
    Algorithm,
    /// The signature is wrong.
    #[error("wrong token signature")]
    Signature,
    /// Meant for somebody else.
    #[error("wrong token audience")]
    Audience,
    /// A claim is missing or of the wrong form.
    #[error("malformed token claim {0}")]
    Claim(&'static str),
    /// Its time is over.
    #[error("expired token")]
    Expired,
    /// Its time has not come.
    #[error("token is not valid yet")]
    NotYetValid,
    /// No such account here, or its customer or cell is another.
    #[error("no account fits the token")]
    Account,
    /// The account is disabled.
    #[error("the account is disabled")]
    Disabled,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whose token it is.
    pub sub: AccountName,
    /// Role names that are known here.
    pub roles: BTreeSet<Role>,
    /// Sites.
    pub sites: BTreeSet<SiteId>,
    /// Customer, for customers.
    pub customer_id: Option<CustomerId>,
    /// Cell, for devices.
    pub cell: Option<CellId>,
    /// When it ends.
    pub expires_at: UnixSeconds,
}

impl Claims {
    /// What the account may do under this token: what both have, by the directory of this moment.
    ///
    /// # Errors
    /// When the account is disabled, or isn't the one that the token speaks of.
    pub fn effective(&self, account: &Account) -> Result<Account, TokenError> {
        if account.disabled {
            return Err(TokenError::Disabled);
        }
        let differs = (self.customer_id.is_some() && self.customer_id != account.customer_id)
            || (self.cell.is_some() && self.cell != account.cell);
        // Services log in with their own secrets; a token must never speak for one.
        if account.name != self.sub || account.service || differs {
            return Err(TokenError::Account);
        }
        Ok(account.narrowed(&self.roles, &self.sites))
    }
}

/// How long a token of this account lives, in seconds.
pub fn life_of(account: &Account) -> u64 {
    if account.has(Role::Device) { DEVICE_LIFE } else { PERSON_LIFE }
}

/// Signs a token for the account; answers it and when it ends.
///
/// # Errors
/// When signing fails.
pub fn sign(keys: &KeyRing, account: &Account, now: UnixSeconds) -> Result<(String, UnixSeconds), IdentityError> {
    let exp = now.0.saturating_add(life_of(account));
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": account.name, "roles": account.roles, "sites": account.sites,
        "iat": now.0, "exp": exp, "jti": Uuid::now_v7().to_string(),
    });
    if let Some(c) = &account.customer_id {
        claims["customer_id"] = json!(c);
    }
    if let Some(c) = &account.cell {
        claims["cell"] = json!(c);
    }
    let (message, signature) = keys.sign(|kid| {
        let header = json!({"alg": "EdDSA", "kid": kid, "typ": "JWT"});
        format!("{}.{}", encode_base64url(header.to_string()), encode_base64url(claims.to_string()))
    })?;
    Ok((format!("{message}.{signature}"), UnixSeconds(exp)))
}

struct Issuer {
    keys: ArcSwap<JwkSet>,
    own: bool,
    roles: HashMap<String, Role>,
}

/// Checks tokens with public keys only; a process without the private ones has one too.
pub struct Verifier {
    issuers: HashMap<String, Issuer>,
}

impl Verifier {
    /// Takes this product's tokens, and those of the trusted issuers. One of them that calls
    /// itself by this product's name is left out.
    pub fn new(own: Arc<JwkSet>, trusted: Vec<TrustedIssuer>) -> Self {
        let mut issuers: HashMap<String, Issuer> = trusted
            .into_iter()
            .map(|t| (t.issuer, Issuer { keys: ArcSwap::from_pointee(t.keys), own: false, roles: t.roles }))
            .collect();
        issuers.insert(ISSUER.to_owned(), Issuer { keys: ArcSwap::new(own), own: true, roles: HashMap::new() });
        Verifier { issuers }
    }

    /// Takes this product's tokens by these keys from now on: after a rotation.
    pub fn replace_own(&self, keys: Arc<JwkSet>) {
        if let Some(own) = self.issuers.get(ISSUER) {
            own.keys.store(keys);
        }
    }

    /// Checks a token at this moment.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self, token: &str, now: UnixSeconds) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let segments: Vec<&str> = token.splitn(4, '.').collect();
        let [head, body, tail] = segments.as_slice() else { return Err(TokenError::Malformed) };
        let header = decode_base64url(head).as_deref().and_then(read_object).ok_or(TokenError::Malformed)?;
        let claims = decode_base64url(body).as_deref().and_then(read_object).ok_or(TokenError::Malformed)?;
        decode_base64url(tail).ok_or(TokenError::Malformed)?;

        let (kid, alg) = read_header(&header)?;
        let iss = claims.get("iss").and_then(Value::as_str).ok_or(TokenError::Claim("iss"))?;
        let issuer = self.issuers.get(iss).ok_or(TokenError::Issuer)?;
        let keys = issuer.keys.load();
        let key = keys.get(kid).ok_or(TokenError::Key)?;
        if alg != key.algorithm() {
            return Err(TokenError::Algorithm);
        }
        let signed = &token.as_bytes()[..head.len() + 1 + body.len()];
        if !key.verifies(signed, tail) {
            return Err(TokenError::Signature);
        }
        read_claims(&claims, issuer, now)
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(&str, &str), TokenError> {
    if header.keys().any(|k| !matches!(k.as_str(), "alg" | "kid" | "typ")) {
        return Err(TokenError::Header);
    }
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    if header.contains_key("typ")
        && !text("typ").is_some_and(|t| t.eq_ignore_ascii_case("JWT") || t.eq_ignore_ascii_case("at+jwt"))
    {
        return Err(TokenError::Header);
    }
    text("kid").zip(text("alg")).ok_or(TokenError::Header)
}

fn read_claims(claims: &Map<String, Value>, issuer: &Issuer, now: UnixSeconds) -> Result<Claims, TokenError> {
    let for_us = match claims.get("aud") {
        Some(Value::String(a)) => a == AUDIENCE,
        Some(Value::Array(all)) => all.iter().any(|a| a == AUDIENCE),
        _ => false,
    };
    if !for_us {
        return Err(TokenError::Audience);
    }
    let exp = time(claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
    let iat = time(claims, "iat")?;
    let nbf = time(claims, "nbf")?;
    if issuer.own && iat.is_none() {
        return Err(TokenError::Claim("iat"));
    }
    if issuer.own && !claims.get("jti").is_some_and(Value::is_string) {
        return Err(TokenError::Claim("jti"));
    }
    if now.0 >= exp.saturating_add(LEEWAY) {
        return Err(TokenError::Expired);
    }
    if iat.into_iter().chain(nbf).any(|t| t > now.0.saturating_add(LEEWAY)) {
        return Err(TokenError::NotYetValid);
    }
    let sub = claims.get("sub").and_then(Value::as_str).and_then(|s| AccountName::new(s).ok());
    let role = |name: &str| issuer.roles.get(name).copied().or_else(|| name.parse().ok());
    Ok(Claims {
        sub: sub.ok_or(TokenError::Claim("sub"))?,
        roles: names(claims, "roles")?.into_iter().filter_map(role).filter(|r| *r != Role::System).collect(),
        sites: names(claims, "sites")?.into_iter().filter_map(|s| SiteId::new(s).ok()).collect(),
        customer_id: code(claims, "customer_id", |s| CustomerId::new(s).ok())?,
        cell: code(claims, "cell", |s| CellId::new(s).ok())?,
        expires_at: UnixSeconds(exp),
    })
}

/// A time is a whole, non-negative JSON number and nothing else.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(v) => v.as_u64().filter(|t| *t <= LAST).map(Some).ok_or(TokenError::Claim(name)),
    }
}

fn names<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<Vec<&'c str>, TokenError> {
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(all)) => {
            all.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or(TokenError::Claim(name))
        }
        Some(_) => Err(TokenError::Claim(name)),
    }
}

fn code<T>(
    claims: &Map<String, Value>,
    name: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(v) => v.as_str().and_then(read).map(Some).ok_or(TokenError::Claim(name)),
    }
}

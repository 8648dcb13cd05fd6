//! Attacks on tokens, one row each, and what a good one gives.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use common::{name, site};
use mw_contract::Role;
use mw_identity::jwk::PublicKey;
use mw_identity::tokens::{DEVICE_LIFE, LEEWAY, PERSON_LIFE, UnixSeconds, life_of, sign};
use mw_identity::{JwkSet, KeyRing, TokenError, TrustedIssuer, Verifier};
use mw_policy::Account;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A signer whose key the verifier knows as `own`.
struct Forge {
    pair: Ed25519KeyPair,
    verifier: Verifier,
    jwks: Value,
}

fn forge() -> Forge {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
    let set = JwkSet::new([PublicKey::ed25519("own", public)]);
    let jwks = set.to_json();
    Forge { pair, verifier: Verifier::new(Arc::new(set), vec![]), jwks }
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "own", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": "millwright", "aud": "millwright", "sub": "planner-1", "roles": ["planner"], "sites": ["plant-1"],
        "iat": NOW, "exp": NOW + 900, "jti": "1"})
}

impl Forge {
    fn raw(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = b64(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
    fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw(&header.to_string(), &claims.to_string())
    }
    fn with_header(&self, name: &str, value: Value) -> String {
        let mut h = header();
        h[name] = value;
        self.token(&h, &claims())
    }
    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut c = claims();
        c[name] = value;
        self.token(&header(), &c)
    }
    fn without_claim(&self, name: &str) -> String {
        let mut c = claims();
        c.as_object_mut().unwrap().remove(name);
        self.token(&header(), &c)
    }
    fn check(&self, token: &str) -> Result<mw_identity::Claims, TokenError> {
        self.verifier.check(token, UnixSeconds(NOW))
    }
}

#[test]
fn a_good_token_is_taken() {
    let f = forge();
    let c = f.check(&f.token(&header(), &claims())).unwrap();
    assert_eq!((c.sub.as_str(), c.roles, c.sites), ("planner-1", [Role::Planner].into(), [site("plant-1")].into()));
    assert_eq!(c.expires_at, UnixSeconds(NOW + 900));
    let bare = f.token(&json!({"alg": "EdDSA", "kid": "own"}), &claims());
    f.check(&bare).unwrap();
    f.check(&f.with_claim("aud", json!(["other", "millwright"]))).unwrap();
    f.check(&f.with_claim("nbf", json!(NOW))).unwrap();
    f.check(&f.with_claim("unknown", json!({"a": 1}))).unwrap();
}

#[test]
fn every_attack_is_refused_for_its_own_reason() {
    use TokenError as E;
    let f = forge();
    let good = f.token(&header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [h, c, s] = parts.as_slice() else { panic!() };
    let other = Ed25519KeyPair::generate().unwrap();
    let sign_with = |k: &Ed25519KeyPair, m: &str| format!("{m}.{}", b64(k.sign(m.as_bytes())));
    let hs256 = |key: &[u8], header: &Value| {
        let m = format!("{}.{}", b64(header.to_string()), c);
        format!("{m}.{}", b64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), m.as_bytes())))
    };
    let none = json!({"alg": "none", "kid": "own"});
    let none_bare = json!({"alg": "none"});
    let hs = json!({"alg": "HS256", "kid": "own", "typ": "JWT"});
    let public = f.pair.public_key().as_ref().to_vec();
    let text = claims().to_string();
    let flipped = {
        let mut sig = URL_SAFE_NO_PAD.decode(s).unwrap();
        sig[10] ^= 1;
        format!("{h}.{c}.{}", b64(sig))
    };
    let mine = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(other.public_key())});
    let with_jwk = {
        let head = json!({"alg": "EdDSA", "kid": "own", "jwk": mine});
        sign_with(&other, &format!("{}.{c}", b64(head.to_string())))
    };
    let escalated = claims().to_string().replace("planner\"]", "admin\"]");
    let exp_text = |v: &str| text.replace(&format!("\"exp\":{}", NOW + 900), &format!("\"exp\":{v}"));
    assert_ne!(escalated, text);
    assert_ne!(exp_text("1"), text);

    let table: Vec<(&str, String, TokenError)> = vec![
        // The algorithm.
        ("alg none, no signature", format!("{}.{c}.", b64(none.to_string())), E::Algorithm),
        ("alg none without a kid", format!("{}.{c}.", b64(none_bare.to_string())), E::Header),
        ("alg none with a signature", f.token(&none, &claims()), E::Algorithm),
        ("alg None", f.with_header("alg", json!("None")), E::Algorithm),
        ("HS256 with the public key as secret", hs256(&public, &hs), E::Algorithm),
        ("HS256 with the key set as secret", hs256(f.jwks.to_string().as_bytes(), &hs), E::Algorithm),
        ("HS256 with an empty secret", hs256(b"", &hs), E::Algorithm),
        ("RS256 on an Ed25519 key", f.with_header("alg", json!("RS256")), E::Algorithm),
        ("alg in lower case", f.with_header("alg", json!("eddsa")), E::Algorithm),
        ("alg a list", f.with_header("alg", json!(["EdDSA"])), E::Header),
        ("alg missing", f.token(&json!({"kid": "own"}), &claims()), E::Header),
        // The key.
        ("unknown kid", f.with_header("kid", json!("else")), E::Key),
        ("kid missing", f.token(&json!({"alg": "EdDSA"}), &claims()), E::Header),
        ("kid a number", f.with_header("kid", json!(1)), E::Header),
        ("kid a path", f.with_header("kid", json!("../../dev/null")), E::Key),
        ("kid for a database", f.with_header("kid", json!("x' UNION SELECT 'own")), E::Key),
        ("a key of its own in jwk", with_jwk, E::Header),
        ("jku", f.with_header("jku", json!("https://attacker.example/jwks.json")), E::Header),
        ("x5u", f.with_header("x5u", json!("https://attacker.example/cert.pem")), E::Header),
        ("x5c", f.with_header("x5c", json!(["MII"])), E::Header),
        ("x5t", f.with_header("x5t", json!("AA")), E::Header),
        ("crit", f.with_header("crit", json!(["exp"])), E::Header),
        ("crit, empty", f.with_header("crit", json!([])), E::Header),
        ("b64 false", f.with_header("b64", json!(false)), E::Header),
        ("zip", f.with_header("zip", json!("DEF")), E::Header),
        ("an encrypted token's header", f.with_header("enc", json!("A256GCM")), E::Header),
        ("cty JWT: a token in a token", f.with_header("cty", json!("JWT")), E::Header),
        ("another typ", f.with_header("typ", json!("secevent+jwt")), E::Header),
        ("typ a number", f.with_header("typ", json!(7)), E::Header),
        // The signature.
        ("signed by another key", sign_with(&other, &format!("{h}.{c}")), E::Signature),
        ("one bit flipped", flipped, E::Signature),
        ("claims exchanged", format!("{h}.{}.{s}", b64(escalated)), E::Signature),
        (
            "header exchanged",
            format!("{}.{c}.{s}", b64(json!({"alg": "EdDSA", "kid": "own"}).to_string())),
            E::Signature,
        ),
        ("signature empty", format!("{h}.{c}."), E::Signature),
        ("signature cut", format!("{h}.{c}.{}", &s[..40]), E::Signature),
        ("signature of zeros", format!("{h}.{c}.{}", b64([0u8; 64])), E::Signature),
        (
            "signature with a tail",
            format!("{h}.{c}.{}", b64([URL_SAFE_NO_PAD.decode(s).unwrap(), vec![0]].concat())),
            E::Signature,
        ),
        // The form.
        ("empty", String::new(), E::Malformed),
        ("one segment", h.to_string(), E::Malformed),
        ("two segments", format!("{h}.{c}"), E::Malformed),
        ("four segments", format!("{good}.{s}"), E::Malformed),
        ("five segments", format!("{good}.x.y"), E::Malformed),
        ("a dot at the end", format!("{good}."), E::Malformed),
        ("a space before", format!(" {good}"), E::Malformed),
        ("a line end after", format!("{good}\n"), E::Malformed),
        ("padded header", format!("{}.{c}.{s}", URL_SAFE.encode(format!("{} ", header()))), E::Malformed),
        ("padded claims", format!("{h}.{c}=.{s}"), E::Malformed),
        ("padded signature", format!("{h}.{c}.{s}=="), E::Malformed),
        ("standard alphabet", format!("{h}.{c}.{}", STANDARD_NO_PAD.encode([0xffu8; 64])), E::Malformed),
        ("loose bits at the end", format!("{h}.{c}.{}", loosen(s)), E::Malformed),
        ("too long", format!("{h}.{c}.{}", "A".repeat(9000)), E::Malformed),
        ("claims a list", f.raw(&header().to_string(), "[]"), E::Malformed),
        ("claims text", f.raw(&header().to_string(), "\"x\""), E::Malformed),
        ("claims not JSON", f.raw(&header().to_string(), "exp=1"), E::Malformed),
        ("claims with a tail", f.raw(&header().to_string(), &format!("{text}x")), E::Malformed),
        ("a claim twice", f.raw(&header().to_string(), &text.replacen('{', r#"{"sub":"admin","#, 1)), E::Malformed),
        (
            "a claim twice, one escaped",
            f.raw(&header().to_string(), &text.replacen('{', r#"{"\u0073ub":"admin","#, 1)),
            E::Malformed,
        ),
        (
            "a header member twice",
            f.raw(&header().to_string().replacen('{', r#"{"alg":"none","#, 1), &text),
            E::Malformed,
        ),
        (
            "a nested name twice",
            f.raw(&header().to_string(), &text.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1)),
            E::Malformed,
        ),
        ("deeply nested", f.raw(&header().to_string(), &"[".repeat(3000)), E::Malformed),
        ("an encrypted token's five segments", "e30.e30.e30.e30.e30".to_owned(), E::Malformed),
        // Issuer and audience.
        ("another issuer", f.with_claim("iss", json!("https://idp.example")), E::Issuer),
        ("issuer with a slash", f.with_claim("iss", json!("millwright/")), E::Issuer),
        ("issuer a list", f.with_claim("iss", json!(["millwright"])), E::Claim("iss")),
        ("no issuer", f.without_claim("iss"), E::Claim("iss")),
        ("another audience", f.with_claim("aud", json!("other")), E::Audience),
        ("no audience", f.without_claim("aud"), E::Audience),
        ("audience empty", f.with_claim("aud", json!([])), E::Audience),
        ("audience an object", f.with_claim("aud", json!({"millwright": true})), E::Audience),
        ("audience contains ours as a part", f.with_claim("aud", json!("millwright-test")), E::Audience),
        // Times.
        ("expired", f.with_claim("exp", json!(NOW - LEEWAY)), E::Expired),
        ("no exp", f.without_claim("exp"), E::Claim("exp")),
        ("exp text", f.with_claim("exp", json!((NOW + 900).to_string())), E::Claim("exp")),
        ("exp negative", f.with_claim("exp", json!(-1)), E::Claim("exp")),
        ("exp a fraction", f.raw(&header().to_string(), &exp_text("1900000000.5")), E::Claim("exp")),
        ("exp a float without fraction", f.raw(&header().to_string(), &exp_text("1900000000.0")), E::Claim("exp")),
        ("exp with an exponent", f.raw(&header().to_string(), &exp_text("19e8")), E::Claim("exp")),
        ("exp over all bounds", f.raw(&header().to_string(), &exp_text("18446744073709551615")), E::Claim("exp")),
        ("exp beyond integers", f.raw(&header().to_string(), &exp_text("99999999999999999999999")), E::Claim("exp")),
        ("exp infinite", f.raw(&header().to_string(), &exp_text("1e999")), E::Malformed),
        ("exp null", f.with_claim("exp", Value::Null), E::Claim("exp")),
        ("exp true", f.with_claim("exp", json!(true)), E::Claim("exp")),
        ("iat in the future", f.with_claim("iat", json!(NOW + LEEWAY + 1)), E::NotYetValid),
        ("iat text", f.with_claim("iat", json!("1")), E::Claim("iat")),
        ("no iat", f.without_claim("iat"), E::Claim("iat")),
        ("nbf in the future", f.with_claim("nbf", json!(NOW + LEEWAY + 1)), E::NotYetValid),
        ("nbf negative", f.with_claim("nbf", json!(-5)), E::Claim("nbf")),
        ("nbf text", f.with_claim("nbf", json!("0")), E::Claim("nbf")),
        // Who and what.
        ("no sub", f.without_claim("sub"), E::Claim("sub")),
        ("sub no account name", f.with_claim("sub", json!("Planner 1")), E::Claim("sub")),
        ("sub a list", f.with_claim("sub", json!(["planner-1"])), E::Claim("sub")),
        ("no jti", f.without_claim("jti"), E::Claim("jti")),
        ("roles a text", f.with_claim("roles", json!("admin")), E::Claim("roles")),
        ("roles with a number", f.with_claim("roles", json!(["planner", 1])), E::Claim("roles")),
        ("sites an object", f.with_claim("sites", json!({})), E::Claim("sites")),
        ("cell a number", f.with_claim("cell", json!(1)), E::Claim("cell")),
        ("customer no code", f.with_claim("customer_id", json!("AC ME")), E::Claim("customer_id")),
    ];
    for (attack, token, expected) in table {
        assert_eq!(f.check(&token).map(|c| c.sub), Err(expected), "{attack}");
    }
}

/// The same signature with bits set that no byte uses.
fn loosen(s: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = s.split_at(s.len() - 1);
    let i = alphabet.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
    assert_eq!(s.len() * 6 % 8, 4, "four loose bits");
    format!("{start}{}", char::from(alphabet[i + 1]))
}

#[test]
fn the_leeway_is_a_minute_on_both_ends() {
    let f = forge();
    for (claim, value, ok) in [
        ("exp", NOW - LEEWAY, false),
        ("exp", NOW - LEEWAY + 1, true),
        ("iat", NOW + LEEWAY, true),
        ("iat", NOW + LEEWAY + 1, false),
        ("nbf", NOW + LEEWAY, true),
        ("nbf", NOW + LEEWAY + 1, false),
    ] {
        assert_eq!(f.check(&f.with_claim(claim, json!(value))).is_ok(), ok, "{claim} {value}");
    }
}

fn account(role: Role) -> Account {
    Account {
        name: name("planner-1"),
        roles: [role].into(),
        sites: [site("plant-1")].into(),
        customer_id: None,
        cell: (role == Role::Device).then(|| mw_contract::CellId::new("cell-1").unwrap()),
        disabled: false,
        service: false,
    }
}

#[test]
fn what_is_signed_here_is_taken_here_and_only_widens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ring = KeyRing::open(dir.path(), UnixSeconds(NOW)).unwrap();
    let verifier = Verifier::new(ring.public(), vec![]);
    assert_eq!((life_of(&account(Role::Planner)), life_of(&account(Role::Device))), (PERSON_LIFE, DEVICE_LIFE));
    let (token, end) = sign(&ring, &account(Role::Device), UnixSeconds(NOW)).unwrap();
    assert_eq!(end, UnixSeconds(NOW + DEVICE_LIFE));
    let c = verifier.check(&token, UnixSeconds(NOW)).unwrap();
    assert!(c.effective(&account(Role::Device)).unwrap().has(Role::Device));

    let now_admin = Account { roles: [Role::Admin, Role::Device].into(), ..account(Role::Device) };
    assert_eq!(c.effective(&now_admin).unwrap().roles, [Role::Device].into());
    let elsewhere = Account { sites: [site("plant-2")].into(), ..account(Role::Device) };
    assert!(c.effective(&elsewhere).unwrap().sites.is_empty());
    for (account, expected) in [
        (Account { disabled: true, ..account(Role::Device) }, TokenError::Disabled),
        (Account { name: name("other"), ..account(Role::Device) }, TokenError::Account),
        (Account { cell: None, ..account(Role::Device) }, TokenError::Account),
        (Account { service: true, ..account(Role::Device) }, TokenError::Account),
    ] {
        assert_eq!(c.effective(&account).unwrap_err(), expected);
    }
}

#[test]
fn a_token_never_makes_a_system_role() {
    let f = forge();
    let c = f.check(&f.with_claim("roles", json!(["system", "planner", "emperor"]))).unwrap();
    assert_eq!(c.roles, [Role::Planner].into());
}

/// Signs for a trusted issuer with any kind of key.
fn issuer_token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let m = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let s = sign(m.as_bytes());
    format!("{m}.{}", b64(s))
}

#[test]
fn trusted_issuers_sign_with_their_own_kinds_of_key_and_for_themselves_only() {
    let rng = SystemRandom::new();
    let ec_doc = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec_doc.as_ref()).unwrap();
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let point = ec.public_key().as_ref().to_vec();
    // DER of a 2048-bit key: a header of 9 bytes, the modulus, and 65537 at the end.
    let der = rsa.public_key().as_ref().to_vec();
    assert_eq!((der.len(), &der[..2], &der[der.len() - 3..]), (270, &[0x30, 0x82][..], &[1, 0, 1][..]));
    let jwks = json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..])},
        {"kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(&der[9..265]),
         "e": "AQAB"},
        {"kty": "oct", "kid": "shared", "k": b64("a shared secret")},
        {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"},
    ]});
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, jwks.to_string()).unwrap();
    let roles = HashMap::from([("Planners".to_owned(), Role::Planner)]);
    let issuer = TrustedIssuer::from_file("https://idp.example", &file, roles).unwrap();
    let f = forge();
    let own: JwkSet = JwkSet::from_json(f.jwks.to_string().as_bytes()).unwrap();
    let verifier = Verifier::new(Arc::new(own), vec![issuer]);

    let mut c = claims();
    c["iss"] = json!("https://idp.example");
    c["roles"] = json!(["Planners", "line_lead"]);
    c.as_object_mut().unwrap().remove("jti");
    let sign_ec = |m: &[u8]| ec.sign(&rng, m).unwrap().as_ref().to_vec();
    let sign_rsa = |m: &[u8]| {
        let mut s = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &rng, m, &mut s).unwrap();
        s
    };
    let check = |t: &str| verifier.check(t, UnixSeconds(NOW));
    let got = check(&issuer_token(&json!({"alg": "ES256", "kid": "ec"}), &c, sign_ec)).unwrap();
    assert_eq!(got.roles, [Role::Planner, Role::LineLead].into());
    check(&issuer_token(&json!({"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}), &c, sign_rsa)).unwrap();

    // Its keys sign nothing of ours, ours nothing of it, and no key another's algorithm.
    let ours = issuer_token(&json!({"alg": "ES256", "kid": "ec"}), &claims(), sign_ec);
    assert_eq!(check(&ours).unwrap_err(), TokenError::Key);
    assert_eq!(check(&f.token(&header(), &c)).unwrap_err(), TokenError::Key);
    let crossed = issuer_token(&json!({"alg": "RS256", "kid": "ec"}), &c, sign_rsa);
    assert_eq!(check(&crossed).unwrap_err(), TokenError::Algorithm);
    let shared = issuer_token(&json!({"alg": "HS256", "kid": "shared"}), &c, |m| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"a shared secret"), m).as_ref().to_vec()
    });
    assert_eq!(check(&shared).unwrap_err(), TokenError::Key);

    // What it says counts only as far as the local account has it.
    let local = account(Role::LineLead);
    assert_eq!(got.effective(&local).unwrap().roles, [Role::LineLead].into());
    // One that calls itself by our name replaces nothing.
    let impostor = TrustedIssuer {
        issuer: "millwright".into(),
        keys: JwkSet::from_json(jwks.to_string().as_bytes()).unwrap(),
        roles: HashMap::new(),
    };
    let own = JwkSet::from_json(f.jwks.to_string().as_bytes()).unwrap();
    let v = Verifier::new(Arc::new(own), vec![impostor]);
    assert_eq!(v.check(&ours, UnixSeconds(NOW)).unwrap_err(), TokenError::Key);
}

#[test]
fn key_sets_that_cannot_be_trusted_are_refused() {
    let x = b64([1u8; 32]);
    for (why, jwks) in [
        ("no keys", json!({"keys": []})),
        ("not a set", json!([])),
        ("only a shared secret", json!({"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]})),
        ("no kid", json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})),
        ("short x", json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "AAAA"}]})),
        (
            "one id twice",
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x},
            {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": b64([2u8; 32])}]}),
        ),
        ("a weak RSA key", json!({"keys": [{"kty": "RSA", "kid": "a", "n": b64([0xffu8; 128]), "e": "AQAB"}]})),
        (
            "an alg that is not the key's",
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x, "alg": "HS256"}]}),
        ),
    ] {
        assert!(JwkSet::from_json(jwks.to_string().as_bytes()).is_err(), "{why}");
    }
}

#[test]
fn key_files_are_private_survive_a_restart_and_overlap() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let files =
        || -> Vec<std::path::PathBuf> { std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect() };
    let ring = KeyRing::open(dir.path(), UnixSeconds(NOW)).unwrap();
    let (token, _) = sign(&ring, &account(Role::Device), UnixSeconds(NOW)).unwrap();
    drop(ring);
    let ring = KeyRing::open(dir.path(), UnixSeconds(NOW + 5)).unwrap();
    assert_eq!(files().len(), 1);
    ring.rotate(UnixSeconds(NOW + 10)).unwrap();
    let later = UnixSeconds(NOW + DEVICE_LIFE - 1);
    let again = KeyRing::open(dir.path(), later).unwrap();
    assert_eq!(*again.public(), *ring.public());
    Verifier::new(again.public(), vec![]).check(&token, later).unwrap();
    assert_eq!(files().len(), 2);

    // A day later nothing that the first key signed can be good any more, and it is deleted.
    again.rotate(UnixSeconds(NOW + 20 + 26 * 3600)).unwrap();
    assert_eq!(files().len(), 2);
    let v = Verifier::new(again.public(), vec![]);
    assert_eq!(v.check(&token, UnixSeconds(NOW)).unwrap_err(), TokenError::Key);

    let file = files().remove(0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open =
        |why: &str| KeyRing::open(dir.path(), later).err().map(|e| e.to_string()).unwrap_or_else(|| panic!("{why}"));
    assert!(open("readable by others").contains("chmod 600"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let damaged = std::fs::read_to_string(&file).unwrap().replacen("\"d\":\"", "\"d\":\"AA", 1);
    std::fs::write(&file, damaged).unwrap();
    assert!(open("damaged").contains("token-"));
}

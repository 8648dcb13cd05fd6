//! Log-ins, grants and what ends them, over a log in memory.

mod common;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use mw_contract::{CommitNumber, Role, Version};
use mw_identity::secrets::SecretStore;
use mw_identity::throttle::Limits;
use mw_identity::{LoginError, TokenError, random_secret};

const SECRET: &str = "correct horse battery";

fn here() -> Option<IpAddr> {
    Some("10.0.0.1".parse().unwrap())
}

async fn system(dir: &std::path::Path) -> System {
    let s = System::start(dir, MemoryLog::new(), Limits::default()).await;
    s.add("planner-1", Role::Planner, Some(SECRET));
    s
}

#[tokio::test]
async fn a_new_secret_works_as_soon_as_its_command_is_committed_and_the_old_one_ends() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    let a = s.login.check_secret("planner-1", SECRET, here()).await.unwrap();
    assert_eq!((a.name.as_str(), a.roles.clone()), ("planner-1", [Role::Planner].into()));

    // Staged is not set: until the commit the old one counts.
    s.store.stage(&name("planner-1"), Version(2), Some("another long secret")).unwrap();
    assert_eq!(s.login.check_secret("planner-1", "another long secret", here()).await.unwrap_err(), LoginError::Denied);
    s.log.append("planner-1", Some(rotated("planner-1")));
    s.login.check_secret("planner-1", "another long secret", here()).await.unwrap();
    assert_eq!(s.login.check_secret("planner-1", SECRET, here()).await.unwrap_err(), LoginError::Denied);
}

#[tokio::test]
async fn nobody_gets_in_without_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    s.add("no-secret", Role::Planner, None);
    let long = "x".repeat(100_000);
    for (account, secret) in [
        ("planner-1", ""),
        ("planner-1", "correct horse batterY"),
        ("planner-1", long.as_str()),
        ("no-secret", ""),
        ("no-secret", SECRET),
        ("nobody", SECRET),
        ("svc-query", SECRET),
        ("", ""),
        ("Planner-1", SECRET),
        ("planner-1\0", SECRET),
    ] {
        assert_eq!(
            s.login.check_secret(account, secret, None).await.unwrap_err(),
            LoginError::Denied,
            "{account:?} {}",
            secret.len()
        );
    }
}

#[tokio::test]
async fn failures_are_limited_also_when_they_come_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    let tries: Vec<_> = (0..60)
        .map(|i| {
            let login = s.login.clone();
            tokio::spawn(async move { login.check_secret("planner-1", &format!("guess {i}"), here()).await })
        })
        .collect();
    let mut denied = 0;
    for t in tries {
        match t.await.unwrap().unwrap_err() {
            LoginError::Denied => denied += 1,
            LoginError::Busy(wait) => assert!(wait <= Duration::from_secs(300)),
            LoginError::Unavailable => panic!("unavailable"),
        }
    }
    assert!((10..=11).contains(&denied), "{denied} guesses were checked");
    assert!(matches!(s.login.check_secret("planner-1", SECRET, here()).await, Err(LoginError::Busy(_))));
    let elsewhere = Some("10.0.0.2".parse().unwrap());
    s.login.check_secret("planner-1", SECRET, elsewhere).await.unwrap();
}

#[tokio::test]
async fn many_clients_of_one_account_may_come_back_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    let all: Vec<_> = (0..200)
        .map(|_| {
            let login = s.login.clone();
            tokio::spawn(async move { login.check_secret("planner-1", SECRET, here()).await })
        })
        .collect();
    for t in all {
        t.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    let reply = s.login.password("planner-1", SECRET, here()).await.unwrap();
    let verified = s.login.verify_token(&reply.access_token).unwrap();
    let mut changes = s.directory.changes();
    changes.mark_unchanged();

    s.commit("planner-1", disabled("planner-1"), None);
    tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.unwrap().unwrap();
    assert_eq!(verified.again(&s.directory).unwrap_err(), TokenError::Disabled);
    assert_eq!(s.login.verify_token(&reply.access_token).unwrap_err(), TokenError::Disabled);
    assert_eq!(s.login.check_secret("planner-1", SECRET, here()).await.unwrap_err(), LoginError::Denied);
    let refresh = reply.refresh_token.unwrap();
    assert!(matches!(s.login.refresh_token(&refresh).await, Err(LoginError::Denied)));

    // The secret is still the secret, but what was issued before stays ended.
    s.commit("planner-1", enabled("planner-1"), None);
    s.login.check_secret("planner-1", SECRET, here()).await.unwrap();
    assert!(matches!(s.login.refresh_token(&refresh).await, Err(LoginError::Denied)));
}

#[tokio::test]
async fn a_revoked_role_is_gone_from_tokens_that_still_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    let reply = s.login.client_credentials("planner-1", SECRET, here()).await.unwrap();
    assert!(reply.refresh_token.is_none());
    assert!(s.login.verify_token(&reply.access_token).unwrap().account.has(Role::Planner));
    let revoked = mw_contract::event::account::AccountRevokedV1 {
        account: name("planner-1"),
        roles: vec![Role::Planner],
        sites: vec![site("plant-1")],
    };
    s.log.append("planner-1", Some(revoked.into()));
    s.directory.wait_for(CommitNumber(2)).await;
    let now = s.login.verify_token(&reply.access_token).unwrap().account;
    assert!(now.roles.is_empty() && now.sites.is_empty());

    // And a role that came later is not in an old token.
    let granted = mw_contract::event::account::AccountGrantedV1 {
        account: name("planner-1"),
        roles: vec![Role::Admin],
        sites: vec![],
    };
    s.log.append("planner-1", Some(granted.into()));
    s.directory.wait_for(CommitNumber(3)).await;
    assert!(!s.login.verify_token(&reply.access_token).unwrap().account.has(Role::Admin));
}

#[tokio::test]
async fn tokens_live_as_long_as_their_kind() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    s.add("cell-1", Role::Device, Some(SECRET));
    assert_eq!(s.login.password("planner-1", SECRET, here()).await.unwrap().expires_in, 15 * 60);
    let reply = s.login.client_credentials("cell-1", SECRET, here()).await.unwrap();
    assert_eq!(reply.expires_in, 24 * 3600);
    let v = s.login.verify_token(&reply.access_token).unwrap();
    assert_eq!(v.account.cell.as_ref().unwrap().as_str(), "cell-1");
    let json = serde_json::to_value(&reply).unwrap();
    assert_eq!(json["token_type"], "Bearer");
    assert!(json.get("refresh_token").is_none());
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_family() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    let first = s.login.password("planner-1", SECRET, here()).await.unwrap().refresh_token.unwrap();
    let other = s.login.password("planner-1", SECRET, here()).await.unwrap().refresh_token.unwrap();
    let second = s.login.refresh_token(&first).await.unwrap();
    s.login.verify_token(&second.access_token).unwrap();
    let second = second.refresh_token.unwrap();
    assert_ne!(first, second);
    assert!(matches!(s.login.refresh_token(&first).await, Err(LoginError::Denied)));
    assert!(matches!(s.login.refresh_token(&second).await, Err(LoginError::Denied)), "the thief's or the client's");
    let other = s.login.refresh_token(&other).await.unwrap().refresh_token.unwrap();
    for bad in ["", "x", &"A".repeat(43), &format!("{other}="), &other[1..]] {
        assert!(matches!(s.login.refresh_token(bad).await, Err(LoginError::Denied)), "{bad}");
    }
    // A new secret ends what the old one opened.
    s.commit("planner-1", rotated("planner-1"), Some("another long secret"));
    assert!(matches!(s.login.refresh_token(&other).await, Err(LoginError::Denied)));
}

#[tokio::test]
async fn everything_survives_a_restart_and_replaying_history_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::new();
    let refresh = {
        let s = System::start(dir.path(), log.clone(), Limits::default()).await;
        s.add("planner-1", Role::Planner, Some("the first secret"));
        s.commit("planner-1", disabled("planner-1"), None);
        s.commit("planner-1", enabled("planner-1"), None);
        s.commit("planner-1", rotated("planner-1"), Some(SECRET));
        s.login.password("planner-1", SECRET, here()).await.unwrap().refresh_token.unwrap()
    };
    let s = System::start(dir.path(), log, Limits::default()).await;
    s.login.check_secret("planner-1", SECRET, here()).await.unwrap();
    s.login.refresh_token(&refresh).await.unwrap();
    assert_eq!(s.login.check_secret("planner-1", "the first secret", here()).await.unwrap_err(), LoginError::Denied);
}

#[tokio::test]
async fn a_crash_between_hash_and_commit_leaves_the_old_secret_and_one_after_it_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::new();
    {
        let s = System::start(dir.path(), log.clone(), Limits::default()).await;
        s.add("a", Role::Planner, Some(SECRET));
        s.add("b", Role::Planner, Some(SECRET));
        s.login.check_secret("b", SECRET, here()).await.unwrap();
        s.store.stage(&name("a"), Version(2), Some("never committed secret")).unwrap();
        s.store.stage(&name("b"), Version(2), Some("committed before the crash")).unwrap();
    }
    log.append("b", Some(rotated("b")));
    let s = System::start(dir.path(), log.clone(), Limits::default()).await;
    s.login.check_secret("a", SECRET, here()).await.unwrap();
    s.login.check_secret("b", "committed before the crash", here()).await.unwrap();
    assert_eq!(s.login.check_secret("b", SECRET, here()).await.unwrap_err(), LoginError::Denied);
    // What was left over was deleted: committing that version without a secret promotes nothing.
    s.log.append("a", Some(rotated("a")));
    assert_eq!(s.login.check_secret("a", "never committed secret", here()).await.unwrap_err(), LoginError::Denied);
}

#[tokio::test]
async fn a_staged_secret_is_taken_back_by_an_event_of_that_version_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    s.store.stage(&name("x"), Version(1), Some("of a command that failed")).unwrap();
    s.add("x", Role::Planner, None);
    assert_eq!(s.login.check_secret("x", "of a command that failed", None).await.unwrap_err(), LoginError::Denied);
}

#[tokio::test]
async fn rotated_keys_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let s = system(dir.path()).await;
    let old = s.login.client_credentials("planner-1", SECRET, here()).await.unwrap().access_token;
    let kid = s.login.rotate_keys().unwrap();
    let new = s.login.client_credentials("planner-1", SECRET, here()).await.unwrap().access_token;
    assert!(s.login.verify_token(&old).is_ok() && s.login.verify_token(&new).is_ok());
    let keys = s.login.jwks();
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().any(|k| k["kid"] == kid.as_str()));
    assert!(keys.iter().all(|k| k.get("d").is_none()), "a private part in the public document");
}

#[test]
fn the_store_is_private_and_holds_no_secret() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity/secrets.db");
    let store = SecretStore::open(&path, CHEAP).unwrap();
    store.set(&name("a"), SECRET).unwrap();
    assert!(store.verify("a", SECRET).unwrap() && !store.verify("a", "other").unwrap());
    for entry in std::fs::read_dir(dir.path().join("identity")).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", path.display());
    }
    let default = Arc::new(mw_identity::secrets::HashCost::default());
    assert_eq!((default.memory, default.passes), (19 * 1024, 2));
}

#[test]
fn generated_secrets_are_long_plain_and_different() {
    let all: std::collections::HashSet<String> = (0..200).map(|_| random_secret().unwrap()).collect();
    assert_eq!(all.len(), 200);
    assert!(all.iter().all(|s| s.len() == 32 && s.bytes().all(|b| b.is_ascii_alphanumeric())));
}

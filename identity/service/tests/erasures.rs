//! Erasures reach every vault: as they happen, at a start, and from the copy while identity is down.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{MemoryLog, added, disabled};
use mw_contract::event::account::SubjectErasedV1;
use mw_contract::{DataSubject, Event, Role, Sealed};
use mw_identity::{AccountCopy, Directory, Feed, erasures};
use mw_log::Vault;

const SOON: Duration = Duration::from_secs(10);

fn acme() -> DataSubject {
    DataSubject::Customer("acme".parse().unwrap())
}

fn erased() -> Event {
    SubjectErasedV1 { customer_id: Some("acme".parse().unwrap()), account: None, reason: None }.into()
}

fn sealed(vault: &Vault) -> Sealed {
    let mut s = Sealed::Plain("Mrs Miller".into());
    vault.seal(&acme(), &mut s).unwrap();
    s
}

/// Waits until the key of a text is gone.
async fn is_erased_soon(vault: &Vault, text: &Sealed) {
    let gone = async {
        while !vault.is_erased(text) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the key is destroyed");
    assert_eq!(vault.open_text(text), None);
}

fn vault(dir: &Path) -> Arc<Vault> {
    Arc::new(Vault::open_with_list(&dir.join("vault"), &dir.join("erased")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_carried_out_as_soon_as_it_is_heard_of_and_what_comes_after_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (log, directory, vault) = (MemoryLog::new(), Directory::new(), vault(dir.path()));
    let feed = Feed::directory_only(directory.clone());
    let keeping = erasures::keep(directory.clone(), vault.clone()).await.unwrap();
    let text = sealed(&vault);
    log.append("planner-1", Some(added("planner-1", Role::Planner)));
    feed.catch_up(&*log).await.unwrap();
    log.append("admin", Some(erased()));
    feed.catch_up(&*log).await.unwrap();
    is_erased_soon(&vault, &text).await;
    let new = sealed(&vault);
    log.append("planner-1", Some(disabled("planner-1")));
    feed.catch_up(&*log).await.unwrap();
    erasures::apply(&directory, &vault).unwrap();
    assert_eq!(vault.open_text(&new).as_deref(), Some("Mrs Miller"));
    keeping.abort();

    // At the next start too.
    let directory = Directory::new();
    Feed::directory_only(directory.clone()).catch_up(&*log).await.unwrap();
    let vault = self::vault(dir.path());
    erasures::keep(directory, vault.clone()).await.unwrap();
    assert_eq!(vault.open_text(&new).as_deref(), Some("Mrs Miller"));
    assert!(vault.is_erased(&text));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_backup_brought_back_is_gone_before_anybody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let log = MemoryLog::new();
    log.append("admin", Some(erased()));
    let directory = Directory::new();
    Feed::directory_only(directory.clone()).catch_up(&*log).await.unwrap();
    // A vault of another machine: no list has the key.
    let vault = vault(dir.path());
    let text = sealed(&vault);
    erasures::keep(directory, vault.clone()).await.unwrap();
    assert_eq!((vault.open_text(&text), vault.is_erased(&text)), (None, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_knows_of_erasures_while_identity_is_down_and_forgets_none_with_another_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copies/accounts.json");
    let log = MemoryLog::new();
    log.append("planner-1", Some(added("planner-1", Role::Planner)));
    log.append("admin", Some(erased()));
    let copy = AccountCopy::open(&path, Directory::new(), None);
    let following = tokio::spawn(copy.clone().follow(log));
    tokio::time::timeout(SOON, copy.known().wait_for(|k| *k)).await.unwrap().unwrap();
    following.abort();

    let directory = Directory::new();
    let copy = AccountCopy::open(&path, directory.clone(), None);
    assert!(*copy.known().borrow());
    assert!(!*copy.current().borrow(), "the file may be older than what identity has said since");
    assert_eq!(directory.erasures().iter().map(|e| e.subject.clone()).collect::<Vec<_>>(), [acme()]);
    let vault = vault(dir.path());
    let text = sealed(&vault);
    erasures::keep(directory.clone(), vault.clone()).await.unwrap();
    assert!(vault.is_erased(&text));

    // Identity came back from a backup of before.
    let older = MemoryLog::new();
    older.append("planner-2", Some(added("planner-2", Role::Planner)));
    let following = tokio::spawn(copy.clone().follow(older));
    let there = async {
        while directory.get(&common::name("planner-2")).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, there).await.expect("the other log is followed");
    tokio::time::timeout(SOON, copy.current().wait_for(|c| *c)).await.unwrap().unwrap();
    following.abort();
    assert!(directory.get(&common::name("planner-1")).is_none());
    assert_eq!(directory.erasures().len(), 1);
}

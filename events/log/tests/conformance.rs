//! What every engine must do. One suite, run against each of them.

use std::path::Path;
use std::sync::Arc;

use mw_contract::commit::{NewCommit, Outcome};
use mw_contract::{CommandId, CommitNumber, Context, ErrorCode, EventId, Position, Rejection, Version};
use mw_log::bench::commit_of;
use mw_log::{CheckpointKey, EventLog, LogError, MemoryLog, OpenOptions, SledLog};
use uuid::Uuid;

fn sled(dir: &Path) -> Arc<dyn EventLog> {
    let key = CheckpointKey::load_or_create(&dir.join("keys/checkpoint.key")).unwrap();
    SledLog::open(OpenOptions::under(dir, Context::Production, Arc::new(key))).unwrap()
}

fn memory(_: &Path) -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new(Context::Production))
}

type Open = fn(&Path) -> Arc<dyn EventLog>;

macro_rules! suite {
    ($($test:ident),+ $(,)?) => {
        mod on_memory { $(#[test] fn $test() { super::$test(super::memory) })+ }
        mod on_sled { $(#[test] fn $test() { super::$test(super::sled) })+ }
    };
}

suite!(
    positions_and_numbers_have_no_gaps_and_refusals_take_no_position,
    a_batch_is_stored_whole_or_not_at_all,
    an_event_must_continue_its_stream,
    an_accepted_command_is_stored_once_and_a_refused_one_may_come_again,
    racing_writers_never_lose_or_repeat_a_version,
    readers_see_a_prefix_while_writers_write,
    streams_are_read_from_any_version,
    positions_lead_to_their_commit,
    subscribers_hear_of_every_head,
    strange_commits_are_refused,
    large_commits_come_back_as_they_were,
);

/// The next version of the stream of `c`.
fn next(c: &NewCommit, version: u64) -> NewCommit {
    let mut n = commit_of(20);
    n.events[0].stream = c.events[0].stream;
    n.events[0].version = Version(version);
    n.head.version = Version(version);
    n
}

fn refused() -> NewCommit {
    let mut c = commit_of(1);
    c.events.clear();
    c.head.outcome = Outcome::Rejected(Rejection::new(ErrorCode::Validation, "no"));
    c
}

fn positions_and_numbers_have_no_gaps_and_refusals_take_no_position(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert_eq!((log.head().commit.0, log.head().position.0), (0, 0));
    assert!(log.read(CommitNumber(1), 10).unwrap().is_empty());
    let a = commit_of(5);
    let mut two = next(&a, 2);
    two.events.push(next(&a, 3).events.remove(0));
    let stored = log.append(vec![a, refused(), two, refused()]).unwrap();
    let seen: Vec<_> = stored.iter().map(|c| (c.number.0, c.last_position.0, c.events.len())).collect();
    assert_eq!(seen, [(1, 1, 1), (2, 1, 0), (3, 3, 2), (4, 3, 0)]);
    assert_eq!(stored[2].events.iter().map(|e| e.position.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(log.read(CommitNumber(1), 10).unwrap(), stored);
    assert_eq!(log.read(CommitNumber(2), 2).unwrap(), stored[1..3]);
    assert_eq!((log.head().commit.0, log.head().position.0), (4, 3));
}

fn a_batch_is_stored_whole_or_not_at_all(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let bad = next(&commit_of(1), 7);
    assert!(matches!(log.append(vec![commit_of(1), bad]), Err(LogError::Conflict { .. })));
    assert_eq!(log.head().commit.0, 0);
    assert!(log.append(vec![commit_of(1)]).is_ok(), "a refusal does not stop the log");
}

fn an_event_must_continue_its_stream(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let a = commit_of(1);
    log.append(vec![a.clone(), next(&a, 2)]).unwrap();
    for wrong in [1, 2, 4, 0] {
        match log.append(vec![next(&a, wrong)]) {
            Err(LogError::Conflict { actual, .. }) => assert_eq!(actual, Version(2)),
            other => panic!("version {wrong}: {other:?}"),
        }
    }
    log.append(vec![next(&a, 3), next(&a, 4)]).unwrap();
    assert_eq!(log.stream_head(&a.events[0].stream).unwrap().unwrap().version, Version(4));
    assert_eq!(log.stream_head(&commit_of(1).events[0].stream).unwrap(), None);
}

fn an_accepted_command_is_stored_once_and_a_refused_one_may_come_again(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let first = commit_of(1);
    let (account, id) = (first.head.account.clone(), first.head.command_id);
    assert_eq!(log.outcome(&account, &id).unwrap(), None);
    log.append(vec![first]).unwrap();
    let mut again = commit_of(1);
    again.head.command_id = id;
    match log.append(vec![commit_of(1), again.clone()]) {
        Err(LogError::DuplicateCommand { commit, .. }) => assert_eq!(commit, CommitNumber(1)),
        other => panic!("{other:?}"),
    }
    // The same id of another account is another command.
    again.head.account = "other".parse().unwrap();
    log.append(vec![again]).unwrap();
    let mut no = refused();
    no.head.command_id = CommandId(Uuid::now_v7());
    let mut yes = commit_of(1);
    yes.head.command_id = no.head.command_id;
    log.append(vec![no.clone()]).unwrap();
    assert_eq!(log.outcome(&account, &no.head.command_id).unwrap().unwrap().number, CommitNumber(3));
    log.append(vec![no.clone(), yes]).unwrap();
    assert_eq!(log.outcome(&account, &no.head.command_id).unwrap().unwrap().number, CommitNumber(5));
    assert!(log.append(vec![no]).is_err());
    let twin = commit_of(1);
    assert!(matches!(log.append(vec![twin.clone(), twin]), Err(LogError::DuplicateCommand { .. })));
}

fn racing_writers_never_lose_or_repeat_a_version(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let first = commit_of(1);
    log.append(vec![first.clone()]).unwrap();
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                for _ in 0..25 {
                    loop {
                        let at = log.stream_head(&first.events[0].stream).unwrap().unwrap().version;
                        match log.append(vec![next(&first, at.0 + 1)]) {
                            Ok(_) => break,
                            Err(LogError::Conflict { .. }) => {}
                            Err(e) => panic!("{e}"),
                        }
                    }
                }
            });
        }
    });
    let events = log.read_stream(&first.events[0].stream, Version(1), 1000).unwrap();
    let versions: Vec<u64> = events.iter().map(|(c, i)| c.events[*i].event.version.0).collect();
    assert_eq!(versions, (1..=201).collect::<Vec<_>>());
    assert_eq!(log.head().position.0, 201);
}

fn readers_see_a_prefix_while_writers_write(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    std::thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..150 {
                log.append((0..10).map(|_| commit_of(100)).collect()).unwrap();
            }
        });
        for _ in 0..3 {
            s.spawn(|| {
                let mut at = CommitNumber(0);
                while at.0 < 1500 {
                    let head = log.head();
                    let got = log.read(at.next(), 37).unwrap();
                    for c in &got {
                        assert_eq!(c.number, at.next());
                        at = c.number;
                    }
                    assert!(got.len() == 37 || at >= head.commit || got.is_empty() == (at >= head.commit));
                    if got.is_empty() {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
}

fn streams_are_read_from_any_version(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let a = commit_of(1);
    log.append(vec![a.clone()]).unwrap();
    for v in (2..40).step_by(2) {
        let mut two = next(&a, v);
        two.events.push(next(&a, v + 1).events.remove(0));
        log.append(vec![two, commit_of(3), refused()]).unwrap();
    }
    let stream = a.events[0].stream;
    for (from, limit) in [(1, 100), (1, 1), (2, 3), (3, 5), (39, 10), (40, 10), (41, 10), (0, 2)] {
        let got = log.read_stream(&stream, Version(from), limit).unwrap();
        let versions: Vec<u64> = got.iter().map(|(c, i)| c.events[*i].event.version.0).collect();
        let expected: Vec<u64> = (from.max(1)..=39).take(limit).collect();
        assert_eq!(versions, expected, "from {from} limit {limit}");
    }
    assert!(log.read_stream(&commit_of(1).events[0].stream, Version(1), 10).unwrap().is_empty());
}

fn positions_lead_to_their_commit(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let a = commit_of(1);
    let mut three = next(&a, 2);
    three.events.push(next(&a, 3).events.remove(0));
    three.events.push(next(&a, 4).events.remove(0));
    log.append(vec![refused(), a, refused(), refused(), three, refused(), commit_of(1)]).unwrap();
    let commits: Vec<Option<u64>> = (0..=7).map(|p| log.commit_of(Position(p)).unwrap().map(|c| c.0)).collect();
    assert_eq!(commits, [None, Some(2), Some(5), Some(5), Some(5), Some(7), None, None]);
}

fn subscribers_hear_of_every_head(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut heads = log.subscribe();
    assert!(!heads.has_changed().unwrap());
    log.append(vec![commit_of(1), refused()]).unwrap();
    assert!(heads.has_changed().unwrap());
    assert_eq!(heads.borrow_and_update().commit, CommitNumber(2));
    assert_eq!(log.read(CommitNumber(1), 5).unwrap().len(), 2, "what the head says can be read");
}

fn strange_commits_are_refused(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut refusal_with_event = refused();
    refusal_with_event.events = commit_of(1).events;
    assert!(matches!(log.append(vec![refusal_with_event]), Err(LogError::Invalid(_))));
    let mut foreign = commit_of(1);
    foreign.events[0].stream.kind = mw_contract::AggregateKind::Account;
    assert!(matches!(log.append(vec![foreign]), Err(LogError::Invalid(_))));
    assert!(log.append(Vec::new()).unwrap().is_empty());
    assert_eq!(log.head().commit.0, 0);
}

fn large_commits_come_back_as_they_were(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for bytes in [0, 1, 3_800, 3_900, 4_000, 4_095, 4_096, 4_097, 8_000, 8_192, 100_000] {
        let mut c = commit_of(bytes);
        for (i, b) in c.events[0].payload.iter_mut().enumerate() {
            *b = (i % 251) as u8;
        }
        log.append(vec![c.clone()]).unwrap();
        let at = log.head().commit;
        assert_eq!(log.read(at, 1).unwrap()[0].events[0].event.payload, c.events[0].payload);
    }
}

/// Every frame length around the size of a part, read from sled and not from memory.
#[test]
fn frames_of_every_length_around_a_part_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    {
        let log = sled(dir.path());
        for bytes in (3_700..4_200).step_by(3).chain([7_900, 8_000, 8_100]) {
            written.extend(log.append(vec![commit_of(bytes)]).unwrap());
        }
    }
    assert_eq!(sled(dir.path()).read(CommitNumber(1), 1000).unwrap(), written);
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let a = commit_of(30);
    let mut written = Vec::new();
    for round in 0..4u64 {
        let log = sled(dir.path());
        assert_eq!(log.head().commit.0, written.len() as u64);
        assert_eq!(log.read(CommitNumber(1), 10_000).unwrap(), written);
        let mut batch = vec![if round == 0 { a.clone() } else { next(&a, round + 1) }, refused()];
        batch.extend((0..300).map(|_| commit_of(200)));
        written.extend(log.append(batch).unwrap());
    }
    let log = sled(dir.path());
    for c in &written {
        assert_eq!(log.outcome(&c.head.account, &c.head.command_id).unwrap().as_ref(), Some(c));
        for e in &c.events {
            assert_eq!(log.commit_of(e.position).unwrap(), Some(c.number));
        }
    }
    assert_eq!(log.stream_head(&a.events[0].stream).unwrap().unwrap().version, Version(4));
    let mut again = commit_of(1);
    again.head.command_id = a.head.command_id;
    assert!(matches!(log.append(vec![again]), Err(LogError::DuplicateCommand { .. })));
    let ids: std::collections::HashSet<EventId> =
        written.iter().flat_map(|c| c.events.iter().map(|e| e.event.event_id)).collect();
    assert_eq!(ids.len() as u64, log.head().position.0);
}

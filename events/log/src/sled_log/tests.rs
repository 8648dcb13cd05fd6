//! Damage below the engine: reported, never altered, never stepped over.

use super::*;
use crate::bench::commit_of;
use crate::verify::verify;

fn options(dir: &Path) -> OpenOptions {
    let key = CheckpointKey::load_or_create(&dir.join("keys/checkpoint.key")).unwrap();
    OpenOptions::under(dir, Context::Production, Arc::new(key))
}

fn filled(dir: &Path, n: usize, bytes: usize) -> Arc<SledLog> {
    let log = SledLog::open(options(dir)).unwrap();
    for _ in 0..n {
        log.append(vec![commit_of(bytes)]).unwrap();
    }
    log
}

fn findings(log: &SledLog) -> (u64, u64, String) {
    let f = verify(log, None, &|_| Ok(()), &mut |_| {}).unwrap_err();
    (f.commit.0, f.position.0, f.reason)
}

fn altered(log: &SledLog, number: u64, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut b = log.store().raw_part(number, 0).unwrap();
    change(&mut b);
    log.store().damage(number, 0, Some(&b));
    log.recent.write().clear();
    b
}

#[test]
fn every_flipped_byte_of_a_frame_is_reported_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 3, 40);
    let sound = log.store().raw_part(2, 0).unwrap();
    for at in 0..sound.len() {
        let bad = altered(&log, 2, |b| b[at] ^= 0x10);
        let e = log.read(CommitNumber(1), 10).unwrap_err();
        assert!(matches!(e, LogError::Corrupt { commit: CommitNumber(2), .. }), "byte {at}: {e}");
        let (commit, position, _) = findings(&log);
        assert_eq!((commit, position), (2, 2), "byte {at}");
        assert_eq!(log.store().raw_part(2, 0).unwrap(), bad);
        log.store().damage(2, 0, Some(&sound));
    }
    assert!(verify(&*log, None, &|_| Ok(()), &mut |_| {}).is_ok());
}

#[test]
fn torn_frames_at_any_length_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 3, 40);
    let sound = log.store().raw_part(2, 0).unwrap();
    for len in 0..sound.len() {
        altered(&log, 2, |b| b.truncate(len));
        assert!(matches!(log.read(CommitNumber(2), 1), Err(LogError::Corrupt { .. })), "length {len}");
        log.store().damage(2, 0, Some(&sound));
    }
}

#[test]
fn a_missing_commit_and_a_missing_part_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 2, 40);
    // Frames of more than two parts.
    log.append(vec![commit_of(16_000)]).unwrap();
    log.append(vec![commit_of(2 * crate::guarded::PART + 100)]).unwrap();
    log.append(vec![commit_of(40)]).unwrap();
    log.recent.write().clear();
    assert_eq!(log.read(CommitNumber(1), 10).unwrap().len(), 5);
    for part in 0..3 {
        let sound = log.store().raw_part(4, part).unwrap();
        log.store().damage(4, part, None);
        assert!(matches!(log.read(CommitNumber(4), 1), Err(LogError::Corrupt { .. })), "part {part}");
        assert_eq!(findings(&log).0, 4);
        log.store().damage(4, part, Some(&sound));
    }
    log.store().damage(2, 0, None);
    let e = log.read(CommitNumber(1), 10).unwrap_err();
    assert!(matches!(e, LogError::Corrupt { commit: CommitNumber(2), .. }), "{e}");
    assert_eq!(findings(&log).0, 2);
    assert!(findings(&log).2.contains("missing"));
}

#[test]
fn a_commit_that_was_replaced_by_another_sound_one_is_noticed() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = filled(dir.path(), 3, 40);
    let forged = filled(other.path(), 3, 40).store().raw_part(2, 0).unwrap();
    altered(&log, 2, |b| b.clone_from(&forged));
    assert!(log.read(CommitNumber(1), 3).is_ok(), "every frame is sound by itself");
    assert!(findings(&log).2.contains("Merkle frontier"));
}

#[test]
fn the_checkpoint_finds_a_history_that_was_rewritten_as_a_whole() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = filled(dir.path(), 4, 40);
    let f = log.frontier();
    let signed = checkpoint::Checkpoint { origin: "millwright/production".into(), size: f.size(), root: f.root() };
    log.append(vec![commit_of(40)]).unwrap();
    let ok = verify(&*log, Some(&signed), &|_| Ok(()), &mut |_| {}).unwrap();
    assert_eq!((ok.commits, ok.events, ok.checkpoint), (5, 5, Some(4)));
    let rewritten = filled(other.path(), 5, 40);
    let f = verify(&*rewritten, Some(&signed), &|_| Ok(()), &mut |_| {}).unwrap_err();
    assert!(f.reason.contains("checkpoint was signed for"), "{f}");
    let shorter = filled(tempfile::tempdir().unwrap().path(), 3, 40);
    let f = verify(&*shorter, Some(&signed), &|_| Ok(()), &mut |_| {}).unwrap_err();
    assert_eq!(f.commit.0, 4);
}

#[test]
fn nothing_spills_into_blobs_and_a_blob_stops_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 0, 0);
    for _ in 0..20 {
        log.append((0..32).map(|_| commit_of(30_000)).collect()).unwrap();
    }
    std::fs::write(dir.path().join("logs/production/blobs/1"), b"x").unwrap();
    assert!(matches!(log.append(vec![commit_of(10)]), Err(LogError::Engine { .. })));
    assert!(matches!(log.append(vec![commit_of(10)]), Err(LogError::Stopped(_))));
}

#[test]
fn an_unfinished_snapshot_is_removed_before_opening() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 3, 40));
    let left = dir.path().join("logs/production/snap.0000000000000F00.generating");
    std::fs::write(&left, b"half a snapshot").unwrap();
    let log = SledLog::open(options(dir.path())).unwrap();
    assert_eq!(log.head().commit.0, 3);
    assert!(!left.exists());
}

#[test]
fn a_log_that_opens_empty_or_short_beside_its_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 3, 40));
    let logs = dir.path().join("logs/production");
    std::fs::rename(&logs, dir.path().join("aside")).unwrap();
    let e = SledLog::open(options(dir.path())).err().unwrap();
    assert!(matches!(e, LogError::Shorter { have: CommitNumber(0), signed: CommitNumber(3), .. }), "{e}");
    // Another log of the same length is not it either.
    std::fs::remove_dir_all(&logs).unwrap();
    let other = tempfile::tempdir().unwrap();
    drop(filled(other.path(), 3, 40));
    std::fs::rename(other.path().join("logs/production"), &logs).unwrap();
    assert!(matches!(SledLog::open(options(dir.path())), Err(LogError::Checkpoint { .. })));
    std::fs::remove_dir_all(&logs).unwrap();
    std::fs::rename(dir.path().join("aside"), &logs).unwrap();
    assert_eq!(SledLog::open(options(dir.path())).unwrap().head().commit.0, 3);
}

#[test]
fn after_a_failed_sync_nothing_is_stored_or_shown_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let fail = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let f = fail.clone();
    let o = options(dir.path()).sync_with(move |file| {
        if f.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        file.sync_data()
    });
    let log = SledLog::open(o).unwrap();
    log.append(vec![commit_of(10)]).unwrap();
    fail.store(true, std::sync::atomic::Ordering::SeqCst);
    let e = log.append(vec![commit_of(10)]).unwrap_err();
    assert!(e.to_string().contains("syncing"), "{e}");
    fail.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(matches!(log.append(vec![commit_of(10)]), Err(LogError::Stopped(_))));
    assert_eq!(log.head().commit.0, 1);
    assert_eq!(log.read(CommitNumber(1), 10).unwrap().len(), 1);
    assert_eq!(log.frontier().size(), 1);
}

#[test]
fn two_programs_never_open_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let _log = filled(dir.path(), 1, 10);
    assert!(matches!(SledLog::open(options(dir.path())), Err(LogError::InUse(_))));
    assert!(matches!(AtRest::open(&dir.path().join("logs/production"), Context::Production), Err(LogError::InUse(_))));
}

#[test]
fn the_index_is_disposable_and_that_of_another_log_is_noticed() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = filled(dir.path(), 50, 10);
    let last = log.read(CommitNumber(50), 1).unwrap().remove(0);
    drop(log);
    drop(filled(other.path(), 20, 10));
    let index = dir.path().join("index/production");
    let same = |log: &SledLog| {
        assert_eq!(log.stream_head(&last.events[0].event.stream).unwrap().unwrap().token.0, 50);
        assert_eq!(log.outcome(&last.head.account, &last.head.command_id).unwrap().unwrap(), last);
    };
    std::fs::remove_dir_all(&index).unwrap();
    same(&SledLog::open(options(dir.path())).unwrap());
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::rename(other.path().join("index/production"), &index).unwrap();
    same(&SledLog::open(options(dir.path())).unwrap());
    std::fs::remove_file(index.join("index.db-wal")).ok();
    std::fs::write(index.join("index.db"), b"not a database").unwrap();
    same(&SledLog::open(options(dir.path())).unwrap());
}

#[test]
fn the_head_is_signed_at_a_clean_end_and_about_every_second_before() {
    let dir = tempfile::tempdir().unwrap();
    let o = options(dir.path());
    let log = SledLog::open(o.clone()).unwrap();
    log.append(vec![commit_of(10)]).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if let Some(c) = checkpoint::read(&o.checkpoint, o.key.public(), Context::Production).unwrap() {
            assert_eq!(c.size, 1);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no checkpoint was written");
        std::thread::yield_now();
    }
    log.append(vec![commit_of(10), commit_of(10)]).unwrap();
    log.close().unwrap();
    let c = checkpoint::read(&o.checkpoint, o.key.public(), Context::Production).unwrap().unwrap();
    assert_eq!((c.size, c.root), (3, log.frontier().root()));
}

#[test]
fn checking_a_log_at_rest_changes_no_byte_of_it_however_damaged_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 200, 300));
    let logs = dir.path().join("logs/production");
    let db = logs.join("db");
    let sound = std::fs::read(&db).unwrap();
    let used = sound.iter().rposition(|b| *b != 0).unwrap();
    let mut found = 0;
    // sled takes a damaged last page for a torn one and goes back behind it: the log is sound
    // again, but shorter, and only the signed head knows.
    let o = options(dir.path());
    let signed = checkpoint::read(&o.checkpoint, o.key.public(), Context::Production).unwrap().unwrap();
    let payload = [0x5a; 300];
    let newest = sound.windows(payload.len()).rposition(|w| w == payload).unwrap();
    for at in (0..used).step_by(used / 8).chain([newest, newest + 150, newest + 299]) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        std::fs::write(&db, &bytes).unwrap();
        let bad = match AtRest::open(&logs, Context::Production) {
            Err(_) => true,
            Ok(log) => verify(&log, Some(&signed), &|_| Ok(()), &mut |_| {}).is_err(),
        };
        found += u32::from(bad);
        assert!(std::fs::read(&db).unwrap() == bytes, "byte {at}: the file was altered");
    }
    assert!(found >= 3, "{found} of the flips were noticed; the last at {newest} of {used}");
    std::fs::write(&db, &sound).unwrap();
    let log = AtRest::open(&logs, Context::Production).unwrap();
    assert_eq!(verify(&log, None, &|_| Ok(()), &mut |_| {}).unwrap().commits, 200);
    drop(log);
    let left: Vec<_> = std::fs::read_dir(dir.path().join("logs")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["production"], "the copy is gone");
}

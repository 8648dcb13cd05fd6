//! Power loss: an ext4 file system in an image, copied while the writer stands still. What the
//! file system had not written yet is not in the copy, as after a pulled plug. The copy is mounted
//! and must hold every commit that was acknowledged before.
//!
//! Needs root, loop devices and mkfs.ext4; says so when it can't run. 3 rounds by default,
//! `MILLWRIGHT_TORTURE=1` makes it 28 and a missing requirement a failure.

#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use mw_contract::commit::{Head, NewCommit, StoredCommit};
use mw_contract::{CommandId, CommitNumber, Context};
use mw_log::bench::commit_of;
use mw_log::{CheckpointKey, Completion, Decider, Decision, EventLog, LogError, OpenOptions, SledLog, Writer, verify};

const DIR: &str = "MW_LOG_POWER_DIR";

fn open(dir: &Path) -> Result<Arc<SledLog>, LogError> {
    let key = CheckpointKey::load_or_create(&dir.join("keys/checkpoint.key"))?;
    SledLog::open(OpenOptions::under(dir, Context::Production, Arc::new(key)))
}

struct Store;

impl Decider for Store {
    type Job = NewCommit;
    type Ticket = ();
    fn decide(&mut self, job: NewCommit, _: Head) -> Decision<()> {
        Decision::Commit(job, ())
    }
}

struct Say;

impl Completion<()> for Say {
    fn durable(&mut self, batch: Vec<(Option<Arc<StoredCommit>>, ())>) {
        let mut out = std::io::stdout().lock();
        for c in batch.into_iter().filter_map(|(c, ())| c) {
            writeln!(out, "acked {} {}", c.number, c.head.command_id).unwrap();
        }
        out.flush().unwrap();
    }

    fn failed(&mut self, _: Vec<()>, why: &LogError) {
        panic!("{why}");
    }
}

/// Not a test by itself: the child of the one below.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let log = open(Path::new(&dir)).unwrap();
    let writer = Writer::spawn(log, Store, Say, 64);
    for n in 0.. {
        // Not so fast that the image fills within a round.
        if n % 64 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        if writer.submit(commit_of(100 + n % 300)).is_err() {
            return;
        }
    }
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned());
    }
    Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim()))
}

/// A mounted image; taken down when dropped, so that a failed test leaves nothing mounted.
struct Mounted {
    at: PathBuf,
    device: String,
}

impl Mounted {
    fn new(image: &Path, at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).map_err(|e| e.to_string())?;
        let device = run("losetup", &["--find", "--show", &image.to_string_lossy()])?;
        match run("mount", &["-t", "ext4", &device, &at.to_string_lossy()]) {
            Ok(_) => Ok(Mounted { at: at.to_owned(), device }),
            Err(e) => {
                let _ = run("losetup", &["--detach", &device]);
                Err(e)
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(e) = run("umount", &[&self.at.to_string_lossy()]) {
            if Instant::now() > deadline {
                eprintln!("{e}");
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = run("losetup", &["--detach", &self.device]);
    }
}

fn requirements(dir: &Path) -> Result<PathBuf, String> {
    if run("id", &["-u"])? != "0" {
        return Err("it needs root".into());
    }
    let image = dir.join("disk.img");
    let f = std::fs::File::create(&image).map_err(|e| e.to_string())?;
    f.set_len(192 * 1024 * 1024).map_err(|e| e.to_string())?;
    run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()])?;
    drop(Mounted::new(&image, &dir.join("probe"))?);
    Ok(image)
}

fn spawn(dir: &Path) -> (Child, Receiver<(CommitNumber, CommandId)>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tx, rx) = channel();
    std::thread::spawn(move || {
        for line in out.lines() {
            let Ok(line) = line else { break };
            let Some((_, line)) = line.split_once("acked ") else { continue };
            let Some((n, id)) = line.split_once(' ') else { continue };
            if let (Ok(n), Ok(id)) = (n.parse(), id.parse())
                && tx.send((CommitNumber(n), CommandId(id))).is_err()
            {
                break;
            }
        }
    });
    (child, rx)
}

fn signal(child: &Child, name: &str) {
    run("kill", &["-s", name, &child.id().to_string()]).unwrap();
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let torture = std::env::var_os("MILLWRIGHT_TORTURE").is_some();
    let tmp = tempfile::tempdir().unwrap();
    let image = match requirements(tmp.path()) {
        Ok(i) => i,
        Err(why) if torture => panic!("the power-loss test can't run here: {why}"),
        Err(why) => {
            println!("NOT RUN: the power-loss test can't run here: {why}");
            return;
        }
    };
    let rounds = if torture { 28 } else { 3 };
    let (live, copy) = (tmp.path().join("live"), tmp.path().join("copy.img"));
    let mut total = 0;
    for round in 0..rounds {
        run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()]).unwrap();
        let disk = Mounted::new(&image, &live).unwrap();
        let (mut child, acks) = spawn(&live.join("data"));
        let mut acked: HashMap<CommitNumber, CommandId> = HashMap::new();
        let wanted = 200 + 350 * (round % 7);
        while acked.len() < wanted {
            let (n, id) = acks.recv_timeout(Duration::from_secs(60)).expect("the child acknowledges");
            acked.insert(n, id);
        }
        signal(&child, "STOP");
        // Said before it stood still, read only now.
        while let Ok((n, id)) = acks.recv_timeout(Duration::from_millis(200)) {
            acked.insert(n, id);
        }
        std::fs::copy(&image, &copy).unwrap();
        signal(&child, "KILL");
        child.wait().unwrap();
        drop(disk);

        let disk = Mounted::new(&copy, &tmp.path().join("after")).unwrap();
        let log = open(&disk.at.join("data")).unwrap_or_else(|e| panic!("round {round}: {e}"));
        let mut from = CommitNumber(1);
        let mut found = 0;
        loop {
            let commits = log.read(from, 5000).unwrap();
            let Some(last) = commits.last() else { break };
            from = last.number.next();
            for c in &commits {
                if let Some(id) = acked.get(&c.number) {
                    assert_eq!(c.head.command_id, *id, "round {round}: commit {} is another", c.number);
                    found += 1;
                }
            }
        }
        assert_eq!(found, acked.len(), "round {round}: acknowledged commits are missing");
        verify::verify(&*log, None, &|_| Ok(()), &mut |_| {}).unwrap_or_else(|f| panic!("round {round}: {f}"));
        total += found;
        drop(log);
        drop(disk);
    }
    println!("{rounds} power losses, {total} acknowledged commits, none missing");
}

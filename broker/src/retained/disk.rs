//! The way of retained messages to the disk.
//!
//! Owns one thread that writes: everything that changed while the last write went on is one write,
//! and of each topic the last value alone. Nobody is released before what they wait for is on
//! disk. When the disk fails, the acknowledgements stay away (their connections close after the
//! outcome timeout) and the write is tried again; everything else goes on.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mw_log::LogError;
use mw_log::named_values::Change as Written;
use parking_lot::{Condvar, Mutex};

use super::Kept;
use crate::control::{Control, Lane};
use crate::metrics::Metrics;

/// How long after a failed write it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Who waits until a change is on disk.
pub(crate) struct Waiter {
    pub control: Arc<Control>,
    pub seq: u64,
}

impl Waiter {
    pub(super) fn release(self) {
        self.control.release(Lane::RETAINED, self.seq);
    }
}

#[derive(Default)]
struct Change {
    value: Option<Arc<Kept>>,
    waiters: Vec<Waiter>,
}

/// What is not on disk yet. Bounded by the topics that may be retained; the waiters are bounded by
/// the acknowledgements that each connection may have withheld.
#[derive(Default)]
struct Dirty {
    changes: HashMap<Arc<str>, Change>,
    closing: bool,
}

#[derive(Default)]
struct Queue {
    dirty: Mutex<Dirty>,
    work: Condvar,
}

/// The writer and what is on its way to it.
pub(super) struct Disk {
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Disk {
    /// Starts the thread. `write` makes all changes durable or fails; it is dropped when the
    /// thread ends.
    pub fn start(
        write: impl Fn(&[Written]) -> Result<(), LogError> + Send + 'static,
        metrics: &Metrics,
    ) -> Result<Disk, LogError> {
        let queue = Arc::<Queue>::default();
        let (q, m) = (Arc::clone(&queue), metrics.clone());
        let spawned = std::thread::Builder::new().name("mw-retained".to_owned()).spawn(move || run(&write, &q, &m));
        let writer = spawned.map_err(|e| LogError::Stopped(format!("a thread can't be started: {e}")))?;
        Ok(Disk { queue, writer: Mutex::new(Some(writer)) })
    }

    /// A topic's message has changed. Calls for one topic come in the order of its changes.
    pub fn change(&self, topic: Arc<str>, value: Option<Arc<Kept>>, waiter: Option<Waiter>) {
        let mut dirty = self.queue.dirty.lock();
        let change = dirty.changes.entry(topic).or_default();
        change.value = value;
        change.waiters.extend(waiter);
        self.queue.work.notify_one();
    }

    /// Writes what is left, and ends the thread.
    pub fn close(&self) {
        self.queue.dirty.lock().closing = true;
        self.queue.work.notify_one();
        let writer = self.writer.lock().take();
        if let Some(w) = writer {
            // A panic has been reported on its way.
            let _ = w.join();
        }
    }
}

fn run(write: &dyn Fn(&[Written]) -> Result<(), LogError>, queue: &Queue, metrics: &Metrics) {
    loop {
        let (changes, closing) = {
            let mut dirty = queue.dirty.lock();
            while dirty.changes.is_empty() && !dirty.closing {
                queue.work.wait(&mut dirty);
            }
            (std::mem::take(&mut dirty.changes), dirty.closing)
        };
        if changes.is_empty() {
            return;
        }
        let values: Vec<Written> =
            changes.iter().map(|(t, c)| (t.to_string(), c.value.as_ref().map(|k| k.encode()))).collect();
        match write(&values) {
            Ok(()) => changes.into_values().flat_map(|c| c.waiters).for_each(Waiter::release),
            Err(e) => {
                metrics.retained_failed.inc();
                tracing::error!(error = %e, messages = values.len(), "retained messages can't be written");
                let mut dirty = queue.dirty.lock();
                put_back(&mut dirty, changes);
                if closing {
                    return;
                }
                // New changes wake this too, and a disk that fails is not to be asked for each of them.
                let until = Instant::now() + TRY_AGAIN;
                while !dirty.closing && !queue.work.wait_until(&mut dirty, until).timed_out() {}
            }
        }
    }
}

/// Keeps what could not be written beside what changed since. Those whose connection ended
/// wait no longer: a disk that fails for long must not gather them.
fn put_back(dirty: &mut Dirty, failed: HashMap<Arc<str>, Change>) {
    for (topic, mut old) in failed {
        old.waiters.retain(|w| !w.control.has_ended());
        let now = dirty.changes.entry(topic).or_insert_with(|| Change { value: old.value.take(), waiters: Vec::new() });
        old.waiters.append(&mut now.waiters);
        now.waiters = old.waiters;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A disk that can be broken, and what reached it.
    struct Fake {
        broken: Arc<AtomicBool>,
        written: Arc<Mutex<Vec<Vec<Written>>>>,
        metrics: Metrics,
        disk: Disk,
    }

    fn fake() -> Fake {
        let (broken, written) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let metrics = Metrics::default();
        let (b, w) = (Arc::clone(&broken), Arc::clone(&written));
        let write = move |changes: &[Written]| {
            if b.load(Ordering::SeqCst) {
                return Err(LogError::Stopped("no space".to_owned()));
            }
            w.lock().push(changes.to_vec());
            Ok(())
        };
        let disk = Disk::start(write, &metrics).unwrap();
        Fake { broken, written, metrics, disk }
    }

    impl Fake {
        fn set(&self, topic: &str, text: &str, control: &Arc<Control>, seq: u64) {
            let kept = Arc::new(Kept::new(topic, true, b"", text.as_bytes(), None));
            self.disk.change(topic.into(), Some(kept), Some(Waiter { control: Arc::clone(control), seq }));
        }
    }

    fn until(what: &str, mut ok: impl FnMut() -> bool) {
        let began = Instant::now();
        while !ok() {
            assert!(began.elapsed() < Duration::from_secs(20), "waited too long for {what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_disk_that_fails_keeps_acknowledgements_away_until_it_works_again() {
        let f = fake();
        let (c, gone) = (Arc::new(Control::default()), Arc::new(Control::default()));
        f.broken.store(true, Ordering::SeqCst);
        f.set("a", "old", &c, 1);
        f.set("b", "x", &gone, 7);
        until("a failed write", || f.metrics.retained_failed.get() > 0);
        f.set("a", "new", &c, 2);
        gone.set_ended();
        // The second failure of "b" at the latest lets go of whoever is not there any more.
        until("another failed write", || f.metrics.retained_failed.get() > 1 && Arc::strong_count(&gone) == 1);
        assert_eq!(c.take_released(), []);
        f.broken.store(false, Ordering::SeqCst);
        let mut released = Vec::new();
        until("the acknowledgements", || {
            released.extend(c.take_released());
            released.len() == 2
        });
        assert_eq!(released, [(Lane::RETAINED, 1), (Lane::RETAINED, 2)]);
        assert_eq!(gone.take_released(), []);
        let written = f.written.lock().concat();
        let of = |t: &str| written.iter().filter(|(topic, _)| topic == t).map(|(_, v)| v.clone()).collect::<Vec<_>>();
        assert_eq!(of("a"), [Some(Kept::new("a", true, b"", b"new", None).encode())], "the last value alone");
        assert_eq!(of("b").len(), 1);
    }

    #[test]
    fn closing_writes_what_is_left_and_lets_go_of_the_disk() {
        let f = fake();
        let c = Arc::new(Control::default());
        for n in 0..100 {
            f.set(&format!("t{n}"), "x", &c, n);
        }
        f.disk.close();
        assert_eq!(f.written.lock().concat().len(), 100);
        assert_eq!(c.take_released().len(), 100);
        assert_eq!(Arc::strong_count(&f.written), 1, "the writer is gone and its store with it");
        // A disk that fails does not keep the broker from ending.
        let f = fake();
        f.broken.store(true, Ordering::SeqCst);
        f.set("t", "x", &c, 1);
        f.disk.close();
        assert!(f.metrics.retained_failed.get() > 0);
        assert_eq!(c.take_released(), []);
    }
}

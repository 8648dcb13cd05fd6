//! Threads for work that nobody waits for: the index of the log, read models. On a busy machine they
//! give way to those that decide and sync, so that reads lag for a moment instead of commands.

use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

/// How far such a thread gives way when the machine is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesWay {
    /// Somebody may wait for it: the index, lists and documents.
    Soon,
    /// What follows in its own time: figures, process managers.
    Later,
}

impl GivesWay {
    /// Makes the calling thread give way.
    pub(crate) fn apply(self) {
        // On Linux both are of the calling thread alone. Where they are refused, everybody is equal.
        match self {
            GivesWay::Soon => {
                let _ = rustix::process::setpriority_process(None, 10);
            }
            // Whoever wakes takes the core from such a thread at once, whatever is left of its slice.
            GivesWay::Later => {
                let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                let me = thread_priority::thread_native_id();
                let _ = thread_priority::set_thread_priority_and_policy(me, ThreadPriority::Min, idle);
            }
        }
    }
}

/// Runs `work` on a thread of its own that gives way. `None` when it panicked or no thread could
/// be had.
pub async fn run<T: Send + 'static>(
    name: &'static str,
    way: GivesWay,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        way.apply();
        // Whoever asked may have gone away.
        let _ = done.send(work());
    });
    started.ok()?;
    result.await.ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn policy_and_nice() -> (String, String) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[38].to_owned(), fields[16].to_owned())
    }

    #[test]
    fn each_gives_way_in_its_manner_and_nobody_else_does() {
        let of = |way: GivesWay| {
            std::thread::spawn(move || {
                way.apply();
                policy_and_nice()
            })
        };
        let before = policy_and_nice();
        assert_eq!(of(GivesWay::Soon).join().unwrap().1, "10");
        // SCHED_IDLE of sched(7).
        assert_eq!(of(GivesWay::Later).join().unwrap().0, "5");
        assert_eq!(policy_and_nice(), before);
    }
}

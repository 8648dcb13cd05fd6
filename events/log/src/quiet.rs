//! Threads for work that nobody waits for: the index of the log, read models. On a busy machine they
//! give way to those that decide and sync, so that reads lag for a moment instead of commands.

/// How far such a thread gives way when the machine is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesWay {
    /// Somebody may wait for it: the index, lists and documents.
    Soon,
    /// What follows in its own time: figures, process managers.
    Later,
}

impl GivesWay {
    /// The nice value.
    const fn nice(self) -> i32 {
        match self {
            GivesWay::Soon => 10,
            GivesWay::Later => 19,
        }
    }

    /// Makes the calling thread give way.
    pub(crate) fn apply(self) {
        // On Linux this is of the calling thread alone. Where it is refused, everybody is equal.
        let _ = rustix::process::setpriority_process(None, self.nice());
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

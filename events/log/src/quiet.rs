//! Threads for work that nobody waits for: the index of the log, read models. On a busy machine they
//! give way to those that decide and sync, so that reads lag for a moment instead of commands.

/// How much less than others such a thread gets when the machine is busy (its nice value).
const NICE: i32 = 10;

/// Makes the calling thread give way.
pub(crate) fn give_way() {
    // On Linux this is of the calling thread alone. Where it is refused, everybody is equal.
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Runs `work` on a thread of its own that gives way. `None` when it panicked or no thread could
/// be had.
pub async fn run<T: Send + 'static>(name: &'static str, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        give_way();
        // Whoever asked may have gone away.
        let _ = done.send(work());
    });
    started.ok()?;
    result.await.ok()
}

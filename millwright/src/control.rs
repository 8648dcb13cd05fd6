//! The control socket `DIR/control.sock` (mode 0600): how commands of the same machine reach a
//! running system. One request a connection: a JSON line in, JSON lines out, the last of which
//! says `{"done":…}` or `{"error":…}`.

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// The most bytes of a request.
const MAX_REQUEST: u64 = 256 * 1024;

/// What can be asked of a running system.
#[derive(Serialize, Deserialize, Debug)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Decide one command as the machine's operator.
    Execute { site: Option<String>, command: Value },
    /// The accounts as they are.
    Accounts,
    /// Stored commits of a context, from a commit number on, at most `limit`.
    Commits { context: String, from: u64, limit: usize },
    /// Check a context's log while it runs.
    Verify { checkpoint: Option<String>, key: Option<String> },
    /// Move the demo clock.
    AdvanceClock { ms: i64 },
    /// Make a new token signing key.
    RotateKeys,
}

/// Where the answers of one request go, line by line.
pub type Lines = mpsc::Sender<Value>;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one; the value returned becomes the last line.
    fn handle(self: Arc<Self>, request: Request, lines: Lines) -> impl Future<Output = Result<Value>> + Send;
}

/// Where the socket is.
pub fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Listens; a socket that a crash left is replaced, which is safe because the data directory is
/// locked by then.
pub fn listen(data: &Path) -> Result<UnixListener> {
    let p = path(data);
    match std::fs::remove_file(&p) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("{}", p.display())),
    }
    let l = UnixListener::bind(&p).with_context(|| format!("control socket {}", p.display()))?;
    std::fs::set_permissions(&p, std::fs::Permissions::from_mode(0o600)).with_context(|| format!("{}", p.display()))?;
    Ok(l)
}

/// Serves until dropped.
pub async fn serve<H: Handler>(listener: UnixListener, handler: Arc<H>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let handler = handler.clone();
                tokio::spawn(async move {
                    if let Err(e) = answer(stream, handler).await {
                        tracing::debug!(error = %e, "a control connection ended early");
                    }
                });
            }
            Err(e) => {
                tracing::warn!(error = %e, "control socket");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer<H: Handler>(stream: UnixStream, handler: Arc<H>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_REQUEST)).read_line(&mut line).await?;
    let (tx, mut rx) = mpsc::channel(64);
    let work = async move {
        let result = match serde_json::from_str::<Request>(&line) {
            Ok(request) => handler.handle(request, tx.clone()).await,
            Err(e) => Err(anyhow!("the request can't be read: {e}")),
        };
        let last = match result {
            Ok(v) => json!({"done": v}),
            Err(e) => json!({"error": format!("{e:#}")}),
        };
        tx.send(last).await.ok();
    };
    let out = async move {
        while let Some(v) = rx.recv().await {
            let mut text = v.to_string();
            text.push('\n');
            write.write_all(text.as_bytes()).await?;
        }
        write.shutdown().await
    };
    let ((), written) = tokio::join!(work, out);
    Ok(written?)
}

/// Is a system running on this data directory? `None` when not; then it can be opened.
pub async fn connect(data: &Path) -> Option<UnixStream> {
    UnixStream::connect(path(data)).await.ok()
}

/// Asks; `each` sees every line but the last, whose value is returned.
pub async fn ask(stream: UnixStream, request: &Request, mut each: impl FnMut(Value) -> Result<()>) -> Result<Value> {
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(request)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let mut v: Value = serde_json::from_str(&line)?;
        if let Some(e) = v.get("error").and_then(Value::as_str) {
            bail!("{e}");
        }
        match v.get_mut("done") {
            Some(done) => return Ok(done.take()),
            None => each(v)?,
        }
    }
    bail!("the running system ended the connection")
}

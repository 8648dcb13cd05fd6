//! `millwright health`: what supervisors run where there is no curl.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cli::HealthArgs;

/// Runs it.
pub fn run(args: &HealthArgs) -> Result<ExitCode> {
    let addr: std::net::SocketAddr =
        args.ops.parse().with_context(|| format!("--ops {}: write it as 127.0.0.1:9464", args.ops))?;
    // A service that listens on every address is asked on this machine's own.
    let host = if addr.ip().is_unspecified() { [127, 0, 0, 1].into() } else { addr.ip() };
    let addr = std::net::SocketAddr::new(host, addr.port());
    let path = if args.live { "livez" } else { "readyz" };
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(3)))
        .http_status_as_error(false)
        .build()
        .new_agent();
    let answer = agent.get(format!("http://{addr}/{path}")).call();
    let (good, text) = match answer {
        Ok(mut r) => (r.status() == 200, r.body_mut().read_to_string().unwrap_or_default()),
        Err(e) => (false, format!("no answer from {addr}: {e}")),
    };
    println!("{}", text.trim_end());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

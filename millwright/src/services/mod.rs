//! The services put together: all in one process ([`up`]), or each in its own ([`alone`]). What
//! stands in this file is what both share; [`needs`], [`presence`] and [`meters`] are what an
//! operator sees of them.
//!
//! Start-up goes from the inside out: data directory, logs, read models, and the doors last, so
//! that nobody is let in before everything behind is ready. Shutdown goes the other way.

pub mod alone;
mod api;
pub mod control;
pub mod data;
mod decider;
mod devices;
pub mod identity;
mod known;
pub mod meters;
mod needs;
mod presence;
mod processes;
mod state;
pub mod up;
mod views;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mw_broker::{Broker, BrokerConfig, Limits};
use mw_contract::Instant;
use mw_identity::Directory;
use mw_query_api::health::{self, Health};
use mw_runtime::bus::in_process::InProcessBus;
use mw_runtime::{Bus, Clock};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::LogFormat;
use crate::config::Network;
use data::Data;
use meters::Meters;

/// The name of the broker's status.
const BROKER: &str = "broker";
/// Shows text to readers in scope.
const QUERY_API: &str = "query-api";
/// The services that meet over the broker; in processes of their own each has an account of its name.
pub const SERVICES: [&str; 6] = ["identity", "production", "after-service", "processes", "projections", QUERY_API];

/// How long a clean stop may take before the process ends anyway.
const STOP_WITHIN: Duration = Duration::from_secs(20);

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")
}

/// Log lines go to standard error; standard output has `listening` and `ready` alone.
fn logging(format: LogFormat) {
    // The router calls every connection that ends an error; the door reports what matters of it.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,sled=warn,rumqttd=off,rumqttc=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => {
            use std::io::IsTerminal;
            builder.with_ansi(std::io::stderr().is_terminal()).try_init()
        }
    };
    // A second subscriber is refused; the first one goes on.
    drop(set);
}

/// A line on standard output, at once: whoever started the program waits for it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// SIGTERM and SIGINT. Made before anything else, so that one that comes during the start is heard
/// when the start is over.
struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Signals { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How a process ends: `None` was asked for.
fn ended(why: Option<String>) -> ExitCode {
    match why {
        None => ExitCode::SUCCESS,
        Some(why) => {
            eprintln!("millwright: {why}");
            ExitCode::from(1)
        }
    }
}

fn broker_config(network: &Network, data: &Data) -> BrokerConfig {
    BrokerConfig { limits: limits(network), retained_dir: Some(data.path("broker")), ..BrokerConfig::default() }
}

fn limits(network: &Network) -> Limits {
    let rate = network.rate_limit;
    Limits { commands_per_second: rate, command_burst: rate.saturating_mul(2), ..Limits::default() }
}

/// A bus of its own for one subscriber: links are made from blocking calls.
async fn link(broker: &Arc<Broker>, name: &'static str) -> Result<Arc<dyn Bus>> {
    let broker = broker.clone();
    let link = tokio::task::spawn_blocking(move || broker.link(name)).await??;
    Ok(InProcessBus::new(link))
}

fn listen(broker: &Broker, network: &Network, tls: &Arc<rustls::ServerConfig>) -> Result<()> {
    if let Some(addr) = network.mqtt {
        say(&format!("listening mqtt {}", broker.listen_tcp(addr)?));
    }
    if let Some(addr) = network.mqtts {
        say(&format!("listening mqtts {}", broker.listen_tls(addr, tls.clone())?));
    }
    Ok(())
}

/// The plain listener for supervisors.
fn ops(
    addr: Option<SocketAddr>,
    ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    meters: &Meters,
) -> Result<()> {
    let Some(addr) = addr else { return Ok(()) };
    let meters = meters.clone();
    let at = health::listen(addr, Health { ready, metrics: Arc::new(move || meters.text()) })?;
    say(&format!("listening ops {at}"));
    Ok(())
}

/// Time that was recorded is never gone back behind silently: a wrong clock would refuse or
/// misdate what people report.
fn check_clock(clock: &dyn Clock, services: &[&Arc<mw_runtime::CommandService>]) {
    for s in services {
        let head = s.head().commit;
        let last: Option<Instant> = s.log().read(head, 1).ok().and_then(|c| c.first().map(|c| c.head.recorded_at));
        if let Some(last) = last.filter(|l| clock.now().since(*l) < 0) {
            tracing::warn!(context = %s.context(), %last, now = %clock.now(), "the clock is behind the last recorded time");
        }
    }
}

/// Ends the sessions of accounts that were disabled, and takes back what is no longer granted.
async fn end_sessions(broker: Arc<Broker>, directory: Arc<Directory>) {
    let mut changes = directory.changes();
    let mut known = directory.all();
    while changes.changed().await.is_ok() {
        let now = directory.all();
        for a in &now {
            // The directory keeps the same value for an account that did not change.
            if known.iter().any(|k| Arc::ptr_eq(k, a)) {
                continue;
            }
            if a.disabled {
                broker.disconnect_account(&a.name);
            } else {
                broker.recheck(&a.name);
            }
        }
        known = now;
    }
}

//! The services put together: all in one process ([`run`]), or one alone ([`broker_alone`],
//! [`production_alone`]).
//!
//! Start-up goes from the inside out: data directory, logs, read models, and the doors last, so
//! that nobody is let in before everything behind is ready. Shutdown goes the other way.

mod alone;
mod api;
pub mod control;
pub mod data;
pub mod identity;
mod production;
mod views;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mw_broker::{Broker, BrokerConfig, Limits};
use mw_contract::Instant;
use mw_identity::Directory;
use mw_runtime::bus::in_process::InProcessBus;
use mw_runtime::{Bus, BusinessClock, Clock};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

pub use alone::{broker_alone, production_alone};

use crate::cli::{LogFormat, UpArgs};
use crate::config::{self, Network, Up};
use crate::{demo, tls};
use data::Data;
use identity::{BrokerLogin, Identity};

/// How long a clean stop may take before the process ends anyway.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// `millwright up`.
pub fn run(args: &UpArgs) -> Result<ExitCode> {
    let config = config::up(args)?;
    logging(config.base.log_format);
    runtime()?.block_on(up(config))
}

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
        LogFormat::Json => builder.json().try_init(),
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

fn clock(up: &Up) -> BusinessClock {
    match up.clock {
        Some(c) => BusinessClock::demo(c.start, c.rate),
        None => BusinessClock::wall(),
    }
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

async fn up(config: Up) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let data = Data::lock(&config.base.data)?;
    let tls = tls::server(data.dir(), config.network.tls.as_ref())?;
    let issuers = api::issuers(&config.issuers)?;
    let clock = Arc::new(clock(&config));
    let mut registry = Registry::default();

    let identity = Identity::open(&data, issuers).await?;
    let login = BrokerLogin { login: identity.login.clone(), services: Vec::new() };
    let broker_config = BrokerConfig { limits: limits(&config.network), ..BrokerConfig::default() };
    let broker = Arc::new(Broker::start(broker_config, Arc::new(login))?);
    broker.metrics().register(&mut registry);

    let bus = link(&broker, "identity").await?;
    let (accounts, mut following) = identity.start(Some(bus), clock.clone(), &mut registry).await?;
    let bus = link(&broker, "production").await?;
    let production =
        production::start(&data, identity.directory.clone(), Some(bus), clock.clone(), &mut registry).await?;
    check_clock(&*clock, &[&accounts, &production.service]);

    if let Some(secret) = identity.first_start(&accounts, config.demo).await? {
        say(&format!("first start: account admin, secret {secret} (shown this once)"));
    }
    if config.demo {
        demo::reference_data(&production.service).await?;
    }

    let (stop, stopped) = watch::channel(false);
    let views = views::start(&data.path("views"), &identity.log, &production.log, &stopped)?;
    tokio::select! {
        () = views.caught_up() => {}
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    }
    let api = api::start(
        config.https,
        &data.path("views"),
        &identity,
        &accounts,
        &production,
        &views,
        &clock,
        registry,
        tls::https(&tls),
    )?;

    let control = control::Control {
        services: vec![(production.service.clone(), production.log.clone()), (accounts.clone(), identity.log.clone())],
        directory: identity.directory.clone(),
        login: identity.login.clone(),
        clock: clock.clone(),
        data: data.dir().to_owned(),
    };
    let control = tokio::spawn(crate::control::serve(crate::control::listen(data.dir())?, Arc::new(control)));
    let watching = tokio::spawn(end_sessions(broker.clone(), identity.directory.clone()));

    listen(&broker, &config.network, &tls)?;
    say(&format!("listening https {}", api.local_addr()));
    say("ready");

    let why = tokio::select! {
        () = signals.stop() => None,
        why = broker.failed() => Some(why),
        why = accounts.failed() => Some(why.to_string()),
        why = production.service.failed() => Some(why.to_string()),
        ended = &mut following => Some(format!("identity's accounts are not followed any more: {ended:?}")),
    };
    if let Some(why) = &why {
        tracing::error!(reason = %why, "stopping: a part of the system can't go on");
    }

    let clean = async {
        control.abort();
        // Commands that were taken are decided and answered while clients are still connected.
        production.service.shutdown().await;
        accounts.shutdown().await;
        watching.abort();
        broker.shutdown().await;
        api.shutdown().await;
        stop.send_replace(true);
        views.stopped().await;
        following.abort();
        let logs = [production.log.clone(), identity.log.clone()];
        tokio::task::spawn_blocking(move || logs.iter().try_for_each(|l| l.close())).await
    };
    match tokio::time::timeout(STOP_WITHIN, clean).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(e))) => tracing::error!(error = %e, "a log could not be closed cleanly"),
        Ok(Err(e)) => tracing::error!(error = %e, "closing the logs was interrupted"),
        Err(_) => tracing::error!("the clean stop took too long; ending now. Nothing acknowledged is lost"),
    }
    let _ = std::fs::remove_file(crate::control::path(data.dir()));
    match why {
        None => Ok(ExitCode::SUCCESS),
        Some(why) => {
            eprintln!("millwright: {why}");
            Ok(ExitCode::from(1))
        }
    }
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

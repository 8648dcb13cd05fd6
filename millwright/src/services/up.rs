//! `millwright up`: every service in this process.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use mw_after_service::AfterService;
use mw_broker::Broker;
use mw_contract::Context;
use mw_identity::Login;
use mw_log::{EventLog, LocalReader, LogReader, SledLog};
use mw_processes::Followed;
use mw_production::Production;
use mw_query_api::{Api, ApiConfig, Models, Texts, Vaults};
use mw_runtime::{BusinessClock, Clock, CommandService};
use tokio::sync::watch;

use super::api::{self, Asked};
use super::data::Data;
use super::decider::{self, Opener, Running};
use super::identity::{BrokerLogin, Identity};
use super::known::{self, Known};
use super::meters::Meters;
use super::processes::Processes;
use super::views::{self, Views};
use super::{
    BROKER, STOP_WITHIN, Signals, broker_config, check_clock, control, devices, end_sessions, ended, link, listen,
    logging, ops, presence, processes, runtime, say, state,
};
use crate::cli::UpArgs;
use crate::config::{self, ClockStart, Up};
use crate::{demo, tls};

/// What runs here, as the status topics name it.
const HERE: [&str; 7] = [BROKER, "identity", "production", "after-service", "processes", "projections", "query-api"];

/// Runs it.
pub fn run(args: &UpArgs) -> Result<ExitCode> {
    let config = config::up(args)?;
    logging(config.base.log_format);
    runtime()?.block_on(up(config))
}

/// With a history to play the clock stands where that begins, until it was played.
fn clock(up: &Up, history: bool) -> (BusinessClock, ClockStart) {
    let wall = ClockStart { start: BusinessClock::wall().now(), rate: 1.0 };
    match (up.clock, history) {
        (given, true) => {
            let then = given.unwrap_or(wall);
            (BusinessClock::demo(demo::history::begins(then.start), 0.0), then)
        }
        (Some(c), false) => (BusinessClock::demo(c.start, c.rate), c),
        (None, false) => (BusinessClock::wall(), wall),
    }
}

/// Plays the plant's history, and lets the clock run.
async fn play(
    deciders: [&Running; 2],
    managers: &Processes,
    known: &Known,
    clock: &BusinessClock,
    then: ClockStart,
    data: &Data,
) -> Result<()> {
    let settled = async || {
        for d in deciders {
            managers.handle.settled(d.service.context(), d.log.head().commit).await;
        }
        known.handle.reached(deciders[0].log.head().commit).await;
    };
    let services = deciders.map(|d| d.service.clone());
    let played = demo::play::play(&services, clock, then.start, settled).await?;
    clock.set_rate(then.rate);
    data.history_is_played()?;
    say(&format!("history: {} commands accepted, {} refused", played.accepted, played.refused));
    Ok(())
}

async fn up(config: Up) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let data = Data::lock(&config.base.data)?;
    let tls = tls::server(data.dir(), config.network.tls.as_ref())?;
    let issuers = api::issuers(&config.issuers)?;
    let history = config.with_history && data.takes_history()?;
    let (clock, then) = clock(&config, history);
    let clock = Arc::new(clock);
    let meters = Meters::default();

    let identity = Identity::open(&data, issuers, &meters).await?;
    let login = BrokerLogin {
        gate: identity.login.gate().clone(),
        logins: identity.login.clone(),
        known: watch::channel(true).1,
        copy: None,
        services: Vec::new(),
    };
    let broker = Arc::new(Broker::start(broker_config(&config.network, &data), Arc::new(login))?);
    meters.register(|r| broker.metrics().register(r));

    let bus = link(&broker, "identity").await?;
    let (accounts, mut following) = identity.start(Some(bus), clock.clone()).await?;
    let directory = identity.directory.clone();
    let bus = Some(link(&broker, "production").await?);
    let production =
        decider::start(Production::default(), &data, directory.clone(), bus, clock.clone(), &meters).await?;
    let (stop, stopped) = watch::channel(false);
    let known = known::start(&data.path("known"), reader(&production.log), &stopped, &meters)?;
    tokio::select! {
        _ = known.handle.caught_up(known::PATIENCE) => {}
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    }
    let bus = Some(link(&broker, "after-service").await?);
    let business = AfterService::new(known.handle.known());
    let after_service = decider::start(business, &data, directory.clone(), bus, clock.clone(), &meters).await?;
    let services: [(Arc<CommandService>, Arc<SledLog>); 3] = [
        (production.service.clone(), production.log.clone()),
        (after_service.service.clone(), after_service.log.clone()),
        (accounts.clone(), identity.log.clone()),
    ];
    check_clock(&*clock, &services.each_ref().map(|(s, _)| s));

    if let Some(secret) = identity.first_start(&accounts, config.demo).await? {
        say(&format!("first start: account admin, secret {secret} (shown this once)"));
    }
    if config.demo {
        demo::reference_data(&production.service).await?;
    }
    let bus = link(&broker, "processes").await?;
    let followed = [&production.log, &after_service.log].map(|log| Followed { reader: reader(log), bus: bus.clone() });
    let managers = processes::start(&data.path("processes"), followed.into(), clock.clone(), &stopped, &meters);
    if history {
        play([&production, &after_service], &managers, &known, &clock, then, &data).await?;
    }
    let bus = link(&broker, "devices").await?;
    let listening = devices::start(&production, directory.clone(), bus, clock.clone(), &meters)?;

    let readers = services.each_ref().map(|(s, log)| (s.context(), reader(log)));
    let views = views::start(&data.path("views"), readers.into(), &stopped, &meters)?;
    // Whoever finds the system ready finds reference data that after-service knows too.
    let seen = async {
        known.handle.reached(production.log.head().commit).await;
        views.caught_up().await;
        managers.handle.read_up().await;
    };
    tokio::select! {
        () = seen => {}
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    }
    // The broker is in this process, so it is there for as long as this runs.
    let there = watch::channel(true);
    let topics = state::start(&data.path("views"), &views, link(&broker, "projections").await?, there.1);
    let api = start_api(
        &config,
        &data,
        &identity.login,
        &services,
        &production,
        &after_service,
        &views,
        &managers,
        &known,
        &clock,
        &meters,
        &tls,
    )?;

    let control = control::Control {
        services: services.to_vec(),
        directory: directory.clone(),
        login: Some(identity.login.clone()),
        clock: clock.clone(),
        data: data.dir().to_owned(),
    };
    let control = tokio::spawn(crate::control::serve(crate::control::listen(data.dir())?, Arc::new(control)));
    let watching = tokio::spawn(end_sessions(broker.clone(), directory));

    listen(&broker, &config.network, &tls)?;
    say(&format!("listening https {}", api.local_addr()));
    let status = link(&broker, "status").await?;
    presence::say(&status, &HERE, presence::ONLINE).await;
    say("ready");

    let why = tokio::select! {
        () = signals.stop() => None,
        why = broker.failed() => Some(why),
        why = accounts.failed() => Some(why.to_string()),
        why = production.service.failed() => Some(why.to_string()),
        why = after_service.service.failed() => Some(why.to_string()),
        ended = &mut following => Some(format!("identity's accounts are not followed any more: {ended:?}")),
    };
    if let Some(why) = &why {
        tracing::error!(reason = %why, "stopping: a part of the system can't go on");
    }

    let clean = async {
        control.abort();
        listening.abort();
        topics.abort();
        // Commands that were taken are decided and answered while clients are still connected.
        for (service, _) in &services {
            service.shutdown().await;
        }
        presence::say(&status, &HERE, presence::OFFLINE).await;
        watching.abort();
        broker.shutdown().await;
        api.shutdown().await;
        stop.send_replace(true);
        views.stopped().await;
        managers.stopped().await;
        known.stopped().await;
        following.abort();
        let logs = services.each_ref().map(|(_, log)| log.clone());
        tokio::task::spawn_blocking(move || logs.iter().try_for_each(|l| l.close())).await
    };
    match tokio::time::timeout(STOP_WITHIN, clean).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(e))) => tracing::error!(error = %e, "a log could not be closed cleanly"),
        Ok(Err(e)) => tracing::error!(error = %e, "closing the logs was interrupted"),
        Err(_) => tracing::error!("the clean stop took too long; ending now. Nothing acknowledged is lost"),
    }
    let _ = std::fs::remove_file(crate::control::path(data.dir()));
    Ok(ended(why))
}

fn reader(log: &Arc<SledLog>) -> Arc<dyn LogReader> {
    Arc::new(LocalReader(log.clone() as Arc<dyn EventLog>))
}

fn start_api(
    config: &Up,
    data: &Data,
    login: &Arc<Login>,
    services: &[(Arc<CommandService>, Arc<SledLog>); 3],
    production: &Running,
    after_service: &Running,
    views: &Views,
    managers: &Processes,
    known: &Known,
    clock: &Arc<BusinessClock>,
    meters: &Meters,
    tls: &Arc<rustls::ServerConfig>,
) -> Result<Api> {
    let log_of = |context: Context| services.iter().find(|(s, _)| s.context() == context).map(|(_, log)| reader(log));
    // Every context has its service here.
    let of = |context, name: &str| (views.named(name), log_of(context).unwrap_or_else(|| reader(&production.log)));
    let models = Models::new(&data.path("views"), of);
    let running = services.each_ref().map(|(s, _)| s.clone());
    let views = views.clone();
    let managers = managers.handle.clone();
    let known = known.handle.clone();
    let ready = move || match running.iter().find(|s| s.has_stopped()) {
        Some(s) => Err(format!("service {} has stopped", s.context())),
        None => views.are_live().and_then(|()| managers.ready()).and_then(|()| known.ready()),
    };
    let ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync> = Arc::new(ready);
    ops(config.ops, ready.clone(), meters)?;
    let (clock, jwks, text) = (clock.clone(), login.clone(), meters.clone());
    let metrics = mw_query_api::Metrics::default();
    meters.register(|r| metrics.register(r));
    Ok(mw_query_api::start(ApiConfig {
        addr: config.https,
        tls: tls::https(tls),
        identity: Arc::new(Asked {
            gate: login.gate().clone(),
            logins: login.clone(),
            jwks: Arc::new(move || jwks.jwks()),
            copy: None,
        }),
        models,
        texts: Vaults::new([
            (Context::Production, Texts::Here(Arc::new(Opener(production.vault.clone())))),
            (Context::AfterService, Texts::Here(Arc::new(Opener(after_service.vault.clone())))),
        ]),
        now: Arc::new(move || clock.now()),
        ready,
        metrics: Arc::new(move || text.text()),
        counts: metrics,
    })?)
}

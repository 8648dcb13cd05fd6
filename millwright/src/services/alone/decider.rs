//! `millwright production` and `millwright after-service`: a command service with its log.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use mw_after_service::AfterService;
use mw_contract::Context;
use mw_contract::decide::Domain;
use mw_log::SledLog;
use mw_production::Production;
use mw_runtime::BusinessClock;
use tokio::sync::watch;

use super::{Alone, run, within_reason};
use crate::cli::{DecidingArgs, ServiceArgs};
use crate::services::decider::{self, VaultAnswers};
use crate::services::known::{self, PATIENCE};
use crate::services::needs::what;
use crate::services::{Signals, check_clock, control, devices};
use crate::{config, demo};

/// Runs production.
pub fn production(args: &DecidingArgs) -> Result<ExitCode> {
    let config = config::service(&args.service, "production")?;
    let demo = config::demo(&args.demo, &args.service.common)?;
    run(config, &[what::ACCOUNTS], |alone, signals| serve(Production::default(), alone, signals, demo))
}

/// Runs after-service.
pub fn after_service(args: &ServiceArgs) -> Result<ExitCode> {
    let config = config::service(args, "after-service")?;
    run(config, &[what::ACCOUNTS, what::PRODUCTION], with_copy)
}

/// After-service decides by its copy of production, which is made before the first decision and goes on
/// without production afterwards.
async fn with_copy(alone: Arc<Alone>, mut signals: Signals) -> Result<Option<String>> {
    let reader = alone.log_of(Context::Production).await?;
    let (stop, stopped) = watch::channel(false);
    let known = known::start(&alone.data.path("known"), reader, &stopped, &alone.meters)?;
    let progress = known.handle.progress();
    alone.needs.explain(what::PRODUCTION, move || progress.borrow().trouble.clone());
    let current = tokio::select! {
        current = known.handle.caught_up(PATIENCE) => current,
        () = signals.stop() => return Ok(None),
    };
    if !current {
        tracing::warn!("production does not answer; going on with the copy of an earlier life");
    }
    alone.needs.met(what::PRODUCTION);
    let why = serve(AfterService::new(known.handle.known()), alone, signals, false).await;
    stop.send_replace(true);
    known.stopped().await;
    why
}

async fn serve<D: Domain>(domain: D, alone: Arc<Alone>, mut signals: Signals, demo: bool) -> Result<Option<String>> {
    let context = domain.context();
    let accounts = alone.accounts().await?;
    // Without the accounts every command would be refused, and the refusal stored.
    tokio::select! {
        () = alone.needs.is_met(what::ACCOUNTS) => {}
        () = signals.stop() => return Ok(None),
    }
    let clock = Arc::new(BusinessClock::wall());
    let directory = accounts.directory().clone();
    let running =
        decider::start(domain, &alone.data, directory.clone(), Some(alone.commands()?), clock.clone(), &alone.meters)
            .await?;
    check_clock(&*clock, &[&running.service]);
    if demo {
        demo::reference_data(&running.service).await?;
    }
    if context == Context::Production {
        devices::start(&running, directory.clone(), alone.connect("devices")?, clock.clone(), &alone.meters)?;
    }
    alone.serve_log(&running.log)?;
    alone.serve_answers(context, VaultAnswers::once_current(running.vault.clone(), context, accounts));
    let control = control::Control {
        services: vec![(running.service.clone(), running.log.clone())],
        directory,
        login: None,
        clock,
        data: alone.data.dir().to_owned(),
    };
    let control = tokio::spawn(crate::control::serve(crate::control::listen(alone.data.dir())?, Arc::new(control)));
    alone.needs.met(what::START);
    alone.say_when_ready();
    let why = tokio::select! {
        () = signals.stop() => None,
        why = running.service.failed() => Some(why.to_string()),
    };
    within_reason(async {
        control.abort();
        running.service.shutdown().await;
        close(&running.log).await;
    })
    .await;
    let _ = std::fs::remove_file(crate::control::path(alone.data.dir()));
    Ok(why)
}

/// Signs the head and closes the log.
pub(super) async fn close(log: &Arc<SledLog>) {
    let log = log.clone();
    match tokio::task::spawn_blocking(move || log.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::error!(error = %e, "the log could not be closed cleanly"),
        Err(e) => tracing::error!(error = %e, "closing the log was interrupted"),
    }
}

//! `millwright identity`: accounts, secrets and token signing keys.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use mw_contract::Context;
use mw_identity::asked::{LoginAnswers, announce_keys};
use mw_runtime::BusinessClock;

use super::{Alone, run as run_alone, within_reason};
use crate::cli::DecidingArgs;
use crate::config;
use crate::services::identity::Identity;
use crate::services::needs::what;
use crate::services::{Signals, check_clock, control, say};

/// Runs it.
pub fn run(args: &DecidingArgs) -> Result<ExitCode> {
    let config = config::service(&args.service, "identity")?;
    let demo = config::demo(&args.demo, &args.service.common)?;
    run_alone(config, &[], |alone, signals| serve(alone, signals, demo))
}

async fn serve(alone: Arc<Alone>, mut signals: Signals, demo: bool) -> Result<Option<String>> {
    let identity = Identity::open(&alone.data, Vec::new(), &alone.meters).await?;
    let clock = Arc::new(BusinessClock::wall());
    let (accounts, mut following) = identity.start(Some(alone.commands()?), clock.clone()).await?;
    check_clock(&*clock, &[&accounts]);
    if let Some(secret) = identity.first_start(&accounts, demo).await? {
        say(&format!("first start: account admin, secret {secret} (shown this once)"));
    }
    alone.serve_log(&identity.log)?;
    alone.serve_answers(Context::Identity, Arc::new(LoginAnswers(identity.login.clone())));
    tokio::spawn(announce_keys(identity.login.clone(), alone.main.clone()));
    let control = control::Control {
        services: vec![(accounts.clone(), identity.log.clone())],
        directory: identity.directory.clone(),
        login: Some(identity.login.clone()),
        clock,
        data: alone.data.dir().to_owned(),
    };
    let control = tokio::spawn(crate::control::serve(crate::control::listen(alone.data.dir())?, Arc::new(control)));
    alone.needs.met(what::START);
    alone.say_when_ready();
    let why = tokio::select! {
        () = signals.stop() => None,
        why = accounts.failed() => Some(why.to_string()),
        ended = &mut following => Some(format!("the accounts are not followed any more: {ended:?}")),
    };
    within_reason(async {
        control.abort();
        accounts.shutdown().await;
        following.abort();
        super::decider::close(&identity.log).await;
    })
    .await;
    let _ = std::fs::remove_file(crate::control::path(alone.data.dir()));
    Ok(why)
}

//! `millwright processes`: the process managers, from the logs that production and after-service serve.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use mw_contract::Context;
use mw_processes::Followed;
use mw_runtime::BusinessClock;
use tokio::sync::watch;

use super::{Alone, run as run_alone, within_reason};
use crate::cli::ServiceArgs;
use crate::config;
use crate::services::Signals;
use crate::services::needs::what;
use crate::services::processes;

/// How often readiness is looked at: the log may become unreadable at any time.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs it.
pub fn run(args: &ServiceArgs) -> Result<ExitCode> {
    run_alone(config::service(args, "processes")?, &[what::MANAGERS], serve)
}

async fn serve(alone: Arc<Alone>, mut signals: Signals) -> Result<Option<String>> {
    let mut followed = Vec::new();
    for context in [Context::Production, Context::AfterService] {
        let reader = alone.log_of(context).await?;
        followed.push(Followed { reader, bus: alone.connect(&format!("commands-{context}"))? });
    }
    let (stop, stopped) = watch::channel(false);
    let dir = alone.data.path("processes");
    let running = processes::start(&dir, followed, Arc::new(BusinessClock::wall()), &stopped, &alone.meters);
    let (handle, needs) = (running.handle.clone(), alone.needs.clone());
    let watching = tokio::spawn(async move {
        loop {
            needs.set(what::MANAGERS, handle.ready().is_ok());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    alone.needs.met(what::START);
    alone.say_when_ready();
    signals.stop().await;
    within_reason(async {
        watching.abort();
        stop.send_replace(true);
        running.stopped().await;
    })
    .await;
    Ok(None)
}

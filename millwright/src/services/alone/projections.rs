//! `millwright projections`: the read models, made from the logs that the command services serve.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use mw_contract::Context;
use tokio::sync::watch;

use super::{Alone, run as run_alone, within_reason};
use crate::cli::ViewsArgs;
use crate::config;
use crate::services::needs::{Needs, what};
use crate::services::views::{self, Readers, Views};
use crate::services::{Signals, state};

/// How often readiness is looked at: a read model may begin to wait for its log at any time.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs it.
pub fn run(args: &ViewsArgs) -> Result<ExitCode> {
    let config = config::service(&args.service, "projections")?;
    let views = config::views(args.views.as_deref(), &config.base, &args.service.common)?;
    run_alone(config, &[what::VIEWS], |alone, signals| async move { serve(alone, signals, &views).await })
}

async fn serve(alone: Arc<Alone>, mut signals: Signals, dir: &std::path::Path) -> Result<Option<String>> {
    let mut readers = Readers::new();
    for context in Context::ALL {
        readers.insert(*context, alone.log_of(*context).await?);
    }
    let (stop, stopped) = watch::channel(false);
    let views = views::start(dir, readers, &stopped, &alone.meters)?;
    let topics = state::start(dir, &views, alone.main.clone(), alone.main.connection());
    let watching = tokio::spawn(watch_views(views.clone(), alone.needs.clone()));
    alone.needs.met(what::START);
    alone.say_when_ready();
    signals.stop().await;
    within_reason(async {
        watching.abort();
        topics.abort();
        stop.send_replace(true);
        views.stopped().await;
    })
    .await;
    Ok(None)
}

async fn watch_views(views: Views, needs: Needs) {
    let mut why = None;
    loop {
        let now = views.are_live().err();
        if now != why {
            if let Some(reason) = &now {
                tracing::warn!(reason, "the read models are not whole");
            }
            why = now;
        }
        needs.set(what::VIEWS, why.is_none());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

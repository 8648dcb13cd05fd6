//! `millwright processes`: the process managers. The contract has none yet: the service joins,
//! says that it is there, and sends nothing.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::{Alone, run as run_alone};
use crate::cli::ServiceArgs;
use crate::config;
use crate::services::Signals;
use crate::services::needs::what;

/// Runs it.
pub fn run(args: &ServiceArgs) -> Result<ExitCode> {
    run_alone(config::service(args, "processes")?, &[], serve)
}

async fn serve(alone: Arc<Alone>, mut signals: Signals) -> Result<Option<String>> {
    alone.needs.met(what::START);
    alone.say_when_ready();
    signals.stop().await;
    Ok(None)
}

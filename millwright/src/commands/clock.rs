//! `millwright clock`: moves the clock of a running demo.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cli::ClockCommand;
use crate::config;
use crate::control::{self, Request};

/// Runs it.
pub fn run(command: &ClockCommand) -> Result<ExitCode> {
    let ClockCommand::Advance { duration, common } = command;
    let ms = config::duration_ms(duration)?;
    let data = config::base(common, &config::file(common)?).data;
    let now = super::block_on(async {
        let stream = control::connect(&data)
            .await
            .with_context(|| format!("nothing runs on {}: the clock of a demo moves while it runs", data.display()))?;
        control::ask(stream, &Request::AdvanceClock { ms }, |_| Ok(())).await
    })??;
    println!("business time is {}", now["now"].as_str().unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

//! One file a command.

mod account;
mod audit;
mod bench;
mod clock;
mod replay;
mod rotate_keys;
mod send;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::up;

/// Runs the command that was asked for.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Up(args) => up::run(&args),
        Command::Broker(args) => up::broker_alone(&args),
        Command::Production(args) => up::production_alone(&args),
        Command::Account(args) => account::run(args.command),
        Command::RotateKeys(args) => rotate_keys::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Audit { command } => audit::run(command),
        Command::Clock { command } => clock::run(&command),
        Command::Bench(args) => bench::run(args.command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "millwright", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A runtime for a short command.
pub fn block_on<F: Future>(f: F) -> Result<F::Output> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(f))
}

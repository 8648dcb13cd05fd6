//! One file a command.

mod account;
mod audit;
mod bench;
mod clock;
mod health;
mod init;
mod replay;
mod rotate_keys;
mod send;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::services::{self, alone};

/// Runs the command that was asked for.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Up(args) => services::up::run(&args),
        Command::Broker(args) => alone::broker(&args),
        Command::Identity(args) => alone::identity(&args),
        Command::Production(args) => alone::production(&args),
        Command::AfterService(args) => alone::after_service(&args),
        Command::Processes(args) => alone::processes(&args),
        Command::Projections(args) => alone::projections(&args),
        Command::QueryApi(args) => alone::query_api(&args),
        Command::Health(args) => health::run(&args),
        Command::Init(args) => init::run(&args),
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

/// A plain table with these headings.
pub fn table<const N: usize>(headings: [&str; N]) -> comfy_table::Table {
    let mut t = comfy_table::Table::new();
    // Lines between columns would come along when a cell is copied.
    t.load_preset(comfy_table::presets::NOTHING).set_header(headings);
    t
}

/// Shows how long work goes on: a spinner with a count on a terminal, a line every 10 s elsewhere.
pub fn spinner(what: &'static str) -> Progress {
    use std::io::IsTerminal;
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = indicatif::ProgressStyle::with_template("{spinner} {human_pos} {msg}, {per_sec}");
        let style = style.unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner());
        indicatif::ProgressBar::new_spinner().with_style(style).with_message(what)
    });
    Progress { bar, what, said: std::time::Instant::now() }
}

/// The same where it is known how much there is to do.
pub fn bar(what: &'static str, total: u64) -> Progress {
    let mut p = spinner(what);
    if let Some(b) = p.bar.take() {
        let style = indicatif::ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} {msg}, {eta} left");
        let style = style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
        b.set_length(total);
        p.bar = Some(b.with_style(style));
    }
    p
}

/// See [`spinner`].
pub struct Progress {
    bar: Option<indicatif::ProgressBar>,
    what: &'static str,
    said: std::time::Instant,
}

impl Progress {
    /// So many are done.
    pub fn set_position(&mut self, n: u64) {
        match &self.bar {
            Some(b) => b.set_position(n),
            None if self.said.elapsed().as_secs() >= 10 => {
                self.said = std::time::Instant::now();
                eprintln!("{n} {}", self.what);
            }
            None => {}
        }
    }

    /// It is over.
    pub fn finish_and_clear(&self) {
        if let Some(b) = &self.bar {
            b.finish_and_clear();
        }
    }
}

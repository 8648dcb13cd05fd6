//! `millwright`: arguments, configuration, wiring; nothing else.

mod bench_mqtt;
mod cli;
mod client;
mod commands;
mod config;
mod control;
mod demo;
mod history;
mod tls;
mod up;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Two providers are linked through dependencies; rustls must be told which one counts.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("millwright: {e:#}");
            ExitCode::from(2)
        }
    }
}

//! `millwright`: arguments, configuration, wiring; nothing else.

mod bench_mqtt;
mod cli;
mod client;
mod commands;
mod config;
mod control;
mod demo;
mod history;
mod services;
mod tls;

use std::process::ExitCode;

use clap::Parser;

// Small objects of many threads: the system's allocator spends a fifth of a busy program's time on
// them, and keeps twice the memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Huge pages would double what an idle system holds. Where that is refused it holds more.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
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

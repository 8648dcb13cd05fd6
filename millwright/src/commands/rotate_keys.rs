//! `millwright rotate-keys`: a new token signing key.

use std::process::ExitCode;

use anyhow::Result;
use mw_identity::KeyRing;
use mw_identity::tokens::UnixSeconds;

use crate::cli::DataArgs;
use crate::config;
use crate::control::{self, Request};
use crate::services::data::Data;

/// Runs it.
pub fn run(args: &DataArgs) -> Result<ExitCode> {
    let data = config::base(&args.common, &config::file(&args.common)?).data;
    let kid = super::block_on(async {
        match control::connect(&data).await {
            Some(stream) => {
                let v = control::ask(stream, &Request::RotateKeys, |_| Ok(())).await?;
                anyhow::Ok(v["kid"].as_str().unwrap_or_default().to_owned())
            }
            None => {
                let data = Data::lock(&data)?;
                Ok(KeyRing::open(&data.path("keys"), UnixSeconds::now())?.rotate(UnixSeconds::now())?)
            }
        }
    })??;
    println!("new signing key {kid}; tokens of the old one stay valid until they end");
    Ok(ExitCode::SUCCESS)
}

//! `millwright query-api`: HTTPS over the read models of the projections.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use mw_contract::Context;
use mw_identity::{AccountCopy, RemoteLogin, TokenGate, Verifier};
use mw_query_api::{ApiConfig, Models, Texts, Vaults};
use mw_runtime::ask::Asker;
use mw_runtime::{BusinessClock, Clock};
use tokio::sync::Notify;

use super::{Alone, run as run_alone};
use crate::cli::QueryApiArgs;
use crate::config::{self, QueryApi};
use crate::services::api::{self, Asked, AskedTexts};
use crate::services::identity::directory;
use crate::services::needs::{Needs, what};
use crate::services::views::Readers;
use crate::services::{Signals, say};
use crate::tls;

/// How often it is looked whether the projections have made all read models.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs it.
pub fn run(args: &QueryApiArgs) -> Result<ExitCode> {
    let config = config::service(&args.service, "query-api")?;
    let api = config::query_api(args, &config.base)?;
    run_alone(config, &[what::ACCOUNTS, what::VIEWS], |alone, signals| serve(alone, signals, api))
}

async fn serve(alone: Arc<Alone>, mut signals: Signals, config: QueryApi) -> Result<Option<String>> {
    let server = tls::server(alone.data.dir(), config.tls.as_ref())?;
    let verifier = Arc::new(Verifier::new(Arc::default(), api::issuers(&config.issuers)?));
    let directory = directory()?;
    let path = alone.data.path("copies/accounts.json");
    let copy = AccountCopy::open(&path, directory.clone(), Some(verifier.clone()));
    alone.needs.follow(what::ACCOUNTS, copy.known());

    let mut readers = Readers::new();
    for context in Context::ALL {
        readers.insert(*context, alone.log_of(*context).await?);
    }
    let news = Arc::new(Notify::new());
    let asks = Asker::start_hearing(Context::Identity, alone.account.clone(), alone.main.clone(), news.clone()).await?;
    let login = Arc::new(RemoteLogin::new(asks, directory.clone()));
    if let Some(log) = readers.get(&Context::Identity) {
        tokio::spawn(copy.clone().follow(log.clone()));
    }
    tokio::spawn(copy.clone().follow_keys(login.clone(), news));
    let mut vaults = Vec::new();
    for context in [Context::Production, Context::AfterService] {
        let bus = alone.connect(&format!("asks-{context}"))?;
        let asks = Asker::start(context, alone.account.clone(), bus).await?;
        vaults.push((context, Texts::Elsewhere(Arc::new(AskedTexts(asks)))));
    }

    let models = Models::new(&config.views, |context, _| (None, readers[&context].clone()));
    tokio::spawn(watch_models(models.clone(), alone.needs.clone()));
    let (clock, needs, meters) = (BusinessClock::wall(), alone.needs.clone(), alone.meters.clone());
    let counts = mw_query_api::Metrics::default();
    alone.meters.register(|r| counts.register(r));
    let api = mw_query_api::start(ApiConfig {
        addr: config.https,
        tls: tls::https(&server),
        identity: Arc::new(Asked {
            gate: TokenGate { directory, verifier },
            logins: login,
            jwks: {
                let copy = copy.clone();
                Arc::new(move || copy.jwks())
            },
            copy: Some(copy),
        }),
        models,
        texts: Vaults::new(vaults),
        now: Arc::new(move || clock.now()),
        ready: Arc::new(move || needs.ready()),
        metrics: Arc::new(move || meters.text()),
        counts,
    })?;
    say(&format!("listening https {}", api.local_addr()));
    alone.needs.met(what::START);
    alone.say_when_ready();
    signals.stop().await;
    api.shutdown().await;
    Ok(None)
}

async fn watch_models(models: Models, needs: Needs) {
    loop {
        let mut all = true;
        for model in models.each() {
            all &= matches!(model.head().await, Ok(Some(_)));
        }
        needs.set(what::VIEWS, all);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

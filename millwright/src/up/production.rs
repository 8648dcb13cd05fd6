//! Production in this process: its log, vault and command service.

use std::sync::Arc;

use anyhow::Result;
use mw_contract::{Context, Sealed};
use mw_log::{SledLog, Vault};
use mw_production::Production;
use mw_production_views::TextOpener;
use mw_runtime::metrics::Metrics;
use mw_runtime::{Accounts, Bus, BusinessClock, CommandService, Parts};
use prometheus_client::registry::Registry;

use super::data::Data;

/// Production, running.
pub struct Running {
    pub service: Arc<CommandService>,
    pub log: Arc<SledLog>,
    pub vault: Arc<Vault>,
}

/// Opens the log and starts to take commands.
pub async fn start(
    data: &Data,
    accounts: Arc<dyn Accounts>,
    bus: Option<Arc<dyn Bus>>,
    clock: Arc<BusinessClock>,
    registry: &mut Registry,
) -> Result<Running> {
    let log = data.log(Context::Production)?;
    let vault = data.vault(Context::Production)?;
    let parts = Parts {
        log: log.clone(),
        vault: vault.clone(),
        accounts,
        clock,
        bus,
        state_dir: data.path("state/production"),
        metrics: Metrics::register(registry, Context::Production),
        before_commit: None,
    };
    let service = CommandService::start(Production::default(), parts).await?;
    Ok(Running { service, log, vault })
}

/// Opens sealed text for readers in scope.
pub struct Opener(pub Arc<Vault>);

impl TextOpener for Opener {
    fn open(&self, sealed: &Sealed) -> Option<String> {
        self.0.open_text(sealed)
    }
}

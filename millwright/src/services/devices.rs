//! What machines say on their own topics, in the process that decides production.

use std::sync::Arc;

use anyhow::Result;
use mw_contract::{AccountName, Context};
use mw_devices::{Feed, Metrics};
use mw_log::{EventLog, LocalReader};
use mw_runtime::{Accounts, Bus, BusinessClock};
use tokio::task::JoinHandle;

use super::decider::Running;
use super::meters::Meters;

/// Listens to the machines until the bus ends.
pub fn start(
    production: &Running,
    accounts: Arc<dyn Accounts>,
    bus: Arc<dyn Bus>,
    clock: Arc<BusinessClock>,
    meters: &Meters,
) -> Result<JoinHandle<()>> {
    let feed = Feed {
        service: production.service.clone(),
        accounts,
        bus,
        log: Arc::new(LocalReader(production.log.clone() as Arc<dyn EventLog>)),
        clock,
        system: AccountName::new(Context::Production.as_str())?,
        metrics: meters.register(Metrics::register),
    };
    Ok(tokio::spawn(async move {
        if let Err(e) = feed.run().await {
            tracing::error!(error = %e, "machines are not listened to any more");
        }
    }))
}

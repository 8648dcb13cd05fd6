//! A command service in this process: its log, vault and business.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use mw_contract::decide::Domain;
use mw_contract::{AccountName, Context, Sealed};
use mw_identity::{AccountCopy, Directory, erasures};
use mw_log::{SledLog, Vault};
use mw_production_views::TextOpener;
use mw_runtime::ask::Answers;
use mw_runtime::metrics::Metrics;
use mw_runtime::{Bus, BusinessClock, CommandService, Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::data::Data;
use super::meters::Meters;

/// A command service, running.
#[derive(Clone)]
pub struct Running {
    pub service: Arc<CommandService>,
    pub log: Arc<SledLog>,
    pub vault: Arc<Vault>,
}

/// Opens the log and starts to take commands.
pub async fn start<D: Domain>(
    domain: D,
    data: &Data,
    directory: Arc<Directory>,
    bus: Option<Arc<dyn Bus>>,
    clock: Arc<BusinessClock>,
    meters: &Meters,
) -> Result<Running> {
    let context = domain.context();
    let metrics = meters.register(|r| Metrics::register(r, context));
    let log = data.log(context, &metrics)?;
    let vault = data.vault(context)?;
    // Before anything is sealed or opened: a backup may have brought keys back.
    erasures::keep(directory.clone(), vault.clone()).await?;
    let parts = Parts {
        log: log.clone(),
        vault: vault.clone(),
        accounts: directory,
        clock,
        bus,
        state_dir: data.path("state").join(context.as_str()),
        metrics,
        before_commit: None,
    };
    let service = CommandService::start(domain, parts).await?;
    Ok(Running { service, log, vault })
}

/// Opens sealed text for readers in scope.
pub struct Opener(pub Arc<Vault>);

impl TextOpener for Opener {
    fn open(&self, sealed: &Sealed) -> Option<String> {
        self.0.open_text(sealed)
    }

    fn is_erased(&self, sealed: &Sealed) -> bool {
        self.0.is_erased(sealed)
    }
}

/// What the query API asks the owner of a vault.
#[derive(Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum VaultQuestion {
    /// Open these texts: the key's id and the bytes, in hexadecimal. The answer is a list of texts,
    /// `null` where there is no key.
    Open {
        /// Key id and bytes of each.
        texts: Vec<(uuid::Uuid, String)>,
        /// Answer `{"erased":true}` where the key was destroyed. Who does not ask for it would not
        /// understand it.
        #[serde(default)]
        tell_erased: bool,
    },
}

/// Answers the query API. Who may see a text has been decided there; here it is made sure that it
/// is the query API that asks, and that identity has said who was erased: its own disk may be older
/// than that.
pub struct VaultAnswers {
    vault: Arc<Vault>,
    context: Context,
    heard: watch::Receiver<bool>,
}

impl VaultAnswers {
    /// Opens nothing until the accounts are current and what was erased is destroyed.
    pub fn once_current(vault: Arc<Vault>, context: Context, accounts: Arc<AccountCopy>) -> Arc<Self> {
        let (tell, heard) = watch::channel(false);
        let (keys, directory) = (vault.clone(), accounts.directory().clone());
        tokio::spawn(async move {
            if accounts.current().wait_for(|current| *current).await.is_err() {
                return;
            }
            match erasures::carry_out(&directory, &keys).await {
                Ok(_) => drop(tell.send_replace(true)),
                Err(e) => tracing::error!(error = %e, "no text is opened: what was erased can't be destroyed"),
            }
        });
        Arc::new(VaultAnswers { vault, context, heard })
    }
}

#[async_trait]
impl Answers for VaultAnswers {
    async fn answer(&self, from: &AccountName, body: Value) -> Result<Value, String> {
        if from.as_str() != super::QUERY_API {
            return Err(format!("{from} does not show text"));
        }
        if !*self.heard.borrow() {
            return Err(format!("{} has not heard from identity yet who was erased", self.context));
        }
        let unknown = |_| format!("{} does not know this question", self.context);
        let VaultQuestion::Open { texts, tell_erased } = serde_json::from_value(body).map_err(unknown)?;
        let open = |(key_id, hex): (uuid::Uuid, String)| {
            let Some(bytes) = super::control::bytes_of_hex(&hex) else { return Value::Null };
            let sealed = Sealed::Cipher { key_id, bytes };
            match self.vault.open_text(&sealed) {
                Some(text) => Value::String(text),
                None if tell_erased && self.vault.is_erased(&sealed) => json!({"erased": true}),
                None => Value::Null,
            }
        };
        Ok(texts.into_iter().map(open).collect())
    }
}

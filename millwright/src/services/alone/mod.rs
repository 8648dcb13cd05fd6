//! Each service in a process of its own. They meet over MQTT alone: each keeps its own store, waits
//! for what it needs in any order of starting, and says what that is.
//!
//! A process has a few connections to the broker, each for one thing, so that a long read of a log
//! never stands before a command: `main` carries its status and questions, `commands` its commands,
//! `log` its own log for others, and one for each log that it reads.

mod broker;
mod decider;
mod identity;
mod processes;
mod projections;
mod query_api;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use mw_contract::{AccountName, Context, topics};
use mw_identity::AccountCopy;
use mw_log::{LogReader, SledLog};
use mw_runtime::Bus;
use mw_runtime::ask::{self, Answers};
use mw_runtime::bus::remote::{RemoteBus, RemoteConfig};
use mw_runtime::remote_log::{self, RemoteReader};
use parking_lot::Mutex;

pub use broker::run as broker;
pub use decider::{after_service, production};
pub use identity::run as identity;
pub use processes::run as processes;
pub use projections::run as projections;
pub use query_api::run as query_api;

use super::data::Data;
use super::identity::directory;
use super::meters::Meters;
use super::needs::{Needs, what};
use super::presence::{self, OFFLINE};
use super::{STOP_WITHIN, Signals, ended, logging, ops, runtime, say};
use crate::config::Service;
use crate::{client, tls};

/// How long the broker keeps what a command service has not decided, while that is away.
const SESSION: Duration = Duration::from_secs(3600);
/// How long the last messages may take on a clean stop.
const GOODBYE: Duration = Duration::from_secs(5);

/// One service's process.
struct Alone {
    config: Service,
    account: AccountName,
    data: Arc<Data>,
    needs: Needs,
    meters: Meters,
    tls: Option<Arc<rustls::ClientConfig>>,
    main: Arc<RemoteBus>,
    others: Mutex<Vec<Arc<RemoteBus>>>,
    keeping: tokio::task::JoinHandle<()>,
}

/// Runs `service` in a process of its own.
fn run<F, Fut>(config: Service, lacking: &[&'static str], service: F) -> Result<ExitCode>
where
    F: FnOnce(Arc<Alone>, Signals) -> Fut,
    Fut: Future<Output = Result<Option<String>>>,
{
    logging(config.base.log_format);
    runtime()?.block_on(async {
        let signals = Signals::new()?;
        let alone = Arc::new(Alone::start(config, lacking)?);
        let why = service(alone.clone(), signals).await?;
        if let Some(why) = &why {
            tracing::error!(reason = %why, "stopping: this service can't go on");
            alone.needs.failed(why);
        }
        alone.goodbye().await;
        Ok(ended(why))
    })
}

impl Alone {
    fn start(config: Service, lacking: &[&'static str]) -> Result<Alone> {
        let data = Data::lock(&config.base.data)?;
        let url = client::mqtt_url(&config.broker)?;
        let tls = match (&config.ca, url.tls) {
            (_, false) => None,
            (Some(ca), true) => Some(tls::client(ca)?),
            (None, true) => bail!("--broker {}: its certificate must be checked; give --ca FILE", config.broker),
        };
        let account = AccountName::new(config.name)?;
        let needs = Needs::new(&[&[what::BROKER, what::START], lacking].concat());
        let will = Some((topics::status(config.name), OFFLINE));
        let main = Arc::new(RemoteBus::start(remote(&config, &tls, "main", None, will)?));
        needs.follow(what::BROKER, main.connection());
        let trouble = main.trouble();
        needs.explain(what::BROKER, move || trouble.borrow().clone());
        let keeping = tokio::spawn(presence::keep(config.name, main.clone(), needs.clone(), main.connection()));
        let meters = Meters::default();
        let (ready, connected) = (needs.clone(), main.connection());
        meters.looked_at("millwright_ready", "1 when the service is ready", move || i64::from(ready.ready().is_ok()));
        meters.looked_at("millwright_broker_connected", "1 while the broker is connected", move || {
            i64::from(*connected.borrow())
        });
        let others = Mutex::default();
        let alone = Alone { config, account, data, needs, meters, tls, main, others, keeping };
        let needs = alone.needs.clone();
        ops(alone.config.ops, Arc::new(move || needs.ready()), &alone.meters)?;
        Ok(alone)
    }

    fn connect_as(&self, part: &str, session: Option<Duration>) -> Result<Arc<dyn Bus>> {
        let bus = Arc::new(RemoteBus::start(remote(&self.config, &self.tls, part, session, None)?));
        self.others.lock().push(bus.clone());
        Ok(bus)
    }

    /// A connection of its own for one purpose.
    fn connect(&self, part: &str) -> Result<Arc<dyn Bus>> {
        self.connect_as(part, None)
    }

    /// The connection for commands: the broker keeps what is not decided.
    fn commands(&self) -> Result<Arc<dyn Bus>> {
        self.connect_as("commands", Some(SESSION))
    }

    /// Another context's log.
    async fn log_of(&self, context: Context) -> Result<Arc<dyn LogReader>> {
        let bus = self.connect(&format!("reads-{context}"))?;
        Ok(RemoteReader::start(context, self.account.clone(), bus).await?)
    }

    /// Serves this service's own log to the others.
    fn serve_log(&self, log: &Arc<SledLog>) -> Result<()> {
        tokio::spawn(remote_log::serve(log.clone(), self.connect("log")?));
        Ok(())
    }

    /// Answers what the others ask, over the main connection.
    fn serve_answers(&self, context: Context, answers: Arc<dyn Answers>) {
        tokio::spawn(ask::serve(context, self.main.clone(), answers));
    }

    /// The copy of the accounts of a service that checks no tokens itself; ready as soon as they
    /// are known.
    async fn accounts(&self) -> Result<Arc<AccountCopy>> {
        let copy = AccountCopy::open(&self.data.path("copies/accounts.json"), directory()?, None);
        let log = self.log_of(Context::Identity).await?;
        self.needs.follow(what::ACCOUNTS, copy.known());
        tokio::spawn(copy.clone().follow(log));
        Ok(copy)
    }

    /// Prints `ready` once nothing is lacking.
    fn say_when_ready(&self) {
        let needs = self.needs.clone();
        tokio::spawn(async move {
            needs.all_met().await;
            say("ready");
        });
    }

    /// Lets the others know, and gives the broker what is left.
    async fn goodbye(&self) {
        self.keeping.abort();
        let main: Arc<dyn Bus> = self.main.clone();
        presence::say(&main, &[self.config.name], OFFLINE).await;
        let others = std::mem::take(&mut *self.others.lock());
        let all = others.iter().chain([&self.main]).cloned();
        let closing: Vec<_> = all.map(|b| tokio::spawn(async move { b.close(GOODBYE).await })).collect();
        for c in closing {
            let _ = c.await;
        }
    }
}

fn remote(
    config: &Service,
    tls: &Option<Arc<rustls::ClientConfig>>,
    part: &str,
    session: Option<Duration>,
    will: Option<(String, &'static str)>,
) -> Result<RemoteConfig> {
    let url = client::mqtt_url(&config.broker)?;
    Ok(RemoteConfig {
        host: url.host,
        port: url.port,
        tls: tls.clone(),
        client_id: format!("{}-{part}", config.name),
        account: config.name.to_owned(),
        secret: config.secret.clone(),
        session,
        will,
    })
}

/// Waits for a clean stop, but not for ever.
async fn within_reason(clean: impl Future<Output = ()>) {
    if tokio::time::timeout(STOP_WITHIN, clean).await.is_err() {
        tracing::error!("the clean stop took too long; ending now. Nothing acknowledged is lost");
    }
}

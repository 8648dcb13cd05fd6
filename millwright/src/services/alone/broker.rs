//! `millwright broker`: the front door and the router. It knows the accounts from its own copy,
//! checks tokens itself, and asks identity about secrets.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;
use mw_broker::{AuthFailure, Authenticator, Broker, BrokerConfig, Principal};
use mw_contract::{AccountName, Context};
use mw_identity::{AccountCopy, LogIns, LoginError, RemoteLogin, TokenGate, Verifier};
use mw_runtime::ask::Asker;
use mw_runtime::remote_log::RemoteReader;
use tokio::sync::{Notify, watch};

use crate::cli::BrokerArgs;
use crate::services::data::Data;
use crate::services::identity::{BrokerLogin, directory};
use crate::services::meters::Meters;
use crate::services::needs::{Needs, what};
use crate::services::{
    BROKER, SERVICES, Signals, broker_config, end_sessions, ended, limits, link, listen, logging, ops, presence,
    runtime, say,
};
use crate::{config, tls};

/// Runs it.
pub fn run(args: &BrokerArgs) -> Result<ExitCode> {
    let file = config::file(&args.common)?;
    let base = config::base(&args.common, &file);
    let network = config::network(&args.listeners, &file)?;
    logging(base.log_format);
    if args.open_for_testing {
        return runtime()?.block_on(open_for_testing(&network));
    }
    let ops_addr = config::ops(args.ops.as_deref(), &file)?;
    let services = config::service_secrets(args.service_secrets.as_deref(), &file)?;
    for (name, _) in &services {
        if !SERVICES.contains(&name.as_str()) {
            bail!("a secret of service {name}: there is none of that name; there are {}", SERVICES.join(", "));
        }
    }
    if services.is_empty() {
        bail!("no service could connect: give --service-secrets DIR, as `millwright init` makes it");
    }
    for name in SERVICES.iter().filter(|s| services.iter().all(|(n, _)| n.as_str() != **s)) {
        tracing::warn!("service {name} has no secret here: it can't connect");
    }
    runtime()?.block_on(async {
        let signals = Signals::new()?;
        let data = Data::lock(&base.data)?;
        let tls = tls::server(data.dir(), network.tls.as_ref())?;
        alone(signals, &data, &network, &tls, services, ops_addr).await
    })
}

/// Log-ins by secret, once there is a link to ask over: the broker needs somebody to ask before it
/// can be asked itself.
struct Later(watch::Receiver<Option<Arc<RemoteLogin>>>);

impl Later {
    fn login(&self) -> Result<Arc<RemoteLogin>, LoginError> {
        self.0.borrow().clone().ok_or(LoginError::Unavailable)
    }
}

#[async_trait]
impl LogIns for Later {
    async fn secret(
        &self,
        account: &str,
        secret: &str,
        from: Option<std::net::IpAddr>,
    ) -> Result<Arc<mw_policy::Account>, LoginError> {
        self.login()?.secret(account, secret, from).await
    }

    async fn grant(
        &self,
        grant: mw_identity::Grant,
        from: Option<std::net::IpAddr>,
    ) -> Result<serde_json::Value, LoginError> {
        self.login()?.grant(grant, from).await
    }
}

async fn alone(
    mut signals: Signals,
    data: &Arc<Data>,
    network: &config::Network,
    tls: &Arc<rustls::ServerConfig>,
    services: Vec<(AccountName, String)>,
    ops_addr: Option<SocketAddr>,
) -> Result<ExitCode> {
    let needs = Needs::new(&[what::ACCOUNTS, what::START]);
    let meters = Meters::default();
    let ready = needs.clone();
    meters.looked_at("millwright_ready", "1 when the service is ready", move || i64::from(ready.ready().is_ok()));
    let ready = needs.clone();
    ops(ops_addr, Arc::new(move || ready.ready()), &meters)?;

    let directory = directory()?;
    let verifier = Arc::new(Verifier::new(Arc::default(), Vec::new()));
    let copy = AccountCopy::open(&data.path("copies/accounts.json"), directory.clone(), Some(verifier.clone()));
    needs.follow(what::ACCOUNTS, copy.known());
    let (login_tx, login_rx) = watch::channel(None);
    let login = BrokerLogin {
        gate: TokenGate { directory: directory.clone(), verifier },
        logins: Arc::new(Later(login_rx)),
        known: copy.known(),
        copy: Some(copy.clone()),
        services,
    };
    let broker = Arc::new(Broker::start(broker_config(network, data), Arc::new(login))?);
    meters.register(|r| broker.metrics().register(r));
    let status = link(&broker, "status").await?;
    presence::say(&status, &[BROKER], presence::STARTING).await;

    let me = AccountName::new(BROKER)?;
    let news = Arc::new(Notify::new());
    let asker =
        Asker::start_hearing(Context::Identity, me.clone(), link(&broker, "asks-identity").await?, news.clone())
            .await?;
    let login = Arc::new(RemoteLogin::new(asker, directory.clone()));
    login_tx.send_replace(Some(login.clone()));
    let log = RemoteReader::start(Context::Identity, me, link(&broker, "reads-identity").await?).await?;
    let following = tokio::spawn(copy.clone().follow(log));
    tokio::spawn(copy.follow_keys(login, news));
    let watching = tokio::spawn(end_sessions(broker.clone(), directory));

    // Open before the accounts are known: identity comes in by the same door.
    listen(&broker, network, tls)?;
    needs.met(what::START);
    let when_ready = tokio::spawn({
        let (needs, status) = (needs.clone(), status.clone());
        async move {
            needs.all_met().await;
            presence::say(&status, &[BROKER], presence::ONLINE).await;
            say("ready");
        }
    });
    let why = tokio::select! {
        () = signals.stop() => None,
        why = broker.failed() => Some(why),
    };
    if let Some(why) = &why {
        needs.failed(why);
    }
    when_ready.abort();
    presence::say(&status, &[BROKER], presence::OFFLINE).await;
    watching.abort();
    following.abort();
    broker.shutdown().await;
    Ok(ended(why))
}

/// Asks nobody: for conformance suites on this machine.
struct Everyone;

#[async_trait]
impl Authenticator for Everyone {
    async fn authenticate(&self, _: &str, _: &[u8], _: std::net::IpAddr) -> Result<Principal, AuthFailure> {
        let account = AccountName::new("anyone").map_err(|_| AuthFailure::Unavailable)?;
        Ok(Principal { account, expires_at: None, service: false })
    }

    fn account(&self, _: &AccountName) -> Option<Arc<mw_policy::Account>> {
        None
    }
}

async fn open_for_testing(network: &config::Network) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    // Its default listener is the plain one; TLS would need a data directory for its certificate.
    let addr = network.mqtt.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 1883)));
    let config = BrokerConfig { limits: limits(network), open_for_testing: true, ..BrokerConfig::default() };
    let broker = Broker::start(config, Arc::new(Everyone))?;
    say(&format!("listening mqtt {}", broker.listen_tcp(addr)?));
    say("ready");
    let why = tokio::select! {
        () = signals.stop() => None,
        why = broker.failed() => Some(why),
    };
    broker.shutdown().await;
    Ok(ended(why))
}

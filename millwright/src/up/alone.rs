//! One service in a process of its own.
//!
//! `broker` holds identity too: it answers log-ins and serves identity's log to the others, who
//! keep their copies of the accounts from it. `production` meets both over MQTT alone.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use mw_broker::{AuthFailure, Authenticator, Broker, BrokerConfig, Principal};
use mw_contract::{AccountName, Context};
use mw_identity::{Directory, Feed, IdentityError};
use mw_log::LogReader;
use mw_runtime::bus::remote::{RemoteBus, RemoteConfig};
use mw_runtime::remote_log::{RemoteReader, serve};
use mw_runtime::{Bus, BusinessClock};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::data::Data;
use super::identity::{BrokerLogin, Identity, OPERATOR, SERVICES};
use super::{Signals, end_sessions, limits, link, listen, logging, production, runtime, say};
use crate::cli::{BrokerArgs, ServiceArgs};
use crate::{client, config, tls};

/// `millwright broker`.
pub fn broker_alone(args: &BrokerArgs) -> Result<ExitCode> {
    let file = config::file(&args.common)?;
    let base = config::base(&args.common, &file);
    let network = config::network(&args.listeners, &file)?;
    logging(base.log_format);
    if args.open_for_testing {
        return runtime()?.block_on(open_for_testing(&network));
    }
    let services = config::service_secrets(&file)?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let data = Data::lock(&base.data)?;
        let tls = tls::server(data.dir(), network.tls.as_ref())?;
        let identity = Identity::open(&data, Vec::new()).await?;
        for (name, _) in &services {
            if !SERVICES.contains(&name.as_str()) {
                bail!("[service_secrets] {name}: not a service; known are {}", SERVICES.join(", "));
            }
        }
        let login = BrokerLogin { login: identity.login.clone(), services };
        let config = BrokerConfig { limits: limits(&network), ..BrokerConfig::default() };
        let broker = Arc::new(Broker::start(config, Arc::new(login))?);
        let bus = link(&broker, "identity").await?;
        let clock = Arc::new(BusinessClock::wall());
        let (accounts, mut following) = identity.start(Some(bus), clock.clone(), &mut Registry::default()).await?;
        if let Some(secret) = identity.first_start(&accounts, args.demo).await? {
            say(&format!("first start: account admin, secret {secret} (shown this once)"));
        }
        let serving = tokio::spawn(serve(identity.log.clone(), link(&broker, "identity-log").await?));
        let watching = tokio::spawn(end_sessions(broker.clone(), identity.directory.clone()));
        let control = super::control::Control {
            services: vec![(accounts.clone(), identity.log.clone())],
            directory: identity.directory.clone(),
            login: identity.login.clone(),
            clock,
            data: data.dir().to_owned(),
        };
        let control = tokio::spawn(crate::control::serve(crate::control::listen(data.dir())?, Arc::new(control)));
        listen(&broker, &network, &tls)?;
        say("ready");
        let why = tokio::select! {
            () = signals.stop() => None,
            why = broker.failed() => Some(why),
            why = accounts.failed() => Some(why.to_string()),
            ended = &mut following => Some(format!("identity's accounts are not followed any more: {ended:?}")),
        };
        accounts.shutdown().await;
        control.abort();
        watching.abort();
        serving.abort();
        following.abort();
        broker.shutdown().await;
        identity.log.close()?;
        let _ = std::fs::remove_file(crate::control::path(data.dir()));
        Ok(ended(why))
    })
}

fn ended(why: Option<String>) -> ExitCode {
    match why {
        None => ExitCode::SUCCESS,
        Some(why) => {
            eprintln!("millwright: {why}");
            ExitCode::from(1)
        }
    }
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

/// A connection to the broker of its own, under the service's account.
async fn connect(config: &config::Service, part: &str) -> Result<Arc<RemoteBus>> {
    let url = client::mqtt_url(&config.broker)?;
    let tls = match (&config.ca, url.tls) {
        (_, false) => None,
        (Some(ca), true) => Some(tls::client(ca)?),
        (None, true) => bail!("--broker {}: its certificate must be checked; give --ca FILE", config.broker),
    };
    let bus = RemoteBus::start(RemoteConfig {
        host: url.host,
        port: url.port,
        tls,
        client_id: format!("{}-{part}", config.name),
        account: config.name.to_owned(),
        secret: config.secret.clone(),
    });
    bus.connected().await?;
    Ok(Arc::new(bus))
}

type Started = (production::Running, Arc<dyn Bus>, JoinHandle<Result<(), IdentityError>>);

/// Connects, reads the accounts, and starts to take commands.
async fn start_production(config: &config::Service, data: &Data, demo: bool) -> Result<Started> {
    let names = SERVICES.iter().chain([&OPERATOR]).map(|n| AccountName::new(n)).collect::<Result<Vec<_>, _>>()?;
    let directory = Directory::with_services(names);
    let reader: Arc<dyn LogReader> =
        RemoteReader::start(Context::Identity, config.name, connect(config, "accounts").await?).await?;
    let feed = Arc::new(Feed::directory_only(directory.clone()));
    feed.catch_up(&*reader).await.context("reading the accounts")?;
    let following = {
        let (feed, reader) = (feed.clone(), reader.clone());
        tokio::spawn(async move { feed.follow(&*reader).await })
    };
    let bus: Arc<dyn Bus> = connect(config, "commands").await?;
    let clock = Arc::new(BusinessClock::wall());
    let running = production::start(data, directory, Some(bus), clock, &mut Registry::default()).await?;
    if demo {
        crate::demo::reference_data(&running.service).await?;
    }
    let log_bus: Arc<dyn Bus> = connect(config, "log").await?;
    Ok((running, log_bus, following))
}

/// `millwright production`.
pub fn production_alone(args: &ServiceArgs) -> Result<ExitCode> {
    let config = config::service(args, "production")?;
    logging(config.base.log_format);
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let data = Data::lock(&config.base.data)?;
        // The broker may be long in coming; being told to stop is heard meanwhile.
        let (running, log_bus, mut following) = tokio::select! {
            started = start_production(&config, &data, args.demo) => started?,
            () = signals.stop() => return Ok(ExitCode::SUCCESS),
        };
        let serving = tokio::spawn(serve(running.log.clone(), log_bus));
        say("ready");
        let why = tokio::select! {
            () = signals.stop() => None,
            why = running.service.failed() => Some(why.to_string()),
            end = &mut following => Some(format!("the accounts are not followed any more: {end:?}")),
        };
        running.service.shutdown().await;
        serving.abort();
        following.abort();
        running.log.close()?;
        Ok(ended(why))
    })
}

//! The parts put together: start, listeners, links, kicks, shutdown, watchdog.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mw_contract::AccountName;
use mw_contract::topics::ALL_REPLIES;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::auth::Authenticator;
use crate::config::{BrokerConfig, BrokerError, Limits};
use crate::control::Kick;
use crate::limits::{Accounts, Names};
use crate::link::{LinkSender, LocalLink};
use crate::listener;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::retained::Retained;
use crate::router::RouterHandle;
use crate::withheld::{self, Withheld};

/// How often the watchdog asks the router, and how often in a row it may get no answer.
const WATCH_EVERY: Duration = Duration::from_secs(5);
const WATCH_MISSES: u32 = 2;
/// How long shutdown waits for connections to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// What all connections share.
pub(crate) struct Shared {
    pub limits: Limits,
    /// The product's own services speak about every account, so only the bounds over all hold.
    pub service_limits: Limits,
    pub open: bool,
    pub auth: Arc<dyn Authenticator>,
    pub router: RouterHandle,
    pub registry: Registry,
    pub accounts: Accounts,
    pub names: Names,
    pub withheld: Withheld,
    pub retained: Arc<Retained>,
    pub metrics: Metrics,
    /// For what the broker itself says.
    pub internal: LinkSender,
    pub connections: AtomicUsize,
    pub stopping: watch::Sender<bool>,
    failed: watch::Sender<Option<String>>,
}

impl Shared {
    /// The first reason stays.
    pub fn fail(&self, why: &str) {
        if *self.stopping.borrow() {
            return;
        }
        let first = self.failed.send_if_modified(|f| {
            let first = f.is_none();
            f.get_or_insert_with(|| why.to_owned());
            first
        });
        if first {
            tracing::error!(why, "the broker can't go on");
        }
    }
}

/// A running broker. Needs a tokio runtime around it. Ends with [`Broker::shutdown`]; the thread
/// of the router itself lives as long as the process, it has no end of its own.
pub struct Broker {
    shared: Arc<Shared>,
    replies: LinkSender,
    links: AtomicU32,
    bound: Mutex<Vec<(&'static str, SocketAddr)>>,
}

impl Broker {
    /// Starts the router, the watchdog and the listeners that the configuration names.
    ///
    /// # Errors
    /// [`BrokerError`]: an address is taken, a thread can't be had.
    pub fn start(config: BrokerConfig, auth: Arc<dyn Authenticator>) -> Result<Broker, BrokerError> {
        let dead = |_| BrokerError::RouterDied("it did not start".to_owned());
        let limits = config.limits;
        let metrics = Metrics::default();
        let retained = Retained::open(config.retained_dir.as_deref(), &limits, &metrics)?;
        retained.services_are_offline();
        let router =
            RouterHandle::spawn(&limits).map_err(|source| BrokerError::Thread { name: "mw-linker", source })?;
        let (internal, _) = LocalLink::new(&router, "front-door", None).map_err(dead)?.split();
        let (replies, heard) = LocalLink::new(&router, "front-door-replies", None).map_err(dead)?.split();
        replies.subscribe(ALL_REPLIES).map_err(|e| BrokerError::RouterDied(e.to_string()))?;
        let shared = Arc::new(Shared {
            service_limits: Limits {
                max_distinct_topics_per_account: usize::MAX,
                max_distinct_filters_per_account: usize::MAX,
                max_sessions_per_account: usize::MAX,
                commands_per_second: 0,
                max_packet: limits.max_service_packet,
                ..limits.clone()
            },
            limits,
            open: config.open_for_testing,
            auth,
            router,
            registry: Registry::default(),
            accounts: Accounts::default(),
            names: Names::default(),
            withheld: Withheld::default(),
            retained,
            metrics,
            internal,
            connections: AtomicUsize::new(0),
            stopping: watch::Sender::new(false),
            failed: watch::Sender::new(None),
        });
        let name = "mw-replies";
        let s = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                withheld::watch(heard, &s.withheld, &s.accounts, &s.metrics);
                s.fail("the router's thread ended");
            })
            .map_err(|source| BrokerError::Thread { name, source })?;
        tokio::spawn(watchdog(Arc::clone(&shared)));
        tokio::spawn(housekeeping(Arc::clone(&shared)));
        let broker = Broker { shared, replies, links: AtomicU32::new(0), bound: Mutex::new(Vec::new()) };
        if let Some(addr) = config.mqtt {
            broker.listen_tcp(addr)?;
        }
        if let Some((addr, tls)) = config.mqtts {
            broker.listen_tls(addr, tls)?;
        }
        Ok(broker)
    }

    /// Listens for plain MQTT; port 0 takes a free one. Gives the address it has.
    ///
    /// # Errors
    /// [`BrokerError::Bind`] with the address, [`BrokerError::OpenNotLoopback`].
    pub fn listen_tcp(&self, addr: SocketAddr) -> Result<SocketAddr, BrokerError> {
        self.listen("mqtt", addr, None)
    }

    /// Listens for MQTT over TLS.
    ///
    /// # Errors
    /// As [`Broker::listen_tcp`].
    pub fn listen_tls(&self, addr: SocketAddr, tls: Arc<rustls::ServerConfig>) -> Result<SocketAddr, BrokerError> {
        self.listen("mqtts", addr, Some(tls))
    }

    fn listen(
        &self,
        what: &'static str,
        addr: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Result<SocketAddr, BrokerError> {
        if self.shared.open && !addr.ip().is_loopback() {
            return Err(BrokerError::OpenNotLoopback(addr));
        }
        let (listener, at) = listener::bind(what, addr)?;
        tokio::spawn(listener::serve(Arc::clone(&self.shared), listener, tls));
        self.bound.lock().push((what, at));
        Ok(at)
    }

    /// The listeners, `mqtt` or `mqtts` and where, in the order in which they were opened.
    pub fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        self.bound.lock().clone()
    }

    /// An in-process link. `name` is for logs; the same one may be used often.
    ///
    /// # Errors
    /// [`BrokerError::RouterDied`].
    pub fn link(&self, name: &str) -> Result<LocalLink, BrokerError> {
        if let Some(why) = &*self.shared.failed.borrow() {
            return Err(BrokerError::RouterDied(why.clone()));
        }
        let n = self.links.fetch_add(1, Relaxed);
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
        LocalLink::new(&self.shared.router, &format!("l{n}-{name}"), Some(Arc::clone(&self.shared.retained)))
            .map_err(|_| BrokerError::RouterDied("a link to it could not be made".to_owned()))
    }

    /// Ends every session of an account that was disabled or is gone, kept ones too.
    pub fn disconnect_account(&self, name: &AccountName) {
        for c in self.shared.registry.connected(Some(name)) {
            c.kick(Kick::AccountEnded("the account was disabled"));
        }
        self.shared.registry.forget(name);
    }

    /// An account's grants changed: its connections drop the subscriptions that it may no longer
    /// have, and end if it is disabled or gone. Publishes ask the account every time anyway.
    pub fn recheck(&self, name: &AccountName) {
        for c in self.shared.registry.connected(Some(name)) {
            c.recheck();
        }
    }

    /// The counters; all clones count into the same.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics.clone()
    }

    /// Resolves with the reason once the broker can't go on: the process must end then, nothing
    /// is delivered any more.
    pub async fn failed(&self) -> String {
        let mut rx = self.shared.failed.subscribe();
        let why = match rx.wait_for(Option::is_some).await {
            Ok(f) => f.clone(),
            Err(_) => None,
        };
        why.unwrap_or_else(|| "the broker is gone".to_owned())
    }

    /// Stops listening, tells all clients, and waits a few seconds for them to be told.
    pub async fn shutdown(&self) {
        self.shared.stopping.send_replace(true);
        let all = self.shared.registry.connected(None);
        for c in &all {
            c.kick(Kick::Shutdown);
        }
        let told = async {
            for c in &all {
                c.ended().await;
            }
        };
        if tokio::time::timeout(GOODBYE, told).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        self.replies.close();
        let retained = Arc::clone(&self.shared.retained);
        // It may have to wait for the disk.
        let _ = tokio::task::spawn_blocking(move || retained.close()).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
        self.replies.close();
    }
}

/// Asks the router for a link again and again: a router that hangs answers nobody.
async fn watchdog(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut missed = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            _ = stopping.wait_for(|s| *s) => return,
        }
        // Its own patience is a few seconds; one miss may be a machine that stood still.
        missed = if shared.router.link("front-door-watchdog", true).await.is_ok() { 0 } else { missed + 1 };
        if missed == WATCH_MISSES {
            return shared.fail("the router does not answer");
        }
    }
}

/// Ends the sessions that nobody came back for, and removes retained messages that have expired.
async fn housekeeping(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = stopping.wait_for(|s| *s) => return,
        }
        for (account, will) in shared.registry.expire(Instant::now()) {
            will.publish(&account, &shared);
        }
        shared.retained.expire();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use async_trait::async_trait;

    use super::*;
    use crate::auth::{AuthFailure, Principal};
    use crate::router::{goodbye, send_all};

    struct Nobody;

    #[async_trait]
    impl Authenticator for Nobody {
        async fn authenticate(&self, _: &str, _: &[u8], _: IpAddr) -> Result<Principal, AuthFailure> {
            Err(AuthFailure::BadCredentials)
        }
        fn account(&self, _: &AccountName) -> Option<Arc<mw_policy::Account>> {
            None
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_dead_router_is_noticed_and_said() {
        let broker = Broker::start(BrokerConfig::default(), Arc::new(Nobody)).unwrap();
        let mut link = broker.link("service").unwrap();
        // What no other code here may do: speak on a link that has ended. It panics the router.
        let (mut tx, rx) = broker.shared.router.halves("doomed").unwrap();
        send_all(&mut tx, &mut vec![goodbye()]).unwrap();
        rx.ready().unwrap();
        let patience = Duration::from_secs(10);
        let why = tokio::time::timeout(patience, broker.failed()).await.unwrap();
        assert_eq!(why, "the router's thread ended");
        assert!(tokio::time::timeout(patience, link.recv()).await.unwrap().is_err());
        assert!(matches!(broker.link("late"), Err(BrokerError::RouterDied(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stopped_broker_has_not_failed() {
        let broker = Broker::start(BrokerConfig::default(), Arc::new(Nobody)).unwrap();
        let shared = Arc::clone(&broker.shared);
        broker.shutdown().await;
        drop(broker);
        // The watch of replies lets go of what it shares when it ends.
        let began = Instant::now();
        while Arc::strong_count(&shared) > 1 {
            assert!(began.elapsed() < Duration::from_secs(10), "a task or thread is left");
            tokio::task::yield_now().await;
        }
        assert!(shared.failed.borrow().is_none());
    }
}

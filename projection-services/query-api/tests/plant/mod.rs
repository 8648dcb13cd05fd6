//! A small plant in one process: production's command service over a log in memory, the read
//! models that follow it, and the API over HTTPS with an identity that takes account names as tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mw_after_service_views::{AfterServiceViews, ServiceFigureViews};
use mw_contract::{AccountName, Context, Instant, Reply, ReplyStatus, Role, SiteId};
use mw_log::{EventLog, LocalReader, MemoryLog, Vault};
use mw_policy::Account;
use mw_production::Production;
use mw_production_views::{FigureViews, ProductionViews, TextOpener, TrailViews};
use mw_projection::service::{Factory, Handle, service};
use mw_query_api::{Api, ApiConfig, Identity, Models, Texts, TokenAnswer, TokenForm, TokenRefusal, Vaults};
use mw_runtime::metrics::Metrics;
use mw_runtime::{Accounts, BusinessClock, Clock, CommandService, Parts};
use serde_json::{Value, json};
use uuid::Uuid;

pub struct People(HashMap<String, Arc<Account>>);

impl People {
    fn new() -> Arc<Self> {
        let mut all = HashMap::new();
        for (name, role, site) in [
            ("admin", Role::Admin, "plant-1"),
            ("planner-1", Role::Planner, "plant-1"),
            ("planner-2", Role::Planner, "plant-2"),
            ("operator-1", Role::Operator, "plant-1"),
            ("auditor-1", Role::Auditor, "plant-1"),
            ("lead-1", Role::LineLead, "plant-1"),
            ("dispatcher-1", Role::Dispatcher, "plant-1"),
            ("dispatcher-2", Role::Dispatcher, "plant-2"),
            ("technician-1", Role::Technician, "plant-1"),
            ("customer-1", Role::Customer, "plant-1"),
            ("customer-2", Role::Customer, "plant-1"),
            ("cell-1", Role::Device, "plant-1"),
        ] {
            let account = Account {
                name: name.parse().unwrap(),
                roles: [role].into(),
                sites: [site.parse::<SiteId>().unwrap()].into(),
                customer_id: (role == Role::Customer)
                    .then(|| if name == "customer-1" { "acme" } else { "zeta" }.parse().unwrap()),
                cell: (role == Role::Device).then(|| "cell-1".parse().unwrap()),
                disabled: false,
                service: false,
            };
            all.insert(name.to_owned(), Arc::new(account));
        }
        // Puts reference data for both sites.
        let service = Account { service: true, roles: [Role::System].into(), ..(*all["admin"]).clone() };
        all.insert("system".into(), Arc::new(Account { name: "system".parse().unwrap(), ..service }));
        Arc::new(People(all))
    }
}

impl Accounts for People {
    fn account(&self, name: &AccountName) -> Option<Arc<Account>> {
        self.0.get(name.as_str()).cloned()
    }
}

#[async_trait]
impl Identity for People {
    async fn verify(&self, token: &str) -> Result<Arc<Account>, String> {
        self.0.get(token).cloned().ok_or_else(|| "unknown".to_owned())
    }

    async fn token(&self, form: TokenForm, _: Option<IpAddr>) -> Result<TokenAnswer, TokenRefusal> {
        match (form.grant_type.as_deref(), form.username.as_deref(), form.client_id.as_deref()) {
            (Some("password"), Some("busy"), _) => Err(TokenRefusal::Busy(7)),
            (Some("password"), Some(name), _) if self.0.contains_key(name) => Ok(json!({"access_token": name})),
            (Some("client_credentials"), _, Some(id)) => Ok(json!({"access_token": id, "secret": form.client_secret})),
            (Some("password" | "client_credentials"), ..) => Err(TokenRefusal::Denied),
            (Some(_), ..) => Err(TokenRefusal::Grant),
            (None, ..) => Err(TokenRefusal::Invalid("grant_type is missing")),
        }
    }

    fn jwks(&self) -> Value {
        json!({"keys": []})
    }
}

struct Opener(Arc<Vault>);

impl TextOpener for Opener {
    fn open(&self, s: &mw_contract::Sealed) -> Option<String> {
        self.0.open_text(s)
    }

    fn is_erased(&self, s: &mw_contract::Sealed) -> bool {
        self.0.is_erased(s)
    }
}

pub struct Plant {
    pub dir: tempfile::TempDir,
    pub service: Arc<CommandService>,
    pub log: Arc<MemoryLog>,
    pub vault: Arc<Vault>,
    /// What after-service's command service would write.
    pub service_log: Arc<MemoryLog>,
    pub service_vault: Arc<Vault>,
    pub after_service: Handle,
    pub service_figures: Handle,
    pub clock: Arc<BusinessClock>,
    pub production: Handle,
    pub figures: Handle,
    pub api: Api,
    agent: ureq::Agent,
}

pub struct Answer {
    pub status: u16,
    pub text: String,
    pub headers: ureq::http::HeaderMap,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    pub fn items(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["items"].as_array().unwrap().clone()
    }

    /// A problem document of this status; its type's last part.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let p = self.json();
        assert_eq!(p["status"], status);
        assert!(p["detail"].as_str().is_some_and(|d| !d.is_empty()));
        p["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }
}

fn tls(dir: &Path) -> Arc<rustls::ServerConfig> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cert = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("ca.pem"), cert.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(cert.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![cert.cert.der().clone()], key).unwrap())
}

pub fn follow(dir: &Path, log: &Arc<MemoryLog>) -> Handle {
    follow_with(dir, log, Arc::new(|| Box::new(ProductionViews::new())))
}

pub fn follow_figures(dir: &Path, log: &Arc<MemoryLog>) -> Handle {
    follow_with(dir, log, Arc::new(|| Box::new(FigureViews::new())))
}

pub fn follow_tickets(dir: &Path, log: &Arc<MemoryLog>) -> Handle {
    follow_with(dir, log, Arc::new(|| Box::new(AfterServiceViews::new())))
}

pub fn follow_service_figures(dir: &Path, log: &Arc<MemoryLog>) -> Handle {
    follow_with(dir, log, Arc::new(|| Box::new(ServiceFigureViews::new())))
}

fn follow_with(dir: &Path, log: &Arc<MemoryLog>, factory: Factory) -> Handle {
    let reader = Arc::new(LocalReader(log.clone() as Arc<dyn EventLog>));
    let (handle, s) = service(dir, factory, reader);
    tokio::spawn(s.run(std::future::pending()));
    handle
}

impl Plant {
    pub async fn new() -> Plant {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(MemoryLog::new(Context::Production));
        let accounts_log = Arc::new(MemoryLog::new(Context::Identity));
        let people = People::new();
        let vault = Arc::new(Vault::open(&dir.path().join("vault")).unwrap());
        let clock = Arc::new(BusinessClock::demo("2026-03-02T08:00:00.000Z".parse::<Instant>().unwrap(), 0.0));
        let parts = Parts {
            log: log.clone(),
            vault: vault.clone(),
            accounts: people.clone(),
            clock: clock.clone(),
            bus: None,
            state_dir: dir.path().join("state"),
            metrics: Metrics::register(&mut prometheus_client::registry::Registry::default(), Context::Production),
            before_commit: None,
        };
        let service = CommandService::start(Production::default(), parts).await.unwrap();
        let views = dir.path().join("views");
        std::fs::create_dir_all(&views).unwrap();
        let production = follow(&views, &log);
        let figures = follow_figures(&views, &log);
        let reader = Arc::new(LocalReader(accounts_log.clone() as Arc<dyn EventLog>));
        let (identity, s) = mw_projection::service::service(
            &views,
            Arc::new(|| Box::new(TrailViews(Context::Identity))),
            reader.clone(),
        );
        tokio::spawn(s.run(std::future::pending()));
        let service_log = Arc::new(MemoryLog::new(Context::AfterService));
        let service_vault = Arc::new(Vault::open(&dir.path().join("service-vault")).unwrap());
        let after_service = follow_tickets(&views, &service_log);
        let service_figures = follow_service_figures(&views, &service_log);
        let tickets = Arc::new(LocalReader(service_log.clone() as Arc<dyn EventLog>));
        let config = ApiConfig {
            addr: "127.0.0.1:0".parse().unwrap(),
            tls: tls(dir.path()),
            identity: people,
            models: Models::new(&views, |context, name| match context {
                Context::Production => {
                    let handle = if name == FigureViews::NAME { &figures } else { &production };
                    (Some(handle.clone()), Arc::new(LocalReader(log.clone() as Arc<dyn EventLog>)) as _)
                }
                Context::Identity => (Some(identity.clone()), reader.clone() as _),
                Context::AfterService => {
                    let handle = if name == ServiceFigureViews::NAME { &service_figures } else { &after_service };
                    (Some(handle.clone()), tickets.clone() as _)
                }
            }),
            texts: Vaults::new([
                (Context::Production, Texts::Here(Arc::new(Opener(vault.clone())))),
                (Context::AfterService, Texts::Here(Arc::new(Opener(service_vault.clone())))),
            ]),
            now: {
                let clock = clock.clone();
                Arc::new(move || clock.now())
            },
            ready: Arc::new(|| Ok(())),
            metrics: Arc::new(|| "# EOF\n".to_owned()),
            counts: mw_query_api::Metrics::default(),
        };
        let api = mw_query_api::start(config).unwrap();
        let ca = std::fs::read(dir.path().join("ca.pem")).unwrap();
        let ca = ureq::tls::Certificate::from_pem(&ca).unwrap().to_owned();
        let agent = ureq::Agent::config_builder()
            .tls_config(
                ureq::tls::TlsConfig::builder()
                    .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                    .root_certs(ureq::tls::RootCerts::new_with_certs(&[ca]))
                    .build(),
            )
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let plant = Plant {
            dir,
            service,
            log,
            vault,
            service_log,
            service_vault,
            after_service,
            service_figures,
            clock,
            production,
            figures,
            api,
            agent,
        };
        assert!(identity.reached(mw_contract::CommitNumber(0)).await);
        for site in ["plant-1", "plant-2"] {
            plant.put("site", site, json!({"name": site, "time_zone": "Europe/Berlin"})).await;
        }
        for (kind, code, document) in mw_production::demo::DOCUMENTS {
            if *code != "plant-1" {
                plant.put(&kind.to_string(), code, serde_json::from_str(document).unwrap()).await;
            }
        }
        plant
    }

    async fn put(&self, kind: &str, code: &str, document: Value) {
        let payload = json!({"kind": kind, "code": code, "document": document});
        self.send("system", None, "reference.put", None, payload).await;
    }

    pub async fn execute(&self, account: &str, site: Option<&str>, command: &Value) -> Reply {
        let site = site.map(|s| s.parse().unwrap());
        self.service.execute(account.parse().unwrap(), site, command.to_string().as_bytes()).await.unwrap()
    }

    /// A command that must be accepted.
    pub async fn send(&self, account: &str, site: Option<&str>, kind: &str, id: Option<Uuid>, payload: Value) -> Reply {
        let mut c = json!({"command_id": Uuid::now_v7(), "type": kind, "payload": payload});
        if let Some(id) = id {
            c["aggregate_id"] = json!(id);
        }
        let r = self.execute(account, site, &c).await;
        assert_eq!(r.status, ReplyStatus::Accepted, "{kind}: {:?}", r.error);
        r
    }

    pub async fn create(&self, site: &str, fields: Value) -> Uuid {
        let id = Uuid::now_v7();
        let mut payload =
            json!({"product_id": "bracket-10", "planned_qty": "3", "uom": "H87", "due_at": "2026-04-01T00:00:00.000Z"});
        for (k, v) in fields.as_object().unwrap() {
            payload[k] = v.clone();
        }
        let who = if site == "plant-1" { "planner-1" } else { "planner-2" };
        self.send(who, Some(site), "work-order.create", Some(id), payload).await;
        id
    }

    /// Waits until the read models show everything.
    pub async fn settled(&self) {
        assert!(self.production.reached(self.log.head().commit).await);
        assert!(self.figures.reached(self.log.head().commit).await);
        assert!(self.after_service.reached(self.service_log.head().commit).await);
        assert!(self.service_figures.reached(self.service_log.head().commit).await);
    }

    /// The position of the last event.
    pub fn log_position(&self) -> u64 {
        self.log.head().position.0
    }

    /// The same of after-service.
    pub fn service_position(&self) -> u64 {
        self.service_log.head().position.0
    }

    pub fn get_with(&self, account: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let url = format!("https://localhost:{}{path}", self.api.local_addr().port());
        let mut r = self.agent.get(url);
        if !account.is_empty() {
            r = r.header("authorization", format!("Bearer {account}"));
        }
        for (k, v) in headers {
            r = r.header(*k, *v);
        }
        answer(r.call().unwrap())
    }

    pub fn get(&self, account: &str, path: &str) -> Answer {
        self.get_with(account, path, &[])
    }

    pub fn post(&self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut r = self.agent.post(format!("https://localhost:{}{path}", self.api.local_addr().port()));
        for (k, v) in headers {
            r = r.header(*k, *v);
        }
        answer(r.send_form(form.iter().copied()).unwrap())
    }
}

fn answer(mut r: ureq::http::Response<ureq::Body>) -> Answer {
    Answer {
        status: r.status().as_u16(),
        headers: r.headers().clone(),
        text: String::from_utf8_lossy(&r.body_mut().read_to_vec().unwrap()).into_owned(),
    }
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Work orders and repair tickets over MQTT, in an event log that can be replayed and proved.
#[derive(Parser)]
#[command(name = "millwright", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run all services in this process, with an embedded broker and logs.
    Up(UpArgs),
    /// Run the MQTT broker alone; the other services find each other over it.
    Broker(BrokerArgs),
    /// Run accounts, secrets and tokens alone.
    Identity(DecidingArgs),
    /// Run the production command service alone.
    Production(DecidingArgs),
    /// Run the after-service command service alone.
    AfterService(ServiceArgs),
    /// Run the process managers alone.
    Processes(ServiceArgs),
    /// Run the read models alone.
    Projections(ViewsArgs),
    /// Run the HTTPS API alone.
    QueryApi(QueryApiArgs),
    /// Ask a service of this machine whether it is ready; exit 0, or 1 with the reason.
    Health(HealthArgs),
    /// Make the certificates and secrets that services in processes of their own need.
    Init(InitArgs),
    /// Add, list, disable, enable accounts; grant, revoke, rotate secrets.
    Account(AccountArgs),
    /// Make a new token signing key; the old one stays valid until its tokens have ended.
    RotateKeys(DataArgs),
    /// Send one command over MQTT and wait for its reply.
    Send(SendArgs),
    /// Print history in position order.
    Replay(ReplayArgs),
    /// Check the log.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Move the demo clock.
    Clock {
        #[command(subcommand)]
        command: ClockCommand,
    },
    /// Measure this machine and this program.
    Bench(BenchArgs),
    /// Print shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// How log lines look.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Args, Clone, Default)]
pub struct Common {
    /// Where everything is kept [default: ./millwright-data].
    #[arg(long, env = "MILLWRIGHT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file [default: ./millwright.toml where there is one].
    #[arg(long, env = "MILLWRIGHT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log lines as text or as JSON [default: text].
    #[arg(long, env = "MILLWRIGHT_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

#[derive(Args, Clone, Default)]
pub struct Listeners {
    /// Plain MQTT; loopback only unless --insecure-mqtt; `off` turns it off [default: 127.0.0.1:1883].
    #[arg(long, env = "MILLWRIGHT_MQTT", value_name = "ADDR")]
    pub mqtt: Option<String>,
    /// MQTT over TLS; `off` turns it off [default: 0.0.0.0:8883].
    #[arg(long, env = "MILLWRIGHT_MQTTS", value_name = "ADDR")]
    pub mqtts: Option<String>,
    /// Allow plain MQTT on an address that is not loopback.
    #[arg(long, env = "MILLWRIGHT_INSECURE_MQTT")]
    pub insecure_mqtt: bool,
    /// TLS certificate chain, PEM; without one a development CA is made under DIR/tls.
    #[arg(long, env = "MILLWRIGHT_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// TLS private key, PEM.
    #[arg(long, env = "MILLWRIGHT_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Commands a second for one account; 0 is off [default: 500, in bursts of 1000].
    #[arg(long, env = "MILLWRIGHT_RATE_LIMIT", value_name = "N")]
    pub rate_limit: Option<u32>,
}

#[derive(Args, Clone, Default)]
pub struct UpArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub listeners: Listeners,
    /// HTTPS API [default: 0.0.0.0:8443].
    #[arg(long, env = "MILLWRIGHT_HTTPS", value_name = "ADDR")]
    pub https: Option<SocketAddr>,
    /// Plain HTTP for supervisors: /livez, /readyz, /metrics [default: off; the API has them too].
    #[arg(long, env = "MILLWRIGHT_OPS", value_name = "ADDR")]
    pub ops: Option<String>,
    /// Add a demo plant with accounts whose secret is known. Loopback only.
    #[arg(long, env = "MILLWRIGHT_DEMO")]
    pub demo: bool,
    /// Allow the demo on addresses that are not loopback.
    #[arg(long, env = "MILLWRIGHT_INSECURE_DEMO")]
    pub insecure_demo: bool,
    /// Business time begins at START and runs RATE times as fast (demo only).
    #[arg(long, env = "MILLWRIGHT_CLOCK", value_name = "START[@RATE]", requires = "demo")]
    pub clock: Option<String>,
    /// Play two weeks of a small plant first, into a new data directory (demo only).
    #[arg(long, env = "MILLWRIGHT_WITH_HISTORY", requires = "demo")]
    pub with_history: bool,
    /// Trust tokens of another issuer (repeatable).
    #[arg(long = "trust-issuer", value_name = "ISSUER=JWKS_FILE")]
    pub trust_issuer: Vec<String>,
}

#[derive(Args, Clone, Default)]
pub struct BrokerArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub listeners: Listeners,
    /// Directory with the secret of each service, one file a service, as `millwright init` makes it.
    #[arg(long, env = "MILLWRIGHT_SERVICE_SECRETS", value_name = "DIR")]
    pub service_secrets: Option<PathBuf>,
    /// Plain HTTP for supervisors: /livez, /readyz, /metrics; `off` turns it off [default: 127.0.0.1:0].
    #[arg(long, env = "MILLWRIGHT_OPS", value_name = "ADDR")]
    pub ops: Option<String>,
    /// No accounts, every topic allowed, no withheld acknowledgements. Loopback only.
    #[arg(long)]
    pub open_for_testing: bool,
}

/// A service that finds the others over the broker.
#[derive(Args, Clone, Default)]
pub struct ServiceArgs {
    #[command(flatten)]
    pub common: Common,
    /// The broker: mqtts://HOST:PORT or mqtt://HOST:PORT.
    #[arg(long, env = "MILLWRIGHT_BROKER", value_name = "URL")]
    pub broker: Option<String>,
    /// CA of the broker's certificate, PEM.
    #[arg(long, env = "MILLWRIGHT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// File with this service's secret (or MILLWRIGHT_SERVICE_SECRET).
    #[arg(long, env = "MILLWRIGHT_SERVICE_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Plain HTTP for supervisors: /livez, /readyz, /metrics; `off` turns it off [default: 127.0.0.1:0].
    #[arg(long, env = "MILLWRIGHT_OPS", value_name = "ADDR")]
    pub ops: Option<String>,
}

#[derive(Args, Clone, Default)]
pub struct DemoArgs {
    /// Add the demo's accounts (identity) or reference data (production).
    #[arg(long, env = "MILLWRIGHT_DEMO")]
    pub demo: bool,
    /// Needed with --demo here: a service alone can't see who can reach the broker, and the secret of
    /// the demo's accounts is known to everybody.
    #[arg(long, env = "MILLWRIGHT_INSECURE_DEMO")]
    pub insecure_demo: bool,
}

#[derive(Args, Clone, Default)]
pub struct DecidingArgs {
    #[command(flatten)]
    pub service: ServiceArgs,
    #[command(flatten)]
    pub demo: DemoArgs,
}

#[derive(Args, Clone, Default)]
pub struct ViewsArgs {
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Where the read models are; the query API reads the same directory [default: DIR/views].
    #[arg(long, env = "MILLWRIGHT_VIEWS", value_name = "DIR")]
    pub views: Option<PathBuf>,
}

#[derive(Args, Clone, Default)]
pub struct QueryApiArgs {
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Where the projections keep the read models [default: DIR/views].
    #[arg(long, env = "MILLWRIGHT_VIEWS", value_name = "DIR")]
    pub views: Option<PathBuf>,
    /// HTTPS API [default: 0.0.0.0:8443].
    #[arg(long, env = "MILLWRIGHT_HTTPS", value_name = "ADDR")]
    pub https: Option<SocketAddr>,
    /// TLS certificate chain, PEM; without one a development CA is made under DIR/tls.
    #[arg(long, env = "MILLWRIGHT_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// TLS private key, PEM.
    #[arg(long, env = "MILLWRIGHT_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Trust tokens of another issuer (repeatable).
    #[arg(long = "trust-issuer", value_name = "ISSUER=JWKS_FILE")]
    pub trust_issuer: Vec<String>,
}

#[derive(Args)]
pub struct HealthArgs {
    /// Where the service answers supervisors.
    #[arg(long, env = "MILLWRIGHT_OPS", value_name = "ADDR")]
    pub ops: String,
    /// Ask only whether the process answers.
    #[arg(long)]
    pub live: bool,
}

#[derive(Args)]
pub struct InitArgs {
    /// Where to put them; what is there already stays.
    pub dir: PathBuf,
    /// A further name or address under which clients reach the broker or the API (repeatable).
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Who may read the files: the user id (and group id) that the services run as.
    #[arg(long, value_name = "UID[:GID]")]
    pub owner: Option<String>,
}

#[derive(Args, Clone, Default)]
pub struct DataArgs {
    #[command(flatten)]
    pub common: Common,
}

/// How to reach a running system over the network.
#[derive(Args, Clone, Default)]
pub struct Remote {
    /// MQTT: mqtts://HOST:8883 or mqtt://HOST:1883.
    #[arg(long, env = "MILLWRIGHT_MQTT_URL", value_name = "URL", default_value = "mqtt://127.0.0.1:1883")]
    pub mqtt: String,
    /// HTTPS API.
    #[arg(long, env = "MILLWRIGHT_URL", value_name = "https://HOST:8443")]
    pub url: Option<String>,
    /// CA of the server's certificate, PEM.
    #[arg(long, env = "MILLWRIGHT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The account; its secret comes from MILLWRIGHT_SECRET, MILLWRIGHT_SECRET_FILE or a prompt.
    #[arg(long, env = "MILLWRIGHT_ACCOUNT")]
    pub account: Option<String>,
    /// The site.
    #[arg(long, env = "MILLWRIGHT_SITE", default_value = "-")]
    pub site: String,
    /// A token instead of a secret.
    #[arg(long, env = "MILLWRIGHT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Args)]
pub struct SendArgs {
    /// The command's type, such as work-order.release.
    #[arg(value_name = "TYPE")]
    pub command_type: String,
    /// The aggregate it acts on; a new UUID for work-order.create, ticket.open and maintenance-plan.create.
    #[arg(long, value_name = "AGGREGATE")]
    pub id: Option<String>,
    /// The payload, a JSON file; `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "payload.json", conflicts_with = "fields")]
    pub file: Option<PathBuf>,
    /// The version you last saw.
    #[arg(long, value_name = "N")]
    pub expected_version: Option<u64>,
    /// Business time, default now.
    #[arg(long, value_name = "TIME")]
    pub occurred_at: Option<String>,
    /// Send again under the same id instead of making one.
    #[arg(long, value_name = "UUID")]
    pub command_id: Option<String>,
    /// Seconds to wait for the reply.
    #[arg(long, default_value_t = 30)]
    pub timeout: u64,
    /// Fields of the payload, key=value; a value that is JSON is taken as JSON.
    #[arg(value_name = "key=value")]
    pub fields: Vec<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum ReplayFormat {
    Jsonl,
    Table,
}

#[derive(Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub remote: Remote,
    /// Which log: production or identity.
    #[arg(long, default_value = "production")]
    pub context: String,
    /// One stream, such as work-order/UUID.
    #[arg(long)]
    pub stream: Option<String>,
    /// First position.
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
    /// Last position.
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Events recorded at this time or before.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Events of this type.
    #[arg(long = "type", value_name = "T")]
    pub event_type: Option<String>,
    /// Events of this account.
    #[arg(long, value_name = "A")]
    pub actor: Option<String>,
    /// jsonl, or a table [default: table on a terminal, else jsonl].
    #[arg(long, value_enum)]
    pub format: Option<ReplayFormat>,
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Check every frame, the Merkle root and the signed checkpoints; exit 0, or 1 with the first bad place.
    Verify(VerifyArgs),
}

#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub common: Common,
    /// An earlier signed checkpoint that the log must still contain.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The checkpoint's public key [default: DIR/keys/checkpoint.pub].
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The summary as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum ClockCommand {
    /// Move the demo clock on: 90s, 15m, 8h, 2d.
    Advance {
        duration: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    pub command: AccountCommand,
}

#[derive(Subcommand)]
pub enum AccountCommand {
    /// Add an account; its secret is made and printed once, unless MILLWRIGHT_NEW_SECRET gives one.
    Add {
        account: String,
        /// A role (repeatable).
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// A site (repeatable).
        #[arg(long = "site")]
        sites: Vec<String>,
        /// The customer, for role customer.
        #[arg(long)]
        customer: Option<String>,
        /// The cell, for role device.
        #[arg(long)]
        cell: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// List the accounts.
    List {
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: Common,
    },
    /// End an account's sessions and refuse its tokens.
    Disable {
        account: String,
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Let a disabled account in again.
    Enable {
        account: String,
        #[command(flatten)]
        common: Common,
    },
    /// Destroy the key of a customer's or an author's free text; nobody can read it any more.
    EraseSubject {
        /// The customer whose tickets' free text is erased.
        #[arg(long, value_name = "CODE", required_unless_present = "account", conflicts_with = "account")]
        customer: Option<String>,
        /// The account that wrote what is erased.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Why, as a case number: it stays readable.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Replace the secret; the new one is printed once.
    RotateSecret {
        account: String,
        #[command(flatten)]
        common: Common,
    },
    /// Add roles and sites.
    Grant {
        account: String,
        #[arg(long = "role")]
        roles: Vec<String>,
        #[arg(long = "site")]
        sites: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Take roles and sites away.
    Revoke {
        account: String,
        #[arg(long = "role")]
        roles: Vec<String>,
        #[arg(long = "site")]
        sites: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Subcommand)]
pub enum BenchCommand {
    /// Durable append, beside a plain zero-filled file.
    Append(BenchOptions),
    /// Commands over MQTT QoS 1 against a running system.
    Commands {
        #[command(flatten)]
        options: BenchOptions,
        #[command(flatten)]
        remote: Remote,
        /// Commands in flight over all connections.
        #[arg(long, default_value_t = 64)]
        in_flight: usize,
        /// Connections.
        #[arg(long, default_value_t = 8)]
        connections: usize,
        /// Measure a plain broker that echoes the same bytes instead (no accounts, no durability).
        #[arg(long)]
        echo: bool,
    },
    /// Read and decode a log at rest.
    Replay {
        #[command(flatten)]
        options: BenchOptions,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args, Clone)]
pub struct BenchOptions {
    /// Seconds a measurement.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// The figures as JSON.
    #[arg(long)]
    pub json: bool,
    /// Where to write [default: a temporary directory].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

//! Configuration: flag over variable over file over default. clap resolves the first two; this
//! file adds the other two and checks what must not be.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use mw_contract::{AccountName, Instant};
use serde::Deserialize;

use crate::cli::{Common, DemoArgs, Listeners, LogFormat, QueryApiArgs, ServiceArgs, UpArgs};
use crate::services::SERVICES;

/// `millwright.toml`: the same names as the flags, with underscores.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct File {
    data: Option<PathBuf>,
    log_format: Option<LogFormat>,
    mqtt: Option<String>,
    mqtts: Option<String>,
    https: Option<SocketAddr>,
    insecure_mqtt: Option<bool>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    rate_limit: Option<u32>,
    demo: Option<bool>,
    insecure_demo: Option<bool>,
    clock: Option<String>,
    broker: Option<String>,
    ca: Option<PathBuf>,
    ops: Option<String>,
    views: Option<PathBuf>,
    /// Service accounts and the files with their secrets: `[service_secrets]`.
    #[serde(default)]
    pub service_secrets: std::collections::BTreeMap<String, PathBuf>,
    /// External issuers: `[[trust_issuer]]`.
    #[serde(default)]
    pub trust_issuer: Vec<TrustedIssuer>,
}

/// An external issuer of tokens.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct TrustedIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Its JWKS file.
    pub jwks: PathBuf,
    /// What its role names mean here; names that are not in it stand for themselves.
    #[serde(default)]
    pub roles: std::collections::HashMap<String, mw_contract::Role>,
}

/// What every process needs.
#[derive(Clone)]
pub struct Base {
    /// The data directory.
    pub data: PathBuf,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Where the broker listens and how.
#[derive(Clone)]
pub struct Network {
    /// Plain MQTT.
    pub mqtt: Option<SocketAddr>,
    /// MQTT over TLS.
    pub mqtts: Option<SocketAddr>,
    /// Certificate and key, when given.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Commands a second for one account; 0 is off.
    pub rate_limit: u32,
}

/// The demo clock.
#[derive(Clone, Copy)]
pub struct ClockStart {
    /// Where business time begins.
    pub start: Instant,
    /// How many times as fast it runs.
    pub rate: f64,
}

/// Everything `up` needs.
#[derive(Clone)]
pub struct Up {
    /// Data directory and log lines.
    pub base: Base,
    /// The broker's listeners.
    pub network: Network,
    /// The API's listener.
    pub https: SocketAddr,
    /// Demo plant?
    pub demo: bool,
    /// Demo clock.
    pub clock: Option<ClockStart>,
    /// Play two weeks of a plant first?
    pub with_history: bool,
    /// External issuers.
    pub issuers: Vec<TrustedIssuer>,
    /// Where it answers supervisors, beside the API.
    pub ops: Option<SocketAddr>,
}

const DATA: &str = "millwright-data";
const RATE_LIMIT: u32 = 500;

/// Reads the configuration file: the one named, or `millwright.toml` where there is one.
pub fn file(common: &Common) -> Result<File> {
    let (path, named) = match &common.config {
        Some(p) => (p.clone(), true),
        None => (PathBuf::from("millwright.toml"), false),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("configuration file {}", path.display())),
        Err(e) if !named && e.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(e) => Err(e).with_context(|| format!("configuration file {}", path.display())),
    }
}

/// Data directory and log lines.
pub fn base(common: &Common, file: &File) -> Base {
    Base {
        data: common.data.clone().or_else(|| file.data.clone()).unwrap_or_else(|| PathBuf::from(DATA)),
        log_format: common.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
    }
}

fn address(name: &str, given: Option<String>, default: &str) -> Result<Option<SocketAddr>> {
    let text = given.unwrap_or_else(|| default.to_owned());
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).with_context(|| format!("--{name} {text}: write it as {EXAMPLE}, or off"))
}

const EXAMPLE: &str = "127.0.0.1:1883";

/// Where a service alone answers supervisors.
pub fn ops(given: Option<&str>, file: &File) -> Result<Option<SocketAddr>> {
    address("ops", given.map(str::to_owned).or_else(|| file.ops.clone()), "127.0.0.1:0")
}

/// The broker's listeners.
pub fn network(l: &Listeners, file: &File) -> Result<Network> {
    let mqtt = address("mqtt", l.mqtt.clone().or_else(|| file.mqtt.clone()), "127.0.0.1:1883")?;
    let mqtts = address("mqtts", l.mqtts.clone().or_else(|| file.mqtts.clone()), "0.0.0.0:8883")?;
    let insecure = l.insecure_mqtt || file.insecure_mqtt.unwrap_or(false);
    if let Some(a) = mqtt
        && !a.ip().is_loopback()
        && !insecure
    {
        bail!("--mqtt {a}: plain MQTT would leave this machine; use --mqtts, or add --insecure-mqtt if you mean it");
    }
    let tls = certificate(l.tls_cert.clone(), l.tls_key.clone(), file)?;
    Ok(Network { mqtt, mqtts, tls, rate_limit: l.rate_limit.or(file.rate_limit).unwrap_or(RATE_LIMIT) })
}

/// Everything `up` needs.
pub fn up(args: &UpArgs) -> Result<Up> {
    let file = file(&args.common)?;
    let network = network(&args.listeners, &file)?;
    let https = match args.https.or(file.https) {
        Some(a) => a,
        None => SocketAddr::from(([0, 0, 0, 0], 8443)),
    };
    let demo = args.demo || file.demo.unwrap_or(false);
    let insecure_demo = args.insecure_demo || file.insecure_demo.unwrap_or(false);
    let mut up = Up {
        base: base(&args.common, &file),
        network,
        https,
        demo,
        clock: None,
        with_history: args.with_history,
        issuers: Vec::new(),
        ops: None,
    };
    let ops = args.ops.clone().or_else(|| file.ops.clone());
    up.ops = address("ops", ops, "off")?;
    if demo && !insecure_demo {
        // Nobody names addresses for a demo on one machine: its defaults are loopback.
        if args.https.or(file.https).is_none() {
            up.https = SocketAddr::from(([127, 0, 0, 1], 8443));
        }
        if args.listeners.mqtts.is_none() && file.mqtts.is_none() {
            up.network.mqtts = Some(SocketAddr::from(([127, 0, 0, 1], 8883)));
        }
        let all = [up.network.mqtt, up.network.mqtts, Some(up.https)];
        if let Some(open) = all.into_iter().flatten().find(|a| !a.ip().is_loopback()) {
            bail!(
                "--demo has accounts whose secret everybody knows, and {open} is not loopback; \
                 listen on 127.0.0.1, or add --insecure-demo if you mean it"
            );
        }
    }
    up.issuers = issuers(&args.trust_issuer, &file)?;
    if let Some(text) = args.clock.as_ref().or(file.clock.as_ref()) {
        if !demo {
            bail!("--clock moves business time and is for --demo only");
        }
        up.clock = Some(clock(text)?);
    }
    Ok(up)
}

/// The issuers of the file and of the flags.
fn issuers(flags: &[String], file: &File) -> Result<Vec<TrustedIssuer>> {
    let mut all = file.trust_issuer.clone();
    for text in flags {
        let (issuer, jwks) =
            text.split_once('=').with_context(|| format!("--trust-issuer {text}: write it as ISSUER=JWKS_FILE"))?;
        // The file may say what its roles mean; which keys count, the flag says.
        let named = all.iter().position(|i| i.issuer == issuer).map(|at| all.remove(at));
        let roles = named.map(|i| i.roles).unwrap_or_default();
        all.push(TrustedIssuer { issuer: issuer.to_owned(), jwks: PathBuf::from(jwks), roles });
    }
    Ok(all)
}

/// Certificate and key, where both are given.
fn certificate(cert: Option<PathBuf>, key: Option<PathBuf>, file: &File) -> Result<Option<(PathBuf, PathBuf)>> {
    match (cert.or_else(|| file.tls_cert.clone()), key.or_else(|| file.tls_key.clone())) {
        (Some(c), Some(k)) => Ok(Some((c, k))),
        (None, None) => Ok(None),
        _ => bail!("tls_cert and tls_key belong together: give both or neither"),
    }
}

/// `START[@RATE]`.
pub fn clock(text: &str) -> Result<ClockStart> {
    let (start, rate) = text.split_once('@').unwrap_or((text, "1"));
    let start = start.parse().with_context(|| format!("--clock {text}: START is 2026-03-02T08:00:00Z"))?;
    let rate: f64 = rate.trim_end_matches('x').parse().with_context(|| format!("--clock {text}: RATE is a number"))?;
    if !rate.is_finite() || !(0.0..=100_000.0).contains(&rate) {
        bail!("--clock {text}: RATE is 0 to 100000");
    }
    Ok(ClockStart { start, rate })
}

/// `90s`, `15m`, `8h`, `2d`, or an ISO 8601 duration, in milliseconds.
pub fn duration_ms(text: &str) -> Result<i64> {
    let span: jiff::SignedDuration = text
        .parse()
        .or_else(|_| days(text))
        .with_context(|| format!("{text:?} is not a duration: write 90s, 15m, 8h or 2d"))?;
    let ms = i64::try_from(span.as_millis()).unwrap_or(-1);
    if ms < 0 {
        bail!("{text:?}: the clock only moves on");
    }
    Ok(ms)
}

fn days(text: &str) -> Result<jiff::SignedDuration> {
    let n: i64 = text.trim_end_matches('d').trim().parse()?;
    if !text.ends_with('d') {
        bail!("no unit");
    }
    Ok(jiff::SignedDuration::from_hours(n.saturating_mul(24)))
}

/// One service alone.
pub struct Service {
    /// Its name, which is its account.
    pub name: &'static str,
    /// Data directory and log lines.
    pub base: Base,
    /// Where the broker is.
    pub broker: String,
    /// CA of the broker's certificate.
    pub ca: Option<PathBuf>,
    /// What proves it to the broker.
    pub secret: String,
    /// Where it answers supervisors.
    pub ops: Option<SocketAddr>,
}

/// What the query API needs beside that.
#[derive(Clone)]
pub struct QueryApi {
    /// The read models.
    pub views: PathBuf,
    /// The listener.
    pub https: SocketAddr,
    /// Certificate and key, when given.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// External issuers.
    pub issuers: Vec<TrustedIssuer>,
}

/// What a service alone needs.
pub fn service(args: &ServiceArgs, name: &'static str) -> Result<Service> {
    let file = file(&args.common)?;
    let broker = args.broker.clone().or_else(|| file.broker.clone());
    let named = args.secret_file.as_deref().or_else(|| file.service_secrets.get(name).map(PathBuf::as_path));
    let secret = secret("MILLWRIGHT_SERVICE_SECRET", named)?;
    Ok(Service {
        name,
        base: base(&args.common, &file),
        broker: broker.context("where is the broker? give --broker mqtts://HOST:8883")?,
        ca: args.ca.clone().or_else(|| file.ca.clone()),
        secret: secret.with_context(|| format!("no secret of service {name}: give --secret-file FILE"))?,
        ops: ops(args.ops.as_deref(), &file)?,
    })
}

/// Is it a demo? A service alone can't see whether the broker is open to others.
pub fn demo(args: &DemoArgs, common: &Common) -> Result<bool> {
    let file = file(common)?;
    let demo = args.demo || file.demo.unwrap_or(false);
    if demo && !(args.insecure_demo || file.insecure_demo.unwrap_or(false)) {
        bail!(
            "--demo has accounts whose secret everybody knows, and this service can't see who reaches the broker; \
             add --insecure-demo if it listens on loopback only, or if you mean it"
        );
    }
    Ok(demo)
}

/// Where the read models are.
pub fn views(given: Option<&Path>, base: &Base, common: &Common) -> Result<PathBuf> {
    Ok(given.map(Path::to_owned).or(file(common)?.views).unwrap_or_else(|| base.data.join("views")))
}

/// What the query API needs.
pub fn query_api(args: &QueryApiArgs, base: &Base) -> Result<QueryApi> {
    let file = file(&args.service.common)?;
    Ok(QueryApi {
        views: views(args.views.as_deref(), base, &args.service.common)?,
        https: args.https.or(file.https).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 8443))),
        tls: certificate(args.tls_cert.clone(), args.tls_key.clone(), &file)?,
        issuers: issuers(&args.trust_issuer, &file)?,
    })
}

/// The accounts of services and their secrets: the files of a directory, each named by its service,
/// and those that `[service_secrets]` names.
pub fn service_secrets(dir: Option<&Path>, file: &File) -> Result<Vec<(AccountName, String)>> {
    let mut files = file.service_secrets.clone();
    if let Some(dir) = dir {
        // The directory may hold other things too: certificates, links of whoever mounted it.
        let there = SERVICES.iter().map(|name| ((*name).to_owned(), dir.join(name)));
        files.extend(there.filter(|(_, path)| path.exists()));
        if files.is_empty() {
            bail!("--service-secrets {}: it has no file named by a service ({})", dir.display(), SERVICES.join(", "));
        }
    }
    let mut found = Vec::new();
    for (name, path) in &files {
        let account = AccountName::new(name).with_context(|| format!("[service_secrets] {name}"))?;
        let secret = read_secret(path)?;
        if secret.len() < 12 {
            bail!("secret file {}: a service's secret has at least 12 characters", path.display());
        }
        found.push((account, secret));
    }
    Ok(found)
}

fn read_secret(path: &Path) -> Result<String> {
    let s = std::fs::read_to_string(path).with_context(|| format!("secret file {}", path.display()))?;
    Ok(s.trim_end_matches(['\r', '\n']).to_owned())
}

/// A secret: the variable, or the file that `VARIABLE_FILE` or `named` says.
pub fn secret(variable: &str, named: Option<&Path>) -> Result<Option<String>> {
    if let Ok(s) = std::env::var(variable) {
        return Ok(Some(s));
    }
    let path = named.map(Path::to_path_buf).or_else(|| std::env::var_os(format!("{variable}_FILE")).map(PathBuf::from));
    match path {
        None => Ok(None),
        Some(p) => read_secret(&p).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_mqtt_stays_on_this_machine() {
        let l = Listeners { mqtt: Some("0.0.0.0:1883".into()), ..Listeners::default() };
        assert!(network(&l, &File::default()).is_err());
        let l = Listeners { insecure_mqtt: true, ..l };
        assert!(network(&l, &File::default()).is_ok());
        let l = Listeners { mqtt: Some("off".into()), ..Listeners::default() };
        assert!(network(&l, &File::default()).unwrap().mqtt.is_none());
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file: File = toml::from_str("mqtt = \"127.0.0.1:2000\"\nrate_limit = 7").unwrap();
        let n = network(&Listeners::default(), &file).unwrap();
        assert_eq!((n.mqtt.unwrap().port(), n.rate_limit), (2000, 7));
        let l = Listeners { mqtt: Some("127.0.0.1:2001".into()), rate_limit: Some(0), ..Listeners::default() };
        let n = network(&l, &file).unwrap();
        assert_eq!((n.mqtt.unwrap().port(), n.rate_limit), (2001, 0));
        assert!(toml::from_str::<File>("mqqt = 1").is_err());
    }

    #[test]
    fn clocks_and_durations() {
        let c = clock("2026-03-02T08:00:00Z@60").unwrap();
        assert_eq!(c.rate, 60.0);
        assert!(clock("yesterday").is_err());
        assert!(clock("2026-03-02T08:00:00Z@-1").is_err());
        for (t, ms) in [("90s", 90_000), ("15m", 900_000), ("8h", 28_800_000), ("2d", 172_800_000), ("PT1H", 3_600_000)]
        {
            assert_eq!(duration_ms(t).unwrap(), ms, "{t}");
        }
        assert!(duration_ms("5").is_err());
        assert!(duration_ms("-5s").is_err());
    }
}

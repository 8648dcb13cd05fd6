//! `millwright bench`: what this machine and this program do.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use mw_contract::{AccountName, Context, cloud, topics};
use mw_log::bench::{Round, file_round, log_round, quantile};
use mw_log::{CheckpointKey, EventLog, OpenOptions, SledLog};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench_mqtt::Connection;
use crate::cli::{BenchCommand, BenchOptions, Common, Remote};
use crate::client::{credentials, mqtt_url};
use crate::{config, history};

/// Bytes of an event's payload; with its head the frame has about 300.
const PAYLOAD: usize = 100;

/// Runs it.
pub fn run(command: BenchCommand) -> Result<ExitCode> {
    let (json, figures) = match command {
        BenchCommand::Append(o) => (o.json, append(&o)?),
        BenchCommand::Commands { options, remote, in_flight, connections, echo } => {
            (options.json, vec![commands(&options, &remote, in_flight.max(1), connections.max(1), echo)?])
        }
        BenchCommand::Replay { options, common } => (options.json, vec![replay(&common)?]),
    };
    if json {
        let mut out = match figures.as_slice() {
            [one] => one.clone(),
            rows => json!({"rows": rows}),
        };
        out["version"] = json!(env!("CARGO_PKG_VERSION"));
        println!("{out}");
        return Ok(ExitCode::SUCCESS);
    }
    let headings = ["what", "in flight", "per second", "p50 ms", "p99 ms", "p99.9 ms", "plain file", "durability"];
    let mut table = super::table(headings);
    for f in &figures {
        let n = |k: &str| {
            f[k].as_f64().map_or(String::new(), |v| if v < 100.0 { format!("{v:.2}") } else { format!("{v:.0}") })
        };
        let s = |k: &str| f[k].as_str().unwrap_or("").to_owned();
        let rate = ["events_per_second", "commands_per_second"].iter().map(|k| n(k)).collect::<String>();
        let row = [n("p50_ms"), n("p99_ms"), n("p999_ms"), n("plain_events_per_second"), s("durability")];
        table.add_row([s("what"), n("in_flight"), rate].into_iter().chain(row));
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

fn figure(what: &str, unit: &str, in_flight: usize, round: &Round, durability: &str) -> Value {
    let ms = |q| round.quantile(q).as_secs_f64() * 1000.0;
    json!({
        "what": what, "in_flight": in_flight, "count": round.events, unit: round.per_second(),
        "p50_ms": ms(0.5), "p99_ms": ms(0.99), "p999_ms": ms(0.999), "durability": durability,
    })
}

/// Three rounds of each in turns; the median one counts.
fn append(o: &BenchOptions) -> Result<Vec<Value>> {
    let dir = match &o.dir {
        Some(d) => d.clone(),
        None => std::env::temp_dir().join(format!("millwright-bench-{}", std::process::id())),
    };
    std::fs::create_dir_all(&dir)?;
    let result = append_in(&dir, Duration::from_secs(o.seconds.max(1)));
    if o.dir.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    result
}

fn append_in(dir: &Path, time: Duration) -> Result<Vec<Value>> {
    let key = Arc::new(CheckpointKey::load_or_create(&dir.join("keys/checkpoint.key"))?);
    let log: Arc<dyn EventLog> = SledLog::open(OpenOptions::under(dir, Context::Production, key))?;
    // Grown to its size first, as a log in use is.
    log_round(log.clone(), 128, PAYLOAD, Duration::from_secs(1))?;
    let mut figures = Vec::new();
    for in_flight in [1, 16, 128] {
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            plain.push(file_round(&dir.join("plain"), in_flight, 300, time / 3)?);
            ours.push(log_round(log.clone(), in_flight, PAYLOAD, time / 3)?);
        }
        let (ours, plain) = (median(ours)?, median(plain)?);
        let mut f = figure("append", "events_per_second", in_flight, &ours, "fdatasync");
        f["plain_events_per_second"] = json!(plain.per_second());
        f["ratio"] = json!(ours.per_second() / plain.per_second());
        f["event_bytes"] = json!(300);
        figures.push(f);
    }
    Ok(figures)
}

fn median(mut rounds: Vec<Round>) -> Result<Round> {
    rounds.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle).context("no rounds")
}

fn commands(o: &BenchOptions, remote: &Remote, in_flight: usize, connections: usize, echo: bool) -> Result<Value> {
    let url = mqtt_url(&remote.mqtt)?;
    if url.tls {
        bail!("bench commands measures plain MQTT: give --mqtt mqtt://127.0.0.1:1883");
    }
    let connections = connections.min(in_flight);
    let (login, topic, response) = if echo {
        (None, "bench/cmd".to_owned(), "bench/rsp".to_owned())
    } else {
        let (account, secret) = credentials(remote)?;
        let name = AccountName::new(&account)?;
        let topic = topics::command(&remote.site, &name, Context::Production);
        (Some((account, secret)), topic, topics::reply(&remote.site, &name))
    };
    let run = Uuid::now_v7().simple().to_string();
    let open = |client: &str, filter: &str| {
        let login = login.as_ref().map(|(a, s)| (a.as_str(), s.as_str()));
        Connection::open(&url.host, url.port, client, login, filter)
    };
    let mut responder = None;
    if echo {
        let mut c = open(&format!("echo-{run}"), &topic)?;
        let closer = c.closer()?;
        responder = Some((closer, std::thread::spawn(move || c.echo())));
    }
    let opened: Result<Vec<(Connection, String)>> = (0..connections)
        .map(|i| {
            // The same few topics in every run: a broker keeps state for each distinct one.
            let mine = format!("{response}/bench{i}");
            Ok((open(&format!("bench-{i}-{run}"), &mine)?, mine))
        })
        .collect();
    let start = Instant::now();
    let until = start + Duration::from_secs(o.seconds.max(1));
    let per = in_flight / connections;
    let mut round = Round::default();
    std::thread::scope(|s| -> Result<()> {
        let mut running = Vec::new();
        for (i, (mut c, mine)) in opened?.into_iter().enumerate() {
            let window = per + usize::from(i < in_flight % connections);
            let topic = &topic;
            running.push(s.spawn(move || c.drive(topic, &mine, window, until, &mut create, &|r| accepted(r, echo))));
        }
        for r in running {
            round.latencies.extend(r.join().map_err(|_| anyhow!("a connection's thread panicked"))??);
        }
        Ok(())
    })?;
    round.took = start.elapsed();
    round.events = round.latencies.len() as u64;
    if let Some((closer, thread)) = responder {
        closer.shutdown(std::net::Shutdown::Both).ok();
        thread.join().ok();
    }
    let (what, durability) = if echo { ("echo of the same bytes", "none") } else { ("commands", "fdatasync") };
    let mut f = figure(what, "commands_per_second", in_flight, &round, durability);
    f["connections"] = json!(connections);
    Ok(f)
}

/// A work order that needs no routing: one event of ordinary size.
fn create() -> Vec<u8> {
    let id = Uuid::now_v7();
    json!({
        "command_id": Uuid::now_v7(), "type": "work-order.create", "aggregate_id": id,
        "payload": {"product_id": "bracket-10", "planned_qty": "10", "uom": "H87", "due_at": "2030-01-01T00:00:00.000Z"},
    })
    .to_string()
    .into_bytes()
}

fn accepted(reply: &[u8], echo: bool) -> Result<()> {
    let text = String::from_utf8_lossy(reply);
    if echo || text.contains("\"status\":\"accepted\"") {
        return Ok(());
    }
    bail!("a command was refused: {text}")
}

fn replay(common: &Common) -> Result<Value> {
    let data: PathBuf = config::base(common, &config::file(common)?).data;
    let log = history::at_rest(&data, Context::Production)?;
    let (mut events, mut bytes) = (0u64, 0u64);
    let start = Instant::now();
    let mut laps = Vec::new();
    mw_log::verify::Frames::scan(&*log, &mut |n, frame| {
        let damaged = |reason: String| mw_log::LogError::Corrupt { commit: n, reason };
        let c = mw_log::frame::decode_commit(frame).map_err(|e| damaged(e.to_string()))?;
        for e in &c.events {
            std::hint::black_box(cloud::decode(e).map_err(|e| damaged(e.to_string()))?);
        }
        events += c.events.len() as u64;
        bytes += frame.len() as u64;
        if n.0.is_multiple_of(1000) {
            laps.push(start.elapsed());
        }
        Ok(true)
    })?;
    let took = start.elapsed();
    let mut laps: Vec<Duration> = laps.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
    Ok(json!({
        "what": "replay: read and decode", "count": events, "events_per_second": events as f64 / took.as_secs_f64(),
        "bytes": bytes, "p50_ms": quantile(&mut laps, 0.5).as_secs_f64() * 1000.0,
        "p99_ms": quantile(&mut laps, 0.99).as_secs_f64() * 1000.0, "of": "1000 commits", "durability": "",
    }))
}

//! `millwright replay`: history in position order, from a running system or a directory at rest.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use mw_contract::commit::{StoredCommit, StoredEvent};
use mw_contract::{AggregateId, AggregateKind, Context, Instant, Position, StreamId, cloud};
use serde_json::Value;

use crate::cli::{ReplayArgs, ReplayFormat};
use crate::{client, config, history};

/// Which events.
struct Filter {
    stream: Option<StreamId>,
    from: Position,
    to: Position,
    until: Option<Instant>,
    event_type: Option<String>,
    actor: Option<String>,
}

impl Filter {
    fn read(args: &ReplayArgs, context: Context) -> Result<Self> {
        let stream = args.stream.as_deref().map(|s| stream(s, context)).transpose()?;
        let until = args.until.as_deref().map(|t| t.parse().with_context(|| format!("--until {t}"))).transpose()?;
        if let Some(t) = &args.event_type
            && t.parse::<mw_contract::EventType>().is_err()
        {
            bail!("--type {t}: no event is called so; write it as WorkOrderReleased");
        }
        Ok(Filter {
            stream,
            from: Position(args.from.unwrap_or(1).max(1)),
            to: Position(args.to.unwrap_or(u64::MAX)),
            until,
            event_type: args.event_type.clone(),
            actor: args.actor.clone(),
        })
    }

    fn takes(&self, c: &StoredCommit, e: &StoredEvent) -> bool {
        (self.from..=self.to).contains(&e.position)
            && self.stream.is_none_or(|s| s == e.event.stream)
            && self.until.is_none_or(|t| c.head.recorded_at <= t)
            && self.event_type.as_deref().is_none_or(|t| t == &*e.event.event_type)
            && self.actor.as_deref().is_none_or(|a| a == c.head.account.as_str())
    }
}

fn stream(text: &str, context: Context) -> Result<StreamId> {
    let (kind, id) = text.split_once('/').with_context(|| format!("--stream {text}: write it as work-order/UUID"))?;
    let kind: AggregateKind = kind.parse().map_err(|e: String| anyhow!("--stream {text}: {e}"))?;
    if kind.context() != context {
        bail!("--stream {text}: it is in context {}; add --context {}", kind.context(), kind.context());
    }
    Ok(StreamId::new(kind, AggregateId(id.parse().with_context(|| format!("--stream {text}"))?)))
}

/// Runs it.
pub fn run(args: &ReplayArgs) -> Result<ExitCode> {
    let context: Context = args.context.parse().map_err(|e: String| anyhow!("--context {}: {e}", args.context))?;
    let filter = Filter::read(args, context)?;
    let default = if std::io::stdout().is_terminal() { ReplayFormat::Table } else { ReplayFormat::Jsonl };
    let mut out = Out::new(args.format.unwrap_or(default));
    let result = if args.remote.url.is_some() {
        over_https(args, context, &filter, &mut out)
    } else {
        let data = config::base(&args.common, &config::file(&args.common)?).data;
        super::block_on(history::each_commit(&data, context, |c| {
            for e in &c.events {
                if e.position > filter.to {
                    return Ok(false);
                }
                if filter.takes(c, e) {
                    let event = cloud::decode(e).with_context(|| format!("position {}", e.position))?;
                    out.event(&cloud::envelope(c, e, &event))?;
                }
            }
            Ok(true)
        }))?
    };
    match result.and_then(|()| out.finish()) {
        // Whoever read as much as they wanted has closed the pipe.
        Err(e) if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) => {
            Ok(ExitCode::SUCCESS)
        }
        Err(e) => Err(e),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

fn over_https(args: &ReplayArgs, context: Context, filter: &Filter, out: &mut Out) -> Result<()> {
    let api = client::Api::new(&args.remote)?;
    let mut after = filter.from.0 - 1;
    let mut fixed = format!("context={context}&limit=500");
    for (name, value) in [("stream", &args.stream), ("type", &args.event_type), ("actor", &args.actor)] {
        if let Some(v) = value {
            fixed += &format!("&{name}={v}");
        }
    }
    if let Some(t) = filter.until {
        fixed += &format!("&to={t}");
    }
    loop {
        let page = api.get(&format!("/v1/audit/events?{fixed}&after={after}"))?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        for item in items {
            let position = item["position"].as_u64().context("an item of the answer has no position")?;
            if position > filter.to.0 {
                return Ok(());
            }
            after = position;
            out.event(item)?;
        }
        if items.is_empty() || page["next"].is_null() {
            return Ok(());
        }
    }
}

struct Out {
    format: ReplayFormat,
    out: std::io::BufWriter<std::io::StdoutLock<'static>>,
    titled: bool,
}

impl Out {
    fn new(format: ReplayFormat) -> Self {
        Out { format, out: std::io::BufWriter::new(std::io::stdout().lock()), titled: false }
    }

    fn event(&mut self, e: &Value) -> Result<()> {
        if self.format == ReplayFormat::Jsonl {
            serde_json::to_writer(&mut self.out, e)?;
            return Ok(self.out.write_all(b"\n")?);
        }
        // Fixed columns, so that the first line is there before the last one is known.
        if !self.titled {
            self.titled = true;
            writeln!(
                self.out,
                "{:>9}  {:24}  {:28}  {:>4}  {:16}  stream",
                "position", "recorded at", "event", "ver", "actor"
            )?;
        }
        let text = |k: &str| e[k].as_str().unwrap_or("").to_owned();
        let stream = format!("{}/{}", text("aggregate_type"), text("aggregate_id"));
        writeln!(
            self.out,
            "{:>9}  {:24}  {:28}  {:>4}  {:16}  {stream}",
            e["position"].to_string(),
            text("recorded_at"),
            text("type"),
            e["version"].to_string(),
            e["actor"]["sub"].as_str().unwrap_or(""),
        )?;
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

//! Listens to the machines and sends what is worth a command to production's command service.

use std::sync::Arc;
use std::time::Duration;

use mw_contract::topics::{ROOT, Topic};
use mw_contract::{AccountName, AggregateId, CommandType, CommitNumber, Instant, ReplyStatus, SiteId, cloud};
use mw_log::LogReader;
use mw_runtime::{Accounts, Bus, BusError, Clock, CommandService, Inbound, Receipt};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::reading::{self, Message, Reading};
use crate::sampler::{Place, Sampler, Worth};
use crate::watch::Watch;

/// Commands on their way to a decision; more wait, and the bus with them.
const IN_FLIGHT: usize = 256;
/// The least time between two reads of the log, which then bring more commits each.
const GATHER: Duration = Duration::from_millis(25);
/// How often it is looked for what had to wait and who is silent.
const TICK: Duration = Duration::from_secs(1);
/// Commits read from the log at once.
const BATCH: usize = 1000;

/// What is counted.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    messages: Counter,
    commands: Counter,
    unreadable: Counter,
    unknown: Counter,
}

impl Metrics {
    /// Makes them known.
    pub fn register(r: &mut Registry) -> Self {
        let m = Metrics::default();
        r.register("mw_device_messages", "Messages of machines", m.messages.clone());
        r.register("mw_device_commands", "Commands made of them", m.commands.clone());
        r.register("mw_device_unreadable", "Messages of machines that could not be read", m.unreadable.clone());
        r.register("mw_device_unknown", "Messages of cells that are not registered as equipment", m.unknown.clone());
        m
    }
}

/// Machines to commands.
pub struct Feed {
    /// Where commands go.
    pub service: Arc<CommandService>,
    /// Who a cell's device is.
    pub accounts: Arc<dyn Accounts>,
    /// The machines.
    pub bus: Arc<dyn Bus>,
    /// Production's log.
    pub log: Arc<dyn LogReader>,
    /// Business time.
    pub clock: Arc<dyn Clock>,
    /// The account that reports silence.
    pub system: AccountName,
    /// What is counted.
    pub metrics: Metrics,
}

struct Running {
    feed: Feed,
    sampler: Sampler,
    watch: Watch,
    /// The last commit that is folded in.
    seen: CommitNumber,
    in_flight: Arc<Semaphore>,
}

impl Feed {
    /// Learns which equipment there is, then listens until the bus ends.
    ///
    /// # Errors
    /// The bus is gone for good.
    pub async fn run(self) -> Result<(), BusError> {
        let mut r = Running {
            feed: self,
            sampler: Sampler::default(),
            watch: Watch::default(),
            seen: CommitNumber::ZERO,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
        };
        r.catch_up().await;
        r.watch.listening_since(r.feed.clock.now());
        r.feed.bus.subscribe(&format!("{ROOT}/+/dev/#")).await?;
        let mut tick = tokio::time::interval(TICK);
        let mut not_before = tokio::time::Instant::now();
        loop {
            let (bus, log, seen) = (r.feed.bus.clone(), r.feed.log.clone(), r.seen);
            let grown = async {
                tokio::time::sleep_until(not_before).await;
                log.wait(seen).await
            };
            tokio::select! {
                message = bus.recv() => r.heard(message?).await,
                grown = grown => match grown {
                    Ok(()) => {
                        r.catch_up().await;
                        not_before = tokio::time::Instant::now() + GATHER;
                    }
                    // It is asked again with the next tick.
                    Err(_) => { tick.tick().await; }
                },
                _ = tick.tick() => r.look().await,
            }
        }
    }
}

impl Running {
    /// Folds in what the log has beyond what was seen.
    async fn catch_up(&mut self) {
        loop {
            let commits = match self.feed.log.read(self.seen.next(), BATCH).await {
                Ok(commits) => commits,
                Err(e) => return tracing::debug!(error = %e, "equipment can't be read now"),
            };
            let Some(last) = commits.last() else { return };
            self.seen = last.number;
            let now = self.feed.clock.now();
            for e in commits.iter().flat_map(|c| &c.events) {
                if e.event.stream.kind == mw_contract::AggregateKind::Equipment
                    && let Ok(event) = cloud::decode(e)
                {
                    self.watch.learn(&e.event.stream, &event, now, &mut self.sampler);
                }
            }
        }
    }

    async fn heard(&mut self, m: Inbound) {
        self.feed.metrics.messages.inc();
        let Some(Topic::Device { site, cell, channel }) = Topic::parse(&m.topic) else {
            return m.receipt.into_iter().for_each(Receipt::done);
        };
        let place = (site, cell);
        let now = self.feed.clock.now();
        self.watch.sign_of(&place, now);
        let name = m.topic.rsplit('/').next().unwrap_or_default();
        match reading::read(channel, name, &m.payload) {
            Ok(message) => {
                if let Some(worth) = self.sampler.take(&place, message, now) {
                    self.tell(&place, worth).await;
                }
            }
            Err(why) => {
                self.feed.metrics.unreadable.inc();
                tracing::info!(topic = %m.topic, why, "a machine's message can't be read");
            }
        }
        m.receipt.into_iter().for_each(Receipt::done);
    }

    async fn look(&mut self) {
        let now = self.feed.clock.now();
        for (place, worth) in self.sampler.due(now) {
            self.tell(&place, worth).await;
        }
        for ((site, cell), id) in self.watch.fell_silent(now) {
            tracing::info!(%site, %cell, "no sign of life: reported as offline");
            let payload = json!({"state": "offline", "source": "timeout"});
            let account = self.feed.system.clone();
            let command = command(Uuid::now_v7(), CommandType::EquipmentReportState, id, Some(now), payload);
            self.send(account, site, &command).await;
        }
    }

    /// Sends what a machine said, as its device.
    async fn tell(&self, place: &Place, worth: Worth) {
        let Some(id) = self.watch.equipment(place) else {
            self.feed.metrics.unknown.inc();
            return tracing::debug!(site = %place.0, cell = %place.1, "not registered as equipment");
        };
        let Some(account) = self.feed.accounts.device_of(&place.0, &place.1) else {
            self.feed.metrics.unknown.inc();
            return tracing::info!(site = %place.0, cell = %place.1, "no account is this cell's device any more");
        };
        let (kind, payload) = said(&worth);
        let command = command(command_id(place, &worth), kind, id, worth.message.at, payload);
        self.send(account, place.0.clone(), &command).await;
    }

    /// Waits for a free place and not for the outcome.
    async fn send(&self, account: AccountName, site: SiteId, command: &Value) {
        let Ok(permit) = self.in_flight.clone().acquire_owned().await else { return };
        self.feed.metrics.commands.inc();
        let (service, bytes) = (self.feed.service.clone(), command.to_string().into_bytes());
        // The order of one machine's commands is the order in which they are handed over.
        let Ok(outcome) = service.begin(account, Some(site), &bytes).await else { return };
        tokio::spawn(async move {
            let _permit = permit;
            if let Ok(reply) = outcome.await
                && reply.status == ReplyStatus::Rejected
            {
                tracing::info!(command = ?reply.command_id, error = ?reply.error, "what a machine said was refused");
            }
        });
    }
}

fn said(worth: &Worth) -> (CommandType, Value) {
    match &worth.message.reading {
        Reading::State(state) => {
            (CommandType::EquipmentReportState, json!({"state": state, "sequence": worth.message.seq}))
        }
        Reading::Counter { name, value, unit, reset } => {
            (CommandType::EquipmentRecordCounter, json!({"name": name, "value": value, "unit": unit, "reset": reset}))
        }
        Reading::Alarm { code, severity, text, active: true, .. } => (
            CommandType::EquipmentRaiseAlarm,
            json!({"alarm_id": worth.alarm_id, "code": code, "severity": severity, "text": text}),
        ),
        Reading::Alarm { active: false, .. } => (CommandType::EquipmentClearAlarm, json!({"alarm_id": worth.alarm_id})),
        // The sampler holds it back.
        Reading::Alive => (CommandType::EquipmentReportState, json!({})),
    }
}

fn command(id: Uuid, kind: CommandType, equipment: AggregateId, at: Option<Instant>, payload: Value) -> Value {
    json!({"command_id": id, "type": kind, "aggregate_id": equipment, "occurred_at": at, "payload": payload})
}

/// The same message twice, as a broker gives a retained one again, is the same command: a message
/// that bears a time or a count can be told from another one that says the same.
fn command_id(place: &Place, worth: &Worth) -> Uuid {
    let Message { reading, at, seq } = &worth.message;
    if at.is_none() && seq.is_none() {
        return Uuid::now_v7();
    }
    let name = format!("dev:{}:{}:{reading:?}:{at:?}:{seq:?}", place.0, place.1);
    Uuid::new_v5(&mw_contract::ids::NAMESPACE, name.as_bytes())
}

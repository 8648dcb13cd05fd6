//! The router and the links to it.
//!
//! Owns the only contact with rumqttd: how its router is configured, how a link is made, fed and
//! ended. It must never let the router end a link by itself (no `$` filter, no acknowledgement out
//! of order, no two links of one name), and never send anything on a link after its end: either
//! panics the router's thread, and with it the broker.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Disconnect, DisconnectReasonCode, Packet};
use rumqttd::{Notification, RouterConfig, SegmentConfig};

use crate::config::Limits;

/// The link or the router behind it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the link to the router is closed")]
pub struct LinkClosed;

type Halves = Result<(LinkTx, LinkRx), LinkClosed>;

/// One link that is wanted, and where to hand it over.
struct Wanted {
    name: String,
    clean: bool,
    to: flume::Sender<Halves>,
}

/// Threads that make links. Making one waits for the router's answer without a bound, and a
/// router that dies at the wrong moment never gives it: so it happens where nobody else waits.
const MAKERS: usize = 4;
/// How long a link may take before the router counts as gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes links. The router's event type has no public name, so its sender lives in a closure.
#[derive(Clone)]
pub(crate) struct RouterHandle {
    wanted: flume::Sender<Wanted>,
}

impl RouterHandle {
    /// Starts the router on its own thread, and those that make links to it.
    pub fn spawn(limits: &Limits) -> std::io::Result<RouterHandle> {
        let events = rumqttd::Router::new(0, config(limits)).spawn();
        let (wanted, asked) = flume::bounded::<Wanted>(1024);
        for n in 0..MAKERS {
            let (events, asked) = (events.clone(), asked.clone());
            std::thread::Builder::new().name(format!("mw-linker-{n}")).spawn(move || {
                for w in asked {
                    let made = LinkBuilder::new(&w.name, events.clone()).clean_session(w.clean).build();
                    // Whoever gave up waiting left no receiver; the link must end all the same.
                    if let Err(flume::SendError(Ok((mut tx, _)))) =
                        w.to.send(made.map(|(tx, rx, _)| (tx, rx)).map_err(|_| LinkClosed))
                    {
                        let _ = send_all(&mut tx, &mut vec![goodbye()]);
                    }
                }
            })?;
        }
        Ok(RouterHandle { wanted })
    }

    /// Links `name`, which no other link may hold at the moment.
    pub async fn link(&self, name: &str, clean: bool) -> Result<RouterLink, LinkClosed> {
        let (to, made) = flume::bounded(1);
        let asked = async {
            self.wanted.send_async(Wanted { name: name.to_owned(), clean, to }).await.map_err(|_| LinkClosed)?;
            made.recv_async().await.map_err(|_| LinkClosed)?
        };
        let (tx, rx) = tokio::time::timeout(PATIENCE, asked).await.map_err(|_| LinkClosed)??;
        Ok(RouterLink { tx, rx, out: Vec::new(), pending: None, unscheduled: false, open: true })
    }

    /// The two halves themselves, for an in-process link. Blocks for as long as the router is busy.
    pub fn halves(&self, name: &str) -> Halves {
        let (to, made) = flume::bounded(1);
        let wanted = Wanted { name: name.to_owned(), clean: true, to };
        self.wanted.send_timeout(wanted, PATIENCE).map_err(|_| LinkClosed)?;
        made.recv_timeout(PATIENCE).map_err(|_| LinkClosed)?
    }
}

fn config(limits: &Limits) -> RouterConfig {
    let kib = |size: usize, count: usize| SegmentConfig { max_segment_size: size * 1024, max_segment_count: count };
    // The patterns match filters, not topics, and must not overlap: which of two wins is random.
    // `mw/v1/+/rsp/#`, the watch for withheld acknowledgements, matches none and gets the default.
    let custom = HashMap::from([
        ("mw/v1/+/cmd/+/+".to_owned(), kib(8 * 1024, 4)),
        ("mw/v1/+/rsp/+/#".to_owned(), kib(128, 2)),
        ("mw/v1/+/evt/#".to_owned(), kib(512, 2)),
        ("mw/v1/+/dev/#".to_owned(), kib(256, 2)),
        ("mw/v1/+/state/#".to_owned(), kib(256, 2)),
        ("mw/v1/-/status/#".to_owned(), kib(64, 2)),
    ]);
    // Without a filter that matches it, a topic is compared with all filters on every publish.
    let known = ["mw/v1/+/evt/#", "mw/v1/+/dev/#", "mw/v1/+/state/#", "mw/v1/-/status/#", "mw/v1/-/log/#"];
    RouterConfig {
        max_connections: limits.max_connections + 256,
        max_outgoing_packet_count: 200,
        max_segment_size: 2 * 1024 * 1024,
        max_segment_count: 4,
        custom_segment: Some(custom),
        initialized_filters: Some(known.iter().map(|f| (*f).to_owned()).collect()),
        ..RouterConfig::default()
    }
}

/// The packet that ends a link. Whatever follows it would reach nobody.
pub(crate) fn goodbye() -> Packet {
    Packet::Disconnect(Disconnect { reason_code: DisconnectReasonCode::NormalDisconnection }, None)
}

/// Hands `packets` to the router as one event. The send is async in name only: it never awaits,
/// and blocks its thread while the router's queue is full.
pub(crate) fn send_all(tx: &mut LinkTx, packets: &mut Vec<Packet>) -> Result<(), LinkClosed> {
    let Some(last) = packets.pop() else { return Ok(()) };
    if !packets.is_empty() {
        tx.buffer().extend(packets.drain(..));
    }
    match tx.send(last).now_or_never() {
        Some(Ok(_)) => Ok(()),
        _ => Err(LinkClosed),
    }
}

/// One session's link, owned by its connection task alone.
pub(crate) struct RouterLink {
    tx: LinkTx,
    rx: LinkRx,
    out: Vec<Packet>,
    pending: Option<Notification>,
    unscheduled: bool,
    open: bool,
}

impl RouterLink {
    /// Queues a packet for the router; [`RouterLink::flush`] sends it.
    pub fn queue(&mut self, p: Packet) {
        self.out.push(p);
    }

    /// Sends what was queued, as one event.
    pub fn flush(&mut self) -> Result<(), LinkClosed> {
        if self.open { send_all(&mut self.tx, &mut self.out) } else { Err(LinkClosed) }
    }

    /// The next notification that is there already.
    pub fn try_next(&mut self) -> Result<Option<Notification>, LinkClosed> {
        if let Some(n) = self.pending.take() {
            return Ok(Some(n));
        }
        loop {
            match self.rx.next().now_or_never() {
                Some(Ok(Some(Notification::Unschedule))) => self.unscheduled = true,
                Some(Ok(Some(n))) => return Ok(Some(n)),
                // A wake-up whose notifications an earlier one brought along.
                Some(Ok(None)) => {}
                Some(Err(_)) => {
                    self.open = false;
                    return Err(LinkClosed);
                }
                None => {
                    self.reschedule()?;
                    return Ok(None);
                }
            }
        }
    }

    /// Waits until [`RouterLink::try_next`] has something. May be dropped at any time.
    pub async fn wait(&mut self) -> Result<(), LinkClosed> {
        while self.pending.is_none() {
            match self.rx.next().await {
                Ok(Some(Notification::Unschedule)) => {
                    self.unscheduled = true;
                    self.reschedule()?;
                }
                Ok(n) => self.pending = n,
                Err(_) => {
                    self.open = false;
                    return Err(LinkClosed);
                }
            }
        }
        Ok(())
    }

    /// The router stops a link at 200 notifications until it is told to go on, exactly once.
    fn reschedule(&mut self) -> Result<(), LinkClosed> {
        if std::mem::take(&mut self.unscheduled) && self.open {
            return self.rx.ready().map_err(|_| LinkClosed);
        }
        Ok(())
    }

    /// Ends the link after what was queued. Nothing is sent on it afterwards.
    pub fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.out.push(goodbye());
            // Fails only when the router is gone, and the link with it.
            let _ = send_all(&mut self.tx, &mut self.out);
        }
    }
}

impl Drop for RouterLink {
    fn drop(&mut self) {
        self.close();
    }
}

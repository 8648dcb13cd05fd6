//! In-process links for the product's own services.
//!
//! Owns the translation between the router's notifications and messages. No access rules apply
//! here: whoever holds the broker may say and hear everything.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::protocol::{Filter, Packet, QoS, RetainForwardRule};

use crate::codec::{MessageProps, PropValue};
use crate::envelope::{Incoming, NO_ORIGIN, Outgoing};
use crate::props_out::{PropsOut, read_props};
use crate::registry::Subscription;
use crate::retained::{Cursor, Full, Kept, Retained};
use crate::router::{LinkClosed, RouterHandle, goodbye, send_all};

/// A message to publish. Only `topic` and `payload` are needed.
#[derive(Clone, Debug, Default)]
pub struct Publish {
    /// A topic name of at most 200 ASCII bytes.
    pub topic: String,
    /// Anything.
    pub payload: Bytes,
    /// 0 or 1: the most that a subscriber gets it with.
    pub qos: u8,
    /// Kept for those who subscribe later.
    pub retain: bool,
    /// Where an answer is wanted.
    pub response_topic: Option<String>,
    /// What an answer must carry.
    pub correlation_data: Option<Bytes>,
    /// The MIME type of the payload.
    pub content_type: Option<String>,
    /// Names and values, in order.
    pub user_properties: Vec<(String, String)>,
    /// Seconds for which it is worth delivering.
    pub expiry: Option<u32>,
}

/// A message that came.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Where it was published.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// The QoS it was published with, 0 or 1.
    pub qos: u8,
    /// Where an answer is wanted; on command topics at or below the account's own reply topic.
    pub response_topic: Option<String>,
    /// What an answer must carry.
    pub correlation_data: Option<Bytes>,
    /// The MIME type of the payload.
    pub content_type: Option<String>,
    /// Names and values, in order.
    pub user_properties: Vec<(String, String)>,
    /// Seconds left of its expiry.
    pub expiry: Option<u32>,
    /// Was it there before the subscription? False for everything that is published from then on.
    pub retain: bool,
    /// Its place in the router's log of the filter that matched: one more for each message of
    /// that filter, so that a link with a single subscription can see what it missed. 0 for what
    /// was retained.
    pub offset: u64,
}

/// Why a filter or topic was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// The router is gone.
    #[error(transparent)]
    Closed(#[from] LinkClosed),
    /// The topic or filter has a form that must not reach the router.
    #[error("topic {topic:?}: {reason}")]
    BadTopic {
        /// What was given.
        topic: String,
        /// What is wrong with it.
        reason: mw_contract::topics::BadTopic,
    },
    /// `$` topics belong to the broker.
    #[error("topic {0:?}: '$' topics belong to the broker")]
    Dollar(String),
}

/// The half that both others share: the end of the link is said once, and nothing follows it.
struct Core {
    tx: Mutex<Option<LinkTx>>,
    /// `None` for the front door's own links, which retain nothing.
    retained: Option<Arc<Retained>>,
    /// Subscriptions whose retained messages the receiver has not had yet.
    waiting: Mutex<VecDeque<Cursor>>,
}

impl Core {
    fn send(&self, packets: &mut Vec<Packet>) -> Result<(), LinkClosed> {
        match self.tx.lock().as_mut() {
            Some(tx) => send_all(tx, packets),
            None => Err(LinkClosed),
        }
    }
}

impl Core {
    fn close(&self) {
        if let Some(mut tx) = self.tx.lock().take() {
            // Fails only when the router is gone, and the link with it.
            let _ = send_all(&mut tx, &mut vec![goodbye()]);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.close();
    }
}

/// An in-process link: both halves in one.
pub struct LocalLink {
    sender: LinkSender,
    receiver: LinkReceiver,
}

/// The half that publishes and subscribes. Cheap to clone; the link ends when all of it is gone.
#[derive(Clone)]
pub struct LinkSender {
    core: Arc<Core>,
}

/// The half that hears. It may run on a thread of its own.
pub struct LinkReceiver {
    core: Arc<Core>,
    rx: LinkRx,
    unscheduled: bool,
    /// Retained messages that come next.
    found: VecDeque<Arc<Kept>>,
    /// What the router gave, behind those.
    next: Option<Message>,
}

/// Retained messages taken from the store in one step.
const RETAINED_STEP: usize = 64;

impl LocalLink {
    /// Links `name`, which must be held by no other link.
    pub(crate) fn new(
        router: &RouterHandle,
        name: &str,
        retained: Option<Arc<Retained>>,
    ) -> Result<LocalLink, LinkClosed> {
        let (tx, rx) = router.halves(name)?;
        let core = Arc::new(Core { tx: Mutex::new(Some(tx)), retained, waiting: Mutex::default() });
        Ok(LocalLink {
            sender: LinkSender { core: Arc::clone(&core) },
            receiver: LinkReceiver { core, rx, unscheduled: false, found: VecDeque::new(), next: None },
        })
    }

    /// Both halves by themselves.
    pub fn split(self) -> (LinkSender, LinkReceiver) {
        (self.sender, self.receiver)
    }

    /// See [`LinkSender::subscribe`].
    pub async fn subscribe(&self, filter: &str) -> Result<(), LinkError> {
        self.sender.subscribe(filter)
    }

    /// See [`LinkSender::publish`].
    pub async fn publish(&self, message: Publish) -> Result<(), LinkError> {
        self.sender.publish(message)
    }

    /// See [`LinkSender::publish_many`].
    pub async fn publish_many(&self, messages: Vec<Publish>) -> Result<(), LinkError> {
        self.sender.publish_many(messages)
    }

    /// See [`LinkReceiver::recv`].
    pub async fn recv(&mut self) -> Result<Message, LinkClosed> {
        self.receiver.recv().await
    }
}

impl LinkSender {
    /// Subscribes. What is retained already is heard first, then what is published after this
    /// returns, by anyone. There is no window: a receiver that falls behind loses what the
    /// router's segments no longer hold.
    ///
    /// # Errors
    /// [`LinkError`]: a filter that must not reach the router, or the router is gone.
    pub fn subscribe(&self, filter: &str) -> Result<(), LinkError> {
        mw_contract::topics::check_filter(filter)
            .map_err(|reason| LinkError::BadTopic { topic: filter.to_owned(), reason })?;
        if filter.starts_with('$') {
            return Err(LinkError::Dollar(filter.to_owned()));
        }
        // Held until the cursor is there: the router's answer wakes the receiver, which looks here.
        let mut waiting = self.core.waiting.lock();
        self.core.send(&mut vec![subscribe_packet(filter.to_owned(), 0, None)])?;
        if let Some(retained) = &self.core.retained {
            waiting.retain(|c| *c.filter != *filter);
            waiting.push_back(Cursor::new(filter, Subscription::default(), retained.now()));
        }
        Ok(())
    }

    /// Publishes one message.
    ///
    /// # Errors
    /// [`LinkError`]: a bad topic (nothing was published), or the router is gone.
    pub fn publish(&self, message: Publish) -> Result<(), LinkError> {
        self.publish_many(vec![message])
    }

    /// Publishes all, in their order and as one event of the router, which is several times
    /// faster than one by one. Returns when the router has them queued; may block the thread for
    /// as long as its queue is full.
    ///
    /// # Errors
    /// [`LinkError`]: a bad topic (nothing was published), or the router is gone.
    pub fn publish_many(&self, messages: Vec<Publish>) -> Result<(), LinkError> {
        let mut packets = Vec::with_capacity(messages.len());
        for m in &messages {
            mw_contract::topics::check_name(&m.topic)
                .map_err(|reason| LinkError::BadTopic { topic: m.topic.clone(), reason })?;
            packets.push(packet_of(m));
        }
        if let Some(retained) = &self.core.retained {
            messages.iter().filter(|m| m.retain).for_each(|m| keep(retained, m));
        }
        Ok(self.core.send(&mut packets)?)
    }
}

impl LinkSender {
    /// Publishes what is a packet already.
    pub(crate) fn send_packet(&self, packet: Packet) -> Result<(), LinkClosed> {
        self.core.send(&mut vec![packet])
    }

    /// Ends the link for both halves: the receiver hears what is there and then fails.
    pub fn close(&self) {
        self.core.close();
    }
}

fn props_of(m: &Publish) -> Vec<u8> {
    let mut props = PropsOut::default();
    props.content_type(m.content_type.as_deref());
    props.response_topic(m.response_topic.as_deref());
    props.correlation_data(m.correlation_data.as_deref());
    for (k, v) in &m.user_properties {
        props.user(k, v);
    }
    props.bytes
}

/// `None` when it has expired.
fn message_of(k: &Kept) -> Option<Message> {
    let mut m = Message {
        topic: k.topic.to_string(),
        payload: k.payload.clone(),
        qos: u8::from(k.at_least_once),
        expiry: k.remaining().ok()?,
        retain: true,
        ..Message::default()
    };
    read_props(&k.props, &mut m);
    Some(m)
}

fn keep(retained: &Retained, m: &Publish) {
    let kept = Kept::new(&m.topic, m.qos > 0, &props_of(m), &m.payload, m.expiry);
    match retained.admits(&kept) {
        Ok(()) => retained.set(kept, None),
        Err(Full(why)) => tracing::error!(topic = m.topic, why, "a message is published but not retained"),
    }
}

pub(crate) fn packet_of(m: &Publish) -> Packet {
    Outgoing {
        topic: &m.topic,
        at_least_once: m.qos > 0,
        retain: m.retain,
        origin: NO_ORIGIN,
        expiry: m.expiry,
        props: &props_of(m),
        payload: &m.payload,
    }
    .packet()
}

/// SUBSCRIBE to one filter. It must have passed the checks of a client's or a service's filter.
pub(crate) fn subscribe_packet(path: String, qos: u8, id: Option<u32>) -> Packet {
    let qos = if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let filter =
        Filter { path, qos, nolocal: false, preserve_retain: false, retain_forward_rule: RetainForwardRule::Never };
    let props = id
        .map(|id| rumqttd::protocol::SubscribeProperties { id: usize::try_from(id).ok(), user_properties: Vec::new() });
    Packet::Subscribe(rumqttd::protocol::Subscribe { pkid: 1, filters: vec![filter] }, props)
}

impl LinkReceiver {
    /// The next message.
    ///
    /// # Errors
    /// [`LinkClosed`]: the router is gone.
    pub async fn recv(&mut self) -> Result<Message, LinkClosed> {
        loop {
            if let Some(m) = self.ready() {
                return Ok(m);
            }
            let next = self.rx.next().await;
            self.next = self.take(next.map_err(|_| LinkClosed)?)?;
        }
    }

    /// The next message, on a thread of one's own.
    ///
    /// # Errors
    /// [`LinkClosed`]: the router is gone.
    pub fn recv_blocking(&mut self) -> Result<Message, LinkClosed> {
        loop {
            if let Some(m) = self.ready() {
                return Ok(m);
            }
            let next = self.rx.recv();
            self.next = self.take(next.map_err(|_| LinkClosed)?)?;
        }
    }

    /// The next message if it is there already.
    ///
    /// # Errors
    /// [`LinkClosed`]: the router is gone.
    pub fn try_recv(&mut self) -> Result<Option<Message>, LinkClosed> {
        use futures_util::FutureExt;
        loop {
            if let Some(m) = self.ready() {
                return Ok(Some(m));
            }
            let Some(next) = self.rx.next().now_or_never() else { return Ok(None) };
            self.next = self.take(next.map_err(|_| LinkClosed)?)?;
        }
    }

    /// A message that is there: what is retained comes before what the router gave after it.
    fn ready(&mut self) -> Option<Message> {
        if let Some(retained) = &self.core.retained {
            loop {
                if let Some(m) = self.found.pop_front().and_then(|k| message_of(&k)) {
                    return Some(m);
                }
                if !self.found.is_empty() {
                    continue;
                }
                let mut waiting = self.core.waiting.lock();
                let Some(cursor) = waiting.front_mut() else { break };
                if !retained.next(cursor, RETAINED_STEP, |k| self.found.push_back(k)) {
                    waiting.pop_front();
                }
            }
        }
        self.next.take()
    }

    fn take(&mut self, n: Option<Notification>) -> Result<Option<Message>, LinkClosed> {
        match n {
            Some(Notification::Forward(f)) => {
                let topic = String::from_utf8_lossy(&f.publish.topic).into_owned();
                let Some(m) = Incoming::read(f.publish.payload) else { return Ok(None) };
                let Ok(expiry) = m.remaining() else { return Ok(None) };
                let mut out = Message {
                    topic,
                    payload: m.payload,
                    qos: u8::from(m.at_least_once),
                    expiry,
                    offset: f.cursor.map_or(0, |c| c.1),
                    ..Message::default()
                };
                if !m.props.is_empty() {
                    read_props(&m.props, &mut out);
                }
                Ok(Some(out))
            }
            // The router pauses a link at 200 notifications; it goes on when told, once.
            Some(Notification::Unschedule) => {
                self.unscheduled = true;
                self.reschedule()?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn reschedule(&mut self) -> Result<(), LinkClosed> {
        // Under the lock, so that it can't follow the end of the link.
        let tx = self.core.tx.lock();
        if tx.is_none() {
            return Err(LinkClosed);
        }
        if std::mem::take(&mut self.unscheduled) { self.rx.ready().map_err(|_| LinkClosed) } else { Ok(()) }
    }
}

/// What a client's checked property bytes say, by name.
pub(crate) fn each_prop<'a>(raw: &'a [u8], each: impl FnMut(u8, PropValue<'a>)) {
    MessageProps::of_raw(raw, each);
}

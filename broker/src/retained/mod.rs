//! Retained messages: the last one of each topic that was said to be kept.
//!
//! Owns them in memory, where new subscribers are served from, and on disk, where a restart finds
//! them. The router never hears of it: it keeps a hundred at most. A message is seen by subscribers
//! at once and is durable when its publisher has its acknowledgement; `disk` writes.

mod disk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mw_contract::topics::{self, Topic};
use mw_log::{LogError, NamedValues};
use parking_lot::Mutex;

use crate::config::Limits;
use crate::metrics::Metrics;
use crate::registry::Subscription;
use disk::Disk;

pub(crate) use disk::Waiter;

/// The format of a value on disk.
const FORMAT: u8 = 1;
/// Topics looked at in one step of a delivery, so that no lock is held for long.
const LOOKED_AT: usize = 1024;
/// A message of so many bytes may take the place of a smaller one even when there is no room left:
/// a service that wants to say `offline` after `online` must be able to.
const SMALL: usize = 1024;

/// One retained message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub topic: Arc<str>,
    pub at_least_once: bool,
    /// Checked MQTT 5 property bytes.
    pub props: Bytes,
    pub payload: Bytes,
    /// When it expires: milliseconds since 1970, for it outlives the process.
    pub deadline_ms: Option<u64>,
    /// The client id of its publisher, as long as the broker runs; empty for others.
    pub from: Box<str>,
    /// When its topic got the first of the messages that led to this one, as [`Retained::now`]
    /// counts.
    pub born: u64,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

impl Kept {
    pub fn new(topic: &str, at_least_once: bool, props: &[u8], payload: &[u8], expiry: Option<u32>) -> Self {
        Kept {
            topic: topic.into(),
            at_least_once,
            // Copied: a slice would keep the whole read buffer alive for as long as it is kept.
            props: Bytes::copy_from_slice(props),
            payload: Bytes::copy_from_slice(payload),
            deadline_ms: expiry.map(|s| now_ms().saturating_add(u64::from(s) * 1000)),
            from: "".into(),
            born: 0,
        }
    }

    /// Published by a client.
    pub fn by(self, client_id: &str) -> Self {
        Kept { from: client_id.into(), ..self }
    }

    /// Seconds left to deliver it: `Ok(None)` without an expiry, `Err` when it has passed.
    pub fn remaining(&self) -> Result<Option<u32>, ()> {
        let Some(deadline) = self.deadline_ms else { return Ok(None) };
        match deadline.checked_sub(now_ms()).filter(|ms| *ms > 0) {
            Some(ms) => Ok(Some(u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX))),
            None => Err(()),
        }
    }

    fn size(&self) -> usize {
        self.topic.len() + self.props.len() + self.payload.len()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(14 + self.props.len() + self.payload.len());
        out.extend_from_slice(&[FORMAT, u8::from(self.at_least_once)]);
        out.extend_from_slice(&self.deadline_ms.unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&(self.props.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.props);
        out.extend_from_slice(&self.payload);
        out
    }

    fn decode(topic: &str, bytes: &[u8]) -> Option<Kept> {
        let (&[format, qos], rest) = bytes.split_first_chunk::<2>()?;
        let (deadline, rest) = rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (props, payload) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        let deadline = u64::from_be_bytes(*deadline);
        (format == FORMAT).then(|| Kept {
            topic: topic.into(),
            at_least_once: qos > 0,
            props: Bytes::copy_from_slice(props),
            payload: Bytes::copy_from_slice(payload),
            deadline_ms: (deadline > 0).then_some(deadline),
            from: "".into(),
            born: 0,
        })
    }
}

/// Too many retained messages already, over all or of one cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full(pub &'static str);

#[derive(Default)]
struct Memory {
    by_topic: BTreeMap<Arc<str>, Arc<Kept>>,
    bytes: usize,
    /// Retained names of each cell's device: `site/cell`.
    of_cell: HashMap<String, usize>,
    /// Those with an expiry, soonest first.
    expiring: BTreeSet<(u64, Arc<str>)>,
    /// One more with each message that was put here.
    stamp: u64,
}

fn cell_of(topic: &str) -> Option<String> {
    match Topic::parse(topic) {
        Some(Topic::Device { site, cell, .. }) => Some(format!("{site}/{cell}")),
        _ => None,
    }
}

impl Memory {
    fn admit(&self, kept: &Kept, limits: &Limits) -> Result<(), Full> {
        let before = self.by_topic.get(&kept.topic).map_or(0, |k| k.size());
        let small = before > 0 && kept.props.len() + kept.payload.len() <= SMALL;
        if !small && self.bytes - before + kept.size() > limits.max_retained_bytes {
            return Err(Full("too many bytes are retained"));
        }
        if before > 0 {
            return Ok(());
        }
        if self.by_topic.len() >= limits.max_retained {
            return Err(Full("too many messages are retained"));
        }
        let of_cell = cell_of(&kept.topic).and_then(|c| self.of_cell.get(&c).copied());
        if of_cell.is_some_and(|n| n >= limits.max_retained_per_cell) {
            return Err(Full("too many names of this cell are retained"));
        }
        Ok(())
    }

    fn put(&mut self, mut kept: Kept) -> Arc<Kept> {
        self.stamp += 1;
        kept.born = self.remove(&kept.topic).map_or(self.stamp, |old| old.born);
        self.bytes += kept.size();
        self.expiring.extend(kept.deadline_ms.map(|d| (d, kept.topic.clone())));
        if let Some(c) = cell_of(&kept.topic) {
            *self.of_cell.entry(c).or_default() += 1;
        }
        let kept = Arc::new(kept);
        self.by_topic.insert(kept.topic.clone(), Arc::clone(&kept));
        kept
    }

    fn remove(&mut self, topic: &str) -> Option<Arc<Kept>> {
        let old = self.by_topic.remove(topic)?;
        self.bytes -= old.size();
        if let Some(d) = old.deadline_ms {
            self.expiring.remove(&(d, old.topic.clone()));
        }
        if let Some(c) = cell_of(topic)
            && let Some(n) = self.of_cell.get_mut(&c)
        {
            *n -= 1;
            if *n == 0 {
                self.of_cell.remove(&c);
            }
        }
        Some(old)
    }
}

/// All retained messages of a broker.
pub(crate) struct Retained {
    memory: Mutex<Memory>,
    limits: Limits,
    metrics: Metrics,
    disk: Option<Disk>,
}

/// Where a delivery of retained messages to one subscription has come to. It holds no message:
/// what is delivered is what the topic has at that moment.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub filter: Box<str>,
    pub subscription: Subscription,
    /// Topics that were first retained later are left out: the router delivers those.
    as_of: u64,
    after: Option<Arc<str>>,
}

impl Cursor {
    /// `as_of` is [`Retained::now`] once the router knows the subscription.
    pub fn new(filter: &str, subscription: Subscription, as_of: u64) -> Self {
        Cursor { filter: filter.into(), subscription, as_of, after: None }
    }

    /// Goes on with what comes after this topic.
    pub fn go_on_after(&mut self, topic: Arc<str>) {
        self.after = Some(topic);
    }

    /// The part of the filter before its first wildcard: all matching topics begin with it, but
    /// for the parent that `a/#` matches too.
    fn prefix(&self) -> &str {
        let end = self.filter.find(['+', '#']).unwrap_or(self.filter.len());
        let prefix = &self.filter[..end];
        if self.filter[end..].starts_with('#') { prefix.trim_end_matches('/') } else { prefix }
    }
}

impl Retained {
    /// Reads what the directory has; without one nothing survives the process.
    pub fn open(dir: Option<&Path>, limits: &Limits, metrics: &Metrics) -> Result<Arc<Self>, LogError> {
        let mut memory = Memory::default();
        let store = dir.map(NamedValues::open).transpose()?;
        if let Some(store) = &store {
            for (topic, bytes) in store.all()? {
                match Kept::decode(&topic, &bytes) {
                    Some(k) => {
                        memory.put(k);
                    }
                    None => {
                        tracing::error!(topic = %topic.escape_debug(), "a retained message can't be read; it is left out");
                    }
                }
            }
        }
        metrics.retained.set(i64::try_from(memory.by_topic.len()).unwrap_or(i64::MAX));
        let disk = store.map(|s| Disk::start(move |changes| s.write(changes), metrics)).transpose()?;
        let (limits, metrics) = (limits.clone(), metrics.clone());
        Ok(Arc::new(Retained { memory: Mutex::new(memory), limits, metrics, disk }))
    }

    /// Counts the messages that were retained: what is first retained from now on is `born` later.
    pub fn now(&self) -> u64 {
        self.memory.lock().stamp
    }

    /// Is there room for this message?
    pub fn admits(&self, kept: &Kept) -> Result<(), Full> {
        let admitted = if kept.payload.is_empty() { Ok(()) } else { self.memory.lock().admit(kept, &self.limits) };
        if admitted.is_err() {
            self.metrics.retained_refused.inc();
        }
        admitted
    }

    /// Keeps a message, or removes the one of its topic when it has no payload. `waiter` hears when
    /// that is on disk. Whether there is room was asked before.
    pub fn set(&self, kept: Kept, waiter: Option<Waiter>) {
        let mut memory = self.memory.lock();
        let topic = kept.topic.clone();
        let value = if kept.payload.is_empty() {
            memory.remove(&topic);
            None
        } else {
            Some(memory.put(kept))
        };
        self.metrics.retained.set(i64::try_from(memory.by_topic.len()).unwrap_or(i64::MAX));
        // Under the lock, so that the disk sees changes of a topic in the order of memory.
        self.change(topic, value, waiter);
    }

    fn change(&self, topic: Arc<str>, value: Option<Arc<Kept>>, waiter: Option<Waiter>) {
        match &self.disk {
            Some(disk) => disk.change(topic, value, waiter),
            None => waiter.into_iter().for_each(Waiter::release),
        }
    }

    /// The next messages for a cursor, at most `most`; `false` when there are no more.
    pub fn next(&self, cursor: &mut Cursor, most: usize, mut each: impl FnMut(Arc<Kept>)) -> bool {
        let memory = self.memory.lock();
        let prefix = cursor.prefix();
        let from = match &cursor.after {
            Some(t) => Bound::Excluded(&**t),
            None => Bound::Included(prefix),
        };
        let mut last = None;
        let mut found = 0;
        for (n, (topic, kept)) in memory.by_topic.range::<str, _>((from, Bound::Unbounded)).enumerate() {
            if !topic.starts_with(prefix) {
                return false;
            }
            if n == LOOKED_AT || found == most {
                cursor.after = last;
                return true;
            }
            last = Some(topic.clone());
            if kept.born <= cursor.as_of && topics::matches(&cursor.filter, topic) {
                found += 1;
                each(kept.clone());
            }
        }
        false
    }

    /// Removes what has expired.
    pub fn expire(&self) {
        let mut memory = self.memory.lock();
        let now = now_ms();
        while let Some((_, topic)) = memory.expiring.first().filter(|(d, _)| *d <= now).cloned() {
            memory.remove(&topic);
            self.change(topic, None, None);
        }
        self.metrics.retained.set(i64::try_from(memory.by_topic.len()).unwrap_or(i64::MAX));
    }

    /// Every service is away until it says otherwise: the sessions that stood behind what is
    /// retained ended with the process before, which could not say their wills.
    pub fn services_are_offline(&self) {
        let every = topics::status("+");
        let topics: Vec<Arc<str>> = {
            let memory = self.memory.lock();
            memory.by_topic.keys().filter(|t| topics::matches(&every, t)).cloned().collect()
        };
        for topic in topics {
            self.set(Kept::new(&topic, true, b"", b"offline", None), None);
        }
    }

    /// Writes what is left, and ends.
    pub fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.close();
        }
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::Control;

    fn open(dir: Option<&Path>, limits: Limits) -> Arc<Retained> {
        Retained::open(dir, &limits, &Metrics::default()).unwrap()
    }

    fn set(r: &Retained, topic: &str, text: &str) -> Result<(), Full> {
        let kept = Kept::new(topic, true, b"", text.as_bytes(), None);
        r.admits(&kept).map(|()| r.set(kept, None))
    }

    /// topic=payload of everything that a filter matches.
    fn all(r: &Retained, filter: &str) -> Vec<String> {
        let mut cursor = Cursor::new(filter, Subscription::default(), u64::MAX);
        let mut found = Vec::new();
        while r.next(&mut cursor, 3, |k| found.push(format!("{}={}", k.topic, String::from_utf8_lossy(&k.payload)))) {}
        found
    }

    #[test]
    fn the_last_message_of_each_topic_is_found_by_every_filter_that_matches_it() {
        let r = open(None, Limits::default());
        for t in ["a", "a/b", "a/b/c", "a0", "a/d/c", "b/b/c", "$x/b"] {
            set(&r, t, "old").unwrap();
            set(&r, t, "new").unwrap();
        }
        set(&r, "a/d/c", "").unwrap();
        for (filter, found) in [
            ("a", "a=new"),
            ("a/#", "a=new a/b=new a/b/c=new"),
            ("a/+", "a/b=new"),
            ("+/b/c", "a/b/c=new b/b/c=new"),
            ("#", "a=new a/b=new a/b/c=new a0=new b/b/c=new"),
            ("a/d/c", ""),
        ] {
            assert_eq!(all(&r, filter).join(" "), found, "{filter}");
        }
        let many = open(None, Limits::default());
        for n in 0..3 * LOOKED_AT {
            set(&many, &format!("t/{n}/{}", n % 2), "x").unwrap();
        }
        assert_eq!(all(&many, "t/+/1").len(), 3 * LOOKED_AT / 2, "none is skipped between two steps");
    }

    #[test]
    fn a_restart_finds_what_was_acknowledged_and_nothing_that_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let control = Arc::new(Control::default());
        {
            let r = open(Some(dir.path()), Limits::default());
            for (n, (topic, text)) in
                [("a", "1"), ("b", "2"), ("mw/v1/-/status/x", "online"), ("b", "")].into_iter().enumerate()
            {
                let kept = Kept::new(topic, n % 2 == 0, b"\x01\x01", text.as_bytes(), (topic == "a").then_some(1000));
                r.set(kept, Some(Waiter { control: control.clone(), seq: n as u64 }));
            }
            let mut released = Vec::new();
            let began = std::time::Instant::now();
            while released.len() < 4 {
                assert!(began.elapsed() < Duration::from_secs(20), "{released:?}");
                released.extend(control.take_released());
                std::thread::yield_now();
            }
            // No orderly end: what was acknowledged is there already.
            std::mem::forget(r);
        }
        // The forgotten one holds the lock as a killed process would not: read what it left.
        let copy = tempfile::tempdir().unwrap();
        for f in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            if f.file_type().unwrap().is_file() {
                std::fs::copy(f.path(), copy.path().join(f.file_name())).unwrap();
            }
        }
        let r = open(Some(copy.path()), Limits::default());
        assert_eq!(all(&r, "#"), ["a=1", "mw/v1/-/status/x=online"]);
        let kept = r.memory.lock().by_topic["a"].clone();
        assert!(kept.at_least_once && kept.props == b"\x01\x01"[..]);
        assert!(matches!(kept.remaining(), Ok(Some(s)) if s <= 1000 && s > 900));
        r.services_are_offline();
        assert_eq!(all(&r, "mw/v1/-/status/+"), ["mw/v1/-/status/x=offline"]);
        drop(r);
        assert_eq!(all(&open(Some(copy.path()), Limits::default()), "mw/#"), ["mw/v1/-/status/x=offline"]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_replacing_is_always_possible() {
        let limits = Limits { max_retained: 4, max_retained_per_cell: 2, max_retained_bytes: 400, ..Limits::default() };
        let r = open(None, limits);
        let of = |cell: &str, n: u32| format!("mw/v1/p/dev/{cell}/state/n{n}");
        set(&r, &of("c1", 1), "x").unwrap();
        set(&r, &of("c1", 2), "x").unwrap();
        assert_eq!(set(&r, &of("c1", 3), "x"), Err(Full("too many names of this cell are retained")));
        set(&r, &of("c1", 2), "y").unwrap();
        set(&r, &of("c2", 1), "x").unwrap();
        set(&r, "other", "x").unwrap();
        assert_eq!(set(&r, "another", "x"), Err(Full("too many messages are retained")));
        set(&r, &of("c1", 1), "").unwrap();
        set(&r, &of("c1", 3), "x").unwrap();
        assert_eq!(set(&r, "other", &"x".repeat(SMALL + 1)), Err(Full("too many bytes are retained")));
        assert_eq!(all(&r, "other"), ["other=x"]);
        let small = "x".repeat(SMALL);
        set(&r, "other", &small).unwrap();
        set(&r, &of("c1", 3), "").unwrap();
        assert_eq!(set(&r, "another", "x"), Err(Full("too many bytes are retained")));
        set(&r, "other", "x").unwrap();
        set(&r, "another", "x").unwrap();
    }

    #[test]
    fn what_has_expired_is_removed() {
        let r = open(None, Limits::default());
        r.set(Kept { deadline_ms: Some(1), ..Kept::new("over", true, b"", b"x", None) }, None);
        r.set(Kept::new("later", true, b"", b"x", Some(60)), None);
        r.set(Kept { deadline_ms: Some(1), ..Kept::new("said again", true, b"", b"x", None) }, None);
        r.set(Kept::new("said again", true, b"", b"x", None), None);
        r.expire();
        assert_eq!(all(&r, "#"), ["later=x", "said again=x"]);
    }

    #[test]
    fn a_cursor_leaves_out_what_was_first_retained_after_its_subscription() {
        let r = open(None, Limits::default());
        set(&r, "a", "old").unwrap();
        let mut cursor = Cursor::new("#", Subscription::default(), r.now());
        set(&r, "a", "new").unwrap();
        set(&r, "b", "x").unwrap();
        let mut found = Vec::new();
        assert!(!r.next(&mut cursor, 10, |k| found.push((k.topic.to_string(), k.payload.clone()))));
        assert_eq!(found, [("a".to_owned(), Bytes::from("new"))], "the newest of what it had at that time");
    }

    #[test]
    fn rubbish_on_disk_is_no_message() {
        for n in 0..20 {
            assert_eq!(Kept::decode("t", &vec![0xff; n]), None);
        }
        let k = Kept::new("t", false, b"pp", b"payload", Some(9));
        assert_eq!(Kept::decode("t", &k.encode()), Some(k));
    }
}

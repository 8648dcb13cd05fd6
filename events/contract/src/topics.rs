//! The one place that knows how MQTT topics are built and read.
//!
//! Topics are ASCII, at most [`MAX_LEVELS`] levels and [`MAX_BYTES`] bytes, and never hold the id
//! of an aggregate: the router keeps state for every distinct topic and filter for ever.

use std::fmt;

use crate::enums::Context;
use crate::ids::{AccountName, CellId, LineId, SiteId};

/// The most bytes a topic or filter may have.
pub const MAX_BYTES: usize = 200;
/// The most levels a topic or filter may have.
pub const MAX_LEVELS: usize = 8;
/// The first two levels of every topic of the product.
pub const ROOT: &str = "mw/v1";
/// The site level of what belongs to no site.
pub const NO_SITE: &str = "-";

/// What a device says on its own topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceChannel {
    /// An alarm of the machine.
    Alarm,
    /// A counter.
    Counter,
    /// A machine state.
    State,
    /// A reading.
    Telemetry,
}

/// A site level: a site, or `-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SiteLevel {
    /// One site.
    Site(SiteId),
    /// `-`: no site.
    None,
}

impl fmt::Display for SiteLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SiteLevel::Site(s) => s.fmt(f),
            SiteLevel::None => f.write_str(NO_SITE),
        }
    }
}

/// The topics by which the product's services read each other's logs and ask each other. The
/// owner of a context is the service of the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Internal {
    /// `…/req`: somebody wants a piece of the log.
    LogRequest,
    /// `…/rsp/{reader}`: the piece, for one service.
    LogChunk { reader: AccountName },
    /// `…/head`: the log has grown.
    LogHead,
    /// `…/ask`: somebody asks the owner something.
    Ask,
    /// `…/answer/{asker}`: the answer, for one service.
    Answer { asker: AccountName },
    /// `…/keys`: the public keys of tokens have changed.
    Keys,
}

impl Internal {
    fn parse(levels: &[&str]) -> Option<Internal> {
        Some(match levels {
            ["req"] => Internal::LogRequest,
            ["rsp", reader] => Internal::LogChunk { reader: AccountName::new(reader).ok()? },
            ["head"] => Internal::LogHead,
            ["ask"] => Internal::Ask,
            ["answer", asker] => Internal::Answer { asker: AccountName::new(asker).ok()? },
            ["keys"] => Internal::Keys,
            _ => return None,
        })
    }

    /// Below `mw/v1/-/log/{context}/`.
    pub fn topic(&self, context: Context) -> String {
        let rest = match self {
            Internal::LogRequest => "req".to_owned(),
            Internal::LogChunk { reader } => format!("rsp/{reader}"),
            Internal::LogHead => "head".to_owned(),
            Internal::Ask => "ask".to_owned(),
            Internal::Answer { asker } => format!("answer/{asker}"),
            Internal::Keys => "keys".to_owned(),
        };
        format!("{ROOT}/{NO_SITE}/log/{context}/{rest}")
    }
}

/// A topic of the product, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Topic {
    /// `mw/v1/{site}/cmd/{account}/{context}`
    Command { site: SiteLevel, account: AccountName, context: Context },
    /// `mw/v1/{site}/rsp/{account}` and anything below it
    Reply { site: SiteLevel, account: AccountName },
    /// `mw/v1/{site}/evt/{aggregate}/{event}`
    Event { site: SiteLevel },
    /// `mw/v1/{site}/dev/{cell}/{channel}/{name}`
    Device { site: SiteId, cell: CellId, channel: DeviceChannel },
    /// `mw/v1/{site}/state/{line}` or `…/{line}/{cell}`
    State { site: SiteId },
    /// `mw/v1/-/status/{service}`
    Status { service: String },
    /// `mw/v1/-/log/{context}/…`
    Internal { context: Context, part: Internal },
    /// `sandbox/…`
    Sandbox,
}

impl Topic {
    /// Reads a topic name (no wildcards); `None` when it is none of the product's.
    pub fn parse(topic: &str) -> Option<Topic> {
        if topic.starts_with("sandbox/") {
            return Some(Topic::Sandbox);
        }
        let mut l = topic.strip_prefix("mw/v1/")?.split('/');
        let site_text = l.next()?;
        let site = if site_text == NO_SITE { SiteLevel::None } else { SiteLevel::Site(SiteId::new(site_text).ok()?) };
        let kind = l.next()?;
        let rest: Vec<&str> = l.collect();
        match (kind, rest.as_slice()) {
            ("cmd", [account, context]) => {
                Some(Topic::Command { site, account: AccountName::new(account).ok()?, context: context.parse().ok()? })
            }
            ("rsp", [account, ..]) => Some(Topic::Reply { site, account: AccountName::new(account).ok()? }),
            ("evt", [_, _]) => Some(Topic::Event { site }),
            ("dev", [cell, channel, _name]) => {
                let SiteLevel::Site(site) = site else { return None };
                let channel = match *channel {
                    "alarm" => DeviceChannel::Alarm,
                    "counter" => DeviceChannel::Counter,
                    "state" => DeviceChannel::State,
                    "telemetry" => DeviceChannel::Telemetry,
                    _ => return None,
                };
                Some(Topic::Device { site, cell: CellId::new(cell).ok()?, channel })
            }
            ("state", [_] | [_, _]) => match site {
                SiteLevel::Site(site) => Some(Topic::State { site }),
                SiteLevel::None => None,
            },
            ("status", [service]) if site == SiteLevel::None => Some(Topic::Status { service: (*service).to_owned() }),
            ("log", [context, rest @ ..]) if site == SiteLevel::None => {
                Some(Topic::Internal { context: context.parse().ok()?, part: Internal::parse(rest)? })
            }
            _ => None,
        }
    }
}

/// Why a topic or filter can't be used at all, whoever asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadTopic {
    /// No characters at all.
    #[error("a topic has at least one character")]
    Empty,
    /// Over [`MAX_BYTES`].
    #[error("a topic has at most {MAX_BYTES} bytes")]
    TooLong,
    /// Over [`MAX_LEVELS`].
    #[error("a topic has at most {MAX_LEVELS} levels")]
    TooDeep,
    /// Not printable ASCII.
    #[error("a topic is printable ASCII")]
    NotAscii,
    /// `+` or `#` where none may be.
    #[error("a wildcard stands where none may be")]
    Wildcard,
}

fn check_common(s: &str) -> Result<(), BadTopic> {
    if s.is_empty() {
        return Err(BadTopic::Empty);
    }
    if s.len() > MAX_BYTES {
        return Err(BadTopic::TooLong);
    }
    if !s.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err(BadTopic::NotAscii);
    }
    if s.split('/').count() > MAX_LEVELS {
        return Err(BadTopic::TooDeep);
    }
    Ok(())
}

/// Checks the form of a topic name.
pub fn check_name(s: &str) -> Result<(), BadTopic> {
    check_common(s)?;
    if s.contains(['+', '#']) { Err(BadTopic::Wildcard) } else { Ok(()) }
}

/// Checks the form of a topic filter: `+` alone in a level, `#` alone in the last.
pub fn check_filter(s: &str) -> Result<(), BadTopic> {
    check_common(s)?;
    let mut levels = s.split('/').peekable();
    while let Some(l) = levels.next() {
        let last = levels.peek().is_none();
        if (l.contains('#') && !(l == "#" && last)) || (l.contains('+') && l != "+") {
            return Err(BadTopic::Wildcard);
        }
    }
    Ok(())
}

/// Does `filter` match `topic`? Wildcards at the first level do not match `$` topics.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut f = filter.split('/');
    let mut t = topic.split('/');
    loop {
        match (f.next(), t.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// The topics that clients use: a name, the address with its parameters in braces, what is said there.
pub const ADDRESSES: [(&str, &str, &str); 7] = [
    ("command", "mw/v1/{site}/cmd/{account}/{context}", "Commands of an account to the service of a context"),
    ("reply", "mw/v1/{site}/rsp/{account}", "Replies to an account, here or below"),
    ("event", "mw/v1/{site}/evt/{aggregate}/{event}", "What happened, after it is on stable storage"),
    ("device", "mw/v1/{site}/dev/{cell}/{channel}/{name}", "What the machine of a cell says"),
    ("line-state", "mw/v1/{site}/state/{line}", "What the cells of a line do; retained"),
    ("cell-state", "mw/v1/{site}/state/{line}/{cell}", "What a cell does; retained"),
    ("status", "mw/v1/-/status/{service}", "How a service is; retained, with a last will"),
];

/// `mw/v1/{site}/cmd/{account}/{context}`
pub fn command(site: &str, account: &AccountName, context: Context) -> String {
    format!("{ROOT}/{site}/cmd/{account}/{context}")
}

/// The one filter by which a command service hears its context: `mw/v1/+/cmd/+/{context}`.
pub fn command_filter(context: Context) -> String {
    format!("{ROOT}/+/cmd/+/{context}")
}

/// `mw/v1/{site}/rsp/{account}`
pub fn reply(site: &str, account: &AccountName) -> String {
    format!("{ROOT}/{site}/rsp/{account}")
}

/// Where the front door watches for replies, to release acknowledgements.
pub const ALL_REPLIES: &str = "mw/v1/+/rsp/#";

/// Is `topic` at or below the account's own reply topic, on any site?
pub fn is_own_reply(topic: &str, account: &AccountName) -> bool {
    check_name(topic).is_ok() && matches!(Topic::parse(topic), Some(Topic::Reply { account: a, .. }) if a == *account)
}

/// `mw/v1/{site}/evt/{aggregate}/{event}`
pub fn event(site: &str, aggregate: &str, event_kebab: &str) -> String {
    format!("{ROOT}/{site}/evt/{aggregate}/{event_kebab}")
}

/// `mw/v1/-/status/{service}`
pub fn status(service: &str) -> String {
    format!("{ROOT}/{NO_SITE}/status/{service}")
}

/// `mw/v1/{site}/state/{line}`, or `…/{line}/{cell}`.
pub fn state(site: &SiteId, line: &LineId, cell: Option<&CellId>) -> String {
    let line = format!("{ROOT}/{site}/state/{line}");
    cell.map_or_else(|| line.clone(), |cell| format!("{line}/{cell}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_topics_read_back() {
        let a = AccountName::new("planner-1").unwrap();
        let t = command("plant-1", &a, Context::Production);
        assert_eq!(t, "mw/v1/plant-1/cmd/planner-1/production");
        assert!(matches!(Topic::parse(&t), Some(Topic::Command { context: Context::Production, .. })));
        assert!(matches(&command_filter(Context::Production), &t));
        assert!(!matches(&command_filter(Context::Identity), &t));
        assert!(is_own_reply("mw/v1/plant-1/rsp/planner-1/tablet-7", &a));
        assert!(!is_own_reply("mw/v1/plant-1/rsp/planner-2", &a));
        assert!(matches!(Topic::parse("mw/v1/p/dev/cell-1/alarm/overheat"), Some(Topic::Device { .. })));
        let reader = a.clone();
        for part in [
            Internal::LogRequest,
            Internal::LogChunk { reader: reader.clone() },
            Internal::LogHead,
            Internal::Ask,
            Internal::Answer { asker: reader },
            Internal::Keys,
        ] {
            let context = Context::Identity;
            assert_eq!(Topic::parse(&part.topic(context)), Some(Topic::Internal { context, part }));
        }
        for not_ours in
            ["", "x", "mw/v1", "mw/v1/p/cmd/a", "mw/v1/P/rsp/a", "mw/v1/p/cmd/a/nothing", "mw/v1/p/status/x"]
        {
            assert_eq!(Topic::parse(not_ours), None, "{not_ours}");
        }
    }

    #[test]
    fn wildcards_stand_only_where_mqtt_lets_them() {
        for good in ["#", "+", "a/+/b", "a/#", "+/+", "mw/v1/+/evt/#"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        for bad in ["", "a#", "#/a", "a+/b", "a/#/b", "ä/b", "a\u{0}b", "1/2/3/4/5/6/7/8/9"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
        assert!(check_name("a/+").is_err());
        assert!(!matches("#", "$SYS/x"));
        assert!(matches("a/#", "a"));
        assert!(!matches("a/+", "a"));
    }

    #[test]
    fn every_address_is_a_topic_of_the_product() {
        for (name, address, _) in ADDRESSES {
            let filled = [
                ("{context}", "production"),
                ("{channel}", "state"),
                ("{account}", "planner-1"),
                ("{service}", "production"),
                ("{aggregate}", "work-order"),
                ("{event}", "work-order-released"),
                ("{site}", "plant-1"),
                ("{cell}", "cell-1"),
                ("{line}", "line-1"),
                ("{name}", "strokes"),
            ];
            let topic = filled.iter().fold(address.to_owned(), |t, (what, with)| t.replace(what, with));
            assert!(Topic::parse(&topic).is_some(), "{name}: {topic}");
        }
    }
}

//! Messages from a client: access, bounds, commands.
//!
//! Owns every decision about what a client may say. Nothing refused goes anywhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use mw_contract::topics::{self, SiteLevel, Topic};
use mw_contract::{AccountName, Context, Rejection, Reply};

use super::{Conn, End};
use crate::codec::{Publish, Version, encode, reason};
use crate::command::{Unreadable, command_id};
use crate::envelope::Outgoing;
use crate::link;
use crate::retained::{Full, Kept, Waiter};

/// Entries of the maps that only save work.
const CACHE: usize = 128;

/// What may be done with a topic.
#[derive(Clone)]
enum Verdict {
    Refused(u8, &'static str),
    Message,
    Command(Arc<Target>),
}

/// Where a command goes and where its answer is heard.
struct Target {
    account: AccountName,
    context: Context,
    reply: String,
}

/// Verdicts of this connection, for as long as the account stays as it is.
#[derive(Default)]
pub(super) struct Decisions {
    of: Option<Arc<mw_policy::Account>>,
    known: HashMap<(Box<str>, bool), Verdict>,
    last: Option<(Box<str>, bool, Verdict)>,
    response_topics: HashMap<Box<str>, bool>,
}

impl Conn {
    pub(super) fn on_publish(&mut self, p: &Publish<'_>, now: Instant) -> Result<(), End> {
        self.shared.metrics.publishes_in.inc();
        // The place of QoS 2, once it is offered.
        if p.qos == 2 {
            return Err(End::Refused(reason::QOS_NOT_SUPPORTED, "QoS 2 is not offered"));
        }
        let aliased;
        let topic = match p.props.topic_alias {
            None => p.topic,
            Some(alias) => {
                aliased = self.resolve(alias, p.topic)?;
                &*aliased
            }
        };
        match self.verdict(topic, p.retain) {
            Verdict::Refused(code, why) => self.refuse(p, code, why),
            Verdict::Message if p.retain => self.keep(p, topic, now),
            Verdict::Message => self.pass_on(p, topic),
            Verdict::Command(target) => self.command(p, topic, &target, now),
        }
    }

    /// The topic behind an alias; a topic beside it is what the alias means from now on.
    fn resolve(&mut self, alias: u16, topic: &str) -> Result<Arc<str>, End> {
        const BAD: End = End::Refused(reason::TOPIC_ALIAS_INVALID, "this topic alias was not agreed upon");
        if alias == 0 || alias > self.shared.limits.max_topic_aliases {
            return Err(BAD);
        }
        let i = usize::from(alias) - 1;
        if topic.is_empty() {
            return self.aliases.get(i).cloned().flatten().ok_or(BAD);
        }
        if self.aliases.len() <= i {
            self.aliases.resize(i + 1, None);
        }
        // Bounds what a name may cost; a longer one is refused wherever it is used.
        let topic: Arc<str> = topic.chars().take(topics::MAX_BYTES + 1).collect::<String>().into();
        self.aliases[i] = Some(Arc::clone(&topic));
        Ok(topic)
    }

    fn verdict(&mut self, topic: &str, retain: bool) -> Verdict {
        if !self.shared.open {
            // A look into memory for every message: what was revoked is gone with the next one.
            let who = self.shared.auth.account(&self.name);
            let same = match (&who, &self.decisions.of) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            if !same {
                self.decisions = Decisions { of: who, ..Decisions::default() };
            }
        }
        if let Some((t, r, v)) = &self.decisions.last
            && **t == *topic
            && *r == retain
        {
            return v.clone();
        }
        let key = (Box::from(topic), retain);
        let verdict = match self.decisions.known.get(&key) {
            Some(v) => v.clone(),
            None => {
                let v = self.judge(topic, retain);
                // A quota may have room later, and names over the longest are not worth keeping.
                if !matches!(v, Verdict::Refused(reason::QUOTA_EXCEEDED | reason::TOPIC_INVALID, _)) {
                    if self.decisions.known.len() >= CACHE {
                        self.decisions.known.clear();
                    }
                    self.decisions.known.insert(key.clone(), v.clone());
                }
                v
            }
        };
        if !matches!(verdict, Verdict::Refused(..)) {
            self.decisions.last = Some((key.0, key.1, verdict.clone()));
        }
        verdict
    }

    fn judge(&self, topic: &str, retain: bool) -> Verdict {
        if topics::check_name(topic).is_err() {
            return Verdict::Refused(reason::TOPIC_INVALID, "not a topic name that is taken here");
        }
        if topic.starts_with('$') {
            return Verdict::Refused(reason::NOT_AUTHORIZED, "'$' topics belong to the broker");
        }
        if !self.shared.open {
            let Some(who) = &self.decisions.of else {
                return Verdict::Refused(reason::NOT_AUTHORIZED, "the account is gone");
            };
            if let mw_policy::Access::Deny(why) = mw_policy::may_publish(who, topic, retain) {
                return Verdict::Refused(reason::NOT_AUTHORIZED, why);
            }
        }
        if !self.shared.names.admit_topic(topic, &self.counts, self.limits()) {
            return Verdict::Refused(reason::QUOTA_EXCEEDED, "too many different topics");
        }
        match Topic::parse(topic) {
            Some(Topic::Command { site, account, context }) if !self.shared.open => {
                let site = match &site {
                    SiteLevel::Site(s) => s.as_str(),
                    SiteLevel::None => topics::NO_SITE,
                };
                let reply = topics::reply(site, &account);
                Verdict::Command(Arc::new(Target { account, context, reply }))
            }
            _ => Verdict::Message,
        }
    }

    fn refuse(&mut self, p: &Publish<'_>, code: u8, why: &'static str) -> Result<(), End> {
        self.shared.metrics.publishes_refused.inc();
        tracing::info!(account = %self.name, code, why, "publish refused");
        match (self.terms.version, p.qos) {
            (Version::V311, _) => Err(End::Refused(code, why)),
            (Version::V5, 0) => Ok(()),
            (Version::V5, _) => {
                let why = if self.terms.problem_information { why } else { "" };
                encode::puback(&mut self.out, Version::V5, p.packet_id, code, why);
                Ok(())
            }
        }
    }

    fn pass_on(&mut self, p: &Publish<'_>, topic: &str) -> Result<(), End> {
        self.forward(p, topic);
        if p.qos > 0 {
            encode::puback(&mut self.out, self.terms.version, p.packet_id, reason::SUCCESS, "");
        }
        Ok(())
    }

    /// A message that is kept for later subscribers, and goes to those of now. Its acknowledgement
    /// waits for the disk.
    fn keep(&mut self, p: &Publish<'_>, topic: &str, now: Instant) -> Result<(), End> {
        if p.dup && p.qos > 0 && self.held.holds(p.packet_id) {
            return Ok(());
        }
        let own = p.props.response_topic.is_none_or(|t| self.own_response_topic(t));
        let props = p.props.forward(own);
        let kept = Kept::new(topic, p.qos > 0, &props, p.payload, p.props.expiry).by(&self.client_id);
        if let Err(Full(why)) = self.shared.retained.admits(&kept) {
            return self.refuse(p, reason::QUOTA_EXCEEDED, why);
        }
        let waiter = (p.qos > 0)
            .then(|| Waiter { control: Arc::clone(&self.control), seq: self.held.wait_for_disk(p.packet_id, now) });
        self.forward(p, topic);
        self.shared.retained.set(kept, waiter);
        Ok(())
    }

    fn forward(&mut self, p: &Publish<'_>, topic: &str) {
        let keep = match p.props.response_topic {
            None => true,
            Some(t) => self.own_response_topic(t),
        };
        let packet = Outgoing {
            topic,
            at_least_once: p.qos > 0,
            retain: p.retain,
            origin: self.slot.id,
            expiry: p.props.expiry,
            props: &p.props.forward(keep),
            payload: p.payload,
        }
        .packet();
        self.link.queue(packet);
    }

    /// May answers go there? The router would remember the name for ever, so it counts like one
    /// that the client published to.
    fn own_response_topic(&mut self, topic: &str) -> bool {
        if self.shared.open || self.service {
            return topics::check_name(topic).is_ok();
        }
        if let Some(known) = self.decisions.response_topics.get(topic) {
            return *known;
        }
        if !topics::is_own_reply(topic, &self.name) {
            return false;
        }
        let admitted = self.shared.names.admit_topic(topic, &self.counts, self.limits());
        if admitted && self.decisions.response_topics.len() < CACHE {
            self.decisions.response_topics.insert(topic.into(), true);
        }
        admitted
    }

    fn command(&mut self, p: &Publish<'_>, topic: &str, target: &Target, now: Instant) -> Result<(), End> {
        if let Some(wait) = self.counts.charge(now, self.limits()) {
            self.shared.metrics.commands_slowed.inc();
            self.pause_until = Some(now + wait);
        }
        // Sent again before its acknowledgement: the one that is held answers both.
        if p.dup && p.qos > 0 && self.held.holds(p.packet_id) {
            return Ok(());
        }
        let id = match command_id(p.payload, self.shared.limits.max_command) {
            Ok(id) => id,
            Err(e) => {
                self.answer_unreadable(p, target, &e, now);
                return Ok(());
            }
        };
        self.shared.metrics.commands.inc();
        self.forward(p, topic);
        if p.qos > 0 {
            let counts = if target.account == self.name {
                Arc::clone(&self.counts)
            } else {
                self.shared.accounts.get_or_add(&target.account)
            };
            let control = Arc::clone(&self.control);
            self.held.wait_for(&self.shared.withheld, &control, &counts, target.context, id, p.packet_id, now);
        }
        Ok(())
    }

    /// The answer to what is no command: it must not come again for ever.
    fn answer_unreadable(&mut self, p: &Publish<'_>, target: &Target, e: &Unreadable, now: Instant) {
        self.shared.metrics.commands_unreadable.inc();
        let to = match p.props.response_topic {
            Some(t) if self.own_response_topic(t) => t,
            _ => &target.reply,
        };
        let reply = Reply::rejected(None, target.context, Rejection::invalid("command_id", e.to_string()));
        match serde_json::to_vec(&reply) {
            Ok(json) => self.link.queue(link::packet_of(&link::Publish {
                topic: to.to_owned(),
                payload: json.into(),
                qos: 1,
                correlation_data: p.props.correlation_data.map(bytes::Bytes::copy_from_slice),
                content_type: Some("application/json".to_owned()),
                ..link::Publish::default()
            })),
            Err(e) => tracing::error!(error = %e, "a reply could not be written"),
        }
        if p.qos > 0 {
            let code = if self.terms.version == Version::V5 { reason::PAYLOAD_FORMAT_INVALID } else { reason::SUCCESS };
            self.held.answer(target.context, p.packet_id, code, "not a JSON object with a command_id", now);
        }
    }
}

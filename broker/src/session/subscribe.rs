//! Filters of a client: access, bounds, and what the router is told.

use super::{Conn, End};
use crate::codec::{RetainHandling, Subscribe, SubscribeFilter, Unsubscribe, encode, reason};
use crate::link::subscribe_packet;
use crate::registry::Subscription;
use crate::retained::Cursor;
use mw_contract::topics;
use rumqttd::protocol::Packet;

fn unsubscribe_packet(filter: &str) -> Packet {
    Packet::Unsubscribe(rumqttd::protocol::Unsubscribe { pkid: 1, filters: vec![filter.to_owned()] }, None)
}

impl Conn {
    pub(super) fn on_subscribe(&mut self, s: &Subscribe<'_>) -> Result<(), End> {
        let mut codes = Vec::with_capacity(s.filters.len());
        let mut wanted = Vec::new();
        for f in &s.filters {
            let code = match self.may_subscribe(f) {
                Ok(()) => self.subscribe(f, s.subscription_id, &mut wanted),
                Err((code, why)) => {
                    self.shared.metrics.subscribes_refused.inc();
                    tracing::info!(account = %self.name, filter = %f.filter.escape_debug(), why, "subscribe refused");
                    code
                }
            };
            codes.push(code);
        }
        // Before the answer: whoever has it hears all that is published from then on.
        self.link.flush()?;
        // After that: what is retained earlier is found by the cursor, what is later by the router.
        let as_of = self.shared.retained.now();
        for (filter, subscription) in wanted {
            // One delivery a filter: a client that subscribes again and again begins it anew.
            self.session.retained.retain(|c| *c.filter != *filter);
            self.session.retained.push_back(Cursor::new(filter, subscription, as_of));
        }
        encode::suback(&mut self.out, self.terms.version, s.packet_id, &codes);
        Ok(())
    }

    fn may_subscribe(&self, f: &SubscribeFilter<'_>) -> Result<(), (u8, &'static str)> {
        if f.filter.starts_with("$share/") {
            return Err((reason::SHARED_NOT_SUPPORTED, "shared subscriptions are not offered"));
        }
        if topics::check_filter(f.filter).is_err() {
            return Err((reason::FILTER_INVALID, "not a filter that is taken here"));
        }
        self.may_hear(f.filter)?;
        if self.session.subscriptions.contains_key(f.filter) {
            return Ok(());
        }
        if self.session.subscriptions.len() >= self.limits().max_subscriptions_per_client {
            return Err((reason::QUOTA_EXCEEDED, "too many subscriptions"));
        }
        if !self.shared.names.admit_filter(f.filter, &self.counts, self.limits()) {
            return Err((reason::QUOTA_EXCEEDED, "too many different filters"));
        }
        Ok(())
    }

    fn may_hear(&self, filter: &str) -> Result<(), (u8, &'static str)> {
        if filter.starts_with('$') {
            return Err((reason::NOT_AUTHORIZED, "'$' topics belong to the broker"));
        }
        if self.shared.open {
            return Ok(());
        }
        let Some(who) = self.shared.auth.account(&self.name) else {
            return Err((reason::NOT_AUTHORIZED, "the account is gone"));
        };
        match mw_policy::may_subscribe(&who, filter) {
            mw_policy::Access::Allow => Ok(()),
            mw_policy::Access::Deny(why) => Err((reason::NOT_AUTHORIZED, why)),
        }
    }

    /// Gives the granted QoS; adds to `retained` what is to be given what is retained already.
    fn subscribe<'a>(
        &mut self,
        f: &SubscribeFilter<'a>,
        id: Option<u32>,
        retained: &mut Vec<(&'a str, Subscription)>,
    ) -> u8 {
        // The place of QoS 2, once it is offered.
        let retain_as_published = f.retain_as_published;
        let new = Subscription { qos: f.qos.min(1), id, no_local: f.no_local, retain_as_published };
        let old = self.session.subscriptions.insert(f.filter.to_owned(), new);
        let wants = match f.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => old.is_none(),
            RetainHandling::Never => false,
        };
        if wants {
            retained.push((f.filter, new));
        }
        // The router changes neither QoS nor a missing id of a filter that it knows.
        if old.is_some_and(|o| o.qos != new.qos || (o.id.is_some() && new.id.is_none())) {
            self.link.queue(unsubscribe_packet(f.filter));
        }
        self.link.queue(subscribe_packet(f.filter.to_owned(), new.qos, id));
        new.qos
    }

    pub(super) fn on_unsubscribe(&mut self, u: &Unsubscribe<'_>) -> Result<(), End> {
        let mut codes = Vec::with_capacity(u.filters.len());
        for f in &u.filters {
            self.session.retained.retain(|c| *c.filter != **f);
            if self.session.subscriptions.remove(*f).is_some() {
                self.link.queue(unsubscribe_packet(f));
                codes.push(reason::SUCCESS);
            } else {
                codes.push(reason::NO_SUBSCRIPTION_EXISTED);
            }
        }
        self.link.flush()?;
        encode::unsuback(&mut self.out, self.terms.version, u.packet_id, &codes);
        Ok(())
    }

    /// Tells the router of a resumed session's filters: it keeps them, but neither their ids nor
    /// its own way back from filter to client.
    pub(super) fn resume(&mut self) {
        for (filter, s) in &self.session.subscriptions {
            self.link.queue(subscribe_packet(filter.clone(), s.qos, s.id));
        }
        // Its account may see less than when it left.
        self.control.recheck();
    }

    /// The account changed.
    pub(super) fn recheck(&mut self) -> Result<(), End> {
        if self.shared.open {
            return Ok(());
        }
        if self.shared.auth.account(&self.name).is_none_or(|a| a.disabled) {
            return Err(End::Refused(reason::NOT_AUTHORIZED, "the account was disabled"));
        }
        let gone: Vec<String> =
            self.session.subscriptions.keys().filter(|f| self.may_hear(f).is_err()).cloned().collect();
        for f in gone {
            tracing::info!(account = %self.name, filter = f, "subscription taken away");
            self.session.subscriptions.remove(&f);
            self.session.retained.retain(|c| *c.filter != *f);
            self.link.queue(unsubscribe_packet(&f));
            self.strict = true;
        }
        Ok(())
    }

    /// Does a subscription for this topic ask for the retain flag as it was published?
    pub(super) fn retain_as_published(&self, topic: &str) -> bool {
        self.session.subscriptions.iter().any(|(f, s)| s.retain_as_published && topics::matches(f, topic))
    }

    /// Does the client still have a subscription for this topic, and is it one of its own
    /// messages that it does not want back?
    pub(super) fn wants(&self, topic: &str, origin: u32) -> bool {
        let own = origin == self.slot.id;
        if !self.strict && !own {
            return true;
        }
        let mut matching = self.session.subscriptions.iter().filter(|(f, _)| topics::matches(f, topic)).peekable();
        if matching.peek().is_none() {
            return !self.strict;
        }
        !own || matching.any(|(_, s)| !s.no_local)
    }
}

//! Messages become jobs. Who sent a command is the account of its topic, which the broker has
//! verified; nothing in a payload can change it.

use std::time::Instant as Monotonic;

use mw_contract::command::CommandEnvelope;
use mw_contract::topics::{self, SiteLevel, Topic};
use mw_contract::{AccountName, Context, Instant, Reply, SiteId};
use tokio::sync::oneshot;

use crate::bus::{Inbound, Receipt};

/// Where the answer to a command goes.
#[derive(Debug)]
pub enum ReplyTo {
    /// Over the bus.
    Bus {
        /// The reply topic.
        topic: String,
        /// The sender's correlation data (MQTT 5).
        correlation_data: Option<bytes::Bytes>,
        /// Done once the answer is on its way.
        receipt: Option<Receipt>,
    },
    /// To a caller in this process.
    Local(oneshot::Sender<Reply>),
}

/// One command on its way to a decision.
#[derive(Debug)]
pub struct Job {
    /// Who sent it.
    pub account: AccountName,
    /// The site of its topic.
    pub site: Option<SiteId>,
    /// The command.
    pub envelope: CommandEnvelope,
    /// Business time of its arrival.
    pub received_at: Instant,
    /// For the latency histogram.
    pub started: Monotonic,
    /// Where the answer goes.
    pub reply_to: ReplyTo,
}

/// What a message turned out to be.
#[derive(Debug)]
pub enum Read {
    /// A command.
    Job(Box<Job>),
    /// Bytes without a command: answered, counted, not stored.
    Unreadable(ReplyTo, Box<Reply>),
    /// Not on a command topic of this context.
    NotOurs(Option<Receipt>),
}

/// Reads one message of the context's command subscription.
pub fn read(message: Inbound, context: Context, received_at: Instant) -> Read {
    let Some(Topic::Command { site, account, context: c }) = Topic::parse(&message.topic) else {
        return Read::NotOurs(message.receipt);
    };
    if c != context {
        return Read::NotOurs(message.receipt);
    }
    let default_topic = topics::reply(&site.to_string(), &account);
    // A response topic that is not the sender's own would let one account write into another's.
    let topic = match message.response_topic {
        Some(t) if topics::is_own_reply(&t, &account) => t,
        _ => default_topic,
    };
    let reply_to = ReplyTo::Bus { topic, correlation_data: message.correlation_data, receipt: message.receipt };
    let site = match site {
        SiteLevel::Site(s) => Some(s),
        SiteLevel::None => None,
    };
    job(account, site, &message.payload, context, received_at, reply_to)
}

/// Makes a job of a command's bytes.
pub fn job(
    account: AccountName,
    site: Option<SiteId>,
    payload: &[u8],
    context: Context,
    received_at: Instant,
    reply_to: ReplyTo,
) -> Read {
    match CommandEnvelope::read(payload, context, site.as_ref()) {
        Ok(envelope) => {
            Read::Job(Box::new(Job { account, site, envelope, received_at, started: Monotonic::now(), reply_to }))
        }
        Err(u) => Read::Unreadable(reply_to, Box::new(Reply::rejected(None, context, u.0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, response: Option<&str>) -> Inbound {
        Inbound {
            topic: topic.into(),
            payload: bytes::Bytes::from_static(
                br#"{"command_id":"01937b1e-0000-7000-8000-000000000001","type":"reference.retire","payload":{"kind":"cell","code":"c"}}"#,
            ),
            response_topic: response.map(str::to_owned),
            correlation_data: None,
            receipt: None,
        }
    }

    #[test]
    fn the_sender_is_the_account_of_the_topic() {
        let r = read(message("mw/v1/p/cmd/planner-1/production", None), Context::Production, Instant::clamped(0));
        let Read::Job(j) = r else { panic!("{r:?}") };
        assert_eq!(j.account.as_str(), "planner-1");
        assert_eq!(j.site.unwrap().as_str(), "p");
    }

    #[test]
    fn a_foreign_response_topic_is_ignored() {
        for (given, used) in [
            (Some("mw/v1/p/rsp/planner-2"), "mw/v1/p/rsp/planner-1"),
            (Some("mw/v1/p/rsp/planner-1/tab"), "mw/v1/p/rsp/planner-1/tab"),
            (Some("mw/v1/p/cmd/planner-1/production"), "mw/v1/p/rsp/planner-1"),
            (None, "mw/v1/p/rsp/planner-1"),
        ] {
            let r = read(message("mw/v1/p/cmd/planner-1/production", given), Context::Production, Instant::clamped(0));
            let Read::Job(j) = r else { panic!("{r:?}") };
            let ReplyTo::Bus { topic, .. } = j.reply_to else { panic!() };
            assert_eq!(topic, used);
        }
    }

    #[test]
    fn other_topics_and_contexts_are_not_ours() {
        for t in ["mw/v1/p/cmd/a/identity", "mw/v1/p/rsp/a", "x"] {
            assert!(matches!(read(message(t, None), Context::Production, Instant::clamped(0)), Read::NotOurs(_)));
        }
    }
}

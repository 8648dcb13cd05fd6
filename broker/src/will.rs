//! Wills: what is published for a client whose connection ended badly.
//!
//! Owns the message between CONNECT and its publishing. The account is asked again at that
//! moment: who was disabled since says nothing any more.

use std::time::Duration;

use mw_contract::AccountName;

use crate::broker::Shared;
use crate::codec::ConnectWill;
use crate::envelope::{NO_ORIGIN, Outgoing};
use crate::retained::{Full, Kept};

/// A will that passed the checks of its CONNECT.
#[derive(Clone)]
pub(crate) struct Will {
    topic: String,
    payload: Vec<u8>,
    props: Vec<u8>,
    expiry: Option<u32>,
    at_least_once: bool,
    retain: bool,
    /// How long after the connection it is said.
    pub delay: Duration,
}

impl Will {
    pub fn new(w: &ConnectWill<'_>, keep_response_topic: bool) -> Will {
        Will {
            topic: w.topic.to_owned(),
            payload: w.payload.to_vec(),
            props: w.props.forward(keep_response_topic).into_owned(),
            expiry: w.props.expiry,
            at_least_once: w.qos > 0,
            retain: w.retain,
            delay: Duration::from_secs(u64::from(w.props.will_delay)),
        }
    }

    /// Publishes it, if its account still may.
    pub fn publish(&self, account: &AccountName, shared: &Shared) {
        if !shared.open {
            let who = shared.auth.account(account);
            if !who.is_some_and(|a| mw_policy::may_publish(&a, &self.topic, self.retain).is_allowed()) {
                tracing::info!(%account, topic = self.topic, "a will is not said: its account may not any more");
                return;
            }
        }
        if self.retain {
            let kept = Kept::new(&self.topic, self.at_least_once, &self.props, &self.payload, self.expiry);
            match shared.retained.admits(&kept) {
                Ok(()) => shared.retained.set(kept, None),
                Err(Full(why)) => tracing::warn!(%account, topic = self.topic, why, "a will is said but not retained"),
            }
        }
        let packet = Outgoing {
            topic: &self.topic,
            at_least_once: self.at_least_once,
            retain: self.retain,
            origin: NO_ORIGIN,
            expiry: self.expiry,
            props: &self.props,
            payload: &self.payload,
        }
        .packet();
        if shared.internal.send_packet(packet).is_err() {
            tracing::warn!(%account, "a will is not said: the router is gone");
        }
    }
}

//! The status topics `mw/v1/-/status/{service}`: `starting`, `online`, `offline`, retained. What a
//! process can't say any more, its last will says.

use std::sync::Arc;

use mw_contract::topics;
use mw_runtime::{Bus, Outbound};
use tokio::sync::watch;

use super::needs::{Needs, NeedsSeen};

/// Not ready yet, or not any more.
pub const STARTING: &str = "starting";
/// Ready.
pub const ONLINE: &str = "online";
/// Not running.
pub const OFFLINE: &str = "offline";

fn status(service: &str, text: &'static str) -> Outbound {
    let payload = text.as_bytes().into();
    Outbound { topic: topics::status(service), payload, retain: true, ..Outbound::default() }
}

/// Says that these services run, or that they do not.
pub async fn say(bus: &Arc<dyn Bus>, services: &[&str], text: &'static str) {
    // When this fails the router is gone, and the process with it.
    let _ = bus.publish(services.iter().map(|s| status(s, text)).collect()).await;
}

/// Keeps the status of one service in step with its needs. It is said again after every connect:
/// the will of the connection before has been said meanwhile.
pub async fn keep(service: &'static str, bus: Arc<dyn Bus>, needs: Needs, mut connected: watch::Receiver<bool>) {
    let mut seen = NeedsSeen::default();
    let mut said = None;
    loop {
        let here = *connected.borrow_and_update();
        let now = if needs.ready().is_ok() { ONLINE } else { STARTING };
        if !here {
            said = None;
        } else if said != Some(now) {
            say(&bus, &[service], now).await;
            said = Some(now);
        }
        tokio::select! {
            () = needs.changed(&mut seen) => {}
            alive = connected.changed() => if alive.is_err() { return },
        }
    }
}

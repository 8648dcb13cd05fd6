//! The retained state topics of lines and cells, said by the projections: whenever something of a
//! cell has changed in the read model, and all of them after every connect.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mw_contract::topics;
use mw_production_views::ProductionViews;
use mw_production_views::read::state::{Place, states};
use mw_projection::files::Files;
use mw_projection::view::View;
use mw_runtime::{Bus, Outbound};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use super::views::Views;

/// The least time between two looks: a dashboard needs no more, and a read model under load changes
/// forty times a second.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// Starts to say them; `connected` is false while the broker can't be reached.
pub fn start(dir: &Path, views: &Views, bus: Arc<dyn Bus>, connected: watch::Receiver<bool>) -> JoinHandle<()> {
    let files = Files::new(dir, ProductionViews::NAME, ProductionViews::SCHEMA);
    let view = View::new(files, ProductionViews::SCHEMA);
    let handle = views.named(ProductionViews::NAME);
    tokio::spawn(async move {
        let Some(handle) = handle else { return };
        keep(view, handle.progress(), bus, connected).await;
    })
}

async fn keep<P: 'static>(
    mut view: View,
    mut progress: watch::Receiver<P>,
    bus: Arc<dyn Bus>,
    mut connected: watch::Receiver<bool>,
) {
    let mut said: BTreeMap<Place, Value> = BTreeMap::new();
    loop {
        progress.mark_unchanged();
        if *connected.borrow_and_update() {
            let looked = spawn_blocking(move || {
                let found = view.read(|conn, head| Ok((states(conn)?, head.position)));
                (view, found)
            });
            // A panic of the query ends the topics, not the read model.
            let Ok((back, found)) = looked.await else { return };
            view = back;
            match found {
                Ok((now, position)) => say_changes(&*bus, &mut said, now, position.0).await,
                Err(e) => tracing::debug!(error = %e, "the state of lines and cells can't be read yet"),
            }
        } else {
            said.clear();
        }
        tokio::time::sleep(AT_MOST_EVERY).await;
        tokio::select! {
            c = progress.changed() => if c.is_err() { return },
            c = connected.changed() => if c.is_err() { return },
        }
    }
}

/// Publishes what differs from what was said last. What could not be sent is said the next time.
async fn say_changes(bus: &dyn Bus, said: &mut BTreeMap<Place, Value>, now: BTreeMap<Place, Value>, position: u64) {
    let mut messages = Vec::new();
    let message = |(site, line, cell): &Place, payload: Vec<u8>| Outbound {
        topic: topics::state(site, line, cell.as_ref()),
        payload: payload.into(),
        retain: true,
        ..Outbound::default()
    };
    for (place, document) in now.iter().filter(|(p, d)| said.get(*p) != Some(*d)) {
        let mut document = document.clone();
        document["position"] = position.into();
        messages.push(message(place, document.to_string().into_bytes()));
    }
    // A cell that is not on its line any more: an empty retained message takes the topic back.
    messages.extend(said.keys().filter(|p| !now.contains_key(*p)).map(|p| message(p, Vec::new())));
    if messages.is_empty() {
        return;
    }
    match bus.publish(messages).await {
        Ok(()) => *said = now,
        Err(e) => tracing::warn!(error = %e, "the state of lines and cells could not be published"),
    }
}

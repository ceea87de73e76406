//! HTTP, server-sent events, and the live fan-out.

use std::sync::Arc;

use cabildo_storage::{Commands, Counters, Documents, Journal, Live};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

mod metrics;
pub use metrics::Metrics;

/// What the gateway reads and writes.
#[derive(Clone)]
pub struct Ports {
    /// The events.
    pub journal: Arc<dyn Journal>,
    /// Where `tally` and `activity` are kept.
    pub counters: Arc<dyn Counters>,
    /// Where `rooms` and `record` are kept.
    pub documents: Arc<dyn Documents>,
    /// Where wishes go.
    pub commands: Arc<dyn Commands>,
    /// Events as they come.
    pub live: Live,
}

/// How the role runs.
#[derive(Clone)]
pub struct Config {
    /// Adapters in force, by port, for `/readyz`: for example `journal` and `file:./data`. Without credentials.
    pub adapters: Vec<(&'static str, String)>,
    /// Renders every metric of the process in the Prometheus text format.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Serves until `shutdown`, then finishes what is under way (for at most `limits::DRAIN_MS`).
///
/// # Errors
/// When the listener fails for good.
pub async fn run(
    _listener: TcpListener,
    _config: Config,
    _ports: Ports,
    _metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    shutdown.cancelled().await;
    Ok(())
}

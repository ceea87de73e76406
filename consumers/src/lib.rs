//! The read side: lanes, worker pool, retry, parking, lag.
//!
//! Each projection runs on its own: a dispatcher follows the journal and hands events to a pool of workers, each with a
//! bounded channel, each owning lanes. A worker folds a batch per lane and writes it to the sink on the condition that the
//! lane's watermark is where it was; the sink's watermark is the truth, so any number of processes may run at once, and
//! none of them has to be stopped properly.

mod lane;
mod metrics;
mod runner;
mod worker;

pub use lane::{ChangeOf, Folded, Held, KeyOf, LaneState, Plan, Resume, RowOf, held_by};
pub use metrics::Metrics;

use std::sync::Arc;

use cabildo_events::Timestamp;
use cabildo_projections::{activity::Activity, record::Record, rooms::Rooms, tally::Tally};
use cabildo_storage::{Counters, Documents, Journal};
use tokio_util::sync::CancellationToken;

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
    let Config { workers } = config;
    let Ports { journal, counters, documents } = ports;
    let tally = runner::run(Tally, journal.clone(), counters.clone(), workers, metrics.clone(), shutdown.clone());
    let activity = runner::run(Activity, journal.clone(), counters, workers, metrics.clone(), shutdown.clone());
    let rooms = runner::run(Rooms, journal.clone(), documents.clone(), workers, metrics.clone(), shutdown.clone());
    let record = runner::run(Record, journal, documents, workers, metrics, shutdown);
    // Tasks of their own: a slow sink holds back nobody else.
    let running = [tokio::spawn(tally), tokio::spawn(activity), tokio::spawn(rooms), tokio::spawn(record)];
    for projection in running {
        if let Err(error) = projection.await {
            tracing::error!(%error, "a projection ended");
        }
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from(jiff::Timestamp::now())
}

//! The read side: lanes, worker pool, retry, parking, lag.
//!
//! Each projection runs on its own: a dispatcher follows the journal and hands events to a pool of workers, each with a
//! bounded channel, each owning lanes. A worker folds a batch per lane and writes it to the sink on the condition that the
//! lane's watermark is where it was; the sink's watermark is the truth, so any number of processes may run at once, and
//! none of them has to be stopped properly.

pub mod compare;
mod lane;
mod metrics;
mod runner;
mod spread;
pub mod verify;
mod worker;

pub use lane::{ChangeOf, Folded, Held, KeyOf, LaneState, Plan, Resume, RowOf, held_by};
pub use metrics::Metrics;

use std::sync::Arc;

use cabildo_events::Timestamp;
use cabildo_projections::ProjectionId;
use cabildo_projections::activity::{self, Activity};
use cabildo_projections::record::{self, Record};
use cabildo_projections::rooms::{self, Rooms};
use cabildo_projections::tally::{self, Tally};
use cabildo_storage::{Counters, Documents, Journal};
use tokio::task::JoinSet;
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
    /// Which projections to run.
    pub projections: Vec<ProjectionId>,
}

impl Config {
    /// Every projection of this build, each with so many workers.
    #[must_use]
    pub fn all(workers: usize) -> Self {
        Self { workers, projections: cabildo_projections::ALL.to_vec() }
    }
}

/// Runs projections until `shutdown`, through any failure of the journal or a sink; then lets the batches under way finish.
/// Any number of processes may run the same ones at the same time.
pub async fn run(config: Config, ports: Ports, metrics: Arc<Metrics>, shutdown: CancellationToken) {
    let Config { workers, projections } = config;
    let Ports { journal, counters, documents } = ports;
    let (counters, documents): (Arc<CountersSink>, Arc<DocumentsSink>) = (counters, documents);
    // Tasks of their own: a slow sink holds back nobody else.
    let mut running = JoinSet::new();
    for id in projections {
        let (journal, metrics, shutdown) = (journal.clone(), metrics.clone(), shutdown.clone());
        let (counters, documents) = (counters.clone(), documents.clone());
        match id {
            tally::ID => running.spawn(runner::run(Tally, journal, counters, workers, metrics, shutdown)),
            activity::ID => running.spawn(runner::run(Activity, journal, counters, workers, metrics, shutdown)),
            rooms::ID => running.spawn(runner::run(Rooms, journal, documents, workers, metrics, shutdown)),
            record::ID => running.spawn(runner::run(Record, journal, documents, workers, metrics, shutdown)),
            other => {
                tracing::error!(projection = %other, "no such projection in this build");
                continue;
            }
        };
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a projection ended");
        }
    }
}

type CountersSink = worker::SinkOf<Tally>;
type DocumentsSink = worker::SinkOf<Record>;

pub(crate) fn now() -> Timestamp {
    Timestamp::from(jiff::Timestamp::now())
}

//! The read side: lanes, worker pool, retry, parking, lag.
//!
//! Each view of a projection runs on its own: a dispatcher follows the journal and hands events to a pool of workers, each with a
//! bounded channel, each owning lanes. A worker folds a batch per lane and writes it to the sink on the condition that the
//! lane's watermark is where it was; the sink's watermark is the truth, so any number of processes may run at once, and
//! none of them has to be stopped properly. Beside the views stands one copy, for panels of a predecessor (`bands.rs`).

mod bands;
mod build;
pub mod compare;
mod lane;
mod mend;
mod metrics;
mod pace;
mod progress;
mod runner;
mod spread;
mod upkeep;
pub mod verify;
mod worker;

pub use build::{BuildError, Builder, Plan as BuildPlan};
pub use lane::{ChangeOf, Folded, Held, KeyOf, LaneState, Plan, Resume, RowOf, Target, held_by};
pub use mend::{MendError, Mended};
pub use metrics::Metrics;
pub use pace::Gait;
pub use progress::Progress;
pub use upkeep::keep_up;
pub use worker::SinkOf;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{RETRY_FIRST_MS, RETRY_LONGEST_MS};
use cabildo_events::{Aggregate, Position, Timestamp};
use cabildo_projections::ProjectionId;
use cabildo_projections::record::Record;
use cabildo_projections::tally::Tally;
use cabildo_storage::{Counters, Documents, Journal, Views};
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
    /// Which projections to run, whichever views of them are read.
    pub projections: Vec<ProjectionId>,
}

impl Config {
    /// Every projection of this build, each with so many workers.
    #[must_use]
    pub fn all(workers: usize) -> Self {
        Self { workers, projections: cabildo_projections::ALL.to_vec() }
    }
}

/// Runs one of several expressions, by the name of a projection, with the projection and its sink.
macro_rules! with_projection {
    ($name:expr, $counters:expr, $documents:expr, |$projection:ident, $sink:ident| $run:expr, else $unknown:expr) => {
        match $name {
            name if name == cabildo_projections::tally::ID.name => {
                let ($projection, $sink) = (cabildo_projections::tally::Tally, $counters as Arc<$crate::CountersSink>);
                $run
            }
            name if name == cabildo_projections::activity::ID.name => {
                let ($projection, $sink) =
                    (cabildo_projections::activity::Activity, $counters as Arc<$crate::CountersSink>);
                $run
            }
            name if name == cabildo_projections::rooms::ID.name => {
                let ($projection, $sink) =
                    (cabildo_projections::rooms::Rooms, $documents as Arc<$crate::DocumentsSink>);
                $run
            }
            name if name == cabildo_projections::lists::ID.name => {
                let ($projection, $sink) =
                    (cabildo_projections::lists::Lists, $documents as Arc<$crate::DocumentsSink>);
                $run
            }
            name if name == cabildo_projections::record::ID.name => {
                let ($projection, $sink) =
                    (cabildo_projections::record::Record, $documents as Arc<$crate::DocumentsSink>);
                $run
            }
            _ => $unknown,
        }
    };
}
pub(crate) use with_projection;

/// Runs projections until `shutdown`, through any failure of the journal or a sink; then lets the batches under way finish.
/// Any number of processes may run the same ones at the same time.
pub async fn run(config: Config, ports: Ports, metrics: Arc<Metrics>, shutdown: CancellationToken) {
    let Config { workers, projections } = config;
    let keeps_tally = projections.iter().any(|id| id.name == cabildo_projections::tally::ID.name);
    let Some(views) = shutdown.run_until_cancelled(start_views(&ports.journal, &shutdown)).await else { return };
    // Tasks of their own: a slow sink holds back nobody else.
    let mut running = JoinSet::new();
    for id in projections {
        let Ports { journal, counters, documents } = ports.clone();
        let (views, metrics, shutdown) = (views.clone(), metrics.clone(), shutdown.clone());
        with_projection!(id.name, counters, documents, |projection, sink| {
            running.spawn(keep_up(projection, journal, sink, workers, views, metrics, shutdown));
        }, else {
            tracing::error!(projection = id.name, "no such projection in this build");
        });
    }
    if keeps_tally {
        let show = bands::show(ports.counters.clone(), views.clone());
        running.spawn(async move {
            let _ = shutdown.run_until_cancelled(show).await;
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a projection ended");
        }
    }
}

/// Makes the rows of one aggregate anew in a view, from the aggregate's own events, while the view goes on being read and kept
/// up. `paused`: the projection stands still by an operator's decision.
///
/// # Errors
/// See [`MendError`].
pub async fn mend(
    view: ProjectionId,
    ports: &Ports,
    aggregate: &Aggregate,
    discarded: &BTreeSet<Position>,
    paused: bool,
) -> Result<Mended, MendError> {
    let Ports { journal, counters, documents } = ports.clone();
    with_projection!(view.name, counters, documents, |projection, sink| {
        mend::mend(&projection, view, &*journal, &*sink, aggregate, discarded, paused).await
    }, else {
        Err(MendError::Shared(view.name))
    })
}

/// What operators decided, as soon as the journal answers.
async fn start_views(journal: &Arc<dyn Journal>, shutdown: &CancellationToken) -> Views {
    let mut wait_ms = RETRY_FIRST_MS;
    loop {
        let error = match Views::start(journal.clone(), None, shutdown.clone()).await {
            Ok(views) => return views,
            Err(error) => error,
        };
        tracing::warn!(%error, wait_ms, "what operators decided cannot be read, trying again");
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
    }
}

pub(crate) type CountersSink = SinkOf<Tally>;
pub(crate) type DocumentsSink = SinkOf<Record>;

pub(crate) fn now() -> Timestamp {
    Timestamp::from(jiff::Timestamp::now())
}

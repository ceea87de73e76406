//! A worker: owns some lanes of one projection, folds what its channel brings, and writes it to the sink.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cabildo_events::limits::{APPLY_BATCH_EVENTS_MAX, PARKED_EVENTS_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS};
use cabildo_events::{Lane, Recorded, Timestamp};
use cabildo_projections::Projection;
use cabildo_storage::{Applied, Journal, LaneBatch, Parked, Sink, trace};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::Metrics;
use crate::lane::{ChangeOf, Folded, Held, KeyOf, LaneState, Resume, RowOf, held_by};

/// The sink of a projection.
pub(crate) type SinkOf<P> = dyn Sink<Key = KeyOf<P>, Row = RowOf<P>, Change = ChangeOf<P>>;

/// What the workers of a projection share.
pub(crate) struct Shared<P: Projection> {
    pub(crate) projection: P,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) sink: Arc<SinkOf<P>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
    /// Set when a view was set back: the dispatcher starts again from the sink's watermarks.
    pub(crate) rewind: CancellationToken,
    /// Events dispatched and not applied yet.
    pub(crate) queued: AtomicU64,
    /// Where this process last saw each lane of the view stand.
    pub(crate) stands: Vec<AtomicU64>,
    /// When the journal stored the oldest of them, by worker; `i64::MAX` if there is none.
    pub(crate) oldest: Vec<AtomicI64>,
}

/// Why a worker stops before its work is done.
pub(crate) struct Stop;

impl<P: Projection> Shared<P> {
    /// Tries until it works or the worker has to stop. Whatever fails is reported and waited for; nothing is parked for it.
    pub(crate) async fn persist<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Stop> {
        let mut wait_ms = RETRY_FIRST_MS;
        loop {
            let error = match self.unless_stopped(attempt()).await? {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let projection = self.projection.id().name;
            self.metrics.failed(projection, what);
            tracing::warn!(projection, what, %error, wait_ms, "trying again");
            self.unless_stopped(tokio::time::sleep(Duration::from_millis(wait_ms))).await?;
            wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Stop),
            () = self.rewind.cancelled() => Err(Stop),
            value = work => Ok(value),
        }
    }

    /// The aggregates of each lane that have a parked event.
    pub(crate) async fn held(&self) -> Result<BTreeMap<Lane, Held>, Stop> {
        let id = self.projection.id();
        let parked = self.persist("read parked events", || self.journal.parked(id.name, id.version)).await?;
        self.metrics.parked(id.name, parked.len());
        let mut lanes: BTreeMap<Lane, Held> = BTreeMap::new();
        for (aggregate, first) in held_by(&parked) {
            lanes.entry(aggregate.lane()).or_default().insert(aggregate, first);
        }
        Ok(lanes)
    }

    async fn park(&self, parked: &[Parked]) -> Result<(), Stop> {
        let id = self.projection.id();
        for one in parked {
            tracing::error!(projection = id.name, position = %one.position, reason = one.reason, "parked an event");
        }
        self.persist("park events", || async {
            let held = self.journal.parked(id.name, id.version).await.map_err(|error| error.to_string())?.len();
            if held + parked.len() > PARKED_EVENTS_MAX {
                return Err(format!(
                    "{held} events are parked already: the projection stands still until some are dealt with"
                ));
            }
            self.journal.park(parked.to_vec()).await.map_err(|error| error.to_string())?;
            self.metrics.parked(id.name, held + parked.len());
            Ok(())
        })
        .await
    }
}

/// Runs a worker until its channel closes or it is told to stop.
pub(crate) async fn work<P: Projection>(
    shared: Arc<Shared<P>>,
    number: usize,
    mut lanes: Vec<LaneState>,
    mut channel: mpsc::Receiver<Vec<Recorded>>,
) {
    // Whatever ends a worker, a panic too, ends the round: the next one starts from the sink's watermarks.
    let _ended = shared.rewind.clone().drop_guard();
    let mut place = BTreeMap::new();
    for (index, lane) in lanes.iter().enumerate() {
        place.insert(lane.lane(), index);
    }
    while let Ok(Some(first)) = shared.unless_stopped(channel.recv()).await {
        let mut taken = Some(first);
        let mut pending = 0;
        while let Some(events) = taken {
            for event in events {
                let kept = place.get(&event.lane).is_some_and(|index| lanes[*index].push(event));
                if kept {
                    pending += 1;
                } else {
                    shared.queued.fetch_sub(1, Ordering::Relaxed);
                }
            }
            taken = if pending < APPLY_BATCH_EVENTS_MAX { channel.try_recv().ok() } else { None };
        }
        let oldest = lanes.iter().filter_map(LaneState::oldest).min();
        shared.oldest[number].store(oldest.map_or(i64::MAX, Timestamp::micros), Ordering::Relaxed);
        // The lanes are independent of each other; their writes meet in the sink.
        let mut busy: FuturesUnordered<_> =
            lanes.iter_mut().filter(|lane| lane.pending() > 0).map(|lane| drain(&shared, lane)).collect();
        let mut stopped = false;
        while let Some(outcome) = busy.next().await {
            // The others finish the batch they are at.
            stopped |= outcome.is_err();
        }
        drop(busy);
        if stopped {
            return;
        }
        shared.oldest[number].store(i64::MAX, Ordering::Relaxed);
    }
}

/// Applies everything that is pending in a lane.
async fn drain<P: Projection>(shared: &Shared<P>, lane: &mut LaneState) -> Result<(), Stop> {
    let id = shared.projection.id();
    let mut wait_ms = RETRY_FIRST_MS;
    while lane.pending() > 0 {
        let before = lane.pending();
        let began = Instant::now();
        let span = match trace::is_on() {
            true => trace::batch(id, lane.lane(), before, lane.traces(APPLY_BATCH_EVENTS_MAX)),
            false => Span::none(),
        };
        let outcome = apply(shared, lane).instrument(span).await?;
        shared.queued.fetch_sub((before - lane.pending()) as u64, Ordering::Relaxed);
        match outcome {
            Outcome::Applied(recorded) => {
                shared.metrics.applied(id.name, before - lane.pending(), began.elapsed(), recorded);
                wait_ms = RETRY_FIRST_MS;
            }
            Outcome::Conflict => {
                shared.metrics.conflict(id.name);
                if lane.pending() == before {
                    // Somebody is at the same rows: give way.
                    shared.unless_stopped(tokio::time::sleep(Duration::from_millis(wait_ms))).await?;
                    wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
                }
                let mut held = shared.held().await?;
                lane.set_held(held.remove(&lane.lane()).unwrap_or_default());
            }
            Outcome::Rewind => {
                shared.metrics.rewind(id.name);
                tracing::warn!(projection = id.name, lane = %lane.lane(), "the view was set back, reading again from there");
                shared.rewind.cancel();
                return Err(Stop);
            }
            Outcome::Failed(error) => {
                shared.metrics.failed(id.name, "sink");
                tracing::warn!(projection = id.name, lane = %lane.lane(), error, wait_ms, "the sink is down, trying again");
                shared.unless_stopped(tokio::time::sleep(Duration::from_millis(wait_ms))).await?;
                wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
            }
        }
    }
    Ok(())
}

enum Outcome {
    /// Done; when the journal stored the oldest event of the batch.
    Applied(Option<Timestamp>),
    Conflict,
    Rewind,
    Failed(String),
}

/// One batch: load, fold, park, apply.
async fn apply<P: Projection>(shared: &Shared<P>, lane: &mut LaneState) -> Result<Outcome, Stop> {
    let id = shared.projection.id();
    let recorded = lane.oldest();
    let Some(mut plan) = lane.plan(&shared.projection, APPLY_BATCH_EVENTS_MAX) else {
        return Ok(Outcome::Applied(None));
    };
    let keys = plan.take_keys();
    let loaded = if keys.is_empty() {
        plan.no_rows()
    } else {
        match shared.unless_stopped(shared.sink.load(id, lane.lane(), keys)).await? {
            Ok(loaded) => loaded,
            Err(error) => return Ok(Outcome::Failed(error.to_string())),
        }
    };
    let Folded { batch, parked } = match plan.fold(&shared.projection, loaded, crate::now()) {
        Ok(folded) => folded,
        Err(watermark) => return Ok(resume(lane, watermark)),
    };
    if !parked.is_empty() {
        // First set aside, then step over: whoever sees the watermark behind it finds it parked.
        shared.park(&parked).await?;
    }
    let LaneBatch { next, .. } = batch;
    // Not interrupted by a stop: a batch under way is let finish.
    match shared.sink.apply(batch).await {
        Ok(Applied::Done) => {
            shared.metrics.arrived(id.name, lane.recorded_up_to(next));
            lane.applied(next, &parked);
            shared.stands[lane.lane().index()].store(next, Ordering::Relaxed);
            Ok(Outcome::Applied(recorded))
        }
        Ok(Applied::Conflict { watermark }) => Ok(resume(lane, watermark)),
        Err(error) => Ok(Outcome::Failed(error.to_string())),
    }
}

fn resume(lane: &mut LaneState, watermark: u64) -> Outcome {
    match lane.conflict(watermark) {
        Resume::Here => Outcome::Conflict,
        Resume::Rewind => Outcome::Rewind,
    }
}

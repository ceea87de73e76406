//! A worker: owns some lanes of one projection, folds what its channel brings, and writes it to the sink.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cabildo_events::limits::{
    APPLY_BATCH_EVENTS_MAX, PARKED_AGGREGATES_MAX, PARKED_EVENTS_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS, TOOL_TRIES_MAX,
};
use cabildo_events::{Aggregate, Lane, Position, Recorded, Timestamp};
use cabildo_projections::Projection;
use cabildo_storage::{Applied, Journal, LaneBatch, Parked, Sink, Watermarks, trace};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::Metrics;
use crate::lane::{ChangeOf, Folded, Held, KeyOf, LaneState, Resume, RowOf, Target, held_by};
use crate::pace::{Pace, Turn};
use crate::progress::Progress;

/// The sink of a projection.
pub type SinkOf<P> = dyn Sink<Key = KeyOf<P>, Row = RowOf<P>, Change = ChangeOf<P>>;

/// How long a failure is put up with.
pub(crate) enum Patience {
    /// For ever: a role waits.
    Role,
    /// At most [`TOOL_TRIES_MAX`] tries of the same call; then the round ends with the failure.
    Tool(OnceLock<String>),
}

/// What the workers of a view share.
pub(crate) struct Shared<P: Projection> {
    pub(crate) projection: P,
    pub(crate) target: Arc<Target>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) sink: Arc<SinkOf<P>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
    /// Set when a view was set back: the dispatcher starts again from the sink's watermarks.
    pub(crate) rewind: CancellationToken,
    pub(crate) progress: Arc<Progress>,
    /// What a replay keeps to, in view of what is live.
    pub(crate) pace: Option<Arc<Pace>>,
    pub(crate) patience: Patience,
    /// Whether the view is the one that is read: the gauges tell of that one.
    pub(crate) is_live: AtomicBool,
    /// Where this process last saw each lane of the view stand.
    pub(crate) stands: Vec<AtomicU64>,
    /// When the journal stored the oldest of them, by worker; `i64::MAX` if there is none.
    pub(crate) oldest: Vec<AtomicI64>,
}

/// Why a worker stops before its work is done.
pub(crate) struct Stop;

impl<P: Projection> Shared<P> {
    /// Whether this was the last try; then the round is ended.
    pub(crate) fn gives_up(&self, tries: u32, failure: impl FnOnce() -> String) -> bool {
        let Patience::Tool(reason) = &self.patience else { return false };
        if tries < TOOL_TRIES_MAX {
            return false;
        }
        // The first failure is the one that is told.
        let _ = reason.set(failure());
        self.rewind.cancel();
        true
    }

    /// Where this process last saw each lane of the view stand.
    pub(crate) fn stood(&self) -> Watermarks {
        Watermarks(std::array::from_fn(|lane| self.stands[lane].load(Ordering::Relaxed)))
    }

    pub(crate) fn is_live(&self) -> bool {
        self.is_live.load(Ordering::Relaxed)
    }

    /// Tries until it works or the worker has to stop. Whatever fails is reported and waited for; nothing is parked for it.
    pub(crate) async fn persist<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Stop> {
        let (mut wait_ms, mut tries) = (RETRY_FIRST_MS, 0);
        loop {
            let error = match self.unless_stopped(attempt()).await? {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let projection = self.target.view.name;
            self.metrics.failed(projection, what);
            tries += 1;
            if self.gives_up(tries, || format!("{what}: {error}")) {
                return Err(Stop);
            }
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
        let id = self.target.view;
        let parked = self.persist("read parked events", || self.journal.parked(id.name, id.version)).await?;
        if self.is_live() {
            self.metrics.parked(id.name, parked.len());
            self.metrics.parked_oldest(id.name, parked.iter().map(|parked| parked.parked).min());
        }
        let mut lanes: BTreeMap<Lane, Held> = BTreeMap::new();
        for (aggregate, first) in held_by(&self.target, &parked) {
            lanes.entry(aggregate.lane()).or_default().insert(aggregate, first);
        }
        Ok(lanes)
    }

    async fn park(&self, parked: &[Parked]) -> Result<(), Stop> {
        let id = self.target.view;
        for one in parked {
            tracing::error!(projection = id.name, position = %one.position, reason = one.reason, "parked an event");
        }
        self.persist("park events", || async {
            let held = self.journal.parked(id.name, id.version).await.map_err(|error| error.to_string())?;
            let too_much = breaks_circuit(&held, parked);

            self.metrics.circuit_open(id.name, too_much.is_some());
            if let Some(reason) = too_much {
                return Err(reason);
            }
            let held = held.len();
            self.journal.park(parked.to_vec()).await.map_err(|error| error.to_string())?;
            if self.is_live() {
                self.metrics.parked(id.name, held + parked.len());
            }
            Ok(())
        })
        .await
    }
}

/// Why so much is parked that the view must stand still. One aggregate that is broken is set aside and the rest goes on; many
/// that are broken at once mean a build that cannot read what others write, and going on would set aside everything.
fn breaks_circuit(held: &[Parked], more: &[Parked]) -> Option<String> {
    let mut all: BTreeMap<Position, Option<&Aggregate>> = BTreeMap::new();
    all.extend(held.iter().chain(more).map(|one| (one.position, one.aggregate.as_ref())));
    let aggregates: BTreeSet<_> = all.values().flatten().collect();
    let what = if aggregates.len() > PARKED_AGGREGATES_MAX {
        format!(
            "events of {} aggregates are or would be parked, the most are {PARKED_AGGREGATES_MAX}",
            aggregates.len()
        )
    } else if all.len() > PARKED_EVENTS_MAX {
        format!("{} events are or would be parked, the most are {PARKED_EVENTS_MAX}", all.len())
    } else {
        return None;
    };
    Some(format!(
        "the circuit breaker is open: {what}; see `cabildo parked list`, then `cabildo parked retry` or `discard`"
    ))
}

/// Runs a worker until its channel closes (then all it was given is in the view) or it is told to stop.
pub(crate) async fn work<P: Projection>(
    shared: Arc<Shared<P>>,
    number: usize,
    mut lanes: Vec<LaneState>,
    mut channel: mpsc::Receiver<Vec<Recorded>>,
) -> Result<(), Stop> {
    // Whatever else ends a worker, a panic too, ends the round: the next one starts from the sink's watermarks.
    let ended = shared.rewind.clone().drop_guard();
    let mut place = BTreeMap::new();
    for (index, lane) in lanes.iter().enumerate() {
        place.insert(lane.lane(), index);
    }
    while let Some(first) = shared.unless_stopped(channel.recv()).await? {
        let mut taken = Some(first);
        let mut pending = 0;
        while let Some(events) = taken {
            for event in events {
                let kept = place.get(&event.lane).is_some_and(|index| lanes[*index].push(event));
                if kept {
                    pending += 1;
                } else {
                    shared.progress.settle(1);
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
            return Err(Stop);
        }
        shared.oldest[number].store(i64::MAX, Ordering::Relaxed);
    }
    ended.disarm();
    Ok(())
}

/// Applies everything that is pending in a lane.
async fn drain<P: Projection>(shared: &Shared<P>, lane: &mut LaneState) -> Result<(), Stop> {
    let id = shared.target.view;
    let (mut wait_ms, mut tries) = (RETRY_FIRST_MS, 0);
    while lane.pending() > 0 {
        let turn = match &shared.pace {
            Some(pace) => Some(shared.unless_stopped(pace.turn()).await?),
            None => None,
        };
        let before = lane.pending();
        let began = Instant::now();
        let span = match trace::is_on() {
            true => trace::batch(id, lane.lane(), before, lane.traces(APPLY_BATCH_EVENTS_MAX)),
            false => Span::none(),
        };
        let max = turn.as_ref().map_or(APPLY_BATCH_EVENTS_MAX, Turn::events_max);
        let outcome = apply(shared, lane, max).instrument(span).await?;
        let took = began.elapsed();
        shared.progress.settle(before - lane.pending());
        if let Some(turn) = turn {
            shared.unless_stopped(turn.rest(took)).await?;
        }
        match outcome {
            Outcome::Applied(recorded) => {
                shared.progress.fold(before - lane.pending());
                shared.metrics.applied(id.name, before - lane.pending(), took, recorded);
                (wait_ms, tries) = (RETRY_FIRST_MS, 0);
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
                tries += 1;
                if shared.gives_up(tries, || error.clone()) {
                    return Err(Stop);
                }
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
async fn apply<P: Projection>(shared: &Shared<P>, lane: &mut LaneState, max: usize) -> Result<Outcome, Stop> {
    let id = shared.target.view;
    let recorded = lane.oldest();
    let Some(mut plan) = lane.plan(&shared.projection, max) else {
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
            if shared.is_live() {
                shared.metrics.arrived(id.name, lane.recorded_up_to(next));
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(seq: u64, poll: &str) -> Parked {
        let aggregate = Some(Aggregate::poll(&poll.parse().unwrap()));
        let (projection, reason) = ("tally".to_owned(), "unknown".to_owned());
        Parked { projection, version: 1, position: Position::at(seq), aggregate, reason, parked: Timestamp::default() }
    }

    #[test]
    fn one_broken_poll_breaks_nothing_and_many_do() {
        let one: Vec<_> = (1..5_000).map(|seq| parked(seq, "bands")).collect();
        assert_eq!(breaks_circuit(&one, &one), None);
        let many: Vec<_> = (1..=100).map(|seq| parked(seq, &format!("poll-{seq}"))).collect();
        assert_eq!(breaks_circuit(&many, &many[..50]), None, "what is parked already counts once");
        let reason = breaks_circuit(&many, &[parked(101, "poll-101")]).unwrap();
        assert!(reason.contains("101 aggregates") && reason.contains("cabildo parked"), "{reason}");
    }
}

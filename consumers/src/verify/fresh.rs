//! A view folded afresh, into a scratch sink, each lane exactly to a given event.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo_events::limits::{APPLY_BATCH_EVENTS_MAX, VERIFY_PENDING_EVENTS_MAX};
use cabildo_events::{Lane, Position, Recorded};
use cabildo_projections::{Projection, ProjectionId};
use cabildo_storage::{Applied, Journal, LaneBatch, Watermarks};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::compare::{CompareError, Reach};
use crate::lane::{Held, LaneState};
use crate::worker::SinkOf;

/// How far a check has got, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// The last position that is to be read.
    pub until: AtomicU64,
    /// The last position that was read.
    pub read: AtomicU64,
    /// Events folded so far.
    pub events: AtomicU64,
    /// Rows compared so far.
    pub rows: AtomicU64,
}

/// Keeps work at a rate.
#[derive(Debug)]
pub(super) struct Throttle {
    per_second: Option<u64>,
    began: Instant,
    done: u64,
}

impl Throttle {
    pub(super) fn new(per_second: Option<u64>) -> Self {
        Self { per_second, began: Instant::now(), done: 0 }
    }

    /// Waits until so much more may have been done.
    async fn spend(&mut self, work: usize) {
        self.done += work as u64;
        if let Some(per_second) = self.per_second {
            let due = self.began + Duration::from_millis(self.done.saturating_mul(1_000) / per_second.max(1));
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

/// The view, and where each of its lanes stands.
pub(super) struct Fresh<P: Projection> {
    pub(super) projection: P,
    pub(super) view: ProjectionId,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) sink: Arc<SinkOf<P>>,
    /// The lanes that are folded; the others stay where they are.
    pub(super) lanes: Vec<LaneState>,
    /// Events that are left out, by an operator's word.
    pub(super) discarded: BTreeSet<Position>,
    pub(super) throttle: Throttle,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
}

impl<P: Projection> Fresh<P> {
    /// A state for each of these lanes, at its beginning.
    pub(super) fn lanes(view: ProjectionId, lanes: &[Lane]) -> Vec<LaneState> {
        let target = Arc::new(view.into());
        lanes.iter().map(|lane| LaneState::new(Arc::clone(&target), *lane, 0, Held::new())).collect()
    }

    /// Folds each lane up to and including an event; lanes that stand there or further are left as they are.
    pub(super) async fn fold_to(&mut self, targets: &Watermarks) -> Result<(), CompareError> {
        let behind = || self.lanes.iter().filter(|lane| lane.watermark() < targets[lane.lane()]);
        let Some(after) = behind().map(LaneState::watermark).min() else { return Ok(()) };
        let until = behind().map(|lane| targets[lane.lane()]).max().unwrap_or(after);
        let mut place = [None; 64];
        for (index, lane) in self.lanes.iter().enumerate() {
            place[lane.lane().index()] = Some(index);
        }
        self.progress.until.fetch_max(until, Ordering::Relaxed);
        let mut pages = self.journal.read(Position::at(after), Position::at(until)).await?;
        let mut pending = 0;
        while let Some(page) = pages.next().await {
            let page = page?;
            self.throttle.spend(page.len()).await;
            if self.stop.is_cancelled() {
                return Err(CompareError::Stopped);
            }
            for event in page {
                self.progress.read.fetch_max(event.position.seq, Ordering::Relaxed);
                let wanted = event.position.seq <= targets[event.lane] && !self.discarded.contains(&event.position);
                if let Some(index) = place[event.lane.index()].filter(|_| wanted) {
                    pending += usize::from(self.take(index, event));
                }
            }
            if pending >= VERIFY_PENDING_EVENTS_MAX {
                self.fold_pending().await?;
                pending = 0;
            }
        }
        self.fold_pending().await?;
        // What comes last may be left out: the lane stands behind it all the same.
        for lane in &mut self.lanes {
            let (prev, next) = (lane.watermark(), targets[lane.lane()]);
            if prev < next {
                let batch = LaneBatch { projection: self.view, lane: lane.lane(), prev, next, changes: Vec::new() };
                done(self.sink.apply(batch).await?)?;
                lane.applied(next, &[]);
            }
        }
        Ok(())
    }

    fn take(&mut self, index: usize, event: Recorded) -> bool {
        self.lanes[index].push(event)
    }

    async fn fold_pending(&mut self) -> Result<(), CompareError> {
        let (projection, view, sink, progress) = (&self.projection, &self.view, &self.sink, &self.progress);
        let mut busy: FuturesUnordered<_> = self
            .lanes
            .iter_mut()
            .filter(|lane| lane.pending() > 0)
            .map(|lane| drain(projection, *view, sink, lane, progress))
            .collect();
        while let Some(drained) = busy.next().await {
            drained?;
        }
        Ok(())
    }
}

/// Folds all that is pending in a lane. What cannot be folded is held back, as consumers do, but parked nowhere.
async fn drain<P: Projection>(
    projection: &P,
    view: ProjectionId,
    sink: &Arc<SinkOf<P>>,
    lane: &mut LaneState,
    progress: &Progress,
) -> Result<(), CompareError> {
    let before = lane.pending() as u64;
    while let Some(mut plan) = lane.plan(projection, APPLY_BATCH_EVENTS_MAX) {
        let keys = plan.take_keys();
        let loaded = if keys.is_empty() { plan.no_rows() } else { sink.load(view, lane.lane(), keys).await? };
        let folded = plan.fold(projection, loaded, crate::now()).map_err(CompareError::InUse)?;
        let next = folded.batch.next;
        done(sink.apply(folded.batch).await?)?;
        lane.applied(next, &folded.parked);
    }
    progress.events.fetch_add(before, Ordering::Relaxed);
    Ok(())
}

fn done(applied: Applied) -> Result<(), CompareError> {
    match applied {
        Applied::Done => Ok(()),
        Applied::Conflict { watermark } => Err(CompareError::InUse(watermark)),
    }
}

#[async_trait]
impl<P: Projection> Reach for Fresh<P> {
    async fn reach(&mut self, lane: Lane, watermark: u64) -> Result<(), CompareError> {
        let mut targets = Watermarks::default();
        targets.0[lane.index()] = watermark;
        self.fold_to(&targets).await
    }

    async fn looked_at(&mut self, rows: usize) -> Result<(), CompareError> {
        self.progress.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.throttle.spend(rows).await;
        if self.stop.is_cancelled() { Err(CompareError::Stopped) } else { Ok(()) }
    }
}

//! One view: its dispatcher, and the pool of workers behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use cabildo_events::limits::{
    READ_PAGE_EVENTS, RETRY_FIRST_MS, RETRY_LONGEST_MS, VIEW_CHECK_MS, WORKER_QUEUE_EVENTS_MAX, WORKERS_MAX,
};
use cabildo_events::{Lane, Position, Recorded, Timestamp};
use cabildo_projections::Projection;
use cabildo_storage::{Journal, LaneHeads, Page, ReadError, Watermarks};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Metrics;
use crate::lane::{LaneState, Target};
use crate::pace::Pace;
use crate::progress::Progress;
use crate::worker::{Patience, Shared, SinkOf, Stop, work};

/// A projection, where its events come from and where they go.
pub(crate) struct Source<P: Projection> {
    pub(crate) projection: P,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) sink: Arc<SinkOf<P>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) workers: usize,
}

impl<P: Projection> Clone for Source<P> {
    fn clone(&self) -> Self {
        Self {
            projection: self.projection.clone(),
            journal: self.journal.clone(),
            sink: self.sink.clone(),
            metrics: self.metrics.clone(),
            workers: self.workers,
        }
    }
}

/// How a round is run.
pub(crate) struct Manner {
    pub(crate) progress: Arc<Progress>,
    pub(crate) pace: Option<Arc<Pace>>,
    pub(crate) patience: Patience,
    pub(crate) is_live: bool,
}

impl<P: Projection> Source<P> {
    /// A round's worth of shared state.
    pub(crate) fn share(&self, target: Arc<Target>, manner: Manner, shutdown: &CancellationToken) -> Arc<Shared<P>> {
        let Manner { progress, pace, patience, is_live } = manner;
        Arc::new(Shared {
            projection: self.projection.clone(),
            target,
            journal: self.journal.clone(),
            sink: self.sink.clone(),
            metrics: self.metrics.clone(),
            shutdown: shutdown.clone(),
            rewind: CancellationToken::new(),
            progress,
            pace,
            patience,
            is_live: AtomicBool::new(is_live),
            stands: Lane::all().map(|_| AtomicU64::new(0)).collect(),
            oldest: (0..self.workers.clamp(1, WORKERS_MAX)).map(|_| AtomicI64::new(i64::MAX)).collect(),
        })
    }
}

/// Which events a round brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Those after this position,
    pub(crate) after: Position,
    /// up to and including this one; `None`: and all to come.
    pub(crate) until: Option<Position>,
    /// Everything up to this position is in a view that stands here, or further: a round need not look before it.
    pub(crate) known: Option<(Position, Watermarks)>,
}

impl Span {
    /// The whole journal, and what is to come.
    pub(crate) const ALL: Self = Self { after: Position::START, until: None, known: None };

    /// Where to read from, in view of where the lanes stand.
    fn start(&self, watermarks: &Watermarks, heads: &LaneHeads) -> Position {
        let known = self.known.filter(|(_, stood)| Lane::all().all(|lane| watermarks[lane] >= stood[lane]));
        let known = known.map_or(Position::START, |(position, _)| position);
        start(watermarks, heads).max(self.after).max(known)
    }
}

/// Brings a view from the sink's own watermarks to the end of the span. An error is a stop, a view that was set back, or
/// patience that ended: another round starts from the watermarks again.
pub(crate) async fn round<P: Projection>(shared: Arc<Shared<P>>, span: Span) -> Result<(), Stop> {
    let id = shared.target.view;
    // Parked events are read after the watermarks: what stands before a watermark and is parked is then found.
    let watermarks = shared.persist("read watermarks", || shared.sink.watermarks(id)).await?;
    let heads = shared.persist("read lane heads", || shared.journal.lane_heads()).await?;
    let mut held = shared.held().await?;
    let mut after = span.start(&watermarks, &heads);
    shared.progress.begin(after, span.until);
    tracing::debug!(view = %id, %after, "projecting");

    for lane in Lane::all() {
        shared.stands[lane.index()].store(watermarks[lane], Ordering::Relaxed);
        if watermarks[lane] > heads[lane] {
            // Nothing here can tell the events that are gone from those that took their places.
            tracing::error!(
                projection = id.name, %lane, view = watermarks[lane], journal = heads[lane],
                "the journal was set back behind its view: empty the view, and it is projected again"
            );
        }
    }
    let workers = shared.oldest.len();
    let mut pool = JoinSet::new();
    let mut channels = Vec::with_capacity(workers);
    for number in 0..workers {
        let lanes = Lane::all()
            .filter(|lane| lane.index() % workers == number)
            .map(|lane| {
                let held = held.remove(&lane).unwrap_or_default();
                LaneState::new(shared.target.clone(), lane, watermarks[lane], held)
            })
            .collect();
        let (sender, receiver) = mpsc::channel(WORKER_QUEUE_EVENTS_MAX / READ_PAGE_EVENTS);
        pool.spawn(work(shared.clone(), number, lanes, receiver));
        channels.push(sender);
    }
    let _gauge = AbortOnDropHandle::new(tokio::spawn(watch_lag(shared.clone())));
    let _watch = AbortOnDropHandle::new(tokio::spawn(watch_view(shared.clone())));

    let mut outcome = Ok(());
    let (mut wait_ms, mut tries) = (RETRY_FIRST_MS, 0);
    while !shared.shutdown.is_cancelled() && !shared.rewind.is_cancelled() {
        let from = after;
        let error = match dispatch(&shared, &channels, &mut after, span.until).await {
            Ok(ended) => {
                outcome = ended;
                break;
            }
            Err(error) => error,
        };
        if after > from {
            (wait_ms, tries) = (RETRY_FIRST_MS, 0);
        }
        tries += 1;
        shared.metrics.failed(id.name, "follow");
        if shared.gives_up(tries, || error.to_string()) {
            break;
        }
        tracing::warn!(view = %id, %error, wait_ms, "lost the journal, following again");
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
    }
    if shared.shutdown.is_cancelled() || shared.rewind.is_cancelled() {
        outcome = Err(Stop);
    }
    drop(channels);
    while let Some(ended) = pool.join_next().await {
        match ended {
            Ok(ended) => outcome = outcome.and(ended),
            Err(error) => {
                tracing::error!(view = %id, %error, "a worker ended");
                outcome = Err(Stop);
                tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS)).await;
            }
        }
    }
    outcome
}

/// Where to read from: after the lowest watermark of the lanes that have something to come. A lane that is up to date does
/// not hold the start back, however long ago its last event was.
pub(crate) fn start(watermarks: &Watermarks, heads: &LaneHeads) -> Position {
    let behind = Lane::all().filter(|lane| heads[*lane] > watermarks[*lane]).map(|lane| watermarks[lane]).min();
    let head = heads.0.iter().copied().max().unwrap_or(0);
    Position::at(behind.unwrap_or(head))
}

/// Reads the journal and hands events to the workers that own their lanes. `Ok`: the span is read, or it was told to stop.
async fn dispatch<P: Projection>(
    shared: &Shared<P>,
    channels: &[mpsc::Sender<Vec<Recorded>>],
    after: &mut Position,
    until: Option<Position>,
) -> Result<Result<(), Stop>, ReadError> {
    if until.is_some_and(|until| *after >= until) {
        return Ok(Ok(()));
    }
    let stop = async {
        tokio::select! {
            () = shared.shutdown.cancelled() => {}
            () = shared.rewind.cancelled() => {}
        }
    };
    tokio::pin!(stop);
    let open = async {
        match until {
            Some(until) => shared.journal.read(*after, until).await,
            None => shared.journal.follow(*after).await,
        }
    };
    let mut pages = tokio::select! {
        pages = open => pages?,
        () = &mut stop => return Ok(Err(Stop)),
    };
    loop {
        let page = tokio::select! {
            biased;
            () = &mut stop => return Ok(Err(Stop)),
            page = pages.next() => page,
        };
        let Some(page) = page.transpose()? else {
            return match until {
                Some(until) => {
                    // Positions may have no event at the end of the span.
                    shared.progress.dispatch(until);
                    Ok(Ok(()))
                }
                None => Err(ReadError::Unavailable("the feed ended".to_owned())),
            };
        };
        let Some(last) = page.last().map(|event| event.position) else { continue };
        for (events, channel) in split(page, channels.len()).into_iter().zip(channels) {
            if events.is_empty() {
                continue;
            }
            shared.progress.queue(events.len());
            // A full channel makes the dispatcher wait: that is the backpressure. A closed one means that a worker stopped.
            let sent = tokio::select! {
                sent = channel.send(events) => sent.is_ok(),
                () = &mut stop => false,
            };
            if !sent {
                return Ok(Err(Stop));
            }
        }
        *after = last;
        shared.progress.dispatch(last);
    }
}

fn split(page: Page, workers: usize) -> Vec<Vec<Recorded>> {
    let mut parts: Vec<Vec<Recorded>> = (0..workers).map(|_| Vec::new()).collect();
    for event in page {
        parts[event.lane.index() % workers].push(event);
    }
    parts
}

/// Starts another round if the view is set back. A worker finds that too, with the next event of the lane; this finds it
/// where none comes.
async fn watch_view<P: Projection>(shared: Arc<Shared<P>>) {
    let id = shared.target.view;
    let mut every = tokio::time::interval(Duration::from_millis(VIEW_CHECK_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // Before the sink is asked: what is applied meanwhile is no step back.
        let stood = shared.stood();
        // A sink that does not answer is reported by whoever writes to it.
        let Ok(stands) = shared.sink.watermarks(id).await else { continue };
        if let Some(lane) = Lane::all().find(|lane| stands[*lane] < stood[*lane]) {
            shared.metrics.rewind(id.name);
            tracing::warn!(projection = id.name, %lane, "the view was set back, reading again from there");
            shared.rewind.cancel();
            return;
        }
    }
}

/// How often the lag is measured, in milliseconds.
const LAG_EVERY_MS: u64 = 1_000;

/// Keeps the lag's gauges of a view that is read: what is not dispatched yet, and what is and waits for the sink.
async fn watch_lag<P: Projection>(shared: Arc<Shared<P>>) {
    let mut every = tokio::time::interval(Duration::from_millis(LAG_EVERY_MS));
    let mut behind_since: Option<Timestamp> = None;
    loop {
        every.tick().await;
        if !shared.is_live() {
            continue;
        }
        let Ok(head) = shared.journal.head().await else { continue };
        let undispatched = head.seq.saturating_sub(shared.progress.dispatched());
        let queued = shared.progress.queued();
        shared.metrics.queued(shared.target.view.name, queued);
        let events = undispatched + queued;
        let oldest = shared.oldest.iter().map(|oldest| oldest.load(Ordering::Relaxed)).min().unwrap_or(i64::MAX);
        let now = crate::now();
        behind_since = match (events, oldest) {
            (0, _) => None,
            (_, i64::MAX) => behind_since.or(Some(now)),
            (_, oldest) => Some(Timestamp::from_micros(oldest)),
        };
        let behind_us = behind_since.map_or(0, |since| (now.micros() - since.micros()).max(0));
        shared.metrics.lag(shared.target.view.name, events, behind_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_is_up_to_date_does_not_hold_the_start_back() {
        let (mut watermarks, mut heads) = (Watermarks::default(), LaneHeads([0; 64]));
        assert_eq!(start(&watermarks, &heads), Position::START);
        (watermarks.0[3], heads.0[3]) = (7, 7);
        (watermarks.0[5], heads.0[5]) = (900, 900);
        assert_eq!(start(&watermarks, &heads), Position::at(900));
        heads.0[5] = 1_000;
        assert_eq!(start(&watermarks, &heads), Position::at(900));
        heads.0[9] = 20;
        assert_eq!(start(&watermarks, &heads), Position::START);
    }

    #[test]
    fn what_is_known_to_be_in_the_view_is_not_read_again_unless_the_view_was_set_back() {
        let (mut watermarks, mut heads) = (Watermarks::default(), LaneHeads([0; 64]));
        (watermarks.0[3], heads.0[3], heads.0[5]) = (900, 900, 1_000);
        let span = Span { known: Some((Position::at(950), watermarks)), ..Span::ALL };
        assert_eq!(span.start(&watermarks, &heads), Position::at(950));
        assert_eq!(span.start(&Watermarks::default(), &heads), Position::START);
    }
}

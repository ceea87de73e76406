//! One projection: its dispatcher, and the pool of workers behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
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

use crate::Metrics;
use crate::lane::LaneState;
use crate::worker::{Shared, SinkOf, Stop, work};

/// Runs a projection until `shutdown`. Each round starts from the sink's own watermarks; a view that is set back starts another.
pub(crate) async fn run<P: Projection>(
    projection: P,
    journal: Arc<dyn Journal>,
    sink: Arc<SinkOf<P>>,
    workers: usize,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let workers = workers.clamp(1, WORKERS_MAX);
    while !shutdown.is_cancelled() {
        let shared = Arc::new(Shared {
            projection: projection.clone(),
            journal: journal.clone(),
            sink: sink.clone(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
            rewind: CancellationToken::new(),
            queued: AtomicU64::new(0),
            stands: Lane::all().map(|_| AtomicU64::new(0)).collect(),
            oldest: (0..workers).map(|_| AtomicI64::new(i64::MAX)).collect(),
        });
        // A round ends by a stop or a rewind, never by a failure.
        let _ = round(shared, workers).await;
    }
}

async fn round<P: Projection>(shared: Arc<Shared<P>>, workers: usize) -> Result<(), Stop> {
    let id = shared.projection.id();
    // Parked events are read after the watermarks: what stands before a watermark and is parked is then found.
    let watermarks = shared.persist("read watermarks", || shared.sink.watermarks(id)).await?;
    let heads = shared.persist("read lane heads", || shared.journal.lane_heads()).await?;
    let mut held = shared.held().await?;
    let mut after = start(&watermarks, &heads);
    tracing::debug!(projection = id.name, %after, "projecting");

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
    let mut pool = JoinSet::new();
    let mut channels = Vec::with_capacity(workers);
    for number in 0..workers {
        let lanes = Lane::all()
            .filter(|lane| lane.index() % workers == number)
            .map(|lane| LaneState::new(lane, watermarks[lane], held.remove(&lane).unwrap_or_default()))
            .collect();
        let (sender, receiver) = mpsc::channel(WORKER_QUEUE_EVENTS_MAX / READ_PAGE_EVENTS);
        pool.spawn(work(shared.clone(), number, lanes, receiver));
        channels.push(sender);
    }
    let dispatched = Arc::new(AtomicU64::new(after.seq));
    let gauge = tokio::spawn(watch_lag(shared.clone(), dispatched.clone()));
    let watch = tokio::spawn(watch_view(shared.clone()));

    let mut wait_ms = RETRY_FIRST_MS;
    while !shared.shutdown.is_cancelled() && !shared.rewind.is_cancelled() {
        let from = after;
        let Err(error) = dispatch(&shared, &channels, &mut after, &dispatched).await else { break };
        if after > from {
            wait_ms = RETRY_FIRST_MS;
        }
        shared.metrics.failed(id.name, "follow");
        tracing::warn!(projection = id.name, %error, wait_ms, "lost the journal, following again");
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
    }
    drop(channels);
    while let Some(ended) = pool.join_next().await {
        if let Err(error) = ended {
            tracing::error!(projection = id.name, %error, "a worker ended");
            tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS)).await;
        }
    }
    gauge.abort();
    watch.abort();
    Ok(())
}

/// Where to read from: after the lowest watermark of the lanes that have something to come. A lane that is up to date does
/// not hold the start back, however long ago its last event was.
fn start(watermarks: &Watermarks, heads: &LaneHeads) -> Position {
    let behind = Lane::all().filter(|lane| heads[*lane] > watermarks[*lane]).map(|lane| watermarks[lane]).min();
    let head = heads.0.iter().copied().max().unwrap_or(0);
    Position::at(behind.unwrap_or(head))
}

/// Follows the journal and hands events to the workers that own their lanes; `Ok` when it has to stop.
async fn dispatch<P: Projection>(
    shared: &Shared<P>,
    channels: &[mpsc::Sender<Vec<Recorded>>],
    after: &mut Position,
    dispatched: &AtomicU64,
) -> Result<(), ReadError> {
    let stop = async {
        tokio::select! {
            () = shared.shutdown.cancelled() => {}
            () = shared.rewind.cancelled() => {}
        }
    };
    tokio::pin!(stop);
    let mut pages = tokio::select! {
        pages = shared.journal.follow(*after) => pages?,
        () = &mut stop => return Ok(()),
    };
    loop {
        let page = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            page = pages.next() => page,
        };
        let Some(page) = page.transpose()? else { return Err(ReadError::Unavailable("the feed ended".to_owned())) };
        let Some(last) = page.last().map(|event| event.position) else { continue };
        for (events, channel) in split(page, channels.len()).into_iter().zip(channels) {
            if events.is_empty() {
                continue;
            }
            shared.queued.fetch_add(events.len() as u64, Ordering::Relaxed);
            // A full channel makes the dispatcher wait: that is the backpressure. A closed one means that a worker stopped.
            let sent = tokio::select! {
                sent = channel.send(events) => sent.is_ok(),
                () = &mut stop => false,
            };
            if !sent {
                return Ok(());
            }
        }
        *after = last;
        dispatched.store(last.seq, Ordering::Relaxed);
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
    let id = shared.projection.id();
    let mut every = tokio::time::interval(Duration::from_millis(VIEW_CHECK_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // Before the sink is asked: what is applied meanwhile is no step back.
        let stood = Watermarks(std::array::from_fn(|lane| shared.stands[lane].load(Ordering::Relaxed)));
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

/// Keeps the lag's gauges: what is not dispatched yet, and what is and waits for the sink.
async fn watch_lag<P: Projection>(shared: Arc<Shared<P>>, dispatched: Arc<AtomicU64>) {
    let mut every = tokio::time::interval(Duration::from_millis(LAG_EVERY_MS));
    let mut behind_since: Option<Timestamp> = None;
    loop {
        every.tick().await;
        let Ok(head) = shared.journal.head().await else { continue };
        let undispatched = head.seq.saturating_sub(dispatched.load(Ordering::Relaxed));
        let queued = shared.queued.load(Ordering::Relaxed);
        shared.metrics.queued(shared.projection.id().name, queued);
        let events = undispatched + queued;
        let oldest = shared.oldest.iter().map(|oldest| oldest.load(Ordering::Relaxed)).min().unwrap_or(i64::MAX);
        let now = crate::now();
        behind_since = match (events, oldest) {
            (0, _) => None,
            (_, i64::MAX) => behind_since.or(Some(now)),
            (_, oldest) => Some(Timestamp::from_micros(oldest)),
        };
        let behind_us = behind_since.map_or(0, |since| (now.micros() - since.micros()).max(0));
        shared.metrics.lag(shared.projection.id().name, events, behind_us);
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
}

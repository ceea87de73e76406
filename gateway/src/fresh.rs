//! Reading one's own writes: waiting until a view has reached a position.
//!
//! A lane's watermark moves only when the lane has events, so a position that stands in another lane is never reached
//! literally. The view of a lane is fresh for a position when its watermark has reached the position or the lane's last
//! event, whichever comes first. A position that the journal does not hold yet, as far as it says, is waited for as well: a
//! server that lags behind its leader must not make an old view pass for a fresh one.

use std::time::Duration;

use cabildo_events::limits::FRESH_WAIT_MS;
use cabildo_events::{LANES, Lane, Position};
use cabildo_projections::ProjectionId;
use cabildo_storage::{Journal, Sink, Watermarks};
use tokio::time::Instant;

use crate::problem::Problem;

/// Longest pause between two looks at a watermark, in milliseconds.
const LOOK_AGAIN_MS: u64 = 10;

/// Pauses of 1, 2, 4, 8, 10, 10 … ms, until the wait has lasted [`FRESH_WAIT_MS`].
struct Patience {
    until: Instant,
    pause_ms: u64,
}

impl Patience {
    fn new() -> Self {
        Self { until: Instant::now() + Duration::from_millis(FRESH_WAIT_MS), pause_ms: 1 }
    }

    /// Pauses once; `false` if there is no time left.
    async fn pause(&mut self) -> bool {
        let next = Instant::now() + Duration::from_millis(self.pause_ms);
        if next > self.until {
            return false;
        }
        tokio::time::sleep_until(next).await;
        self.pause_ms = (self.pause_ms * 2).min(LOOK_AGAIN_MS);
        true
    }
}

/// Waits until the view of one lane is fresh for a position; `false` if it was not within [`FRESH_WAIT_MS`].
///
/// # Errors
/// When the sink or the journal does not answer.
pub(crate) async fn lane<S: Sink + ?Sized>(
    sink: &S,
    projection: ProjectionId,
    lane: Lane,
    journal: &dyn Journal,
    position: Position,
) -> Result<bool, Problem> {
    let mut patience = Patience::new();
    let mut wanted = None;
    loop {
        let watermark = sink.watermark(projection, lane).await?;
        if watermark >= position.seq {
            return Ok(true);
        }
        if wanted.is_none() {
            wanted = target(journal, lane, position).await?;
        }
        if wanted.is_some_and(|wanted| watermark >= wanted) {
            return Ok(true);
        }
        if !patience.pause().await {
            return Ok(false);
        }
    }
}

/// The sequence at which the view of a lane is fresh for a position; `None` while the journal, as far as we are told, does
/// not hold the position itself: then nothing can be said of the lane's last event before it.
async fn target(journal: &dyn Journal, lane: Lane, position: Position) -> Result<Option<u64>, Problem> {
    let head = journal.lane_head(lane).await?;
    if position == NOW || head >= position.seq {
        return Ok(Some(head.min(position.seq)));
    }
    if journal.head().await?.seq < position.seq {
        return Ok(None);
    }
    // Read again: what the journal holds up to the position, it holds now.
    Ok(Some(journal.lane_head(lane).await?.min(position.seq)))
}

/// Waits until the view of every lane is fresh for a position; `false` if it was not within [`FRESH_WAIT_MS`].
///
/// # Errors
/// When the sink or the journal does not answer.
pub(crate) async fn every_lane<S: Sink + ?Sized>(
    sink: &S,
    projection: ProjectionId,
    journal: &dyn Journal,
    position: Position,
) -> Result<bool, Problem> {
    let mut patience = Patience::new();
    let mut heads = None;
    loop {
        if heads.is_none() {
            let found = journal.lane_heads().await?;
            // The last of the lanes' heads is the journal's: before the position, it says nothing of what is to be waited for.
            let holds = position == NOW || found.0.iter().any(|head| *head >= position.seq);
            heads = holds.then_some(found);
        }
        if let Some(heads) = &heads {
            let Watermarks(marks) = sink.watermarks(projection).await?;
            if (0..usize::from(LANES)).all(|lane| marks[lane] >= position.seq.min(heads.0[lane])) {
                return Ok(true);
            }
        }
        if !patience.pause().await {
            return Ok(false);
        }
    }
}

/// A position past every event: fresh for it is fresh for all that the journal holds now.
pub(crate) const NOW: Position = Position { shard: u16::MAX, seq: u64::MAX };

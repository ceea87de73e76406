//! Reading one's own writes: waiting until a view has reached a position.
//!
//! A lane's watermark moves only when the lane has events, so a position that stands in another lane is never reached
//! literally. The view of a lane is fresh for a position when its watermark has reached the position or the lane's last
//! event, whichever comes first.

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
    let mut watermark = sink.watermark(projection, lane).await?;
    if watermark >= position.seq {
        return Ok(true);
    }
    let wanted = position.seq.min(journal.lane_head(lane).await?);
    let mut patience = Patience::new();
    while watermark < wanted {
        if !patience.pause().await {
            return Ok(false);
        }
        watermark = sink.watermark(projection, lane).await?;
    }
    Ok(true)
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
    let heads = journal.lane_heads().await?;
    let behind = |watermarks: &Watermarks| {
        (0..usize::from(LANES)).any(|lane| watermarks.0[lane] < position.seq.min(heads.0[lane]))
    };
    let mut patience = Patience::new();
    while behind(&sink.watermarks(projection).await?) {
        if !patience.pause().await {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A position past every event: fresh for it is fresh for all that the journal holds now.
pub(crate) const NOW: Position = Position { shard: u16::MAX, seq: u64::MAX };

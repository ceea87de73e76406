//! How far a view is behind the journal.

use cabildo_events::limits::LAG_COUNT_EVENTS_MAX;
use cabildo_events::{Lane, Position, Timestamp};
use futures::StreamExt;

use crate::{Journal, LaneHeads, ReadError, Watermarks};

/// What a view lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// Events of the journal past the watermark of their lane.
    pub events: u64,
    /// Whether there are more than were counted.
    pub at_least: bool,
    /// When the journal stored the oldest of them.
    pub oldest: Option<Timestamp>,
}

/// The part of the journal that holds what a view lacks: after the first position, up to and including the second; `None` if
/// it lacks nothing. The watermarks must have been read no later than the heads.
#[must_use]
pub fn lacking(watermarks: &Watermarks, heads: &LaneHeads) -> Option<(Position, Position)> {
    let behind = || Lane::all().filter(|lane| watermarks[*lane] < heads[*lane]);
    let lowest = behind().map(|lane| watermarks[lane]).min()?;
    let highest = behind().map(|lane| heads[lane]).max()?;
    Some((Position::at(lowest), Position::at(highest)))
}

/// Counts what a view lacks, event by event, up to [`LAG_COUNT_EVENTS_MAX`] events read.
///
/// # Errors
/// When the journal cannot be read.
pub async fn behind(journal: &dyn Journal, watermarks: &Watermarks, heads: &LaneHeads) -> Result<Behind, ReadError> {
    let mut behind = Behind::default();
    let Some((after, until)) = lacking(watermarks, heads) else { return Ok(behind) };
    let mut read = 0;
    let mut pages = journal.read(after, until).await?;
    while let Some(page) = pages.next().await {
        for event in page? {
            if read == LAG_COUNT_EVENTS_MAX {
                behind.at_least = true;
                return Ok(behind);
            }
            read += 1;
            if event.position.seq > watermarks[event.lane] {
                behind.events += 1;
                behind.oldest.get_or_insert(event.recorded);
            }
        }
    }
    Ok(behind)
}

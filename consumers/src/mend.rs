//! Making the rows of one aggregate anew, in a view that goes on being read and kept up.
//!
//! The aggregate's own events are folded from the first one, and the rows that come out replace those that are there, at the
//! watermark where the lane stands. Nothing else may change the lane meanwhile: a consumer that loaded rows before and
//! applies after would add to rows it never saw. So it is done while the lane has nothing to apply: the journal's last event
//! of the lane is the watermark, before and after. If an event came in between, the rows are looked at again; a pass that
//! finds nothing to change while the lane is quiet is the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cabildo_events::limits::{APPLY_BATCH_EVENTS_MAX, MEND_MS, PAGE_ROWS_MAX, RETRY_FIRST_MS};
use cabildo_events::{Aggregate, Lane, Position};
use cabildo_projections::{Projection, ProjectionId, Rows};
use cabildo_storage::{Applied, Journal, LaneBatch, ReadError, SinkError};
use futures::StreamExt;
use tokio::time::Instant;

use crate::lane::{ChangeOf, KeyOf, RowOf};
use crate::worker::SinkOf;

/// What was mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Events of the aggregate that were folded.
    pub events: u64,
    /// Rows that were not as they should have been.
    pub changed: u64,
}

/// Why an aggregate could not be mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MendError {
    /// It still cannot be folded. Nothing was changed.
    #[error("{position} still cannot be folded: {reason}")]
    Unfoldable {
        /// Which event.
        position: Position,
        /// Why.
        reason: String,
    },
    /// The projection's rows belong to more than one aggregate.
    #[error("the rows of {0} are not one aggregate's alone: rebuild it whole, with `cabildo replay {0} --promote`")]
    Shared(&'static str),
    /// Events kept coming.
    #[error(
        "lane {lane} was not quiet for {} s: pause the projection (`cabildo projections pause {projection}`) and try again",
        MEND_MS / 1_000
    )]
    Busy {
        /// Which lane.
        lane: Lane,
        /// Of which projection.
        projection: &'static str,
    },
    /// The journal did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The sink did not answer.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// The rows of an aggregate, by key.
type RowsOf<P> = BTreeMap<KeyOf<P>, RowOf<P>>;

/// Makes the rows of an aggregate anew. `paused`: the projection stands still by an operator's decision, so a lane that has
/// something to apply is quiet all the same.
pub(crate) async fn mend<P: Projection>(
    projection: &P,
    view: ProjectionId,
    journal: &dyn Journal,
    sink: &SinkOf<P>,
    aggregate: &Aggregate,
    discarded: &BTreeSet<Position>,
    paused: bool,
) -> Result<Mended, MendError>
where
    RowOf<P>: PartialEq,
{
    if !projection.rows_are_of_one_aggregate() {
        return Err(MendError::Shared(view.name));
    }
    let lane = aggregate.lane();
    let until = Instant::now() + Duration::from_millis(MEND_MS);
    let mut mended = Mended::default();
    loop {
        let stands = sink.watermark(view, lane).await?;
        let quiet = paused || journal.lane_head(lane).await? == stands;
        if quiet {
            let (events, wanted) = fold(projection, journal, aggregate, discarded, stands).await?;
            let found = rows_of(projection, view, sink, aggregate).await?;
            let changes = changes::<P>(found, wanted);
            mended.events = events;
            let clean = changes.is_empty();
            let changed = changes.len() as u64;
            if apply::<P>(view, lane, stands, sink, changes).await? {
                mended.changed += changed;
                let still = sink.watermark(view, lane).await? == stands;
                if still && (paused || clean || journal.lane_head(lane).await? == stands) {
                    return Ok(mended);
                }
            }
        }
        if Instant::now() >= until {
            return Err(MendError::Busy { lane, projection: view.name });
        }
        tokio::time::sleep(Duration::from_millis(RETRY_FIRST_MS)).await;
    }
}

/// The rows as the aggregate's events make them, up to a sequence.
async fn fold<P: Projection>(
    projection: &P,
    journal: &dyn Journal,
    aggregate: &Aggregate,
    discarded: &BTreeSet<Position>,
    until: u64,
) -> Result<(u64, RowsOf<P>), MendError> {
    let mut rows = P::Rows::default();
    let mut events = 0;
    let mut pages = journal.of(aggregate, Position::START, Position::at(until)).await?;
    while let Some(page) = pages.next().await {
        for event in page? {
            let position = event.position;
            if discarded.contains(&position) {
                continue;
            }
            let unfoldable =
                |reason: cabildo_projections::Unfoldable| MendError::Unfoldable { position, reason: reason.0 };
            if let Some(step) = projection.step(&event).map_err(unfoldable)? {
                rows.begin(position);
                projection.fold(step, &mut rows).map_err(unfoldable)?;
            }
            events += 1;
        }
    }
    Ok((events, rows.into_rows().into_iter().collect()))
}

/// The rows as the view has them.
async fn rows_of<P: Projection>(
    projection: &P,
    view: ProjectionId,
    sink: &SinkOf<P>,
    aggregate: &Aggregate,
) -> Result<RowsOf<P>, MendError> {
    let mut found = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = sink.rows(view, aggregate.lane(), projection.tables(), cursor, PAGE_ROWS_MAX).await?;
        found.extend(page.rows.into_iter().filter(|(key, row)| projection.is_of(aggregate, key, row)));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// What leads from the rows that are there to those that should be.
fn changes<P: Projection>(mut found: RowsOf<P>, wanted: RowsOf<P>) -> Vec<ChangeOf<P>>
where
    RowOf<P>: PartialEq,
{
    let mut changes = Vec::new();
    for (key, row) in wanted {
        let there = found.remove(&key);
        if there.as_ref() != Some(&row) {
            changes.push(P::Rows::write(key, row, there.as_ref()));
        }
    }
    changes.extend(found.into_iter().map(|(key, row)| P::Rows::remove(key, &row)));
    changes
}

/// Writes changes at a watermark that stays; `false` when it did not stay.
async fn apply<P: Projection>(
    view: ProjectionId,
    lane: Lane,
    stands: u64,
    sink: &SinkOf<P>,
    changes: Vec<ChangeOf<P>>,
) -> Result<bool, MendError> {
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        let changes = changes.by_ref().take(APPLY_BATCH_EVENTS_MAX).collect();
        let batch = LaneBatch { projection: view, lane, prev: stands, next: stands, changes };
        if sink.apply(batch).await? != Applied::Done {
            return Ok(false);
        }
    }
    Ok(true)
}

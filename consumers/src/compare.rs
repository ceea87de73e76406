//! Two views of one projection, compared lane by lane at the same watermark, while both may be moving.
//!
//! First every row of either view is looked at once, whatever moment it is of: most are the same. The few that are not may
//! just be newer on one side. They are loaded again, from the view that is [found](Sides::found) first; the
//! [expected](Sides::expected) one is brought to the watermark at which they were found, and what differs then differs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo_events::limits::{COMPARE_PAGE_ROWS, COMPARE_SETTLE_MS, RETRY_FIRST_MS};
use cabildo_events::{Lane, Position};
use cabildo_projections::{Cell, Document, DocumentKey, ProjectionId};
use cabildo_storage::{ReadError, Sink, SinkError};

/// What comparing has to know of a row's name.
pub trait RowKey: Clone + Ord + Send + Sync {
    /// For people: the table or collection, and the row in it.
    fn shown(&self) -> (&'static str, String);
}

impl RowKey for Cell {
    fn shown(&self) -> (&'static str, String) {
        (self.table, format!("{} {}", self.key, self.field))
    }
}

impl RowKey for DocumentKey {
    fn shown(&self) -> (&'static str, String) {
        (self.collection, self.id.to_string())
    }
}

/// What comparing has to know of a row.
pub trait Row: PartialEq + Send + Sync {
    /// The event that it was folded to, if it tells: it may be ahead of its view's watermark.
    fn folded(&self) -> Option<Position>;
    /// For people.
    fn shown(&self) -> String;
}

impl Row for Box<str> {
    fn folded(&self) -> Option<Position> {
        None
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Row for Document {
    fn folded(&self) -> Option<Position> {
        Some(self.folded)
    }

    fn shown(&self) -> String {
        let Self { created, folded, lane, aggregate, kind, actor, time, text, body, .. } = self;
        let actor = actor.as_deref().unwrap_or("nobody");
        format!(
            "{body} (made at {created}, folded to {folded}, lane {lane}, {aggregate}, {kind}, by {actor}, at {time}, text {text:?})"
        )
    }
}

/// Why two views could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The two never stood at the same watermark for long enough.
    #[error(
        "lane {lane} of the two views did not come to the same position within {} s: one stands at {expected}, the other at {found}; is a consumer keeping both up?",
        COMPARE_SETTLE_MS / 1_000
    )]
    Apart {
        /// Which lane.
        lane: Lane,
        /// Where the view stands that is taken to be right.
        expected: u64,
        /// Where the other one stands.
        found: u64,
    },
    /// Somebody else writes to the view that was folded for the comparison.
    #[error("the scratch view is in use by somebody else: it stands at {0}")]
    InUse(u64),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

/// A row that is not the same in both views at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<K, R> {
    /// Its lane.
    pub lane: Lane,
    /// The watermark of both.
    pub position: Position,
    /// Its name.
    pub key: K,
    /// As it should be; `None`: it should not be there.
    pub expected: Option<R>,
    /// As it is; `None`: it is not there.
    pub found: Option<R>,
}

/// Brings the view that is expected to a watermark at which rows of the other were found.
#[async_trait]
pub trait Reach: Send {
    /// Brings a lane there; one that stands there or further is left as it is.
    async fn reach(&mut self, lane: Lane, watermark: u64) -> Result<(), CompareError>;

    /// Called for so many rows that were looked at: to count them, or to slow down.
    async fn looked_at(&mut self, rows: usize) -> Result<(), CompareError>;
}

/// For two views that consumers keep up: both come to the same watermark by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    /// Rows looked at so far.
    pub rows: u64,
}

#[async_trait]
impl Reach for Waiting {
    async fn reach(&mut self, _lane: Lane, _watermark: u64) -> Result<(), CompareError> {
        Ok(())
    }

    async fn looked_at(&mut self, rows: usize) -> Result<(), CompareError> {
        self.rows += rows as u64;
        Ok(())
    }
}

/// The two views, each in its sink, and the tables that their rows are in.
#[derive(Debug)]
pub struct Sides<'a, S: ?Sized> {
    /// What is taken to be right.
    pub expected: (&'a S, ProjectionId),
    /// What is compared with it.
    pub found: (&'a S, ProjectionId),
    /// [`Projection::tables`](cabildo_projections::Projection::tables).
    pub tables: &'static [&'static str],
}

/// Compares one lane of two views; differences are handed out as they are found, each row once. Memory is bounded by a page of
/// rows.
///
/// # Errors
/// See [`CompareError`]; what was handed out until then holds.
pub async fn compare_lane<S>(
    sides: &Sides<'_, S>,
    lane: Lane,
    reach: &mut dyn Reach,
    report: &mut (dyn FnMut(Difference<S::Key, S::Row>) + Send),
) -> Result<(), CompareError>
where
    S: Sink<Key: RowKey, Row: Row> + ?Sized,
{
    let (expected, expected_view) = sides.expected;
    let (found, found_view) = sides.found;
    // What is there: is it as it should be?
    let mut after = None;
    loop {
        let page = found.rows(found_view, lane, sides.tables, after, COMPARE_PAGE_ROWS).await?;
        reach.looked_at(page.rows.len()).await?;
        // On some adapters a row may be on two pages, and on one page twice.
        let rows: BTreeMap<S::Key, S::Row> = page.rows.into_iter().collect();
        let right = expected.load(expected_view, lane, rows.keys().cloned().collect()).await?;
        let doubtful = right.rows.into_iter().filter(|(key, right)| rows.get(key) != right.as_ref());
        let doubtful: Vec<S::Key> = doubtful.map(|(key, _)| key).collect();
        settle(sides, lane, doubtful, reach).await?.into_iter().for_each(&mut *report);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // What should be there: is it missing?
    let mut after = None;
    loop {
        let page = expected.rows(expected_view, lane, sides.tables, after, COMPARE_PAGE_ROWS).await?;
        reach.looked_at(page.rows.len()).await?;
        let keys = page.rows.into_iter().map(|(key, _)| key).collect();
        let there = found.load(found_view, lane, keys).await?;
        let missing = there.rows.into_iter().filter(|(_, row)| row.is_none()).map(|(key, _)| key).collect();
        let missing = settle(sides, lane, missing, reach).await?;
        // One that is there after all, and wrong, came between the two looks.
        missing.into_iter().for_each(&mut *report);
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Which of these rows differ at one watermark.
async fn settle<S>(
    sides: &Sides<'_, S>,
    lane: Lane,
    mut keys: Vec<S::Key>,
    reach: &mut dyn Reach,
) -> Result<Vec<Difference<S::Key, S::Row>>, CompareError>
where
    S: Sink<Key: RowKey, Row: Row> + ?Sized,
{
    let deadline = Instant::now() + Duration::from_millis(COMPARE_SETTLE_MS);
    keys.sort_unstable();
    keys.dedup();
    while !keys.is_empty() {
        let found = sides.found.0.load(sides.found.1, lane, keys.clone()).await?;
        reach.reach(lane, found.watermark).await?;
        let expected = sides.expected.0.load(sides.expected.1, lane, keys).await?;
        let together = expected.watermark == found.watermark;
        let position = Position::at(found.watermark);
        let mut rows: BTreeMap<S::Key, Option<S::Row>> = found.rows.into_iter().collect();
        let mut differences = Vec::new();
        for (key, expected) in expected.rows {
            let found = rows.remove(&key).flatten();
            if expected != found {
                differences.push(Difference { lane, position, key, expected, found });
            }
        }
        // A document may be ahead of its view's watermark: a batch is being written.
        let ahead = |row: &Option<S::Row>| row.as_ref().and_then(Row::folded).is_some_and(|folded| folded > position);
        let settled = differences.iter().all(|one| !ahead(&one.expected) && !ahead(&one.found));
        if together && settled {
            return Ok(differences);
        }
        if Instant::now() > deadline {
            return match together {
                true => Ok(differences),
                false => Err(CompareError::Apart { lane, expected: expected.watermark, found: found.watermark }),
            };
        }
        keys = differences.into_iter().map(|one| one.key).collect();
        tokio::time::sleep(Duration::from_millis(RETRY_FIRST_MS)).await;
    }
    Ok(Vec::new())
}

//! Ports that are measured: what the hot calls cost, and which fail. A call is measured once, here, whoever makes it; it
//! carries a batch, so that measuring costs nothing by event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo_events::limits::{PROBE_MS, READY_CHECK_MS};
use cabildo_events::{Aggregate, EventId, Lane, Position, Recorded, Timestamp};
use cabildo_projections::{Cell, CellChange, Document, DocumentChange, DocumentKey, ProjectionId, record, tally};
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

use crate::metrics::{Calls, Metrics, Sink as Kind};
use crate::{
    Append, AppendError, Appended, Applied, Counters, Cursor, Documents, Durability, Found, Hashes, Journal, LaneBatch,
    LaneHeads, Loaded, Matches, Page, Pages, Parked, Query, ReadError, RowPage, Shown, Sink, SinkError, Watermarks,
    trace,
};

/// Measures the appends to a journal.
#[must_use]
pub fn measured_journal(journal: Arc<dyn Journal>, metrics: &Metrics) -> Arc<dyn Journal> {
    Arc::new(MeasuredJournal { journal, append: metrics.call(Kind::Journal, "append") })
}

/// Measures the calls to counters.
#[must_use]
pub fn measured_counters(counters: Arc<dyn Counters>, metrics: &Metrics) -> Arc<dyn Counters> {
    Arc::new(Measured::new(counters, Kind::Counters, "hashes", metrics))
}

/// Measures the calls to documents.
#[must_use]
pub fn measured_documents(documents: Arc<dyn Documents>, metrics: &Metrics) -> Arc<dyn Documents> {
    Arc::new(Measured::new(documents, Kind::Documents, "find", metrics))
}

async fn measure<T, E>(calls: &Calls, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let began = Instant::now();
    let span = trace::call(calls.sink, calls.call);
    let outcome = call.instrument(span.clone()).await;
    calls.took(began.elapsed(), outcome.is_err());
    if outcome.is_err() {
        trace::failed(&span);
    }
    outcome
}

struct MeasuredJournal {
    journal: Arc<dyn Journal>,
    append: Calls,
}

#[async_trait]
impl Journal for MeasuredJournal {
    fn durability(&self) -> Durability {
        self.journal.durability()
    }
    fn writes_at_once(&self) -> usize {
        self.journal.writes_at_once()
    }
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let began = Instant::now();
        let answers = self.journal.append(batch).await;
        // What breaks a rule is no failure of the journal.
        let is_failure = |error: &AppendError| matches!(error, AppendError::Unavailable(_) | AppendError::DiskFull);
        let failed = answers.iter().any(|answer| answer.as_ref().is_err_and(is_failure));
        self.append.took(began.elapsed(), failed);
        answers
    }
    async fn head(&self) -> Result<Position, ReadError> {
        self.journal.head().await
    }
    async fn lane_head(&self, lane: Lane) -> Result<u64, ReadError> {
        self.journal.lane_head(lane).await
    }
    async fn lane_heads(&self) -> Result<LaneHeads, ReadError> {
        self.journal.lane_heads().await
    }
    async fn get(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        self.journal.get(position).await
    }
    async fn find(&self, id: EventId) -> Result<Option<Recorded>, ReadError> {
        self.journal.find(id).await
    }
    async fn read(&self, after: Position, until: Position) -> Result<Pages, ReadError> {
        self.journal.read(after, until).await
    }
    async fn follow(&self, after: Position) -> Result<Pages, ReadError> {
        self.journal.follow(after).await
    }
    async fn ruled(&self, aggregate: &Aggregate) -> Result<Page, ReadError> {
        self.journal.ruled(aggregate).await
    }
    async fn of(&self, aggregate: &Aggregate, after: Position, until: Position) -> Result<Pages, ReadError> {
        self.journal.of(aggregate, after, until).await
    }
    async fn park(&self, parked: Vec<Parked>) -> Result<(), ReadError> {
        self.journal.park(parked).await
    }
    async fn parked(&self, projection: &str, version: u32) -> Result<Vec<Parked>, ReadError> {
        self.journal.parked(projection, version).await
    }
    async fn unpark(&self, projection: &str, version: u32, positions: &[Position]) -> Result<(), ReadError> {
        self.journal.unpark(projection, version, positions).await
    }
    async fn clock(&self) -> Result<Option<Timestamp>, ReadError> {
        self.journal.clock().await
    }
    async fn describe(&self) -> Result<Vec<(String, String)>, ReadError> {
        self.journal.describe().await
    }
}

struct Measured<S: ?Sized> {
    sink: Arc<S>,
    load: Calls,
    apply: Calls,
    /// What only this port has: `hashes` or `find`.
    read: Calls,
}

impl<S: ?Sized> Measured<S> {
    fn new(sink: Arc<S>, kind: Kind, read: &'static str, metrics: &Metrics) -> Self {
        let call = |call| metrics.call(kind, call);
        Self { sink, load: call("load"), apply: call("apply"), read: call(read) }
    }
}

macro_rules! measured_sink {
    ($port:ident, $key:ty, $row:ty, $change:ty) => {
        #[async_trait]
        impl Sink for Measured<dyn $port> {
            type Key = $key;
            type Row = $row;
            type Change = $change;

            async fn watermarks(&self, projection: ProjectionId) -> Result<Watermarks, SinkError> {
                self.sink.watermarks(projection).await
            }
            async fn watermark(&self, projection: ProjectionId, lane: Lane) -> Result<u64, SinkError> {
                self.sink.watermark(projection, lane).await
            }
            async fn load(
                &self,
                projection: ProjectionId,
                lane: Lane,
                keys: Vec<$key>,
            ) -> Result<Loaded<$key, $row>, SinkError> {
                measure(&self.load, self.sink.load(projection, lane, keys)).await
            }
            async fn apply(&self, batch: LaneBatch<$change>) -> Result<Applied, SinkError> {
                measure(&self.apply, self.sink.apply(batch)).await
            }
            async fn rows(
                &self,
                projection: ProjectionId,
                lane: Lane,
                tables: &'static [&'static str],
                after: Option<Cursor>,
                limit: usize,
            ) -> Result<RowPage<$key, $row>, SinkError> {
                self.sink.rows(projection, lane, tables, after, limit).await
            }
            async fn versions(&self, projection: &str) -> Result<Vec<u32>, SinkError> {
                self.sink.versions(projection).await
            }
            async fn drop_view(&self, projection: ProjectionId) -> Result<(), SinkError> {
                self.sink.drop_view(projection).await
            }
            async fn describe(&self) -> Result<Vec<(String, String)>, SinkError> {
                self.sink.describe().await
            }
        }
    };
}

measured_sink!(Counters, Cell, Box<str>, CellChange);
measured_sink!(Documents, DocumentKey, Document, DocumentChange);

#[async_trait]
impl Counters for Measured<dyn Counters> {
    async fn hashes(
        &self,
        projection: ProjectionId,
        lane: Lane,
        wanted: &[(&'static str, &str)],
    ) -> Result<Hashes, SinkError> {
        measure(&self.read, self.sink.hashes(projection, lane, wanted)).await
    }
    async fn across_lanes(
        &self,
        projection: ProjectionId,
        table: &'static str,
        key: &str,
    ) -> Result<Vec<BTreeMap<String, String>>, SinkError> {
        measure(&self.read, self.sink.across_lanes(projection, table, key)).await
    }
    async fn show(
        &self,
        name: &'static str,
        watermark: u64,
        fields: &BTreeMap<String, String>,
    ) -> Result<Shown, SinkError> {
        self.sink.show(name, watermark, fields).await
    }
}

#[async_trait]
impl Documents for Measured<dyn Documents> {
    async fn find(&self, query: &Query) -> Result<Found, SinkError> {
        measure(&self.read, self.sink.find(query)).await
    }
    async fn positions(&self, query: &Query) -> Result<Matches, SinkError> {
        measure(&self.read, self.sink.positions(query)).await
    }
}

/// Asks all three ports every [`PROBE_MS`] whether they answer, and the journal for its clock. Never ends.
pub async fn probe(
    journal: Arc<dyn Journal>,
    counters: Arc<dyn Counters>,
    documents: Arc<dyn Documents>,
    metrics: Metrics,
) {
    let mut every = tokio::time::interval(Duration::from_millis(PROBE_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let patience = Duration::from_millis(READY_CHECK_MS);
        let asked = Timestamp::from(jiff::Timestamp::now());
        let clock = async {
            let clock = tokio::time::timeout(patience, journal.clock()).await;
            (clock, Timestamp::from(jiff::Timestamp::now()))
        };
        let (head, (clock, answered), counters, documents) = tokio::join!(
            tokio::time::timeout(patience, journal.head()),
            clock,
            tokio::time::timeout(patience, counters.watermark(tally::ID, Lane::FIRST)),
            tokio::time::timeout(patience, documents.watermark(record::ID, Lane::FIRST)),
        );
        metrics.up(Kind::Journal, matches!(head, Ok(Ok(_))));
        metrics.up(Kind::Counters, matches!(counters, Ok(Ok(_))));
        metrics.up(Kind::Documents, matches!(documents, Ok(Ok(_))));
        match clock {
            Ok(Ok(Some(theirs))) => metrics.clock_offset(Kind::Journal, offset_seconds(theirs, asked, answered)),
            // The journal goes by this process's own clock.
            Ok(Ok(None)) => metrics.clock_offset(Kind::Journal, 0.0),
            _ => {}
        }
    }
}

/// How far another's clock is ahead, which was read some time between a question and its answer: the middle is the best guess.
fn offset_seconds(theirs: Timestamp, asked: Timestamp, answered: Timestamp) -> f64 {
    let middle_us = asked.micros() + (answered.micros() - asked.micros()) / 2;
    #[expect(clippy::cast_precision_loss, reason = "seconds to the microsecond for the next two centuries")]
    let offset_us = (theirs.micros() - middle_us) as f64;
    offset_us / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_question() {
        let at = Timestamp::from_micros;
        assert_eq!(offset_seconds(at(5_000_000), at(1_000_000), at(3_000_000)), 3.0);
        assert_eq!(offset_seconds(at(1_500_000), at(1_000_000), at(3_000_000)), -0.5);
    }
}

//! What the suites of both sinks share.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo_events::{Aggregate, Envelope, Event, EventId, Lane, Position, Recorded, Timestamp};
use cabildo_projections::{Projection, ProjectionId, Rows};

use crate::{Applied, LaneBatch, Sink, SinkError};

/// How long any one answer may take before a case fails. Generous: the machine may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait between two looks at a sink that is coming back.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A place for one sink, empty at first. `S` is `dyn Counters` or `dyn Documents`.
#[async_trait]
pub trait SinkFixture<S: ?Sized>: Send + Sync {
    /// Opens the sink.
    async fn open(&self) -> Arc<S>;

    /// Closes the sink, stops and starts what it runs on, and opens it again.
    async fn restart(&self, sink: Arc<S>) -> Arc<S>;

    /// Ends what the sink runs on as a crash would, under the open sink, and starts it again. False if the sink runs on
    /// nothing but this process.
    async fn crash(&self) -> bool;

    /// Takes everything out of the sink, as `FLUSHALL` or a dropped database would, and opens it again if it has to.
    async fn empty(&self, sink: Arc<S>) -> Arc<S>;

    /// Removes the watermarks of a projection but not its rows. False if they cannot come apart.
    async fn forget_watermarks(&self, projection: ProjectionId) -> bool;
}

/// A projection of this name that no other case uses.
pub(super) fn fresh(name: &'static str) -> ProjectionId {
    static VERSION: AtomicU32 = AtomicU32::new(1_000);
    ProjectionId { name, version: VERSION.fetch_add(1, Ordering::Relaxed) }
}

pub(super) fn lane(number: u8) -> Lane {
    Lane::new(number).unwrap()
}

/// Asks again until the sink is there again.
pub(super) async fn answered<T>(ask: impl AsyncFn() -> Result<T, SinkError>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if Instant::now() > deadline => panic!("the sink does not come back: {error}"),
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Numbers that look random and are the same at every run (SplitMix64, Steele, Lea and Flood 2014).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number under `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^= number >> 31;
        usize::try_from(number % u64::try_from(sides).unwrap()).unwrap()
    }
}

/// The event `seq` of an aggregate, a second after the one before.
pub(super) fn recorded(seq: u64, aggregate: &Aggregate, event: &Event) -> Recorded {
    let time = Timestamp::from_micros(1_795_255_200_000_000 + i64::try_from(seq).unwrap() * 1_000_001);
    let id = EventId(uuid::Uuid::from_u128(u128::from(seq)));
    let envelope = Envelope::new(id, aggregate.clone(), time, event);
    Recorded { position: Position::at(seq), lane: aggregate.lane(), recorded: time, envelope: Ok(envelope) }
}

/// One try to bring a lane up to an event, as a worker does it: load, fold what is after the watermark, apply.
pub(super) async fn fold_up_to<P, S>(
    sink: &S,
    projection: &P,
    id: ProjectionId,
    on: Lane,
    events: &[Recorded],
    until: u64,
) -> Result<Applied, SinkError>
where
    P: Projection,
    S: Sink<Key = KeyOf<P>, Row = <P::Rows as Rows>::Row, Change = <P::Rows as Rows>::Change> + ?Sized,
{
    match planned(sink, projection, id, on, events, until).await? {
        Some(batch) => sink.apply(batch).await,
        None => Ok(Applied::Done),
    }
}

pub(super) type KeyOf<P> = <<P as Projection>::Rows as Rows>::Key;

/// The batch that brings a lane up to an event; none if it is there.
pub(super) async fn planned<P, S>(
    sink: &S,
    projection: &P,
    id: ProjectionId,
    on: Lane,
    events: &[Recorded],
    until: u64,
) -> Result<Option<LaneBatch<S::Change>>, SinkError>
where
    P: Projection,
    S: Sink<Key = KeyOf<P>, Row = <P::Rows as Rows>::Row, Change = <P::Rows as Rows>::Change> + ?Sized,
{
    let prev = sink.watermark(id, on).await?;
    let events = events.iter().filter(|event| (prev + 1..=until).contains(&event.position.seq));
    let mut keys = Vec::new();
    let steps: Vec<_> = events
        .filter_map(|event| Some((event.position, projection.step(event).unwrap()?)))
        .inspect(|(_, step)| projection.reads(step, &mut keys))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let loaded = sink.load(id, on, keys).await?;
    if loaded.watermark != prev || prev >= until {
        return Ok(None);
    }
    let mut rows = P::Rows::default();
    loaded.rows.into_iter().for_each(|(key, row)| rows.load(key, row));
    for (position, step) in steps {
        rows.begin(position);
        projection.fold(step, &mut rows).unwrap();
    }
    Ok(Some(LaneBatch { projection: id, lane: on, prev, next: until, changes: rows.into_changes() }))
}

/// Brings a lane up to its last event in batches of random size, whatever comes in between.
pub(super) async fn fold_in_cuts<P, S>(
    sink: &S,
    projection: &P,
    id: ProjectionId,
    on: Lane,
    events: &[Recorded],
    dice: &mut Dice,
) where
    P: Projection,
    S: Sink<Key = KeyOf<P>, Row = <P::Rows as Rows>::Row, Change = <P::Rows as Rows>::Change> + ?Sized,
{
    let deadline = Instant::now() + PATIENCE;
    let last = events.last().unwrap().position.seq;
    loop {
        let stands = sink.watermark(id, on).await.unwrap();
        if stands >= last {
            return;
        }
        assert!(Instant::now() < deadline, "the lane stays at {stands} of {last}");
        let until = (stands + 1 + u64::try_from(dice.roll(40)).unwrap()).min(last);
        fold_up_to(sink, projection, id, on, events, until).await.unwrap();
    }
}

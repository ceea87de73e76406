//! The port to the events.

use async_trait::async_trait;
use cabildo_events::limits::APPEND_WRITES_IN_FLIGHT_MAX;
use cabildo_events::{Aggregate, Envelope, EventId, LANES, Lane, Position, Recorded, Timestamp};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// What an append expects of its aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the event is free.
    Nothing,
    /// That the aggregate's last ruled event has this sequence; 0: that it has none.
    Last(u64),
}

/// An event for the journal.
#[derive(Clone, Debug)]
pub struct Append {
    /// The event.
    pub envelope: Envelope,
    /// What must hold for it to be written. Ruled events carry [`Expect::Last`], free ones [`Expect::Nothing`]; so do ruled
    /// ones that are copied from another journal, where they were ruled.
    pub expect: Expect,
}

/// What an acknowledgement is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The server has it; a power cut may lose the last moments.
    Accepted,
    /// A majority of servers has it.
    Replicated,
    /// It is on disk: flushed before the answer.
    Fsync,
}

impl Durability {
    /// Its word in answers: `fsync`, `replicated` or `accepted`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Replicated => "replicated",
            Self::Fsync => "fsync",
        }
    }
}

/// An acknowledged append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the event stands.
    pub position: Position,
    /// Whether the journal had an event with this id already; then the position is that one's.
    pub repeated: bool,
}

/// Why an append was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The aggregate has another last event than expected: load it and decide again. Nothing was written.
    #[error("the aggregate has changed since it was read")]
    Conflict,
    /// Past [`EVENT_DATA_BYTES_MAX`](cabildo_events::limits::EVENT_DATA_BYTES_MAX). Nothing was written.
    #[error("the event is too large: {bytes} bytes of data, at most {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Too much is waiting already. Nothing was written; try again later.
    #[error("the journal cannot keep up: {waiting} events are waiting")]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// There is no room on the disk. Nothing was written.
    #[error("the journal's disk is full: free some space, writing goes on by itself")]
    DiskFull,
    /// The journal did not answer, or said no for a reason of its own. The event may have been written; the same id
    /// again is safe.
    #[error("the journal is not available: {0}")]
    Unavailable(String),
    /// The process is going down. Nothing was written.
    #[error("shutting down")]
    Stopping,
}

impl AppendError {
    /// Whether the same append may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Conflict | Self::TooLarge { .. })
    }

    /// Whether the event may be on the journal all the same.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Why a read failed. All of it may succeed later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The journal did not answer, or said no for a reason of its own.
    #[error("the journal is not available: {0}")]
    Unavailable(String),
}

/// The sequence of the last event of each lane; 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneHeads(pub [u64; LANES as usize]);

impl std::ops::Index<Lane> for LaneHeads {
    type Output = u64;
    fn index(&self, lane: Lane) -> &u64 {
        &self.0[lane.index()]
    }
}

/// Some events in journal order, never empty.
pub type Page = Vec<Recorded>;
/// Events in journal order. After an error the stream ends.
pub type Pages = BoxStream<'static, Result<Page, ReadError>>;

/// An event that a projection cannot fold, set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Name of the projection.
    pub projection: String,
    /// Its version.
    pub version: u32,
    /// Where the event stands.
    pub position: Position,
    /// The event's aggregate, if it can be told: its later events are parked too.
    pub aggregate: Option<Aggregate>,
    /// Why it cannot be folded.
    pub reason: String,
    /// When it was parked.
    pub parked: Timestamp,
}

/// The append-only log of events.
///
/// *Order.* Sequences start at 1 and grow. An event that was acknowledged before another was submitted stands before it.
/// Readers see events in order, each once, and none that was not durable at the level of [`durability`](Self::durability)
/// before it was acknowledged. Within a batch, events without an expectation keep the order of the batch.
///
/// *Idempotency.* The same id twice is one event: for ever in the embedded journal, within the broker's duplicate window on
/// JetStream. The second append answers with the first one's position and `repeated`.
///
/// *Conflicts.* An event with [`Expect::Last`] is written only if the aggregate's last ruled event has that sequence.
/// Events of a batch succeed or fail one by one: a conflict does not hold back its neighbours.
///
/// *Bounds.* Batches hold at most [`APPEND_BATCH_EVENTS_MAX`](cabildo_events::limits::APPEND_BATCH_EVENTS_MAX) events.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// What its acknowledgements are worth.
    fn durability(&self) -> Durability;

    /// How many batches under way at once serve it best. One makes the largest batches: right where a batch costs the
    /// same however large it is.
    fn writes_at_once(&self) -> usize {
        APPEND_WRITES_IN_FLIGHT_MAX
    }

    /// Appends a batch; the answers are in the order of the batch, as many as events.
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>>;

    /// The position of the last event; [`Position::START`] if there is none.
    async fn head(&self) -> Result<Position, ReadError>;

    /// The last sequence of one lane, at least as new as every append acknowledged before the call.
    async fn lane_head(&self, lane: Lane) -> Result<u64, ReadError>;

    /// The last sequence of each lane.
    async fn lane_heads(&self) -> Result<LaneHeads, ReadError>;

    /// The event at a position, if there is one.
    async fn get(&self, position: Position) -> Result<Option<Recorded>, ReadError>;

    /// The event with an id, if the journal still knows it by its id (the embedded one always does; JetStream
    /// does not: it answers `None`).
    async fn find(&self, id: EventId) -> Result<Option<Recorded>, ReadError>;

    /// The events after a position up to and including another, then the stream ends.
    async fn read(&self, after: Position, until: Position) -> Result<Pages, ReadError>;

    /// The events after a position, and then those to come. It ends only after an error; the caller follows again from the
    /// last position it got.
    async fn follow(&self, after: Position) -> Result<Pages, ReadError>;

    /// The ruled events of an aggregate, in order, at least as new as every append acknowledged before the call.
    async fn ruled(&self, aggregate: &Aggregate) -> Result<Page, ReadError>;

    /// Every event of an aggregate, ruled and free, after a position up to and including another, in order; then the stream
    /// ends. What comes after the head is not waited for. What it costs grows with the events of the aggregate's lane in that
    /// range (embedded), or of the aggregate (JetStream), not with the journal.
    async fn of(&self, aggregate: &Aggregate, after: Position, until: Position) -> Result<Pages, ReadError>;

    /// Sets events aside. The same event of the same projection and version again is the first.
    async fn park(&self, parked: Vec<Parked>) -> Result<(), ReadError>;

    /// What is set aside of a projection and version, in order.
    async fn parked(&self, projection: &str, version: u32) -> Result<Vec<Parked>, ReadError>;

    /// Takes events back from where they were set aside; those that are not there are passed over. They may be parked anew.
    async fn unpark(&self, projection: &str, version: u32, positions: &[Position]) -> Result<(), ReadError>;

    /// What it is and where, for `cabildo doctor`: names and values, for example the server's version.
    async fn describe(&self) -> Result<Vec<(String, String)>, ReadError>;
}

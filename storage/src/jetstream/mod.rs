//! The journal on NATS JetStream.
//!
//! Events live in one stream, a subject per aggregate (`ev.{lane}.{context}.{id}` for ruled events, with `.free` for
//! the others). What must be as new as the last acknowledgement is asked of the stream's leader, never by direct get,
//! which a follower may answer.

mod address;
mod append;
mod convert;
mod follow;
mod link;
mod lookup;
mod open;
mod parked;
mod pull;
mod read;

use std::sync::Arc;

use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use cabildo_events::limits::APPEND_WRITES_IN_FLIGHT_MAX;
use cabildo_events::{Aggregate, EventId, Lane, Position, Recorded};
use link::Link;
use tokio::sync::Semaphore;

use crate::{Append, AppendError, Appended, Durability, Journal, LaneHeads, OpenError, Page, Pages, Parked, ReadError};

/// Connects to a NATS server, `nats://[user:password@|token@]host:port[,host2:port]?stream=CABILDO&replicas=1&sync=always`,
/// and makes the streams if they are not there.
///
/// `sync=always` is the operator's word that the server runs with `sync_interval: always`.
pub(crate) async fn connect(url: &str) -> Result<Arc<dyn Journal>, OpenError> {
    let address = address::Address::parse(url)?;
    Ok(Arc::new(open::open(address).await?))
}

/// The open journal. Appends and reads have a connection each, so that a replay does not hold up acknowledgements.
struct JetStream {
    writes: Link,
    reads: Link,
    /// The events, by way of `writes`.
    stream: Stream<()>,
    /// Name of the stream of events.
    name: String,
    /// Name of the stream of parked events.
    parked: String,
    durability: Durability,
    /// Bounds the writes under way.
    writing: Semaphore,
}

impl JetStream {
    fn new(writes: Link, reads: Link, address: &address::Address, durability: Durability, stream: Stream<()>) -> Self {
        Self {
            writes,
            reads,
            stream,
            name: address.stream.clone(),
            parked: address.parked_stream(),
            durability,
            writing: Semaphore::new(APPEND_WRITES_IN_FLIGHT_MAX),
        }
    }
}

#[async_trait]
impl Journal for JetStream {
    fn durability(&self) -> Durability {
        self.durability
    }

    fn writes_at_once(&self) -> usize {
        // An atomic batch waits for two flushes, whatever is in it, and the server takes one after the other.
        if append::batches_from(self.durability).is_some() { 1 } else { APPEND_WRITES_IN_FLIGHT_MAX }
    }

    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        append::append(self, batch).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        lookup::head(&self.stream).await.map(Position::at)
    }

    async fn lane_head(&self, lane: Lane) -> Result<u64, ReadError> {
        lookup::lane_head(&self.stream, lane).await
    }

    async fn lane_heads(&self) -> Result<LaneHeads, ReadError> {
        lookup::lane_heads(&self.stream).await
    }

    async fn get(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        lookup::get(&self.stream, position).await
    }

    async fn find(&self, _id: EventId) -> Result<Option<Recorded>, ReadError> {
        // The server knows ids for the length of the duplicate window only, and says so only to who publishes.
        Ok(None)
    }

    async fn read(&self, after: Position, until: Position) -> Result<Pages, ReadError> {
        read::read(self.reads.clone(), self.name.clone(), after, until).await
    }

    async fn of(&self, aggregate: &Aggregate, after: Position, until: Position) -> Result<Pages, ReadError> {
        read::of(self, aggregate, after, until).await
    }

    async fn follow(&self, after: Position) -> Result<Pages, ReadError> {
        follow::follow(self.reads.clone(), self.name.clone(), after).await
    }

    async fn ruled(&self, aggregate: &Aggregate) -> Result<Page, ReadError> {
        lookup::ruled_after(self, &aggregate.ruled_subject(), 0).await
    }

    async fn park(&self, parked: Vec<Parked>) -> Result<(), ReadError> {
        parked::park(self, parked).await
    }

    async fn parked(&self, projection: &str, version: u32) -> Result<Vec<Parked>, ReadError> {
        parked::parked(self, projection, version).await
    }

    async fn unpark(&self, projection: &str, version: u32, positions: &[Position]) -> Result<(), ReadError> {
        parked::unpark(self, projection, version, positions).await
    }

    async fn describe(&self) -> Result<Vec<(String, String)>, ReadError> {
        let info = self.stream.get_info().await.map_err(lookup::unavailable)?;
        let server = self.writes.client.server_info();
        Ok([
            ("kind", "NATS JetStream".to_owned()),
            ("server", server.server_name),
            ("version", server.version),
            ("stream", self.name.clone()),
            ("replicas", info.config.num_replicas.to_string()),
            ("messages", info.state.messages.to_string()),
            ("bytes", info.state.bytes.to_string()),
            ("head", Position::at(info.state.last_sequence).to_string()),
            ("durability", self.durability.name().to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec())
    }
}

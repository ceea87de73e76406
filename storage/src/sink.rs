//! The ports to what is derived from the events.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cabildo_events::{Aggregate, LANES, Lane, Position, Timestamp};
use cabildo_projections::{Cell, CellChange, Document, DocumentChange, DocumentKey, ProjectionId};

use crate::{Clause, Compare, Condition, KindPattern};

/// Why a sink could not be used. All of it may succeed later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It did not answer, or said no for a reason of its own.
    #[error("{sink} is not available: {reason}")]
    Unavailable {
        /// For example `redis`.
        sink: &'static str,
        /// What it said.
        reason: String,
    },
}

/// The watermark of each lane: the sequence of the last event applied, 0 before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks(pub [u64; LANES as usize]);

impl Default for Watermarks {
    fn default() -> Self {
        Self([0; LANES as usize])
    }
}

impl std::ops::Index<Lane> for Watermarks {
    type Output = u64;
    fn index(&self, lane: Lane) -> &u64 {
        &self.0[lane.index()]
    }
}

/// Changes of one lane, to be applied if its watermark is still `prev`, which then becomes `next`.
#[derive(Clone, Debug)]
pub struct LaneBatch<C> {
    /// Whose view.
    pub projection: ProjectionId,
    /// Which lane.
    pub lane: Lane,
    /// The watermark that the changes were computed at.
    pub prev: u64,
    /// The watermark that they lead to: `prev` itself, or greater. At `prev` itself the changes mend a view that stands
    /// there: they are absolute (no [`CellChange::Add`]), for such a batch may be applied twice.
    pub next: u64,
    /// The changes; may be none.
    pub changes: Vec<C>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is applied, whole.
    Done,
    /// The lane stands elsewhere, because another process got there first or the sink was set back. What of the batch was
    /// applied before that showed is harmless: resume after this watermark.
    Conflict {
        /// Where the lane stands.
        watermark: u64,
    },
}

/// Rows as loaded, and the watermark they stand at.
#[derive(Clone, Debug)]
pub struct Loaded<K, R> {
    /// The lane's watermark, read no later than the rows: a row may be newer than it, never older.
    pub watermark: u64,
    /// Each key once, with its row if there is one.
    pub rows: Vec<(K, Option<R>)>,
}

/// Where a read of a lane's rows goes on: made by an adapter, understood by that one alone, good while the view is there.
#[derive(Clone, Debug)]
pub struct Cursor(pub(crate) Place);

#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// After a field of a hash, by the number of the hash.
    Cell { hash: i64, field: String },
    /// After a document of a collection, by the number of the collection.
    Document { collection: usize, after: Position },
    /// Hashes still to read, each with where to go on in it, and where to look for more; `None` when there are no more.
    Scan { hashes: Vec<(String, u64)>, scan: Option<u64> },
}

/// Some rows of a lane.
#[derive(Clone, Debug)]
pub struct RowPage<K, R> {
    /// The rows; there may be none on a page that is not the last.
    pub rows: Vec<(K, R)>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// A view's place, written by lane.
///
/// *The watermark is the truth.* It is kept in the sink, with the rows. A batch is applied only if the lane stands at `prev`;
/// so a worker that crashed, a zombie that wakes with an old batch, a second process at the same work, a sink that was
/// emptied or set back: each ends in [`Applied::Conflict`], and the worker resumes after the watermark it is told.
///
/// *Atomicity.* A reader may see part of a batch only where the adapter says so (MongoDB: single documents), never a watermark
/// ahead of its rows.
///
/// *Durability.* A view may lose its last moments in a crash, if its watermark goes back with them.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Names a row.
    type Key: Send;
    /// A row.
    type Row: Send;
    /// A change.
    type Change: Send;

    /// Where each lane of a projection stands.
    async fn watermarks(&self, projection: ProjectionId) -> Result<Watermarks, SinkError>;

    /// Where one lane stands.
    async fn watermark(&self, projection: ProjectionId, lane: Lane) -> Result<u64, SinkError>;

    /// Reads rows of a lane.
    async fn load(
        &self,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<Self::Key>,
    ) -> Result<Loaded<Self::Key, Self::Row>, SinkError>;

    /// Applies a batch, or tells where the lane stands.
    async fn apply(&self, batch: LaneBatch<Self::Change>) -> Result<Applied, SinkError>;

    /// Reads every row of a lane in some tables, page by page, of about `limit` rows each. A row that is there from the first
    /// page to the last is on one of them at least (on Redis maybe on two); the order is the adapter's. Pages are of
    /// different moments: what is compared is [loaded](Self::load) again, with its watermark.
    async fn rows(
        &self,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RowPage<Self::Key, Self::Row>, SinkError>;

    /// The versions of a projection that have a view here, in order: those with a watermark, be it 0.
    async fn versions(&self, projection: &str) -> Result<Vec<u32>, SinkError>;

    /// Removes a view, rows and watermarks, in steps that hold up nobody for long. Its watermarks are set to 0 first and
    /// removed last: one that was interrupted is still among the [`versions`](Self::versions), stands at the beginning,
    /// and may have rows left; remove it again before anything is folded into it. Nobody may be writing to it.
    async fn drop_view(&self, projection: ProjectionId) -> Result<(), SinkError>;

    /// What it is and where, for `cabildo doctor`: names and values, for example the server's version.
    async fn describe(&self) -> Result<Vec<(String, String)>, SinkError>;
}

/// Whole hashes of one lane, at one watermark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// The lane's watermark at which they were read.
    pub watermark: u64,
    /// The hashes in the order they were asked for; empty where there is none.
    pub hashes: Vec<BTreeMap<String, String>>,
}

/// Hashes of counts and short texts.
#[async_trait]
pub trait Counters: Sink<Key = Cell, Row = Box<str>, Change = CellChange> {
    /// Reads whole hashes (`table`, `key`) of one lane, all at the same watermark.
    async fn hashes(
        &self,
        projection: ProjectionId,
        lane: Lane,
        wanted: &[(&'static str, &str)],
    ) -> Result<Hashes, SinkError>;

    /// Reads one hash (`table`, `key`) in every lane, in the order of the lanes; each at a watermark of its own.
    async fn across_lanes(
        &self,
        projection: ProjectionId,
        table: &'static str,
        key: &str,
    ) -> Result<Vec<BTreeMap<String, String>>, SinkError>;

    /// Shows a hash under a name of its own to those who read the sink itself: it becomes exactly `fields`, as they stood at
    /// `watermark`, unless it shows a later one already; so the same again changes nothing, and of several processes the
    /// newest prevails. A hash of that name which was not made by this is left alone.
    async fn show(
        &self,
        _name: &'static str,
        _watermark: u64,
        _fields: &BTreeMap<String, String>,
    ) -> Result<Shown, SinkError> {
        Ok(Shown::Nowhere)
    }
}

/// What became of a hash that is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is there, as it was given or newer.
    Done,
    /// There is one that somebody else made.
    Foreign,
    /// Nobody else reads this sink.
    Nowhere,
}

/// Which end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first, from `after` on.
    Oldest,
    /// Newest first, from `before` back.
    Newest,
}

/// Asks for documents of a collection. Every part narrows; kinds are alternatives.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose view.
    pub projection: ProjectionId,
    /// Which collection.
    pub collection: &'static str,
    /// Of this aggregate.
    pub aggregate: Option<Aggregate>,
    /// Of one of these kinds; empty: any.
    pub kinds: Vec<KindPattern>,
    /// Made by this actor.
    pub actor: Option<String>,
    /// Made at this moment or later.
    pub since: Option<Timestamp>,
    /// Made before this moment.
    pub until: Option<Timestamp>,
    /// Made by an event after this position.
    pub after: Option<Position>,
    /// Made by an event before this position.
    pub before: Option<Position>,
    /// Whose text has, for each word of this (see [`words`](crate::words)), a word that begins with it, without regard to case.
    pub text: Option<String>,
    /// What else must hold; all of it.
    pub clauses: Vec<Clause>,
    /// Which end comes first.
    pub order: Order,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// All documents of a collection, oldest first.
    #[must_use]
    pub const fn of(projection: ProjectionId, collection: &'static str, limit: usize) -> Self {
        Self {
            projection,
            collection,
            aggregate: None,
            kinds: Vec::new(),
            actor: None,
            since: None,
            until: None,
            after: None,
            before: None,
            text: None,
            clauses: Vec::new(),
            order: Order::Oldest,
            limit,
        }
    }

    /// Everything that must hold beside the bounds `after` and `before`, as clauses.
    #[must_use]
    pub fn every_clause(&self) -> Vec<Clause> {
        let mut clauses = self.clauses.clone();
        clauses.extend(self.aggregate.as_ref().map(|aggregate| Clause::only(Condition::of(aggregate))));
        if !self.kinds.is_empty() {
            clauses.push(Clause::one_of(self.kinds.iter().cloned().map(Condition::Kind).collect()));
        }
        clauses.extend(self.actor.clone().map(|actor| Clause::only(Condition::Actor(actor))));
        clauses.extend(self.since.map(|since| Clause::only(Condition::Time(Compare::AtLeast, since))));
        clauses.extend(self.until.map(|until| Clause::only(Condition::Time(Compare::Below, until))));
        clauses.extend(self.text.clone().map(|text| Clause::only(Condition::Text(text))));
        clauses
    }
}

/// What a query found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The documents, in the order asked for.
    pub documents: Vec<Document>,
    /// Whether the search ran into its time limit: there may be more further on.
    pub cut_short: bool,
}

/// Where the documents are that a query matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matches {
    /// The positions of the events that made them, in the order asked for; at most the query's limit.
    pub positions: Vec<Position>,
    /// Whether the search ran into its time limit: there may be more further on.
    pub cut_short: bool,
}

/// Documents, by collection.
#[async_trait]
pub trait Documents: Sink<Key = DocumentKey, Row = Document, Change = DocumentChange> {
    /// Finds documents, in the order of the events that made them.
    async fn find(&self, query: &Query) -> Result<Found, SinkError>;

    /// Finds where documents are, without reading them: made for many, where [`find`](Self::find) is made for a page. A search
    /// for an id, a correlation or a causation is served by an index.
    async fn positions(&self, query: &Query) -> Result<Matches, SinkError>;
}

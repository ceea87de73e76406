//! How collections are named, keyed and indexed.

use ::mongodb::IndexModel;
use ::mongodb::bson::{Bson, Document, doc};
use ::mongodb::options::IndexOptions;
use cabildo_events::Position;
use cabildo_projections::{ProjectionId, record};

/// The name of a collection of documents.
pub(super) fn name(projection: ProjectionId, collection: &str) -> String {
    format!("{}{collection}", prefix(projection))
}

/// The name of the collection of watermarks; no projection calls a collection of its own so.
pub(super) fn watermarks(projection: ProjectionId) -> String {
    format!("{}watermarks", prefix(projection))
}

/// What the names of all collections of a projection begin with.
pub(super) fn prefix(projection: ProjectionId) -> String {
    format!("{}_v{}_", projection.name, projection.version)
}

/// How the documents of a collection are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// The event log: a document is an event, its `_id` the position as a number. The one index that every collection has
    /// then serves order, paging and the get of one event.
    Log,
    /// Things that change: `_id` is the key's text, `created` and `folded` are positions as numbers.
    Things,
}

impl Layout {
    pub(super) fn of(projection: ProjectionId, collection: &str) -> Self {
        let log = projection.name == record::ID.name && collection == record::EVENTS;
        if log { Self::Log } else { Self::Things }
    }

    /// The field that documents are in the order of.
    pub(super) const fn order(self) -> &'static str {
        match self {
            Self::Log => "_id",
            Self::Things => "created",
        }
    }

    /// The `_id` of a key's document.
    pub(super) fn id(self, key: &str) -> Option<Bson> {
        match self {
            Self::Log => Some(Bson::Int64(number(key.parse().ok()?)?)),
            Self::Things => Some(Bson::String(key.to_owned())),
        }
    }

    /// Few, because each is written with every document:
    /// - the log: what happened to one aggregate, in one lane, of one kind, what one actor did, each in order, so that a page
    ///   is read without sorting (`actor` only where there is one); when, for the log viewer's time range; the
    ///   ids, for causes and effects, only where there are any. None for the words of its text: with a dozen keys an event it
    ///   would cost more than all the others; the gateway has the words of the newest events in memory.
    /// - things: all in order; those of one aggregate in order: the messages of a room; and those of one lane.
    pub(super) fn indexes(self) -> Vec<IndexModel> {
        let index = |name: &str, keys: Document, only: Option<Document>| {
            let options = IndexOptions::builder().name(name.to_owned()).partial_filter_expression(only).build();
            IndexModel::builder().keys(keys).options(options).build()
        };
        let only = |field: &str| Some(doc! { field: { "$exists": true } });
        match self {
            Self::Log => vec![
                index("aggregate", doc! { "aggregate": 1, "_id": 1 }, None),
                index("lane", doc! { "lane": 1, "_id": 1 }, None),
                index("kind", doc! { "kind": 1, "_id": 1 }, None),
                index("actor", doc! { "actor": 1, "_id": 1 }, only("actor")),
                index("time", doc! { "time": 1 }, None),
                index("event", doc! { "event": 1 }, only("event")),
                index("correlation", doc! { "correlation": 1 }, only("correlation")),
                index("causation", doc! { "causation": 1 }, only("causation")),
            ],
            Self::Things => vec![
                index("created", doc! { "created": 1 }, None),
                index("aggregate", doc! { "aggregate": 1, "created": 1 }, None),
                index("lane", doc! { "lane": 1, "created": 1 }, None),
            ],
        }
    }
}

/// Bits of a position's number that hold the sequence; above them stands the shard, so that numbers are in the order of
/// positions, and in shard 0 the number is the sequence.
const SEQ_BITS: u32 = 48;

/// A position as a number; `None` past 2^48 events or 2^15 shards.
pub(super) fn number(position: Position) -> Option<i64> {
    let fits = position.seq >> SEQ_BITS == 0 && position.shard >> 15 == 0;
    let number = (u64::from(position.shard) << SEQ_BITS) | position.seq;
    if fits { i64::try_from(number).ok() } else { None }
}

/// The largest number that is not past a position, for comparing with any position that a query may name.
pub(super) fn number_within(position: Position) -> i64 {
    let seq = position.seq.min((1 << SEQ_BITS) - 1);
    number(Position { seq, ..position }).unwrap_or(i64::MAX)
}

/// The position of a number.
pub(super) fn position(number: i64) -> Option<Position> {
    let number = u64::try_from(number).ok()?;
    let shard = u16::try_from(number >> SEQ_BITS).ok()?;
    Some(Position { shard, seq: number & ((1 << SEQ_BITS) - 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_order_of_positions_and_read_back() {
        let positions = [
            Position::START,
            Position::at(1),
            Position::at((1 << 48) - 1),
            Position { shard: 1, seq: 0 },
            Position { shard: 0x7fff, seq: (1 << 48) - 1 },
        ];
        let numbers = positions.map(|position| number(position).unwrap());
        assert!(numbers.is_sorted());
        assert_eq!(numbers.map(|number| position(number).unwrap()), positions);
        assert_eq!(numbers[1], 1);
    }

    #[test]
    fn a_position_past_the_bound_has_no_number_but_can_be_compared_with() {
        assert_eq!(number(Position::at(1 << 48)), None);
        assert_eq!(number(Position { shard: 0x8000, seq: 1 }), None);
        assert_eq!(number_within(Position::at(u64::MAX)), (1 << 48) - 1);
        assert_eq!(number_within(Position { shard: u16::MAX, seq: 1 }), i64::MAX);
        assert_eq!(position(-1), None);
    }
}

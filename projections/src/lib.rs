//! Pure folds from events to rows and counters. One file per projection: which events it reads, which rows it needs,
//! and the fold. The same fold serves live consumers, replay, verification and simulation.
//!
//! A fold does no IO: whoever runs it loads the rows that [`Projection::reads`] names, folds a batch over them, and
//! hands the changes to a sink together with the position they lead to.

pub mod activity;
mod cells;
mod documents;
mod history;
pub mod lists;
pub mod record;
pub mod rooms;
mod step;
pub mod tally;

pub use cells::{Cell, CellChange, Cells};
pub use documents::{Document, DocumentChange, DocumentKey, Documents, Ids};
pub use history::History;

use cabildo_events::{Aggregate, DecodeError, Position, Recorded};

/// A view of a projection. Its rows carry name and version in their keys, so that several views of one projection stand
/// side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectionId {
    /// For example `tally`.
    pub name: &'static str,
    /// Its number: each replay makes a new one. Not the number of the fold ([`Projection::version`]), of which there may be
    /// several views.
    pub version: u32,
}

impl ProjectionId {
    /// Whether its rows are counters; else they are documents.
    #[must_use]
    pub fn keeps_counters(&self) -> bool {
        [tally::ID.name, activity::ID.name].contains(&self.name)
    }
}

impl std::fmt::Display for ProjectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.v{}", self.name, self.version)
    }
}

/// Every projection of this build, by its first view.
pub const ALL: [ProjectionId; 5] = [tally::ID, activity::ID, rooms::ID, lists::ID, record::ID];

/// The number of a projection's fold in this build; `None` if it has no such projection.
#[must_use]
pub fn fold_of(projection: &str) -> Option<u32> {
    let folds = [tally::FOLD, activity::FOLD, rooms::FOLD, lists::FOLD, record::FOLD];
    ALL.iter().zip(folds).find(|(id, _)| id.name == projection).map(|(_, fold)| fold)
}

/// The tables or collections of a projection's rows; none if this build has no such projection.
#[must_use]
pub fn tables_of(projection: &str) -> &'static [&'static str] {
    let tables = [
        tally::Tally.tables(),
        activity::Activity.tables(),
        rooms::Rooms.tables(),
        lists::Lists.tables(),
        record::Record.tables(),
    ];
    ALL.iter().zip(tables).find(|(id, _)| id.name == projection).map_or(&[], |(_, tables)| tables)
}

/// An event that a projection cannot fold. It is parked, with the later events of its aggregate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfoldable(pub String);

impl From<DecodeError> for Unfoldable {
    fn from(error: DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// A working set: the rows a batch needs, and what folding changed in them.
pub trait Rows: Default + Send {
    /// Names a row.
    type Key: Clone + Eq + std::hash::Hash + Ord + Send + Sync;
    /// A row as the sink holds it.
    type Row: Send;
    /// A change for the sink.
    type Change: Send + Sync;

    /// Tells where the view stands, before rows are loaded; then, before each event, which one is folded.
    fn begin(&mut self, position: Position);
    /// Puts a loaded row in; `None` says that the sink has none.
    fn load(&mut self, key: Self::Key, row: Option<Self::Row>);
    /// All changes, in the order of their keys: the same events give the same bytes.
    fn into_changes(self) -> Vec<Self::Change>;
    /// The rows that were made, where nothing was loaded before: what a view holds of these events and no others.
    fn into_rows(self) -> Vec<(Self::Key, Self::Row)>;
    /// The change that makes a row what it should be, whatever `there` is in its place.
    fn write(key: Self::Key, row: Self::Row, there: Option<&Self::Row>) -> Self::Change;
    /// The change that takes a row away.
    fn remove(key: Self::Key, there: &Self::Row) -> Self::Change;
}

/// A pure fold.
pub trait Projection: Clone + Send + Sync + 'static {
    /// What it folds over.
    type Rows: Rows;
    /// An event, read as far as this projection needs.
    type Step: Send;

    /// Its name.
    fn name(&self) -> &'static str;
    /// The number of its fold: raised with any change to what it makes of the same events.
    fn version(&self) -> u32;
    /// The tables or collections that its rows are in.
    fn tables(&self) -> &'static [&'static str];
    /// Reads the event; `None` if it is none of this projection's business.
    ///
    /// # Errors
    /// When it is, and cannot be folded.
    fn step(&self, event: &Recorded) -> Result<Option<Self::Step>, Unfoldable>;
    /// Names the rows that [`fold`](Self::fold) will look at.
    fn reads(&self, step: &Self::Step, keys: &mut Vec<<Self::Rows as Rows>::Key>);
    /// Applies the event. Whatever can fail comes before the first change.
    ///
    /// # Errors
    /// When the event does not fit the rows.
    fn fold(&self, step: Self::Step, rows: &mut Self::Rows) -> Result<(), Unfoldable>;
    /// Whether every row belongs to one aggregate, so that an aggregate's rows can be made anew from its own events.
    fn rows_are_of_one_aggregate(&self) -> bool {
        true
    }
    /// Whether a row belongs to an aggregate.
    fn is_of(&self, aggregate: &Aggregate, key: &<Self::Rows as Rows>::Key, row: &<Self::Rows as Rows>::Row) -> bool;
}

#[cfg(test)]
pub(crate) mod story {
    //! Given events, what does the projection say?

    use super::*;
    use cabildo_events::{Aggregate, Envelope, Event, EventId, Timestamp};

    /// The event `seq` of an aggregate, a second after the one before.
    pub(crate) fn recorded(seq: u64, aggregate: &Aggregate, event: &Event) -> Recorded {
        let time = Timestamp::from_micros(1_795_255_200_000_000 + i64::try_from(seq).unwrap() * 1_000_000);
        let id = EventId(uuid::Uuid::from_u128(u128::from(seq)));
        let envelope = Envelope::new(id, aggregate.clone(), time, event);
        Recorded { position: Position::at(seq), lane: aggregate.lane(), recorded: time, envelope: Ok(envelope) }
    }

    /// Folds events over an empty view.
    pub(crate) fn fold<P: Projection>(projection: &P, events: &[Recorded]) -> P::Rows {
        let mut rows = P::Rows::default();
        let mut keys = Vec::new();
        let steps: Vec<_> = events
            .iter()
            .filter_map(|event| projection.step(event).unwrap().map(|step| (event.position, step)))
            .inspect(|(_, step)| projection.reads(step, &mut keys))
            .collect();
        keys.into_iter().for_each(|key| rows.load(key, None));
        for (position, step) in steps {
            rows.begin(position);
            projection.fold(step, &mut rows).unwrap();
        }
        rows
    }
}

//! Searching the record: what was asked, and the events that answer it.
//!
//! What columns hold is looked up in the [index](crate::columns), what only the view knows (texts, ids) is asked of the view;
//! the events themselves come from the journal. What the index does not reach is searched in the view alone.

mod asked;
mod page;
mod sets;

use cabildo_events::Position;
use cabildo_storage::Order;
use serde::Serialize;

pub(crate) use asked::{ASKED, Asked};
pub(crate) use page::{Page, Row, events_at, page, pages_of_view};
pub(crate) use sets::{counting, horizon};

/// How far a search looked: everything from `from` to `to`, nothing beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Searched {
    from: Position,
    to: Position,
    /// Whether that is all that was asked for; if not, the search stopped at a bound.
    pub(crate) complete: bool,
}

impl Searched {
    /// After one position and up to and including another.
    pub(crate) fn between(after: Position, to: Position, complete: bool) -> Self {
        Self { from: Position { seq: after.seq + 1, ..after }, to, complete }
    }

    /// The same, ended at an event on the way.
    fn up_to(self, last: Position, order: Order) -> Self {
        match order {
            Order::Newest => Self { from: last, ..self },
            Order::Oldest => Self { to: last, ..self },
        }
    }

    /// This one and another that goes on from it.
    fn and(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to), complete: other.complete }
    }
}

/// The position right before another: what is after it is that other one or stands behind it.
pub(crate) fn before(position: Position) -> Position {
    Position { seq: position.seq.saturating_sub(1), ..position }
}

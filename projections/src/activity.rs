//! Events by type and second: what dashboards draw.

use cabildo_events::{Aggregate, Recorded};

use crate::{Cell, Cells, Projection, ProjectionId, Unfoldable};

/// Its first view.
pub const ID: ProjectionId = ProjectionId { name: "activity", version: 1 };

/// The number of its fold: raised with any change to what it makes of the same events.
pub const FOLD: u32 = 1;

/// Table of one hash per hour (key: the hour's start in Unix seconds): events by `{second of the hour}:{type}`, by the
/// time the journal stored them.
pub const HOURS: &str = "hours";

/// Seconds covered by one hash.
pub const HOUR_S: i64 = 3_600;

/// The type under which messages that are no events are counted.
pub const UNREADABLE: &str = "cabildo.unreadable";

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Activity;

impl Projection for Activity {
    type Rows = Cells;
    type Step = Cell;

    fn name(&self) -> &'static str {
        ID.name
    }

    fn version(&self) -> u32 {
        FOLD
    }

    fn tables(&self) -> &'static [&'static str] {
        &[HOURS]
    }

    fn step(&self, event: &Recorded) -> Result<Option<Cell>, Unfoldable> {
        let kind = event.envelope.as_ref().map_or(UNREADABLE, |envelope| &envelope.kind);
        let seconds = event.recorded.seconds();
        let hour = seconds.div_euclid(HOUR_S) * HOUR_S;
        Ok(Some(Cell::new(HOURS, &hour.to_string(), &format!("{}:{kind}", seconds - hour))))
    }

    fn reads(&self, _step: &Cell, _keys: &mut Vec<Cell>) {}

    fn fold(&self, step: Cell, cells: &mut Cells) -> Result<(), Unfoldable> {
        cells.add(step, 1);
        Ok(())
    }

    fn rows_are_of_one_aggregate(&self) -> bool {
        false
    }

    fn is_of(&self, _aggregate: &Aggregate, _cell: &Cell, _row: &Box<str>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{fold, recorded};
    use crate::{CellChange, Rows};
    use cabildo_events::poll::PollClosed;
    use cabildo_events::{Aggregate, Event};

    #[test]
    fn events_of_one_second_and_type_are_added_up() {
        let poll = Aggregate::poll(&"bands".parse().unwrap());
        let event = recorded(1, &poll, &Event::PollClosed(PollClosed {}));
        let changes = fold(&Activity, &[event.clone(), event]).into_changes();
        assert_eq!(changes, [CellChange::Add(Cell::new(HOURS, "1795255200", "1:poll.closed"), 2)]);
    }
}

//! A tally with a bug on purpose, as an earlier build might have had: fold number 0.

use cabildo_events::{Aggregate, Event, Recorded};
use cabildo_projections::tally::{self, Step, Tally, VOTES};
use cabildo_projections::{Cell, Cells, Projection, Unfoldable};

/// The option whose every ballot counts twice.
pub(super) const TWICE: &str = "Bohemia Suburbana";

/// The fold with the bug.
#[derive(Clone, Debug)]
pub(super) struct Buggy;

impl Projection for Buggy {
    type Rows = Cells;
    type Step = (Step, Option<Cell>);

    fn name(&self) -> &'static str {
        tally::ID.name
    }

    fn version(&self) -> u32 {
        0
    }

    fn tables(&self) -> &'static [&'static str] {
        Tally.tables()
    }

    fn step(&self, event: &Recorded) -> Result<Option<Self::Step>, Unfoldable> {
        let Some(step) = Tally.step(event)? else { return Ok(None) };
        let ballot = event.envelope.as_ref().ok().and_then(|envelope| envelope.event().ok());
        let twice = match ballot {
            Some(Event::BallotCast(ballot)) => ballot.choices.iter().any(|choice| choice.as_str() == TWICE),
            _ => false,
        };
        let again = event.aggregate().filter(|_| twice).map(|poll| Cell::new(VOTES, poll.id(), TWICE));
        Ok(Some((step, again)))
    }

    fn reads(&self, (step, _): &Self::Step, keys: &mut Vec<Cell>) {
        Tally.reads(step, keys);
    }

    fn fold(&self, (step, again): Self::Step, cells: &mut Cells) -> Result<(), Unfoldable> {
        Tally.fold(step, cells)?;
        if let Some(again) = again {
            cells.add(again, 1);
        }
        Ok(())
    }

    fn is_of(&self, aggregate: &Aggregate, key: &Cell, row: &Box<str>) -> bool {
        Tally.is_of(aggregate, key, row)
    }
}

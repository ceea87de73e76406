//! Whether an event is what a query asks for: the same answer as the view's, for events as they come.

use std::borrow::Cow;

use cabildo_events::Recorded;
use cabildo_projections::activity::UNREADABLE;
use cabildo_projections::record;
use cabildo_storage::{Clause, Condition, lower_words};

/// Whether all clauses hold.
pub(crate) fn matches(clauses: &[Clause], event: &Recorded) -> bool {
    // The words are read from the data once, if they are asked for at all.
    let mut text = None;
    clauses.iter().all(|clause| clause.any.iter().any(|condition| holds(condition, event, &mut text)) != clause.negated)
}

fn holds(condition: &Condition, event: &Recorded, text: &mut Option<Vec<String>>) -> bool {
    let envelope = event.envelope.as_ref().ok();
    let aggregate = event.aggregate();
    match condition {
        Condition::Kind(pattern) => pattern.matches(envelope.map_or(UNREADABLE, |envelope| &envelope.kind)),
        Condition::Context(context) => aggregate.is_some_and(|aggregate| aggregate.context().name() == context),
        Condition::Aggregate(wanted) => aggregate.is_some_and(|aggregate| aggregate.to_string() == *wanted),
        Condition::Actor(actor) => {
            envelope.and_then(|envelope| envelope.actor.as_ref()).is_some_and(|found| found.as_str() == actor)
        }
        Condition::Lane(lane) => event.lane == *lane,
        Condition::Event(id) => envelope.is_some_and(|envelope| envelope.id == *id),
        Condition::Correlation(id) => envelope.is_some_and(|envelope| envelope.correlation == Some(*id)),
        Condition::Causation(id) => envelope.is_some_and(|envelope| envelope.causation == Some(*id)),
        Condition::Text(wanted) => {
            let found =
                text.get_or_insert_with(|| lower_words(&record::text(event)).map(Cow::into_owned).collect::<Vec<_>>());
            lower_words(wanted).all(|wanted| found.iter().any(|found| found.starts_with(&*wanted)))
        }
        Condition::Position(compare, position) => compare.holds(&event.position, position),
        Condition::Time(compare, time) => {
            compare.holds(&envelope.map_or(event.recorded, |envelope| envelope.time), time)
        }
    }
}

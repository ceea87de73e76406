//! What no column holds: sets of positions, from the view.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{INDEX_WAIT_MS, MATCHES_MAX};
use cabildo_events::{LANES, Position};
use cabildo_projections::ProjectionId;
use cabildo_projections::record::{self, EVENTS};
use cabildo_storage::{Clause, Condition, Order, Query, Watermarks, words};

use super::{Asked, Searched, before};
use crate::columns::{Ask, Columns, Set};
use crate::problem::Problem;
use crate::{Gateway, Ports};

/// The position up to which the view of the record has every event: past it a lane may lag behind another.
///
/// # Errors
/// When the view or the journal does not answer.
pub(crate) async fn horizon(ports: &Ports) -> Result<Position, Problem> {
    // The view is read first: what it lacks is then in the journal's answer.
    let Watermarks(marks) = ports.documents.watermarks(ports.views.live(record::ID)).await?;
    let heads = ports.journal.lane_heads().await?;
    let lagging = (0..usize::from(LANES)).filter(|lane| marks[*lane] < heads.0[*lane]).map(|lane| marks[lane]).min();
    let newest = heads.0.iter().max().copied().unwrap_or(0);
    Ok(Position::at(lagging.unwrap_or(newest)))
}

/// A query of the record's view.
pub(super) fn of_view(view: ProjectionId, clauses: Vec<Clause>, asked: (Option<Position>, Option<Position>)) -> Query {
    Query { clauses, after: asked.0, before: asked.1, order: Order::Newest, ..Query::of(view, EVENTS, 0) }
}

/// Whether a clause asks what no column holds.
pub(super) fn is_special(clause: &Clause) -> bool {
    clause
        .any
        .iter()
        .any(|condition| matches!(condition, Condition::Event(_) | Condition::Correlation(_) | Condition::Causation(_)))
}

/// Whether a clause asks for no words at all, which every event has.
fn is_void(clause: &Clause) -> bool {
    !clause.negated
        && clause.any.iter().any(|condition| matches!(condition, Condition::Text(text) if words(text).next().is_none()))
}

/// Turns what was asked into what the columns can be asked: at most `limit` events of each set, the newest ones.
///
/// # Errors
/// When the view does not answer.
pub(super) async fn ask(ports: &Ports, asked: &Asked, limit: usize) -> Result<Ask, Problem> {
    let (special, clauses): (Vec<_>, Vec<_>) =
        asked.clauses.iter().filter(|clause| !is_void(clause)).cloned().partition(is_special);
    let mut ask = Ask { clauses, sets: Vec::new(), after: asked.after, before: asked.before };
    let view = ports.views.live(record::ID);
    let bounds = (asked.after, asked.before);
    if special.iter().any(|clause| !clause.negated) {
        ask.sets.push(set(ports, of_view(view, special, bounds), false, limit).await?);
    } else {
        for clause in special {
            let query = of_view(view, vec![Clause { negated: false, ..clause }], bounds);
            ask.sets.push(set(ports, query, true, limit).await?);
        }
    }
    Ok(ask)
}

async fn set(ports: &Ports, query: Query, negated: bool, limit: usize) -> Result<Set, Problem> {
    let found = ports.documents.positions(&Query { limit, ..query }).await?;
    let mut positions = found.positions;
    let from = match positions.last() {
        Some(last) if found.cut_short || positions.len() == limit => before(*last),
        None if found.cut_short => Position { shard: u16::MAX, seq: u64::MAX },
        _ => Position::START,
    };
    positions.reverse();
    Ok(Set { negated, positions, from })
}

/// Counts in the columns what was asked for, on a blocking thread; waits for them to reach as far back as they will, for a
/// while. `count` sees the columns and the question.
///
/// # Errors
/// When the view or the journal does not answer.
pub(crate) async fn counting<T: Send + 'static>(
    gateway: &Arc<Gateway>,
    asked: &Asked,
    count: impl FnOnce(&Columns, &Ask) -> T + Send + 'static,
) -> Result<(T, Searched), Problem> {
    let held = gateway.index.get().await?;
    let ask = ask(&gateway.ports, asked, MATCHES_MAX).await?;
    let reaches = ask.floor() >= held.read().from();
    if !reaches {
        held.whole(Duration::from_millis(INDEX_WAIT_MS)).await;
    }
    let counted = tokio::task::spawn_blocking(move || {
        let columns = held.read();
        let (floor, asked) = (columns.from().max(ask.floor()), ask.after.unwrap_or_default());
        let to = ask.before.map_or(columns.to(), |end| before(end).min(columns.to()));
        let searched = Searched::between(floor.min(to), to, floor <= asked);
        (count(&columns, &ask), searched)
    });
    counted.await.map_err(|error| {
        tracing::error!(%error, "the index of the record could not be looked through");
        Problem::new(&crate::problem::INTERNAL, "the events could not be counted")
    })
}

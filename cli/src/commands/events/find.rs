//! An event by its id, and what it came of and led to. Where the journal keeps no ids (JetStream), events are looked through,
//! so many at most.

use std::collections::HashMap;

use cabildo_events::limits::{FIND_EVENTS_MAX, READ_PAGE_EVENTS, TREE_EVENTS_MAX};
use cabildo_events::{Envelope, EventId, Position, Recorded, Timestamp};
use cabildo_storage::{Journal, Moment, ReadError};
use futures::StreamExt;
use serde::Serialize;

/// An event's id by the time that is in it may be so much older than the journal's time of the event, in microseconds.
const BEFORE_STORED_MICROS: i64 = 60_000_000;

/// Which part of the journal was looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Searched {
    /// From the event after this position on.
    pub(crate) after: Position,
    /// Up to and including this.
    pub(crate) until: Position,
    /// Whether that is all there is.
    pub(crate) complete: bool,
}

/// The event with an id, if it was found, and where it was looked for.
pub(crate) async fn by_id(
    journal: &dyn Journal,
    id: EventId,
) -> Result<(Option<Recorded>, Option<Searched>), ReadError> {
    if let Some(event) = journal.find(id).await? {
        return Ok((Some(event), None));
    }
    let head = journal.head().await?;
    // A UUIDv7 says when it was made.
    if let Some((seconds, nanos)) = id.0.get_timestamp().map(|time| time.to_unix()) {
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX / 2_000_000) * 1_000_000 + i64::from(nanos / 1_000);
        let from = Moment::Time(Timestamp::from_micros(micros.saturating_sub(BEFORE_STORED_MICROS)));
        let after = from.start(journal, head).await?;
        let until = head.min(Position { seq: after.seq.saturating_add(FIND_EVENTS_MAX), ..after });
        let found = scan(journal, after, until, id).await?;
        return Ok((found, Some(Searched { after, until, complete: until == head })));
    }
    before(journal, head, id).await
}

/// The event with an id, up to a position: the newest are looked at first.
async fn before(
    journal: &dyn Journal,
    until: Position,
    id: EventId,
) -> Result<(Option<Recorded>, Option<Searched>), ReadError> {
    let (mut end, mut size) = (until, READ_PAGE_EVENTS as u64);
    while end.seq > 0 && until.seq - end.seq < FIND_EVENTS_MAX {
        let start = Position { seq: end.seq.saturating_sub(size), ..end };
        if let Some(event) = scan(journal, start, end, id).await? {
            return Ok((Some(event), None));
        }
        (end, size) = (start, size * 2);
    }
    Ok((None, Some(Searched { after: end, until, complete: end.seq == 0 })))
}

async fn scan(
    journal: &dyn Journal,
    after: Position,
    until: Position,
    id: EventId,
) -> Result<Option<Recorded>, ReadError> {
    let mut pages = journal.read(after, until).await?;
    while let Some(page) = pages.next().await {
        let wanted = |event: &Recorded| event.envelope.as_ref().is_ok_and(|envelope| envelope.id == id);
        if let Some(event) = page?.into_iter().find(wanted) {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// An event, its causes and its effects.
pub(crate) struct Tree {
    /// In the order of the journal; every event but the first has its cause among them.
    pub(crate) events: Vec<Recorded>,
    /// Cause and effect, by their places in `events`.
    pub(crate) edges: Vec<(usize, usize)>,
    /// A cause that was not found, where it was looked for.
    pub(crate) lost: Option<(EventId, Option<Searched>)>,
    /// Where effects were looked for.
    pub(crate) effects: Searched,
}

/// What an event came of, up to the first, and what it led to.
pub(crate) async fn tree(journal: &dyn Journal, root: Recorded) -> Result<Tree, ReadError> {
    let (mut events, mut lost) = (vec![root], None);
    let cause_of = |event: &Recorded| event.envelope.as_ref().ok().and_then(|envelope| envelope.causation);
    while events.len() < TREE_EVENTS_MAX
        && let Some(cause) = events.last().and_then(cause_of)
    {
        let (found, searched) = match journal.find(cause).await? {
            Some(event) => (Some(event), None),
            // A cause stands before its effect.
            None => before(journal, events.last().map_or(Position::START, |event| event.position), cause).await?,
        };
        match found {
            // What claims to come of itself, or of what came after it, has no beginning.
            Some(event) if events.iter().all(|known| event.position < known.position) => events.push(event),
            Some(_) => break,
            None => {
                lost = Some((cause, searched));
                break;
            }
        }
    }
    events.reverse();
    let mut edges: Vec<_> = (1..events.len()).map(|effect| (effect - 1, effect)).collect();
    let root = events.len() - 1;
    let id_of = |event: &Recorded| event.envelope.as_ref().ok().map(|envelope: &Envelope| envelope.id);
    let mut places: HashMap<EventId, usize> = id_of(&events[root]).map(|id| (id, root)).into_iter().collect();
    let (after, head) = (events[root].position, journal.head().await?);
    let until = head.min(Position { seq: after.seq.saturating_add(FIND_EVENTS_MAX), ..after });
    let mut effects = Searched { after, until, complete: until == head };
    let mut pages = journal.read(after, until).await?;
    'pages: while let Some(page) = pages.next().await {
        for event in page? {
            let Some(cause) = cause_of(&event).and_then(|cause| places.get(&cause).copied()) else { continue };
            if events.len() >= TREE_EVENTS_MAX {
                effects = Searched { until: event.position, complete: false, ..effects };
                break 'pages;
            }
            let place = events.len();
            edges.push((cause, place));
            places.extend(id_of(&event).map(|id| (id, place)));
            events.push(event);
        }
    }
    Ok(Tree { events, edges, lost, effects })
}

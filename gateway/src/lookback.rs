//! How things were: as of which event, and messages as they stood then.

use cabildo_events::{Aggregate, Event, MessageId, Position, Recorded, RoomId, wire};
use cabildo_projections::rooms::{self, as_left_by};
use cabildo_projections::{Document, record};
use cabildo_storage::{KindPattern, Moment, Order, Query};

use crate::call::Call;
use crate::params::Params;
use crate::problem::{self, Problem};
use crate::{Gateway, fresh};

/// Documents of the record looked at in one go.
const FOUND_AT_ONCE: usize = 256;

/// The moment that a client wants to see, if it says.
pub(crate) fn asked(params: &mut Params) -> Result<Option<Moment>, Problem> {
    // A `+` that was not escaped is read as what it was meant to be.
    let text = params.text("at")?.map(|text| text.replace(' ', "+"));
    text.map(|text| text.parse().map_err(|error| Problem::bad_value("at", error))).transpose()
}

/// The last event that had happened by then.
pub(crate) async fn as_of(call: &Call, moment: Moment) -> Result<Position, Problem> {
    let journal = &*call.gateway.ports.journal;
    let head = journal.head().await?;
    moment.as_of(journal, head).await?.map_err(|error| Problem::bad_value("at", error))
}

/// The thing is there, but was not yet.
pub(crate) fn not_yet(what: &str, id: impl std::fmt::Display, at: Position, since: Position) -> Problem {
    let detail = format!("at {at} there was no {what} `{id}` yet: it is there since {since}");
    Problem::new(&problem::NOT_FOUND, detail)
}

/// Waits until the view of a lane of the rooms has everything up to a position.
pub(crate) async fn reached(gateway: &Gateway, room: &RoomId, at: Position) -> Result<(), Problem> {
    let ports = &gateway.ports;
    let view = ports.views.live(rooms::ID);
    let lane = Aggregate::room(room).lane();
    match fresh::lane(&*ports.documents, view, lane, &*ports.journal, at).await? {
        true => Ok(()),
        false => Err(behind()),
    }
}

/// The view has not come as far as what is asked for.
pub(crate) fn behind() -> Problem {
    Problem::new(&problem::VIEW_BEHIND, "the view is behind the journal: try again")
}

/// Messages of a room as they stood at a position, given as they are now.
pub(crate) async fn unfold(
    gateway: &Gateway,
    room: &RoomId,
    documents: &mut [Document],
    at: Position,
) -> Result<(), Problem> {
    for document in documents {
        if let Some(then) = message_at(gateway, room, document, at).await? {
            *document = then;
        }
    }
    Ok(())
}

/// A message as it stood at a position, given as it is now: one that was changed later is folded again from its own events up
/// to then. `None` if it was not posted yet.
pub(crate) async fn message_at(
    gateway: &Gateway,
    room: &RoomId,
    now: &Document,
    at: Position,
) -> Result<Option<Document>, Problem> {
    if now.created > at || now.folded <= at {
        return Ok((now.created <= at).then(|| now.clone()));
    }
    let mut events: Vec<Recorded> = gateway.ports.journal.get(now.created).await?.into_iter().collect();
    events.extend(changes(gateway, room, now, at).await?);
    let left_out = gateway.ports.views.of(rooms::ID.name);
    events.retain(|event| !left_out.discarded().contains_key(&event.position));
    Ok(as_left_by(&now.key, &events))
}

/// The edits and the deletion of a message up to a position, in order: found in the record by the message's id.
async fn changes(gateway: &Gateway, room: &RoomId, message: &Document, at: Position) -> Result<Vec<Recorded>, Problem> {
    let ports = &gateway.ports;
    let aggregate = Aggregate::room(room);
    let view = ports.views.live(record::ID);
    if !fresh::lane(&*ports.documents, view, aggregate.lane(), &*ports.journal, at).await? {
        return Err(behind());
    }
    let Some(id) = message.key.id.rsplit_once('/').and_then(|(_, id)| id.parse().ok()) else { return Ok(vec![]) };
    let kind = |kind: &str| KindPattern::Exactly(kind.to_owned());
    let mut query = Query {
        aggregate: Some(aggregate.clone()),
        kinds: vec![kind("chat.message.edited"), kind("chat.message.deleted")],
        // The last group of the id is the one that few share.
        text: message.key.id.rsplit('-').next().map(str::to_owned),
        after: Some(message.created),
        before: Some(Position { seq: at.seq.saturating_add(1), ..at }),
        order: Order::Oldest,
        ..Query::of(view, record::EVENTS, FOUND_AT_ONCE)
    };
    let mut events = Vec::new();
    loop {
        let found = ports.documents.find(&query).await?;
        if found.cut_short {
            let detail = "the events of a message could not be found in time: try again";
            return Err(Problem::new(&problem::VIEW_UNAVAILABLE, detail));
        }
        query.after = found.documents.last().map(|last| last.created);
        let more = found.documents.len() == FOUND_AT_ONCE;
        events.extend(found.documents.into_iter().filter_map(|document| event_of(&document, id)));
        if !more {
            return Ok(events);
        }
    }
}

/// An event of the record, if it is about the message.
fn event_of(document: &Document, message: MessageId) -> Option<Recorded> {
    let (envelope, _) = wire::from_json(&document.body).ok()?;
    let event = envelope.event().ok()?;
    let (lane, recorded) = (envelope.aggregate.lane(), envelope.time);
    (message_of(&event) == Some(message)).then_some(Recorded {
        position: document.created,
        lane,
        recorded,
        envelope: Ok(envelope),
    })
}

/// The message that an event is about.
pub(crate) fn message_of(event: &Event) -> Option<MessageId> {
    match event {
        Event::MessagePosted(posted) => Some(posted.message),
        Event::MessageEdited(edited) => Some(edited.message),
        Event::MessageDeleted(deleted) => Some(deleted.message),
        _ => None,
    }
}

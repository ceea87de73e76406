//! An event of one context, as a fold into documents takes it; and the documents that it makes.

use cabildo_events::{Context, Event, Lane, Position, Recorded, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::tally::unreadable_in;
use crate::{Document, DocumentKey, Ids, Unfoldable};

/// What a fold needs of an event.
#[derive(Debug)]
pub struct Step {
    /// The id of its aggregate within the context: of the room, of the list.
    pub(crate) id: Box<str>,
    aggregate: Box<str>,
    actor: Option<Box<str>>,
    pub(crate) time: Timestamp,
    pub(crate) position: Position,
    lane: Lane,
    pub(crate) event: Event,
}

impl Step {
    /// `None` for an event of another context.
    ///
    /// # Errors
    /// When it is of this one and cannot be read.
    pub(crate) fn of(context: Context, event: &Recorded) -> Result<Option<Self>, Unfoldable> {
        let envelope = match &event.envelope {
            Ok(envelope) if envelope.aggregate.context() != context => return Ok(None),
            Ok(envelope) => envelope,
            Err(unreadable) => return unreadable_in(context, unreadable.aggregate.as_ref(), &unreadable.reason),
        };
        Ok(Some(Self {
            id: envelope.aggregate.id().into(),
            aggregate: envelope.aggregate.to_string().into(),
            actor: envelope.actor.as_ref().map(|actor| actor.as_str().into()),
            time: envelope.time,
            position: event.position,
            lane: event.lane,
            event: envelope.event()?,
        }))
    }

    /// The document that this event makes; `text` is what it is found by.
    pub(crate) fn document<T: Serialize>(&self, key: DocumentKey, kind: &str, text: &str, row: &T) -> Document {
        Document {
            key,
            created: self.position,
            folded: self.position,
            lane: self.lane,
            aggregate: self.aggregate.clone(),
            kind: kind.into(),
            actor: self.actor.clone(),
            ids: Ids::default(),
            time: self.time,
            text: text.into(),
            body: body(row),
        }
    }
}

/// A row as its document keeps it.
pub(crate) fn body<T: Serialize>(row: &T) -> Box<str> {
    serde_json::to_string(row).unwrap_or_default().into()
}

/// The row that a document keeps.
///
/// # Errors
/// When it is not as it was written.
pub(crate) fn stored<T: DeserializeOwned>(found: &Document) -> Result<T, Unfoldable> {
    serde_json::from_str(&found.body).map_err(|error| Unfoldable(format!("the {} as stored: {error}", found.kind)))
}

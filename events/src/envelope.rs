//! An event with what is known about it: CloudEvents 1.0 attributes and Cabildo's extensions.

use std::borrow::Cow;

use bytes::Bytes;

use crate::event::{DecodeError, Event};
use crate::{Actor, Aggregate, EventId, Lane, Position, Timestamp, is_ruled_type};

/// An event as it travels: what happened (`kind`, `schema_version`, `data`) and the circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `ce-id`.
    pub id: EventId,
    /// `ce-type`, for example `poll.ballot.cast`. May be a type that this build does not know.
    pub kind: Cow<'static, str>,
    /// `ce-subject`.
    pub aggregate: Aggregate,
    /// `ce-time`: when the gateway took it in.
    pub time: Timestamp,
    /// `ce-actor`: who caused it.
    pub actor: Option<Actor>,
    /// `ce-correlationid`: the request or conversation it belongs to.
    pub correlation: Option<EventId>,
    /// `ce-causationid`: the event it follows from.
    pub causation: Option<EventId>,
    /// `ce-schemaversion` of `data`.
    pub schema_version: u16,
    /// W3C trace context of the request that caused it.
    pub traceparent: Option<String>,
    /// The JSON of `data`.
    pub data: Bytes,
}

impl Envelope {
    /// Wraps an event that happened to an aggregate.
    #[must_use]
    pub fn new(id: EventId, aggregate: Aggregate, time: Timestamp, event: &Event) -> Self {
        let (kind, schema_version, data) = event.encode();
        Self {
            id,
            kind: Cow::Borrowed(kind),
            aggregate,
            time,
            actor: None,
            correlation: None,
            causation: None,
            schema_version,
            traceparent: None,
            data,
        }
    }

    /// The typed event, brought up to the current schema version.
    ///
    /// # Errors
    /// When the type is unknown, the version newer than this build, or `data` not of that shape.
    pub fn event(&self) -> Result<Event, DecodeError> {
        Event::decode(&self.kind, self.schema_version, &self.data)
    }

    /// Whether the event is ruled by an expectation on its aggregate. An unknown type counts as free.
    #[must_use]
    pub fn is_ruled(&self) -> bool {
        is_ruled_type(&self.kind)
    }

    /// The subject it is stored under.
    #[must_use]
    pub fn subject(&self) -> String {
        if self.is_ruled() { self.aggregate.ruled_subject() } else { self.aggregate.free_subject() }
    }
}

/// An event of the journal: an envelope, or what could not be read as one, at its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where it stands.
    pub position: Position,
    /// The lane it was stored in.
    pub lane: Lane,
    /// When the journal stored it, by the journal's own clock.
    pub recorded: Timestamp,
    /// The event. An error is kept, not dropped: projections park it, the record shows it.
    pub envelope: Result<Envelope, Unreadable>,
}

/// A message on the journal that is no envelope (written by something other than Cabildo).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no readable event: {reason}")]
pub struct Unreadable {
    /// What is wrong with it.
    pub reason: String,
    /// Which aggregate its place says it belongs to, if any.
    pub aggregate: Option<Aggregate>,
    /// Its body as it stands.
    pub data: Bytes,
}

impl Recorded {
    /// The aggregate it belongs to, if that much can be read.
    #[must_use]
    pub fn aggregate(&self) -> Option<&Aggregate> {
        match &self.envelope {
            Ok(envelope) => Some(&envelope.aggregate),
            Err(unreadable) => unreadable.aggregate.as_ref(),
        }
    }
}

//! Cabildo's facts and rules.
//!
//! An [`Event`] is a fact that never changes; a [`Command`] is a wish that [`decide`] turns into events or into a
//! [`Rejection`]. This crate is pure: it opens no file and no socket, reads no clock and draws no random number, so
//! whatever it computes can be computed again.

mod aggregate;
mod command;
mod envelope;
mod event;
mod ids;
pub mod limits;
mod names;
mod rejection;
mod time;
pub mod wire;

pub mod chat;
pub mod identity;
pub mod operation;
pub mod poll;
pub mod task;

pub use aggregate::{Aggregate, Context, LANES, Lane, fnv1a32};
pub use command::{Command, Facts, State, decide};
pub use envelope::{Envelope, Recorded, Unreadable};
pub use event::{DecodeError, Event, event_types, is_ruled_type, known_type};
pub use ids::{
    CredentialId, EventId, ListId, MessageId, PollId, Position, ProjectionName, RoomId, SessionId, TaskId, UserId,
    VoterId,
};
pub use names::{
    Actor, BadOrder, BadText, Description, DueDate, FieldName, FieldValue, Label, ListTitle, MessageText, OptionLabel,
    PersonName, Question, Reason, RoomName, TaskOrder, TaskTitle, Topic,
};
pub use rejection::Rejection;
pub use time::Timestamp;

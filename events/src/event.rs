//! All event types, and their persisted form.

use bytes::Bytes;

use crate::wire::upgrade;
use crate::{chat, identity, operation, poll, task};

/// Why stored data is no event of this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No such type in this build.
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    /// Written by a newer build.
    #[error("`{kind}` has schema version {found}, this build knows up to {known}: upgrade cabildo")]
    Newer {
        /// The event type.
        kind: String,
        /// The version found.
        found: u16,
        /// The newest version known.
        known: u16,
    },
    /// Data that does not fit its type.
    #[error("`{kind}` version {version}: {reason}")]
    Shape {
        /// The event type.
        kind: String,
        /// The version it says it has.
        version: u16,
        /// What does not fit.
        reason: String,
    },
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($data:ty) = $kind:literal, version $version:literal, $rule:ident;)*) => {
        /// A fact, past tense, never changed.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $variant($data),)*
        }

        impl Event {
            /// Its type, as in `ce-type`.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            /// Its type, current schema version and JSON.
            #[must_use]
            pub fn encode(&self) -> (&'static str, u16, Bytes) {
                match self { $(Self::$variant(data) => ($kind, $version, to_json(data)),)* }
            }

            /// Reads stored data; an older version is upgraded step by step first.
            ///
            /// # Errors
            /// See [`DecodeError`].
            pub fn decode(kind: &str, version: u16, data: &[u8]) -> Result<Self, DecodeError> {
                match kind {
                    $($kind => upgrade::read(kind, version, $version, data).map(Self::$variant),)*
                    _ => Err(DecodeError::UnknownType(kind.to_owned())),
                }
            }
        }

        /// Every event type with its current schema version.
        #[must_use]
        pub const fn event_types() -> &'static [(&'static str, u16)] {
            &[$(($kind, $version),)*]
        }

        /// Whether events of this type are ruled by an expectation on their aggregate.
        #[must_use]
        pub fn is_ruled_type(kind: &str) -> bool {
            match kind { $($kind => events!(@ruled $rule),)* _ => false }
        }

        /// The type as a static text, where this build knows it.
        #[must_use]
        pub fn known_type(kind: &str) -> Option<&'static str> {
            match kind { $($kind => Some($kind),)* _ => None }
        }
    };
    (@ruled ruled) => { true };
    (@ruled free) => { false };
}

events! {
    /// A room was opened.
    RoomOpened(chat::RoomOpened) = "chat.room.opened", version 1, ruled;
    /// Somebody said something.
    MessagePosted(chat::MessagePosted) = "chat.message.posted", version 1, free;
    /// A message got another text.
    MessageEdited(chat::MessageEdited) = "chat.message.edited", version 1, free;
    /// A message was taken back.
    MessageDeleted(chat::MessageDeleted) = "chat.message.deleted", version 1, free;
    /// A poll was opened.
    PollOpened(poll::PollOpened) = "poll.opened", version 1, ruled;
    /// A ballot was cast. Version 1 is the vote of the Band Contest: `name, album, year, rank`.
    BallotCast(poll::BallotCast) = "poll.ballot.cast", version 2, free;
    /// A poll was closed: later ballots do not count.
    PollClosed(poll::PollClosed) = "poll.closed", version 1, ruled;
    /// A task list was opened.
    ListOpened(task::ListOpened) = "task.list.opened", version 1, ruled;
    /// A list got another title or visibility.
    ListChanged(task::ListChanged) = "task.list.changed", version 1, ruled;
    /// Somebody became a member of a list, or a member got another role.
    ListShared(task::ListShared) = "task.list.shared", version 1, ruled;
    /// Somebody is no member of a list any more.
    ListUnshared(task::ListUnshared) = "task.list.unshared", version 1, ruled;
    /// All tasks were taken off a list.
    ListEmptied(task::ListEmptied) = "task.list.emptied", version 1, ruled;
    /// A task was put on a list.
    TaskAdded(task::TaskAdded) = "task.added", version 1, ruled;
    /// A task was changed. Version 1 is a new title.
    TaskChanged(task::TaskChanged) = "task.changed", version 2, ruled;
    /// A task was put in another place of its list.
    TaskMoved(task::TaskMoved) = "task.moved", version 1, ruled;
    /// A task was done.
    TaskCompleted(task::TaskCompleted) = "task.completed", version 1, ruled;
    /// A task turned out not to be done.
    TaskReopened(task::TaskReopened) = "task.reopened", version 1, ruled;
    /// A task was taken off its list.
    TaskRemoved(task::TaskRemoved) = "task.removed", version 1, ruled;
    /// The last change of a task was taken back.
    TaskRestored(task::TaskRestored) = "task.restored", version 1, ruled;
    /// A person took a name.
    UserRegistered(identity::UserRegistered) = "identity.user.registered", version 1, ruled;
    /// A guest was let in under a name.
    GuestAdmitted(identity::GuestAdmitted) = "identity.guest.admitted", version 1, ruled;
    /// A person got a role.
    RoleGranted(identity::RoleGranted) = "identity.role.granted", version 1, ruled;
    /// A person took another password.
    PasswordChanged(identity::PasswordChanged) = "identity.password.changed", version 1, ruled;
    /// A person ended all of their sessions.
    SignedOutEverywhere(identity::SignedOutEverywhere) = "identity.sessions.ended", version 1, ruled;
    /// A view began to be built.
    ViewBegun(operation::ViewBegun) = "operation.view.begun", version 1, ruled;
    /// A view became the one that is read.
    ViewPromoted(operation::ViewPromoted) = "operation.view.promoted", version 1, ruled;
    /// The view from before is read again.
    ViewRestored(operation::ViewRestored) = "operation.view.restored", version 1, ruled;
    /// A view was given up.
    ViewCollected(operation::ViewCollected) = "operation.view.collected", version 1, ruled;
    /// A projection leaves an event out.
    EventDiscarded(operation::EventDiscarded) = "operation.event.discarded", version 1, ruled;
    /// The rows of an aggregate were made anew.
    AggregateMended(operation::AggregateMended) = "operation.aggregate.mended", version 1, ruled;
    /// A projection stands still.
    ProjectionPaused(operation::ProjectionPaused) = "operation.projection.paused", version 1, ruled;
    /// A projection goes on.
    ProjectionResumed(operation::ProjectionResumed) = "operation.projection.resumed", version 1, ruled;
}

fn to_json<T: serde::Serialize>(data: &T) -> Bytes {
    // Event data is structs of text and numbers: nothing in it can fail to serialize.
    Bytes::from(serde_json::to_vec(data).unwrap_or_default())
}

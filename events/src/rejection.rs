//! Why a wish was not granted.

use crate::{Position, limits};

/// A command broke a rule. The [`code`](Rejection::code) is stable: clients may match on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such thing (yet).
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// room, message, poll, list or task.
        what: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// The name or id is taken.
    #[error("there already is a {what} `{id}`")]
    AlreadyExists {
        /// room, poll, list, task or person.
        what: &'static str,
        /// The id that is taken.
        id: String,
    },
    /// The poll takes no more ballots.
    #[error("the poll `{0}` is closed")]
    PollClosed(String),
    /// The ballot names something that cannot be voted for.
    #[error("`{0}` is not an option of this poll")]
    UnknownOption(String),
    /// The ballot has too few or too many choices.
    #[error("this poll takes exactly one choice, the ballot has {0}")]
    ChoiceCount(usize),
    /// Too few or too many options for a poll.
    #[error("a poll lists {min} to {max} options, this one {0}", min = limits::POLL_OPTIONS_MIN, max = limits::POLL_OPTIONS_MAX)]
    OptionCount(usize),
    /// The same option twice.
    #[error("the option `{0}` is listed twice")]
    OptionTwice(String),
    /// Too many free fields.
    #[error("a ballot has at most {max} fields, this one {0}", max = limits::BALLOT_FIELDS_MAX)]
    FieldCount(usize),
    /// The list holds as many tasks as it may.
    #[error("the list holds {max} tasks already", max = limits::LIST_TASKS_MAX)]
    ListFull,
    /// Somebody else made it, and only they and moderators may change it.
    #[error("only who made the {what} `{id}`, or a moderator, may do that")]
    NotYours {
        /// message or poll.
        what: &'static str,
        /// The id of the thing.
        id: String,
    },
    /// The password was changed meanwhile.
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// A guest has no role to be raised and no password to be changed.
    #[error("`{0}` is a guest's name: only who registered has a role and a password")]
    GuestOnly(String),
    /// Who wishes it sees it, and may not do that.
    #[error("your role does not allow that")]
    Forbidden,
    /// It has been changed since the client looked.
    #[error("it was changed meanwhile, at {0}")]
    Changed(Position),
    /// A list that is nobody's in particular.
    #[error("a list without an owner is everybody's: it cannot be private, nor become somebody's")]
    NoOwner,
    /// The list would be left without an owner.
    #[error("the list has no other owner: name one first")]
    LastOwner,
    /// The list has as many members as it may.
    #[error("the list has {max} members already", max = limits::LIST_MEMBERS_MAX)]
    MembersFull,
    /// Too many labels.
    #[error("a task has at most {max} labels, this one {0}", max = limits::TASK_LABELS_MAX)]
    LabelCount(usize),
    /// An operator's wish that does not fit how things stand.
    #[error("{0}")]
    Operation(String),
}

impl Rejection {
    /// A stable word for the rule that was broken.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not-found",
            Self::AlreadyExists { .. } => "already-exists",
            Self::PollClosed(_) => "poll-closed",
            Self::UnknownOption(_) => "unknown-option",
            Self::ChoiceCount(_) => "choice-count",
            Self::OptionCount(_) => "option-count",
            Self::OptionTwice(_) => "option-twice",
            Self::FieldCount(_) => "field-count",
            Self::ListFull => "list-full",
            Self::NotYours { .. } => "not-yours",
            Self::PasswordChanged => "password-changed",
            Self::GuestOnly(_) => "guest-only",
            Self::Forbidden => "forbidden",
            Self::Changed(_) => "changed",
            Self::NoOwner => "no-owner",
            Self::LastOwner => "last-owner",
            Self::MembersFull => "members-full",
            Self::LabelCount(_) => "label-count",
            Self::Operation(_) => "operation",
        }
    }
}

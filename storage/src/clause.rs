//! What a search asks of an event, as values: every adapter turns them into its own language.

use std::borrow::Cow;

use cabildo_events::{Aggregate, EventId, Lane, Position, Timestamp};

/// Which kinds of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindPattern {
    /// This one.
    Exactly(String),
    /// Those that begin so, for example `chat.`.
    Prefix(String),
}

impl KindPattern {
    /// Whether a kind is one of these.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == kind,
            Self::Prefix(stem) => kind.starts_with(stem.as_str()),
        }
    }
}

/// How a value stands to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Less than it.
    Below,
    /// Less than it, or it.
    AtMost,
    /// It.
    Equal,
    /// More than it, or it.
    AtLeast,
    /// More than it.
    Above,
}

impl Compare {
    /// Whether a value stands so to a bound.
    pub fn holds<T: Ord>(self, value: &T, bound: &T) -> bool {
        match self {
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
            Self::Equal => value == bound,
            Self::AtLeast => value >= bound,
            Self::Above => value > bound,
        }
    }
}

/// One thing that an event may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Is it of this kind?
    Kind(KindPattern),
    /// Does its aggregate belong to this context, for example `chat`?
    Context(String),
    /// Is this its aggregate, written `poll/bands`? It need not be the name of one.
    Aggregate(String),
    /// Did this actor cause it?
    Actor(String),
    /// Is it of this lane?
    Lane(Lane),
    /// Is this its id?
    Event(EventId),
    /// Does it belong to this request or conversation?
    Correlation(EventId),
    /// Does it follow from this event?
    Causation(EventId),
    /// Does its text have, for each word of this (see [`words`]), a word that begins with it, without regard to case? No words
    /// ask nothing.
    Text(String),
    /// How does its position stand to this one?
    Position(Compare, Position),
    /// How does its time stand to this one?
    Time(Compare, Timestamp),
}

impl Condition {
    /// Of this aggregate.
    #[must_use]
    pub fn of(aggregate: &Aggregate) -> Self {
        Self::Aggregate(aggregate.to_string())
    }
}

/// Alternatives: one of them must hold, or, if negated, none may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Whether none may hold.
    pub negated: bool,
    /// The alternatives. None at all never holds.
    pub any: Vec<Condition>,
}

impl Clause {
    /// Something that must hold.
    #[must_use]
    pub fn only(condition: Condition) -> Self {
        Self { negated: false, any: vec![condition] }
    }

    /// One of these must hold.
    #[must_use]
    pub const fn one_of(any: Vec<Condition>) -> Self {
        Self { negated: false, any }
    }

    /// Something that must not hold.
    #[must_use]
    pub fn not(condition: Condition) -> Self {
        Self { negated: true, any: vec![condition] }
    }
}

/// The words of a text as they are compared: in lower case.
pub fn lower_words(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    words(text).map(|word| {
        let is_lower = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if is_lower { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) }
    })
}

/// The words of a text, as searches know them: runs of letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

//! What orders events: the aggregate, its lane, and its name in a NATS subject.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::BadText;
use crate::{ListId, PollId, RoomId};

/// How many lanes there are. Written into the journal's metadata; a journal with another count is refused.
pub const LANES: u8 = 64;

/// The 32-bit FNV-1a hash (Fowler, Noll and Vo; parameters as published), the one behind NATS's `partition()`.
#[must_use]
pub const fn fnv1a32(bytes: &[u8]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u32).wrapping_mul(0x0100_0193);
        index += 1;
    }
    hash
}

/// One of the 64 fixed partitions: the unit of order, of the watermark and of ownership. Written with two digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(u8);

impl Lane {
    /// Lane 0.
    pub const FIRST: Self = Self(0);

    /// The lane with this number, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < LANES { Some(Self(number)) } else { None }
    }

    /// All lanes in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..LANES).map(Self)
    }

    /// Its number, 0 to 63.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its number as an index into an array of 64.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// Which of the parts of the domain an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Context {
    /// Rooms and messages.
    Chat,
    /// Polls and ballots.
    Poll,
    /// Task lists and tasks.
    Task,
    /// People.
    Identity,
    /// The views, and what operators decide about them.
    Operation,
}

impl Context {
    /// Its name, as in event types and subjects.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Poll => "poll",
            Self::Task => "task",
            Self::Identity => "identity",
            Self::Operation => "operation",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Chat, Self::Poll, Self::Task, Self::Identity, Self::Operation]
            .into_iter()
            .find(|context| context.name() == name)
    }
}

/// What a rule guards and what orders its events: a room, a poll, a task list, a person. Written `poll/bands-2026`
/// (`ce-subject`); each context has one kind of aggregate, so the context and the id name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aggregate {
    context: Context,
    id: Box<str>,
}

impl Aggregate {
    /// A room.
    #[must_use]
    pub fn room(id: &RoomId) -> Self {
        Self { context: Context::Chat, id: id.as_str().into() }
    }

    /// A poll.
    #[must_use]
    pub fn poll(id: &PollId) -> Self {
        Self { context: Context::Poll, id: id.as_str().into() }
    }

    /// A task list.
    #[must_use]
    pub fn list(id: &ListId) -> Self {
        Self { context: Context::Task, id: id.as_str().into() }
    }

    /// A person, by their name in lower case: the name is what must be unique, so the name is what is guarded.
    #[must_use]
    pub fn person(name: &crate::PersonName) -> Self {
        Self { context: Context::Identity, id: name.as_str().to_lowercase().into() }
    }

    /// The projections, all of them: what operators decide about views stands in one order.
    #[must_use]
    pub fn projections() -> Self {
        Self { context: Context::Operation, id: "projections".into() }
    }

    /// Its context.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }

    /// Its id within the context.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its lane: FNV-1a of the escaped id, modulo 64. NATS's `partition(64, n)` over the id's token of a subject gives the same.
    #[must_use]
    pub fn lane(&self) -> Lane {
        // The remainder is under 64.
        #[expect(clippy::cast_possible_truncation, reason = "a remainder of 64 fits")]
        Lane((fnv1a32(escape(&self.id).as_bytes()) % u32::from(LANES)) as u8)
    }

    /// The subject of its ruled events: `ev.{lane}.{context}.{id}`.
    #[must_use]
    pub fn ruled_subject(&self) -> String {
        let id = escape(&self.id);
        format!("ev.{}.{}.{id}", self.lane(), self.context.name())
    }

    /// The subject of its free events, those that need no expectation: the ruled subject and `.free`. They stand apart
    /// so that a hot poll's ballots neither conflict with its closing nor have to be read to rule on it.
    #[must_use]
    pub fn free_subject(&self) -> String {
        self.ruled_subject() + ".free"
    }

    /// Reads the aggregate and lane from a subject; `None` if it is not one of Cabildo's.
    #[must_use]
    pub fn from_subject(subject: &str) -> Option<(Self, Lane)> {
        let mut tokens = subject.split('.');
        if tokens.next()? != "ev" {
            return None;
        }
        let lane = Lane::new(tokens.next()?.parse().ok()?)?;
        let context = Context::from_name(tokens.next()?)?;
        let id = unescape(tokens.next()?)?;
        match (tokens.next(), tokens.next()) {
            (None | Some("free"), None) => Some((Self { context, id: id.into() }, lane)),
            _ => None,
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.context.name(), self.id)
    }
}

impl FromStr for Aggregate {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        let what = "aggregate (for example poll/bands-2026)";
        let (context, id) = text.split_once('/').ok_or(BadText::Empty { what })?;
        let context = Context::from_name(context).ok_or(BadText::Empty { what })?;
        // Every id is held to the bounds of a room's.
        let id = RoomId::try_from(id.to_owned())?;
        Ok(Self { context, id: id.as_str().into() })
    }
}

impl Serialize for Aggregate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Aggregate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Writes an id in `[A-Za-z0-9_-]`: letters, digits and `-` stand for themselves, every other byte is `_` and two
/// capital hexadecimal digits.
fn escape(id: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            out.push(char::from(byte));
        } else {
            out.push('_');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

fn unescape(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'_' {
            let digits = [rest.next()?, rest.next()?];
            if !digits.iter().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_lowercase()) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else if byte.is_ascii_alphanumeric() || byte == b'-' {
            bytes.push(byte);
        } else {
            return None;
        }
    }
    String::from_utf8(bytes).ok().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fnv_matches_the_published_vectors() {
        assert_eq!(fnv1a32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a32(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn lanes_are_pinned() {
        // Persisted in subjects and watermarks: these may never change.
        let lane = |id: &str| Aggregate::room(&id.parse().unwrap()).lane().number();
        assert_eq!((lane("lobby"), lane("bands-2026"), lane("Sala José")), (19, 60, 13));
    }

    proptest! {
        #[test]
        fn a_subject_reads_back_as_its_aggregate(id in "[^\\p{Cc}]{1,20}") {
            if let Ok(id) = PollId::try_from(id) {
                let aggregate = Aggregate::poll(&id);
                for subject in [aggregate.ruled_subject(), aggregate.free_subject()] {
                    prop_assert!(subject.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                    prop_assert_eq!(Aggregate::from_subject(&subject), Some((aggregate.clone(), aggregate.lane())));
                }
                prop_assert_eq!(aggregate.to_string().parse::<Aggregate>().unwrap(), aggregate);
            }
        }
    }

    #[test]
    fn a_foreign_subject_is_not_ours() {
        for subject in
            ["ev", "ev.1.poll", "ev.64.poll.a", "ev.01.vote.a", "ev.01.poll.a_2", "ev.01.poll.a.free.x", "x.01.poll.a"]
        {
            assert_eq!(Aggregate::from_subject(subject), None, "{subject}");
        }
    }
}

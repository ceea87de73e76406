//! Ids. Those that people choose are bounded text; those that Cabildo makes are UUIDs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::limits::ID_BYTES_MAX;
use crate::names::{BadText, text_newtype};

fn check_id(what: &'static str, text: &str) -> Result<(), BadText> {
    if text.is_empty() {
        return Err(BadText::Empty { what });
    }
    if text.len() > ID_BYTES_MAX {
        return Err(BadText::TooLong { what, max: ID_BYTES_MAX, unit: "bytes" });
    }
    if text.chars().any(char::is_control) {
        return Err(BadText::Control { what });
    }
    if text.trim() != text {
        return Err(BadText::Padded { what });
    }
    Ok(())
}

text_newtype!(
    /// Names a room: 1 to 128 bytes of UTF-8 without control characters or outer spaces.
    RoomId, "room id", check_id
);
text_newtype!(
    /// Names a poll: 1 to 128 bytes of UTF-8 without control characters or outer spaces.
    PollId, "poll id", check_id
);
text_newtype!(
    /// Names a task list: 1 to 128 bytes of UTF-8 without control characters or outer spaces.
    ListId, "list id", check_id
);
text_newtype!(
    /// Who casts a ballot: 1 to 128 bytes of UTF-8 without control characters or outer spaces.
    VoterId, "voter id", check_id
);

text_newtype!(
    /// Names a projection: 1 to 128 bytes of UTF-8 without control characters or outer spaces.
    ProjectionName, "projection name", check_id
);

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_newtype!(
    /// One event: `ce-id`, and the id by which a journal knows a repeated append. UUIDv7 when Cabildo makes it;
    /// UUIDv8 when it is derived from a client's key (see [`EventId::from_key`]).
    EventId
);
uuid_newtype!(
    /// One chat message, chosen by the client that sends it, so that a repeated send is one message.
    MessageId
);
uuid_newtype!(
    /// One task of a list.
    TaskId
);
uuid_newtype!(
    /// One person, whatever name they go by.
    UserId
);

uuid_newtype!(
    /// One row of the credential store: a password's hash. Says nothing about the password.
    CredentialId
);
uuid_newtype!(
    /// One session: a signing-in and what followed from it.
    SessionId
);

impl EventId {
    /// The id of the event that a client's idempotency key asks for within a scope (the aggregate and the act): the
    /// same key in the same scope always gives the same id, so the journal stores it once. A UUIDv8 (RFC 9562,
    /// section 5.8) over the first 128 bits of SHA-256.
    #[must_use]
    pub fn from_key(scope: &str, key: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((scope.len() as u64).to_be_bytes());
        hash.update(scope.as_bytes());
        hash.update(key.as_bytes());
        let digest = hash.finalize();
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Uuid::new_v8(bytes))
    }
}

/// Where an event stands in the journal, written `0-1234`: the shard, then the sequence, which starts at 1. A
/// sequence of 0 stands before the first event. Order is promised, the absence of gaps is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position {
    /// Which stream of the journal; 0 until a journal spans several.
    pub shard: u16,
    /// The place within the shard.
    pub seq: u64,
}

impl Position {
    /// Before the first event.
    pub const START: Self = Self { shard: 0, seq: 0 };

    /// The position `seq` of shard 0.
    #[must_use]
    pub const fn at(seq: u64) -> Self {
        Self { shard: 0, seq }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.shard, self.seq)
    }
}

/// The text is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no position: expected SHARD-SEQ, for example 0-1234")]
pub struct BadPosition(String);

impl FromStr for Position {
    type Err = BadPosition;
    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let bad = || BadPosition(text.chars().take(40).collect());
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (shard, seq) = text.split_once('-').ok_or_else(bad)?;
        if !digits(shard) || !digits(seq) {
            return Err(bad());
        }
        Ok(Self { shard: shard.parse().map_err(|_| bad())?, seq: seq.parse().map_err(|_| bad())? })
    }
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_it_is_written() {
        for position in [Position::START, Position::at(1234), Position { shard: 7, seq: u64::MAX }] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "1234", "0-", "-1", "0-+1", "0--1", "0-1 ", "99999-1", "0-18446744073709551616"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_room_id_cannot_hold_a_bad_value() {
        for bad in ["", " lobby", "lobby ", "a\nb", "a\0b", &"x".repeat(129)] {
            assert!(RoomId::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert!(RoomId::try_from("Sala José, 3.º piso".to_owned()).is_ok());
    }

    #[test]
    fn the_same_key_gives_the_same_event_and_another_scope_another() {
        let id = EventId::from_key("chat/lobby", "k1");
        assert_eq!(id, EventId::from_key("chat/lobby", "k1"));
        assert_ne!(id, EventId::from_key("chat/lobbyk", "1"));
        assert_eq!(id.0.get_version_num(), 8);
    }
}

//! A hash chain over the events of each lane: whoever keeps the last link of a lane can tell later whether any event of it
//! was changed, taken out, put in or moved.
//!
//! *The bytes.* The link of an event is SHA-256 over the link before it (32 bytes; zeros before the first event of the lane)
//! and the event's fields in this order, each as its length (4 bytes, big-endian) and its bytes; a field that is absent is
//! the length `ffffffff` alone:
//!
//! | field | bytes |
//! |---|---|
//! | id | the UUID's 16 |
//! | type | UTF-8 |
//! | schema version | 2, big-endian |
//! | aggregate | UTF-8, as in `ce-subject` |
//! | time | microseconds since 1970, 8, big-endian, two's complement |
//! | actor | UTF-8 |
//! | correlation id, causation id | 16 each |
//! | traceparent | UTF-8 |
//! | data | the JSON text as it stands in an export |
//!
//! Of what is no readable event there are the aggregate, if its place tells it, and the data. Neither the position is in it nor
//! the journal's own time: a journal that takes events in from an export has the same links.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::structured::raw;
use crate::{LANES, Lane, Position, Recorded, Unreadable};

/// What stands for an absent field.
const ABSENT: [u8; 4] = [0xff; 4];

/// One link: 64 lower-case hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link([u8; 32]);

impl Link {
    /// What stands before the first event of a lane.
    pub const START: Self = Self([0; 32]);

    /// The link of the event after this one.
    #[must_use]
    pub fn next(self, event: &Recorded) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        let mut field = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => {
                // No field comes near the bound: data ends at 256 KiB.
                hash.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
                hash.update(bytes);
            }
            None => hash.update(ABSENT),
        };
        match &event.envelope {
            Ok(envelope) => {
                field(Some(envelope.id.0.as_bytes()));
                field(Some(envelope.kind.as_bytes()));
                field(Some(&envelope.schema_version.to_be_bytes()));
                field(Some(envelope.aggregate.to_string().as_bytes()));
                field(Some(&envelope.time.micros().to_be_bytes()));
                field(envelope.actor.as_ref().map(|actor| actor.as_str().as_bytes()));
                field(envelope.correlation.as_ref().map(|id| id.0.as_bytes().as_slice()));
                field(envelope.causation.as_ref().map(|id| id.0.as_bytes().as_slice()));
                field(envelope.traceparent.as_deref().map(str::as_bytes));
                field(Some(raw(&envelope.data).get().as_bytes()));
            }
            Err(Unreadable { aggregate, data, .. }) => {
                (0..3).for_each(|_| field(None));
                field(aggregate.as_ref().map(ToString::to_string).as_deref().map(str::as_bytes));
                (0..5).for_each(|_| field(None));
                field(Some(raw(data).get().as_bytes()));
            }
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

/// A text is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link is 64 lower-case hexadecimal digits, not `{0}`")]
pub struct BadLink(String);

impl FromStr for Link {
    type Err = BadLink;
    fn from_str(text: &str) -> Result<Self, BadLink> {
        let bad = || BadLink(text.chars().take(80).collect());
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        if text.len() != 64 {
            return Err(bad());
        }
        let mut link = [0; 32];
        for (byte, pair) in link.iter_mut().zip(text.as_bytes().chunks(2)) {
            let (high, low) = (digit(pair[0]).ok_or_else(bad)?, digit(pair[1]).ok_or_else(bad)?);
            *byte = high << 4 | low;
        }
        Ok(Self(link))
    }
}

impl Serialize for Link {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where the chain of a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Events of the lane so far.
    pub events: u64,
    /// The position of the last one; [`Position::START`] before the first.
    pub last: Position,
    /// Its link.
    pub link: Link,
}

/// The chains of all lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chains([ChainHead; LANES as usize]);

impl Default for Chains {
    fn default() -> Self {
        Self([ChainHead { events: 0, last: Position::START, link: Link::START }; LANES as usize])
    }
}

impl Chains {
    /// Takes the next event in, and tells its link.
    pub fn add(&mut self, event: &Recorded) -> Link {
        let head = &mut self.0[event.lane.index()];
        head.events += 1;
        head.last = event.position;
        head.link = head.link.next(event);
        head.link
    }

    /// Puts a lane's chain to where it stood before.
    pub fn set(&mut self, lane: Lane, head: ChainHead) {
        self.0[lane.index()] = head;
    }

    /// Where a lane stands.
    #[must_use]
    pub const fn head(&self, lane: Lane) -> ChainHead {
        self.0[lane.index()]
    }

    /// Where each lane stands that has events, in the order of the lanes.
    pub fn heads(&self) -> impl Iterator<Item = (Lane, ChainHead)> {
        Lane::all().map(|lane| (lane, self.head(lane))).filter(|(_, head)| head.events > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{from_json, to_portable_json};
    use crate::{Envelope, EventId, Timestamp};
    use bytes::Bytes;
    use uuid::Uuid;

    fn event(seq: u64) -> Recorded {
        let aggregate: crate::Aggregate = "poll/bands".parse().unwrap();
        let lane = aggregate.lane();
        let envelope = Envelope {
            id: EventId(Uuid::from_u128(seq.into())),
            kind: "poll.ballot.cast".into(),
            aggregate,
            time: Timestamp::from_micros(1_795_255_200_000_001),
            actor: Some("ana".parse().unwrap()),
            correlation: None,
            causation: Some(EventId(Uuid::from_u128(7))),
            schema_version: 1,
            traceparent: None,
            data: Bytes::from_static(b"{\"voter\":\"ana\",\"choices\":[\"Alux\"]}"),
        };
        Recorded { position: Position::at(seq), lane, recorded: Timestamp::from_micros(9), envelope: Ok(envelope) }
    }

    fn changed(change: impl Fn(&mut Envelope)) -> Link {
        let mut event = event(1);
        change(event.envelope.as_mut().unwrap());
        Link::START.next(&event)
    }

    #[test]
    fn the_bytes_are_those_that_are_written_down() {
        let mut bytes = vec![0; 32];
        let (id, cause) = (Uuid::from_u128(1), Uuid::from_u128(7));
        let fields: [Option<&[u8]>; 10] = [
            Some(id.as_bytes()),
            Some(b"poll.ballot.cast"),
            Some(&[0, 1]),
            Some(b"poll/bands"),
            Some(&1_795_255_200_000_001_i64.to_be_bytes()),
            Some(b"ana"),
            None,
            Some(cause.as_bytes()),
            None,
            Some(b"{\"voter\":\"ana\",\"choices\":[\"Alux\"]}"),
        ];
        for field in fields {
            match field {
                Some(field) => {
                    bytes.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
                    bytes.extend(field);
                }
                None => bytes.extend([0xff; 4]),
            }
        }
        let link = Link::START.next(&event(1));
        assert_eq!(link.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
        assert_eq!(link.to_string().parse(), Ok(link));
        assert!("x".repeat(64).parse::<Link>().is_err() && link.to_string().to_uppercase().parse::<Link>().is_err());
    }

    #[test]
    fn whatever_is_changed_changes_the_link() {
        let links = [
            Link::START.next(&event(1)),
            changed(|event| event.id = EventId(Uuid::from_u128(2))),
            changed(|event| event.kind = "poll.ballot.casT".into()),
            changed(|event| event.schema_version = 256),
            changed(|event| event.aggregate = "poll/band".parse().unwrap()),
            changed(|event| event.time = Timestamp::from_micros(1_795_255_200_000_002)),
            changed(|event| event.actor = None),
            changed(|event| event.correlation = event.causation.take()),
            changed(|event| event.causation = None),
            changed(|event| event.traceparent = Some(String::new())),
            changed(|event| event.data = Bytes::from_static(b"{\"voter\":\"ana\",\"choices\":[\"Aluy\"]}")),
        ];
        for (index, link) in links.iter().enumerate() {
            assert!(!links[..index].contains(link), "change {index} shows");
        }
    }

    #[test]
    fn an_event_taken_out_put_in_or_moved_shows_in_the_head() {
        let head = |seqs: &[u64]| {
            let mut chains = Chains::default();
            seqs.iter().for_each(|seq| {
                chains.add(&event(*seq));
            });
            chains.head(event(1).lane).link
        };
        let whole = head(&[1, 2, 3]);
        assert!(
            [head(&[1, 3]), head(&[1, 2]), head(&[1, 2, 2, 3]), head(&[2, 1, 3])].iter().all(|other| *other != whole)
        );
        assert_eq!(whole, head(&[1, 2, 3]));
    }

    #[test]
    fn an_export_has_the_same_links() {
        let mut original = event(1);
        // A foreign writer's white space is not in an export.
        original.envelope.as_mut().unwrap().data = Bytes::from_static(b" {\"voter\": \"ana\"}\n");
        let (envelope, position) = from_json(&to_portable_json(&original)).unwrap();
        let read = Recorded { position: position.unwrap(), envelope: Ok(envelope), ..original.clone() };
        assert_eq!(Link::START.next(&read), Link::START.next(&original));
    }

    #[test]
    fn lanes_have_chains_of_their_own() {
        let mut chains = Chains::default();
        let (first, mut other) = (event(1), event(2));
        other.lane = Lane::all().find(|lane| *lane != first.lane).unwrap();
        other.envelope =
            Err(Unreadable { reason: "whatever".to_owned(), aggregate: None, data: Bytes::from_static(b"hola") });
        chains.add(&first);
        chains.add(&other);
        assert_eq!(chains.head(first.lane).link, Link::START.next(&first));
        assert_eq!(chains.heads().map(|(_, head)| (head.events, head.last.seq)).collect::<Vec<_>>().len(), 2);
        let text = serde_json::to_string(&chains.head(other.lane)).unwrap();
        assert_eq!(serde_json::from_str::<ChainHead>(&text).unwrap(), chains.head(other.lane));
    }
}

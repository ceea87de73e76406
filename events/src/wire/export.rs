//! An export: one event a line, each with its link, and a last line by which the whole can be checked.
//!
//! ```text
//! {"specversion":"1.0",…,"position":"0-1","lane":17,"data":{…},"link":"5f2c…"}
//! …
//! {"manifest":{"events":1000000,"sha256":"9a1e…","lanes":{"17":{"events":31250,"last":"0-999971","link":"c07d…"}}}}
//! ```
//!
//! The links of a lane are chained over the events of this file (see [`Link`]): those of a whole journal are the journal's own.
//! `sha256` is over every byte before the last line. The position is where the event stood in the journal that was exported;
//! a journal that takes in a whole export while it is empty gives each event the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::structured::{Read, exported};
use super::{ChainHead, Chains, Link, WireError};
use crate::{Envelope, Lane, Position, Recorded};

/// What the last line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Events in the file.
    pub events: u64,
    /// SHA-256 of every byte before the last line, in hexadecimal digits.
    pub sha256: String,
    /// Where the chain of each lane stands that has events, by the lane's two digits.
    pub lanes: BTreeMap<String, ChainHead>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastLine {
    manifest: Manifest,
}

/// What a line of an export holds.
#[derive(Debug)]
pub enum Line {
    /// An event, and the position it had, if the line says so.
    Event(Box<Envelope>, Option<Position>),
    /// What is no readable event, and why.
    Unreadable(String),
    /// The end.
    End(Manifest),
}

/// Why a line is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It is no event.
    #[error(transparent)]
    Event(#[from] WireError),
    /// Not every event of the file has a link.
    #[error("the event has no link, and those before it do: a line was put in, or its link taken off")]
    Unlinked,
    /// Its link does not follow.
    #[error(
        "the link does not follow from the events of lane {lane} before it: this line was changed, or one was put in, taken out or moved"
    )]
    Broken {
        /// Of which lane.
        lane: Lane,
    },
    /// The last line says otherwise.
    #[error("the last line says otherwise of the {what}: the file is not as it was written")]
    Manifest {
        /// Of what.
        what: &'static str,
    },
    /// Something stands after the last line.
    #[error("it stands after the end of the export")]
    AfterEnd,
}

/// What has been written to, or read from, an export so far.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    chains: Chains,
    content: Sha256,
    events: u64,
    last: Position,
    linked: Option<bool>,
    ended: bool,
}

impl Ledger {
    /// Events so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The position that the last event had.
    #[must_use]
    pub const fn last(&self) -> Position {
        self.last
    }

    /// Whether the last line has been read or written.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// Whether its events have links; no event, no answer.
    #[must_use]
    pub const fn linked(&self) -> Option<bool> {
        self.linked
    }

    /// The next event's line, with its end.
    pub fn write(&mut self, event: &Recorded) -> String {
        let link = self.chains.add(event);
        let mut line = exported(event, link);
        line.push('\n');
        self.count(line.as_bytes(), event.position);
        self.linked = Some(true);
        line
    }

    /// The last line, with its end.
    pub fn end(&mut self) -> String {
        self.ended = true;
        // Texts and numbers: nothing in it can fail to serialize.
        serde_json::to_string(&LastLine { manifest: self.manifest() }).unwrap_or_default() + "\n"
    }

    /// Reads the next line, with or without its end, and holds it to what stands before it.
    ///
    /// # Errors
    /// See [`BadLine`]; the line does not count then.
    pub fn read(&mut self, line: &str) -> Result<Line, BadLine> {
        if self.ended {
            return Err(BadLine::AfterEnd);
        }
        let text = line.trim();
        if text.starts_with("{\"manifest\":") {
            let last: LastLine = serde_json::from_str(text).map_err(|error| WireError::Json(error.to_string()))?;
            self.hold_to(&last.manifest)?;
            self.ended = true;
            return Ok(Line::End(last.manifest));
        }
        let Read { recorded, position, link } = super::structured::read(text)?;
        match (link, self.linked) {
            (Some(link), None | Some(true)) => self.follow(&recorded, link)?,
            (None, None | Some(false)) => {}
            (None, Some(true)) | (Some(_), Some(false)) => return Err(BadLine::Unlinked),
        }
        self.linked = Some(link.is_some());
        self.count(line.as_bytes(), position.unwrap_or_default());
        match recorded.envelope {
            Ok(envelope) => Ok(Line::Event(Box::new(envelope), position)),
            Err(unreadable) => Ok(Line::Unreadable(unreadable.reason)),
        }
    }

    fn follow(&mut self, event: &Recorded, link: Link) -> Result<(), BadLine> {
        let before = self.chains.head(event.lane);
        if self.chains.add(event) == link {
            return Ok(());
        }
        self.chains.set(event.lane, before);
        Err(BadLine::Broken { lane: event.lane })
    }

    fn count(&mut self, line: &[u8], position: Position) {
        self.content.update(line);
        self.events += 1;
        self.last = position;
    }

    fn manifest(&self) -> Manifest {
        let digest = self.content.clone().finalize();
        let lanes = self.chains.heads().map(|(lane, head)| (lane.to_string(), head));
        Manifest {
            events: self.events,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            lanes: lanes.collect(),
        }
    }

    fn hold_to(&self, said: &Manifest) -> Result<(), BadLine> {
        let found = self.manifest();
        let differs = [
            (found.events != said.events, "number of events"),
            (found.lanes != said.lanes, "lanes"),
            (found.sha256 != said.sha256, "content (SHA-256)"),
        ];
        match differs.into_iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(BadLine::Manifest { what }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::PollClosed;
    use crate::{Aggregate, Event, EventId, Timestamp};
    use uuid::Uuid;

    fn event(seq: u64) -> Recorded {
        let aggregate: Aggregate = format!("poll/p{}", seq % 3).parse().unwrap();
        let (lane, time) = (aggregate.lane(), Timestamp::from_micros(1_795_255_200_000_000));
        let envelope =
            Envelope::new(EventId(Uuid::from_u128(seq.into())), aggregate, time, &Event::PollClosed(PollClosed {}));
        Recorded { position: Position::at(seq), lane, recorded: time, envelope: Ok(envelope) }
    }

    fn lines() -> Vec<String> {
        let mut ledger = Ledger::default();
        let mut lines: Vec<String> = (1..=6).map(|seq| ledger.write(&event(seq))).collect();
        lines.push(ledger.end());
        lines
    }

    /// The number of the first bad line, and why.
    fn check(lines: &[String]) -> Result<Ledger, (usize, BadLine)> {
        let mut ledger = Ledger::default();
        for (number, line) in lines.iter().enumerate() {
            ledger.read(line).map_err(|error| (number + 1, error))?;
        }
        Ok(ledger)
    }

    #[test]
    fn what_was_written_is_read_and_is_whole() {
        let ledger = check(&lines()).unwrap();
        assert_eq!((ledger.events(), ledger.last(), ledger.ended()), (6, Position::at(6), true));
        assert!(!check(&lines()[..6]).unwrap().ended(), "without its last line it is not whole");
    }

    #[test]
    fn the_first_line_that_is_not_as_it_was_is_named() {
        let check = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = lines();
            change(&mut lines);
            check(&lines).unwrap_err()
        };
        let broken = |(line, error): (usize, BadLine)| (line, matches!(error, BadLine::Broken { .. }));
        assert_eq!(broken(check(&|lines| lines[3] = lines[3].replace("2026-11", "2026-12"))), (4, true));
        assert_eq!(broken(check(&|lines| drop(lines.remove(0)))), (3, true), "the next event of its lane");
        assert_eq!(broken(check(&|lines| lines.swap(0, 3))), (1, true));
        assert_eq!(broken(check(&|lines| lines.insert(2, lines[1].clone()))), (3, true));
        assert_eq!(check(&|lines| drop(lines.remove(5))), (6, BadLine::Manifest { what: "number of events" }));
        // Neither the position nor white space is in the chain: the checksum finds them.
        let moved = check(&|lines| lines[3] = lines[3].replace("\"0-4\"", "\"0-9\""));
        assert_eq!(moved, (7, BadLine::Manifest { what: "lanes" }).clone());
        let spaced = check(&|lines| lines[3].insert(0, ' '));
        assert_eq!(spaced, (7, BadLine::Manifest { what: "content (SHA-256)" }));
        assert_eq!(check(&|lines| lines.push(lines[0].clone())), (8, BadLine::AfterEnd));
        let unlinked = super::super::to_portable_json(&event(3));
        assert_eq!(check(&|lines| lines[2].clone_from(&unlinked)), (3, BadLine::Unlinked));
    }

    #[test]
    fn what_is_no_event_has_its_place_in_the_chain() {
        let reason = "no `ce-id`".to_owned();
        let data = bytes::Bytes::from_static(b"\xff hola");
        let foreign = crate::Unreadable { reason, aggregate: event(2).aggregate().cloned(), data };
        let mut ledger = Ledger::default();
        let lines =
            [event(1), Recorded { envelope: Err(foreign), ..event(2) }, event(5)].map(|event| ledger.write(&event));
        let mut reader = Ledger::default();
        assert!(matches!(reader.read(&lines[0]), Ok(Line::Event(..))));
        assert!(matches!(reader.read(&lines[1]), Ok(Line::Unreadable(reason)) if reason == "no `ce-id`"));
        assert!(reader.read(&lines[2]).is_ok() && reader.read(&ledger.end()).is_ok());
    }

    #[test]
    fn lines_without_links_are_taken_as_they_are() {
        let lines: Vec<String> = (1..=3).map(|seq| super::super::to_portable_json(&event(seq))).collect();
        assert_eq!(check(&lines).unwrap().linked(), Some(false));
    }
}

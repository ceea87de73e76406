//! A line of an export, read back as an event of the journal it came from.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Link, WireError, from_json};
use crate::{Aggregate, Lane, Position, Recorded, Timestamp, Unreadable};

/// An event as an export has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The event; when the journal stored it is not in an export.
    pub event: Recorded,
    /// Its link in the chain of its lane, if the export has links.
    pub link: Option<Link>,
}

#[derive(Deserialize)]
struct Line<'a> {
    position: Position,
    lane: u8,
    link: Option<Link>,
    subject: Option<Aggregate>,
    unreadable: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads a line of an export.
///
/// # Errors
/// When it is no event, or has no place in a journal.
pub fn exported(text: &str) -> Result<Exported, WireError> {
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| WireError::Json(error.to_string()))?;
    let lane = Lane::new(line.lane).ok_or_else(|| super::bad("lane", format_args!("{} is none", line.lane)))?;
    let (recorded, envelope) = match line.unreadable {
        Some(reason) => {
            let data = Bytes::copy_from_slice(line.data.get().as_bytes());
            let reason = reason.into_owned();
            (Timestamp::default(), Err(Unreadable { reason, aggregate: line.subject, data }))
        }
        None => {
            let (envelope, _) = from_json(text)?;
            (envelope.time, Ok(envelope))
        }
    };
    Ok(Exported { event: Recorded { position: line.position, lane, recorded, envelope }, link: line.link })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::to_portable_json;

    #[test]
    fn what_is_no_event_is_read_back_too() {
        let aggregate: Aggregate = "chat/lobby".parse().unwrap();
        let data = Bytes::from_static(b"no json");
        let unreadable = Unreadable { reason: "no id".to_owned(), aggregate: Some(aggregate.clone()), data };
        let event = Recorded {
            position: Position::at(3),
            lane: aggregate.lane(),
            recorded: Timestamp::default(),
            envelope: Err(unreadable),
        };
        let read = exported(&to_portable_json(&event)).unwrap();
        assert_eq!((read.event.position, read.event.lane, read.link), (event.position, event.lane, None));
        assert_eq!(Link::START.next(&read.event), Link::START.next(&event));
        assert!(exported("{\"cabildo\":\"manifest\"}").is_err());
    }

    #[test]
    fn an_event_is_read_back_with_its_link() {
        let line = "{\"specversion\":\"1.0\",\"id\":\"019aa5d3-0000-7000-8000-000000000001\",\"type\":\"poll.closed\",\
                    \"subject\":\"poll/bands\",\"time\":\"2026-11-21T10:00:00.000001Z\",\"schemaversion\":1,\
                    \"position\":\"0-7\",\"lane\":9,\"link\":\"LINK\",\"data\":{}}";
        let link = Link::START.to_string();
        let read = exported(&line.replace("LINK", &link)).unwrap();
        assert_eq!((read.link, read.event.position), (Some(Link::START), Position::at(7)));
        assert!(read.event.envelope.is_ok_and(|envelope| envelope.kind == "poll.closed"));
        assert!(exported(&line.replace("\"LINK\"", "\"abc\"")).is_err());
    }
}

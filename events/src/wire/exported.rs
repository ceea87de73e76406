//! A line of an export, read back as an event of the journal it came from.

use super::structured::{Read, read};
use super::{Link, WireError};
use crate::Recorded;

/// An event as an export has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The event; when the journal stored it is not in an export.
    pub event: Recorded,
    /// Its link in the chain of its lane, if the export has links.
    pub link: Option<Link>,
}

/// Reads a line of an export.
///
/// # Errors
/// When it is no event, or has no place in a journal.
pub fn exported(text: &str) -> Result<Exported, WireError> {
    let Read { recorded, position, link } = read(text)?;
    position.ok_or(WireError::Missing("position"))?;
    Ok(Exported { event: recorded, link })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::to_portable_json;
    use crate::{Aggregate, Position, Timestamp, Unreadable};
    use bytes::Bytes;

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

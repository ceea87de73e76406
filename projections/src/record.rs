//! The event log as documents: every event, searchable. What cannot be read is in it too, with the reason.

use std::fmt::Write;

use cabildo_events::{Recorded, wire};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::activity::UNREADABLE;
use crate::{Document, DocumentKey, Documents, Ids, Projection, ProjectionId, Unfoldable};

/// Its first view.
pub const ID: ProjectionId = ProjectionId { name: "record", version: 1 };

/// The number of its fold: raised with any change to what it makes of the same events.
pub const FOLD: u32 = 1;

/// The collection: one document per event, its id the position.
pub const EVENTS: &str = "events";

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record;

impl Projection for Record {
    type Rows = Documents;
    type Step = Document;

    fn name(&self) -> &'static str {
        ID.name
    }

    fn version(&self) -> u32 {
        FOLD
    }

    fn tables(&self) -> &'static [&'static str] {
        &[EVENTS]
    }

    fn step(&self, event: &Recorded) -> Result<Option<Document>, Unfoldable> {
        let envelope = event.envelope.as_ref().ok();
        Ok(Some(Document {
            key: DocumentKey { collection: EVENTS, id: event.position.to_string().into() },
            created: event.position,
            folded: event.position,
            lane: event.lane,
            aggregate: event.aggregate().map(ToString::to_string).unwrap_or_default().into(),
            kind: envelope.map_or(UNREADABLE, |envelope| &envelope.kind).into(),
            actor: envelope.and_then(|envelope| envelope.actor.as_ref()).map(|actor| actor.as_str().into()),
            ids: envelope.map_or_else(Ids::default, |envelope| Ids {
                event: Some(envelope.id),
                correlation: envelope.correlation,
                causation: envelope.causation,
            }),
            time: envelope.map_or(event.recorded, |envelope| envelope.time),
            text: text(event).into(),
            body: wire::to_json(event).into(),
        }))
    }

    fn reads(&self, _step: &Document, _keys: &mut Vec<DocumentKey>) {}

    fn fold(&self, step: Document, documents: &mut Documents) -> Result<(), Unfoldable> {
        documents.append(step);
        Ok(())
    }
}

/// What a search for text looks at: the texts and numbers of the event's data, not the names they go by; all of it where it is
/// no JSON.
#[must_use]
pub fn text(event: &Recorded) -> String {
    let data = event.envelope.as_ref().map_or_else(|unreadable| &unreadable.data, |envelope| &envelope.data);
    let mut text = String::with_capacity(data.len());
    let mut reader = serde_json::Deserializer::from_slice(data);
    match Values(&mut text).deserialize(&mut reader).and_then(|()| reader.end()) {
        Ok(()) => text,
        Err(_) => String::from_utf8_lossy(data).into_owned(),
    }
}

/// Collects the values of a JSON text, a line each.
struct Values<'t>(&'t mut String);

impl Values<'_> {
    fn add(self, value: impl std::fmt::Display) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "{value}");
    }
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.add(value);
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.add(value);
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.add(value);
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.add(value);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(Values(self.0))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key::<IgnoredAny>()?.is_some() {
            fields.next_value_seed(Values(self.0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;
    use crate::story::{fold, recorded};
    use cabildo_events::poll::PollClosed;
    use cabildo_events::{Aggregate, Event};

    #[test]
    fn every_event_is_a_document_under_its_position() {
        let poll = Aggregate::poll(&"bands".parse().unwrap());
        let event = recorded(7, &poll, &Event::PollClosed(PollClosed {}));
        let changes = fold(&Record, std::slice::from_ref(&event)).into_changes();
        let document = changes[0].document().unwrap();
        assert_eq!((&*document.key.id, &*document.kind, &*document.aggregate), ("0-7", "poll.closed", "poll/bands"));
        assert_eq!(&*document.body, wire::to_json(&event));
    }

    #[test]
    fn the_values_of_an_event_are_its_text_and_the_names_are_not() {
        let poll = Aggregate::poll(&"bands".parse().unwrap());
        let mut event = recorded(7, &poll, &Event::PollClosed(PollClosed {}));
        let mut with = |data: &'static str| {
            event.envelope.as_mut().unwrap().data = data.as_bytes().into();
            text(&event)
        };
        assert_eq!(with(r#"{"choice":["Alux \"Nahual\"",7],"fields":{"rank":-2,"live":true,"x":1.5,"n":null}}"#), "Alux \"Nahual\"\n7\n-2\n1.5\n");
        assert_eq!(with("no JSON"), "no JSON");
        assert_eq!(with(r#"{"a":"b"} c"#), r#"{"a":"b"} c"#);
        assert_eq!(with("{}"), "");
    }
}

//! The event log as documents: every event, searchable. What cannot be read is in it too, with the reason.

use cabildo_events::{Recorded, wire};

use crate::activity::UNREADABLE;
use crate::{Document, DocumentKey, Documents, Projection, ProjectionId, Unfoldable};

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
        let data = event.envelope.as_ref().map_or_else(|unreadable| &unreadable.data, |envelope| &envelope.data);
        Ok(Some(Document {
            key: DocumentKey { collection: EVENTS, id: event.position.to_string().into() },
            created: event.position,
            folded: event.position,
            lane: event.lane,
            aggregate: event.aggregate().map(ToString::to_string).unwrap_or_default().into(),
            kind: envelope.map_or(UNREADABLE, |envelope| &envelope.kind).into(),
            actor: envelope.and_then(|envelope| envelope.actor.as_ref()).map(|actor| actor.as_str().into()),
            time: envelope.map_or(event.recorded, |envelope| envelope.time),
            text: String::from_utf8_lossy(data).into(),
            body: wire::to_json(event).into(),
        }))
    }

    fn reads(&self, _step: &Document, _keys: &mut Vec<DocumentKey>) {}

    fn fold(&self, step: Document, documents: &mut Documents) -> Result<(), Unfoldable> {
        documents.append(step);
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
}

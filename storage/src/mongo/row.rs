//! One document of a view as one of MongoDB's.

use ::mongodb::bson::raw::{CStr, cstr};
use ::mongodb::bson::spec::BinarySubtype;
use ::mongodb::bson::{Binary, DateTime, RawBsonRef, RawDocument, RawDocumentBuf};
use cabildo_events::{EventId, Lane, Timestamp};
use cabildo_projections::{Document, DocumentKey, Ids};
use uuid::Uuid;

use super::layout::{self, Layout};
use super::{body, unavailable};
use crate::SinkError;

const ID: &CStr = cstr!("_id");
const EVENT: &CStr = cstr!("event");
const CORRELATION: &CStr = cstr!("correlation");
const CAUSATION: &CStr = cstr!("causation");

/// Writes a document down.
pub(super) fn encode(layout: Layout, document: &Document) -> Result<RawDocumentBuf, SinkError> {
    let number = |position| {
        layout::number(position).ok_or_else(|| unavailable(format!("position {position} is past what can be kept")))
    };
    let mut row = RawDocumentBuf::new();
    match layout {
        Layout::Log => {
            if document.key.id.parse() != Ok(document.created) || document.folded != document.created {
                return Err(unavailable(format!(
                    "an event's document is named by its position, not {}",
                    document.key.id
                )));
            }
            row.append(ID, number(document.created)?);
        }
        Layout::Things => {
            row.append(ID, &*document.key.id);
            row.append(cstr!("created"), number(document.created)?);
            row.append(cstr!("folded"), number(document.folded)?);
        }
    }
    row.append(cstr!("lane"), i32::from(document.lane.number()));
    row.append(cstr!("aggregate"), &*document.aggregate);
    row.append(cstr!("kind"), &*document.kind);
    if let Some(actor) = &document.actor {
        row.append(cstr!("actor"), &**actor);
    }
    let ids = &document.ids;
    for (name, id) in [(EVENT, ids.event), (CORRELATION, ids.correlation), (CAUSATION, ids.causation)] {
        if let Some(EventId(id)) = id {
            row.append(name, Binary { subtype: BinarySubtype::Uuid, bytes: id.into_bytes().into() });
        }
    }
    row.append(cstr!("time"), date(document.time));
    row.append(cstr!("micros"), document.time.micros());
    row.append(cstr!("text"), &*document.text);
    match body::to_bson(&document.body) {
        Some(body) => row.append(cstr!("body"), body),
        None => row.append(cstr!("json"), &*document.body),
    }
    Ok(row)
}

/// Reads a document back.
pub(super) fn decode(layout: Layout, collection: &'static str, row: &RawDocument) -> Result<Document, SinkError> {
    read(layout, collection, row)
        .ok_or_else(|| unavailable(format!("a document of {collection} is not as it was written: {row:?}")))
}

fn read(layout: Layout, collection: &'static str, row: &RawDocument) -> Option<Document> {
    let position = |name| layout::position(row.get_i64(name).ok()?);
    let text = |name| row.get_str(name).ok().map(Box::<str>::from);
    let id_of = |name: &CStr| {
        let found = row.get_binary(name).ok()?;
        Uuid::from_slice(found.bytes).ok().map(EventId)
    };
    let (id, created, folded) = match layout {
        Layout::Log => {
            let position = position("_id")?;
            (position.to_string().into(), position, position)
        }
        Layout::Things => (text("_id")?, position("created")?, position("folded")?),
    };
    let body = match row.get("body").ok()? {
        Some(RawBsonRef::Document(document)) => body::to_json(document)?.into(),
        _ => text("json")?,
    };
    Some(Document {
        key: DocumentKey { collection, id },
        created,
        folded,
        lane: Lane::new(u8::try_from(row.get_i32("lane").ok()?).ok()?)?,
        aggregate: text("aggregate")?,
        kind: text("kind")?,
        actor: text("actor"),
        ids: Ids { event: id_of(EVENT), correlation: id_of(CORRELATION), causation: id_of(CAUSATION) },
        time: Timestamp::from_micros(row.get_i64("micros").ok()?),
        text: text("text")?,
        body,
    })
}

/// A moment as MongoDB has it: to the millisecond, rounded down.
pub(super) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.micros().div_euclid(1_000))
}

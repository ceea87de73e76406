//! Structured mode: one JSON object with `data` inside, plus `position`, `lane` and `recordedtime`.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Link, SOURCE, SPEC_VERSION, WireError};
use crate::envelope::Unreadable;
use crate::event::known_type;
use crate::{Actor, Aggregate, Envelope, EventId, Lane, Position, Recorded, Timestamp};

#[derive(Serialize)]
struct Written<'a> {
    specversion: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    source: &'static str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a Aggregate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schemaversion: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    position: Position,
    lane: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    recordedtime: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
    data: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Link>,
}

/// One event of the journal as a JSON object. What is no readable event is shown too, with the reason as `unreadable`
/// and the type `cabildo.unreadable`.
#[must_use]
pub fn to_json(recorded: &Recorded) -> String {
    write(recorded, Some(recorded.recorded), None)
}

/// The same without `recordedtime`, for exports: when a journal stored an event says nothing about the event, and another
/// journal that takes it in has a time of its own.
#[must_use]
pub fn to_portable_json(recorded: &Recorded) -> String {
    write(recorded, None, None)
}

/// The same with its link.
pub(super) fn exported(recorded: &Recorded, link: Link) -> String {
    write(recorded, None, Some(link))
}

fn write(recorded: &Recorded, recordedtime: Option<Timestamp>, link: Option<Link>) -> String {
    let base = Written {
        specversion: SPEC_VERSION,
        id: None,
        source: SOURCE,
        r#type: "cabildo.unreadable",
        subject: recorded.aggregate(),
        time: None,
        datacontenttype: "application/json",
        actor: None,
        correlationid: None,
        causationid: None,
        schemaversion: None,
        traceparent: None,
        position: recorded.position,
        lane: recorded.lane.number(),
        recordedtime,
        unreadable: None,
        data: Cow::Borrowed(RawValue::NULL),
        link,
    };
    let written = match &recorded.envelope {
        Ok(envelope) => Written {
            id: Some(envelope.id),
            r#type: &envelope.kind,
            time: Some(envelope.time),
            actor: envelope.actor.as_ref(),
            correlationid: envelope.correlation,
            causationid: envelope.causation,
            schemaversion: Some(envelope.schema_version),
            traceparent: envelope.traceparent.as_deref(),
            data: raw(&envelope.data),
            ..base
        },
        Err(Unreadable { reason, data, .. }) => Written { unreadable: Some(reason), data: raw(data), ..base },
    };
    serde_json::to_string(&written).unwrap_or_default()
}

/// The data as it stands if it is JSON, else as a JSON text with what is no UTF-8 replaced.
pub(super) fn raw(data: &Bytes) -> Cow<'_, RawValue> {
    if let Ok(value) = serde_json::from_slice::<&RawValue>(data) {
        return Cow::Borrowed(value);
    }
    let text = serde_json::to_string(&String::from_utf8_lossy(data)).unwrap_or_default();
    RawValue::from_string(text).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object<'a> {
    specversion: Cow<'a, str>,
    id: EventId,
    #[serde(rename = "source")]
    _source: Option<Cow<'a, str>>,
    r#type: Cow<'a, str>,
    subject: Aggregate,
    time: Timestamp,
    #[serde(rename = "datacontenttype")]
    _datacontenttype: Option<Cow<'a, str>>,
    actor: Option<Actor>,
    correlationid: Option<EventId>,
    causationid: Option<EventId>,
    schemaversion: u16,
    traceparent: Option<String>,
    position: Option<Position>,
    #[serde(rename = "lane")]
    _lane: Option<u8>,
    #[serde(rename = "recordedtime")]
    _recordedtime: Option<Timestamp>,
    link: Option<Link>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// What is no event, as an export shows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Foreign<'a> {
    #[serde(rename = "specversion")]
    _specversion: Cow<'a, str>,
    #[serde(rename = "source")]
    _source: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    _type: Cow<'a, str>,
    subject: Option<Aggregate>,
    #[serde(rename = "datacontenttype")]
    _datacontenttype: Option<Cow<'a, str>>,
    position: Option<Position>,
    lane: u8,
    #[serde(rename = "recordedtime")]
    _recordedtime: Option<Timestamp>,
    link: Option<Link>,
    unreadable: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A line of an export.
pub(super) struct Read {
    pub(super) recorded: Recorded,
    /// The position it had.
    pub(super) position: Option<Position>,
    pub(super) link: Option<Link>,
}

/// Reads a line of an export, an event or not.
pub(super) fn read(text: &str) -> Result<Read, WireError> {
    let wrong = |error: serde_json::Error| WireError::Json(error.to_string());
    let object: Object<'_> = match serde_json::from_str(text) {
        Ok(object) => object,
        Err(_) if text.contains("\"type\":\"cabildo.unreadable\"") => {
            let Foreign { subject: aggregate, position, lane, link, unreadable: reason, data, .. } =
                serde_json::from_str(text).map_err(wrong)?;
            let lane = Lane::new(lane).ok_or_else(|| super::bad("lane", lane))?;
            let data = Bytes::copy_from_slice(data.get().as_bytes());
            let envelope = Err(Unreadable { reason, aggregate, data });
            let recorded = Timestamp::default();
            let place = position.unwrap_or_default();
            return Ok(Read { recorded: Recorded { position: place, lane, recorded, envelope }, position, link });
        }
        Err(error) => return Err(wrong(error)),
    };
    let (position, link) = (object.position, object.link);
    let envelope = envelope(object)?;
    let (lane, recorded) = (envelope.aggregate.lane(), envelope.time);
    let place = position.unwrap_or_default();
    Ok(Read { recorded: Recorded { position: place, lane, recorded, envelope: Ok(envelope) }, position, link })
}

/// Reads an exported event and the position it had.
///
/// # Errors
/// When it is not JSON, lacks a required attribute, or has one that is not Cabildo's.
pub fn from_json(text: &str) -> Result<(Envelope, Option<Position>), WireError> {
    let object: Object<'_> = serde_json::from_str(text).map_err(|error| WireError::Json(error.to_string()))?;
    let position = object.position;
    envelope(object).map(|envelope| (envelope, position))
}

fn envelope(read: Object<'_>) -> Result<Envelope, WireError> {
    if read.specversion != SPEC_VERSION {
        return Err(super::bad("specversion", format_args!("`{}`, expected {SPEC_VERSION}", read.specversion)));
    }
    Ok(Envelope {
        id: read.id,
        kind: known_type(&read.r#type).map_or_else(|| Cow::Owned(read.r#type.into_owned()), Cow::Borrowed),
        aggregate: read.subject,
        time: read.time,
        actor: read.actor,
        correlation: read.correlationid,
        causation: read.causationid,
        schema_version: read.schemaversion,
        traceparent: read.traceparent,
        data: Bytes::copy_from_slice(read.data.get().as_bytes()),
    })
}

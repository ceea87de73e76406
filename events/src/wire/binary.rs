//! Binary mode: attributes as headers, `data` as the body.

use std::borrow::Cow;
use std::str::FromStr;

use bytes::Bytes;

use super::{SOURCE, SPEC_VERSION, WireError, bad};
use crate::Envelope;
use crate::event::known_type;

/// The headers of an envelope, in a fixed order. `Nats-Msg-Id` comes last and equals `ce-id`.
#[must_use]
pub fn to_headers(envelope: &Envelope) -> Vec<(&'static str, String)> {
    let id = envelope.id.to_string();
    let mut headers = vec![
        ("ce-specversion", SPEC_VERSION.to_owned()),
        ("ce-id", id.clone()),
        ("ce-type", envelope.kind.clone().into_owned()),
        ("ce-source", SOURCE.to_owned()),
        ("ce-subject", envelope.aggregate.to_string()),
        ("ce-time", envelope.time.to_string()),
        ("ce-schemaversion", envelope.schema_version.to_string()),
    ];
    headers.extend(envelope.actor.as_ref().map(|actor| ("ce-actor", header_safe(actor.as_str()))));
    headers.extend(envelope.correlation.map(|id| ("ce-correlationid", id.to_string())));
    headers.extend(envelope.causation.map(|id| ("ce-causationid", id.to_string())));
    headers.extend(envelope.traceparent.as_ref().map(|parent| ("traceparent", parent.clone())));
    headers.push(("Nats-Msg-Id", id));
    headers
}

/// Reads an envelope from headers and body.
///
/// # Errors
/// When a required attribute is missing or does not read.
pub fn from_headers<'h>(get: impl Fn(&str) -> Option<&'h str>, data: Bytes) -> Result<Envelope, WireError> {
    fn required<'h>(get: impl Fn(&str) -> Option<&'h str>, name: &'static str) -> Result<&'h str, WireError> {
        get(name).ok_or(WireError::Missing(name))
    }
    fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &'static str, text: &str) -> Result<T, WireError> {
        text.parse().map_err(|error| bad(name, error))
    }
    let version = required(&get, "ce-specversion")?;
    if version != SPEC_VERSION {
        return Err(bad("ce-specversion", format_args!("`{version}`, expected {SPEC_VERSION}")));
    }
    let kind = required(&get, "ce-type")?;
    Ok(Envelope {
        id: parsed("ce-id", required(&get, "ce-id")?)?,
        kind: known_type(kind).map_or_else(|| Cow::Owned(kind.to_owned()), Cow::Borrowed),
        aggregate: parsed("ce-subject", required(&get, "ce-subject")?)?,
        time: parsed("ce-time", required(&get, "ce-time")?)?,
        actor: get("ce-actor").map(|text| parsed("ce-actor", text)).transpose()?,
        correlation: get("ce-correlationid").map(|text| parsed("ce-correlationid", text)).transpose()?,
        causation: get("ce-causationid").map(|text| parsed("ce-causationid", text)).transpose()?,
        schema_version: parsed("ce-schemaversion", required(&get, "ce-schemaversion")?)?,
        traceparent: get("traceparent").map(str::to_owned),
        data,
    })
}

/// Header values end at a line break; names and ids cannot hold one, and this keeps it so.
fn header_safe(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

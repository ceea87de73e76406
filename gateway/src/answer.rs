//! Answers: JSON, receipts, pages.

use std::fmt::Write;

use cabildo_events::Position;
use cabildo_storage::Receipt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tonic::metadata::MetadataMap;
use warp::reply::Response;

use crate::problem::Problem;

/// The last event that is in an answer, or that a write made.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("cabildo-position");
/// `true` if the view had not reached `Cabildo-Min-Position` in time.
pub(crate) const STALE: HeaderName = HeaderName::from_static("cabildo-stale");

/// The event right after which things were as the answer says.
pub(crate) const AS_OF: HeaderName = HeaderName::from_static("cabildo-as-of");

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An operation's outcome as the response that the edge finishes.
pub(crate) fn finish(outcome: Result<Response, Problem>) -> Response {
    outcome.unwrap_or_else(Problem::into_response)
}

/// 200 with a JSON body.
pub(crate) fn json<T: Serialize>(body: &T) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::new(&crate::problem::INTERNAL, "the answer could not be written")
    })?;
    Ok(raw_json(bytes))
}

/// A text of JSON.
pub(crate) fn text<T: Serialize>(body: &T) -> Result<String, Problem> {
    serde_json::to_string(body).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::new(&crate::problem::INTERNAL, "the answer could not be written")
    })
}

/// 412 with what there is now, for a client that knows something older.
pub(crate) fn changed<T: Serialize>(now: &T, version: Position) -> Result<Response, Problem> {
    let mut response = json(now)?;
    *response.status_mut() = StatusCode::PRECONDITION_FAILED;
    etag(&mut response, version);
    Ok(response)
}

/// Says as of which change a thing is shown, for `If-Match`.
pub(crate) fn etag(response: &mut Response, version: Position) {
    put(response, header::ETAG, &format!("\"{version}\""));
}

/// 200 with a body that is JSON already.
pub(crate) fn raw_json(bytes: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(bytes.into().into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// What a write answers, beside the ids of the thing.
#[derive(Serialize)]
pub(crate) struct Written<T> {
    #[serde(flatten)]
    pub(crate) ids: T,
    position: Position,
    durability: &'static str,
    repeated: bool,
}

/// The answer to a command that was granted: 201 with `Location` if something came to be, else 200.
pub(crate) fn written<T: Serialize>(receipt: &Receipt, ids: T, location: Option<&str>) -> Result<Response, Problem> {
    let (position, durability) = (receipt.position, receipt.durability.name());
    let mut response = json(&Written { ids, position, durability, repeated: receipt.repeated })?;
    put(&mut response, POSITION, &position.to_string());
    if let Some(location) = location {
        *response.status_mut() = StatusCode::CREATED;
        put(&mut response, header::LOCATION, location);
    }
    Ok(response)
}

/// Says at which position of its lane a view was read, and whether the client asked for a later one.
pub(crate) fn mark(response: &mut Response, watermark: Option<u64>, fresh: bool) {
    if let Some(seq) = watermark {
        put(response, POSITION, &Position::at(seq).to_string());
    }
    if !fresh {
        put(response, STALE, "true");
    }
}

/// Says as of which event an answer about the past is.
pub(crate) fn mark_as_of(response: &mut Response, at: Position) {
    put(response, AS_OF, &at.to_string());
}

/// `Link` headers (RFC 8288): the pages before and after.
pub(crate) fn link(response: &mut Response, links: &[(&str, String)]) {
    let mut value = String::new();
    for (relation, address) in links {
        let comma = if value.is_empty() { "" } else { ", " };
        let _ = write!(value, "{comma}<{address}>; rel=\"{relation}\"");
    }
    if !value.is_empty() {
        put(response, header::LINK, &value);
    }
}

/// Says in a call's metadata where the event stands that it made.
pub(crate) fn tell_position(metadata: &mut MetadataMap, position: Position) {
    let mut headers = std::mem::take(metadata).into_headers();
    // Visible ASCII, as above.
    if let Ok(position) = HeaderValue::from_str(&position.to_string()) {
        headers.insert(POSITION, position);
    }
    *metadata = MetadataMap::from_headers(headers);
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    // Positions, escaped addresses and fixed words: all of it is visible ASCII.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

//! Messages into recorded events.

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use cabildo_events::wire::{self, to_headers};
use cabildo_events::{Aggregate, Envelope, Lane, Position, Recorded, Timestamp, Unreadable};

/// An envelope's headers as NATS carries them.
pub(super) fn headers_of(envelope: &Envelope) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in to_headers(envelope) {
        headers.insert(name, value);
    }
    headers
}

/// Reads a stored message. What is no envelope, or stands under another aggregate's subject, is kept as unreadable.
pub(super) fn recorded(
    seq: u64,
    recorded: Timestamp,
    subject: &str,
    headers: Option<&HeaderMap>,
    data: Bytes,
) -> Recorded {
    let place = Aggregate::from_subject(subject);
    let lane = place.as_ref().map_or_else(|| lane_of(subject), |(_, lane)| *lane);
    let get = |name: &str| headers.and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str);
    let envelope = wire::from_headers(get, data.clone()).map_err(|error| error.to_string());
    let envelope = envelope.and_then(|envelope| {
        if place.as_ref().is_some_and(|(aggregate, lane)| *aggregate == envelope.aggregate && *lane == aggregate.lane())
        {
            Ok(envelope)
        } else {
            Err(format!("it says it belongs to {}, but stands under the subject {subject}", envelope.aggregate))
        }
    });
    let aggregate = place.map(|(aggregate, _)| aggregate);
    let envelope = envelope.map_err(|reason| Unreadable { reason, aggregate, data });
    Recorded { position: Position::at(seq), lane, recorded, envelope }
}

/// Reads a message as the leader gives it.
pub(super) fn from_stream(message: StreamMessage) -> Recorded {
    let micros = message.time.unix_timestamp_nanos() / 1_000;
    let time = Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
    recorded(message.sequence, time, &message.subject, Some(&message.headers), message.payload)
}

/// The lane of a foreign subject: by its place if that names one, else the first.
fn lane_of(subject: &str) -> Lane {
    let number = subject.split('.').nth(1).and_then(|token| token.parse().ok());
    number.and_then(Lane::new).unwrap_or(Lane::FIRST)
}

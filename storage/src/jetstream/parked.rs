//! Events set aside, in a stream of their own: one subject per projection, version and event, one message per subject.

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use cabildo_events::Position;
use futures::future::try_join_all;

use super::JetStream;
use super::address::Address;
use super::append::server_error;
use super::lookup::{last_of, unavailable};
use super::pull::Pull;
use crate::{Parked, ReadError};

/// Subjects that are emptied at once: each is a request of its own.
const UNPARK_AT_ONCE: usize = 64;

pub(super) fn parked_config(address: &Address) -> Config {
    Config {
        name: address.parked_stream(),
        description: Some("Events that a projection of Cabildo cannot fold".to_owned()),
        subjects: vec!["parked.>".to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: address.replicas.unwrap_or(1),
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        ..Config::default()
    }
}

pub(super) async fn park(journal: &JetStream, parked: Vec<Parked>) -> Result<(), ReadError> {
    for some in parked.chunks(cabildo_events::limits::APPEND_BATCH_EVENTS_MAX) {
        try_join_all(some.iter().map(|event| park_one(journal, event))).await?;
    }
    Ok(())
}

async fn park_one(journal: &JetStream, parked: &Parked) -> Result<(), ReadError> {
    let subject = format!("{}{}", subjects_of(&parked.projection, parked.version), parked.position);
    let body = serde_json::to_vec(parked).map_err(unavailable)?;
    let message = PublishMessage::build().payload(body.into());
    let sent = journal.writes.context.send_publish(subject.clone(), message).await.map_err(unavailable)?;
    match sent.await {
        Ok(_) => Ok(()),
        // The subject is taken if this very event is parked already.
        Err(error) if error.kind() == PublishErrorKind::Other && server_error(&error).is_some() => {
            let stream = journal.writes.context.get_stream_no_info(&journal.parked).await.map_err(unavailable)?;
            if last_of(&stream, &subject).await? > 0 { Ok(()) } else { Err(unavailable(error)) }
        }
        Err(error) => Err(unavailable(error)),
    }
}

pub(super) async fn parked(journal: &JetStream, projection: &str, version: u32) -> Result<Vec<Parked>, ReadError> {
    let stream = journal.writes.context.get_stream_no_info(&journal.parked).await.map_err(unavailable)?;
    let subjects = subjects_of(projection, version) + ">";
    let until = last_of(&stream, &subjects).await?;
    let mut found = Vec::new();
    if until == 0 {
        return Ok(found);
    }
    let mut pull = Pull::begin(journal.reads.clone(), &journal.parked, &[&subjects], 0, until).await?;
    loop {
        let delivered = pull.next().await?;
        if delivered.is_empty() {
            break;
        }
        for event in delivered {
            found.push(serde_json::from_slice::<Parked>(&event.message.payload).map_err(unavailable)?);
        }
    }
    // By the place of the event, whenever it was parked.
    found.sort_by_key(|parked| parked.position);
    Ok(found)
}

/// Empties the subjects of some events, so that they may be parked anew.
pub(super) async fn unpark(
    journal: &JetStream,
    projection: &str,
    version: u32,
    positions: &[Position],
) -> Result<(), ReadError> {
    let stream = journal.writes.context.get_stream_no_info(&journal.parked).await.map_err(unavailable)?;
    let subjects = subjects_of(projection, version);
    for some in positions.chunks(UNPARK_AT_ONCE) {
        let purges = some.iter().map(|position| stream.purge().filter(format!("{subjects}{position}")).into_future());
        try_join_all(purges).await.map_err(unavailable)?;
    }
    Ok(())
}

/// What the subjects of a projection's parked events begin with.
fn subjects_of(projection: &str, version: u32) -> String {
    let token: String = projection.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("parked.{token}.{version}.")
}

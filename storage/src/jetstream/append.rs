//! Appending.
//!
//! Events go one after the other without waiting for each other's answer; ruled ones carry their expectation. Where the
//! server flushes every message to disk, many free events go as one atomic batch instead (see [`batches_from`]): it
//! is flushed as a whole, and one answer tells its place. A batch that holds an event the server knows already is refused
//! whole; then its events go one by one too, and the server tells the repeated from the new.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, ErrorCode};
use cabildo_events::limits::{
    APPEND_ATOMIC_EVENTS_MIN, APPEND_BATCH_EVENTS_MAX, APPEND_WRITE_MS, EVENT_DATA_BYTES_MAX, RETRY_FIRST_MS,
};
use cabildo_events::{Envelope, EventId, Position};
use futures::future::join_all;
use tokio::time::timeout;

use super::JetStream;
use super::convert::headers_of;
use super::lookup::ruled_after;
use crate::{Append, AppendError, Appended, Durability, Expect};

type Answer = Result<Appended, AppendError>;
/// Answers by their place in the batch. Filled as they come, so that a timeout leaves what is known.
type Answers = Vec<(usize, Answer)>;

pub(super) async fn append(journal: &JetStream, batch: Vec<Append>) -> Vec<Answer> {
    let mut plan = Plan::of(&batch);
    let (mut free, mut ruled) = (Vec::new(), Vec::new());
    let reason = {
        let mut loss = journal.writes.watch();
        let work = async {
            // The semaphore is never closed.
            let _turn = journal.writing.acquire().await;
            tokio::join!(
                write_free(journal, &batch, &plan.free, &mut free),
                write_singly(journal, &batch, &plan.ruled, &mut ruled),
            );
        };
        if journal.writes.is_up() {
            tokio::select! {
                done = timeout(Duration::from_millis(APPEND_WRITE_MS), work) => done.err().map(|_| "it did not answer in time"),
                () = loss.happens() => Some("the connection was lost"),
            }
        } else {
            Some("it is not connected")
        }
    };
    for (index, answer) in free.into_iter().chain(ruled) {
        plan.answers[index] = Some(answer);
    }
    plan.finish(reason.unwrap_or("it did not answer"))
}

/// Which events of a batch go which way.
struct Plan {
    free: Vec<usize>,
    ruled: Vec<usize>,
    /// Events whose id is that of an earlier one of the batch: they get its answer.
    same: Vec<(usize, usize)>,
    answers: Vec<Option<Answer>>,
}

impl Plan {
    fn of(batch: &[Append]) -> Self {
        let mut plan = Self { free: Vec::new(), ruled: Vec::new(), same: Vec::new(), answers: vec![None; batch.len()] };
        let mut seen: HashMap<EventId, usize> = HashMap::with_capacity(batch.len());
        for (index, append) in batch.iter().enumerate() {
            let bytes = append.envelope.data.len();
            if bytes > EVENT_DATA_BYTES_MAX {
                plan.answers[index] = Some(Err(AppendError::TooLarge { bytes, max: EVENT_DATA_BYTES_MAX }));
                continue;
            }
            let first = *seen.entry(append.envelope.id).or_insert(index);
            match append.expect {
                _ if first != index => plan.same.push((index, first)),
                Expect::Nothing => plan.free.push(index),
                Expect::Last(_) => plan.ruled.push(index),
            }
        }
        plan
    }

    /// Every event's answer; those without one may or may not have been written.
    fn finish(mut self, reason: &str) -> Vec<Answer> {
        for (index, first) in std::mem::take(&mut self.same) {
            self.answers[index] = self.answers[first]
                .clone()
                .map(|answer| answer.map(|appended| Appended { repeated: true, ..appended }));
        }
        let unanswered = || Err(AppendError::Unavailable(reason.to_owned()));
        self.answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect()
    }
}

/// From how many free events on an atomic batch is worth it; `None`: never. The server flushes a batch to disk twice before it
/// acknowledges it, whatever its setting. Where it would flush every message too, a batch wins from about a dozen on; where
/// it would not, single publishes were faster at every size that was measured.
pub(super) const fn batches_from(durability: Durability) -> Option<usize> {
    match durability {
        Durability::Fsync => Some(APPEND_ATOMIC_EVENTS_MIN),
        Durability::Replicated | Durability::Accepted => None,
    }
}

async fn write_free(journal: &JetStream, batch: &[Append], free: &[usize], answers: &mut Answers) {
    for some in free.chunks(APPEND_BATCH_EVENTS_MAX) {
        let atomically = batches_from(journal.durability).is_some_and(|events| some.len() >= events);
        if !atomically || !write_atomically(journal, batch, some, answers).await {
            write_singly(journal, batch, some, answers).await;
        }
    }
}

/// Writes events as one atomic batch (ADR-50). False if nothing was written and they may go one by one instead.
async fn write_atomically(journal: &JetStream, batch: &[Append], indices: &[usize], answers: &mut Answers) -> bool {
    let Some((last, others)) = indices.split_last() else { return true };
    let batch_id = uuid::Uuid::now_v7().simple().to_string();
    let member = |number: usize, envelope: &Envelope| {
        let mut headers = headers_of(envelope);
        headers.insert("Nats-Batch-Id", batch_id.as_str());
        headers.insert("Nats-Batch-Sequence", number.to_string());
        headers
    };
    for (number, index) in others.iter().enumerate() {
        let envelope = &batch[*index].envelope;
        let (headers, data) = (member(number + 1, envelope), envelope.data.clone());
        if let Err(error) = journal.writes.client.publish_with_headers(envelope.subject(), headers, data).await {
            let error = AppendError::Unavailable(error.to_string());
            answers.extend(indices.iter().map(|index| (*index, Err(error.clone()))));
            return true;
        }
    }
    let envelope = &batch[*last].envelope;
    let mut headers = member(indices.len(), envelope);
    headers.insert("Nats-Batch-Commit", "1");
    match publish(journal, envelope, headers).await {
        Ok(ack) => {
            let first = (ack.sequence + 1).saturating_sub(indices.len() as u64);
            let position = |place: usize| Position::at(first + place as u64);
            answers.extend(
                indices
                    .iter()
                    .enumerate()
                    .map(|(place, index)| (*index, Ok(Appended { position: position(place), repeated: false }))),
            );
            true
        }
        Err(error) => {
            let code = server_error(&error).map(jetstream::Error::error_code);
            if matches!(
                code,
                Some(
                    ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE
                        | ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT
                        | ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT
                        | ErrorCode::ATOMIC_PUBLISH_DISABLED
                )
            ) {
                return false;
            }
            let error = append_error(&error);
            answers.extend(indices.iter().map(|index| (*index, Err(error.clone()))));
            true
        }
    }
}

/// Publishes events one after the other without waiting in between; the server keeps their order.
async fn write_singly(journal: &JetStream, batch: &[Append], indices: &[usize], answers: &mut Answers) {
    let mut waiting = indices.to_vec();
    while !waiting.is_empty() {
        let mut sent = Vec::with_capacity(waiting.len());
        for index in waiting.drain(..) {
            let Append { envelope, expect } = &batch[index];
            let mut headers = headers_of(envelope);
            if let Expect::Last(expected) = expect {
                headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
            }
            match send(journal, envelope, headers).await {
                Ok(ack) => sent.push(async move { (index, ack.await) }),
                Err(error) => answers.push((index, Err(append_error(&error)))),
            }
        }
        for (index, ack) in join_all(sent).await {
            match ack {
                Ok(ack) => answers.push((index, Ok(appended(&ack)))),
                Err(error) if is_in_process(&error) => waiting.push(index),
                Err(error) => answers.push((index, looked_into(journal, &batch[index], append_error(&error)).await)),
            }
        }
        if !waiting.is_empty() {
            tokio::time::sleep(Duration::from_millis(RETRY_FIRST_MS)).await;
        }
    }
}

/// The server looks at the expectation before it looks whether it knows the id: an event that is written already
/// conflicts with itself. So a conflict is looked into.
async fn looked_into(journal: &JetStream, append: &Append, error: AppendError) -> Answer {
    let (AppendError::Conflict, Expect::Last(expected)) = (&error, append.expect) else { return Err(error) };
    let since = ruled_after(journal, &append.envelope.subject(), expected).await;
    let since = since.map_err(|error| AppendError::Unavailable(error.to_string()))?;
    let same = since.iter().find(|event| event.envelope.as_ref().is_ok_and(|found| found.id == append.envelope.id));
    same.map_or(Err(error), |event| Ok(Appended { position: event.position, repeated: true }))
}

/// Whether a cluster is about to write an event with this id: it will know it in a moment.
fn is_in_process(error: &PublishError) -> bool {
    server_error(error).is_some_and(|error| error.error_code() == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT)
}

async fn publish(
    journal: &JetStream,
    envelope: &Envelope,
    headers: async_nats::HeaderMap,
) -> Result<PublishAck, PublishError> {
    send(journal, envelope, headers).await?.await
}

async fn send(
    journal: &JetStream,
    envelope: &Envelope,
    headers: async_nats::HeaderMap,
) -> Result<jetstream::context::PublishAckFuture, PublishError> {
    let message = PublishMessage::build().headers(headers).payload(envelope.data.clone());
    journal.writes.context.send_publish(envelope.subject(), message).await
}

fn appended(ack: &PublishAck) -> Appended {
    Appended { position: Position::at(ack.sequence), repeated: ack.duplicate }
}

/// What the server said, if the error is its answer.
pub(super) fn server_error(error: &PublishError) -> Option<&jetstream::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn append_error(error: &PublishError) -> AppendError {
    match (error.kind(), server_error(error).map(jetstream::Error::error_code)) {
        (PublishErrorKind::WrongLastSequence, _)
        | (_, Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)) => {
            AppendError::Conflict
        }
        (
            _,
            Some(
                ErrorCode::STORAGE_RESOURCES_EXCEEDED
                | ErrorCode::INSUFFICIENT_RESOURCES
                | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
            ),
        ) => AppendError::DiskFull,
        (_, Some(ErrorCode::STREAM_STORE_FAILED)) if is_out_of_room(&error.to_string()) => AppendError::DiskFull,
        _ => AppendError::Unavailable(error.to_string()),
    }
}

/// Whether a failed store says that a limit or the disk is reached.
fn is_out_of_room(reason: &str) -> bool {
    ["maximum bytes", "maximum messages", "no space left", "insufficient"].iter().any(|sign| reason.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_without_room_is_a_full_disk() {
        for reason in ["maximum bytes exceeded", "write: no space left on device", "insufficient storage resources"] {
            assert!(is_out_of_room(reason), "{reason}");
        }
        assert!(!is_out_of_room("stream is closed"));
    }
}

//! Single questions to the stream's leader: as new as every acknowledgement before them.

use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageBuilder, RawMessageErrorKind, Stream};
use cabildo_events::{LANES, Lane, Position, Recorded};
use futures::future::try_join_all;

use super::JetStream;
use super::convert::from_stream;
use super::pull::Pull;
use super::read::page_of;
use crate::{LaneHeads, Page, ReadError};

/// Ruled events fetched one by one before a reader is made for the rest: a reader costs two questions to begin with.
const RULED_SINGLY_MAX: usize = 4;

pub(super) fn unavailable(error: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

pub(super) async fn head(stream: &Stream<()>) -> Result<u64, ReadError> {
    Ok(stream.get_info().await.map_err(unavailable)?.state.last_sequence)
}

pub(super) async fn lane_head(stream: &Stream<()>, lane: Lane) -> Result<u64, ReadError> {
    last_of(stream, &format!("ev.{lane}.>")).await
}

pub(super) async fn lane_heads(stream: &Stream<()>) -> Result<LaneHeads, ReadError> {
    let mut heads = LaneHeads([0; LANES as usize]);
    let found = try_join_all(Lane::all().map(|lane| lane_head(stream, lane))).await?;
    for (head, found) in heads.0.iter_mut().zip(found) {
        *head = found;
    }
    Ok(heads)
}

pub(super) async fn get(stream: &Stream<()>, position: Position) -> Result<Option<Recorded>, ReadError> {
    if position.shard != 0 || position.seq == 0 {
        return Ok(None);
    }
    Ok(answer(stream.raw_message_builder().sequence(position.seq)).await?.map(from_stream))
}

/// The sequence of the last message under a subject (or pattern); 0 if there is none.
pub(super) async fn last_of(stream: &Stream<()>, subject: &str) -> Result<u64, ReadError> {
    let last = answer(stream.raw_message_builder().last_by_subject(subject)).await?;
    Ok(last.map_or(0, |message| message.sequence))
}

/// The sequence of the first message under one of the subjects at or after another.
pub(super) async fn next_sequence(
    context: &Context,
    stream: &str,
    subjects: &[String],
    from: u64,
) -> Result<Option<u64>, ReadError> {
    let stream = context.get_stream_no_info(stream).await.map_err(unavailable)?;
    let mut next: Option<u64> = None;
    for subject in subjects {
        let found = answer(stream.raw_message_builder().sequence(from).next_by_subject(subject)).await?;
        next = [next, found.map(|message| message.sequence)].into_iter().flatten().min();
    }
    Ok(next)
}

/// The events under a ruled subject after a sequence, in order.
pub(super) async fn ruled_after(journal: &JetStream, subject: &str, after: u64) -> Result<Page, ReadError> {
    let last = last_of(&journal.stream, subject).await?;
    let (mut page, mut after) = (Page::new(), after);
    while after < last && page.len() < RULED_SINGLY_MAX {
        let next = journal.stream.raw_message_builder().sequence(after + 1).next_by_subject(subject);
        let Some(message) = answer(next).await? else { return Ok(page) };
        after = message.sequence;
        page.push(from_stream(message));
    }
    if after < last {
        let mut pull = Pull::begin(journal.reads.clone(), &journal.name, &[subject], after, last).await?;
        loop {
            let delivered = pull.next().await?;
            if delivered.is_empty() {
                break;
            }
            page.extend(page_of(delivered));
        }
    }
    Ok(page)
}

async fn answer(question: RawMessageBuilder) -> Result<Option<StreamMessage>, ReadError> {
    match question.send().await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

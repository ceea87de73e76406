//! What every journal keeps: one function per rule, named after it. [`journal_conformance!`](crate::journal_conformance)
//! makes a test of each for an adapter.
#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite fails by panicking"
)]

mod aggregates;
mod faults;
mod identity;
mod order;
mod parking;
mod reading;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cabildo_events::{Aggregate, Envelope, EventId, Position, Recorded, RoomId, Timestamp};
use futures::StreamExt;

pub use aggregates::*;
pub use faults::*;
pub use identity::*;
pub use order::*;
pub use parking::*;
pub use reading::*;

use crate::{Append, AppendError, Appended, Expect, Journal, Pages};

/// How long any one answer may take before a case fails. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place for one journal, empty at first.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the journal.
    async fn open(&self) -> Arc<dyn Journal>;

    /// Closes the journal, stops and starts what it runs on, and opens it again.
    async fn restart(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal>;

    /// Ends what the journal runs on as a crash would, under the open journal, and starts it again. False if the journal
    /// runs on nothing but this process.
    async fn crash(&self) -> bool;

    /// Writes something that is no event under a subject. False if only Cabildo can write to this journal.
    async fn write_foreign(&self, subject: &str, data: &[u8]) -> bool;
}

/// Makes a test of every rule, each with a fixture of its own: `journal_conformance!(MyFixture::new().await)`; or of some
/// rules: `journal_conformance!(MyFixture::new().await; an_event_is_parked_once)`.
#[macro_export]
macro_rules! journal_conformance {
    ($fixture:expr) => {
        $crate::journal_conformance! { $fixture;
            a_batch_of_free_events_keeps_its_order
            what_is_acknowledged_first_stands_first
            concurrent_appends_are_each_there_once
            an_event_too_large_is_refused_alone
            every_attribute_comes_back_byte_for_byte
            the_same_id_again_is_the_same_event
            the_same_id_twice_in_a_batch_is_one_event
            the_same_id_from_many_writers_is_one_event
            the_same_id_after_a_restart_is_the_same_event
            a_fresh_aggregate_has_no_last_event
            of_writers_with_the_same_expectation_one_wins
            a_conflict_does_not_hold_back_its_neighbours
            a_free_event_leaves_the_expectation_alone
            ruled_shows_the_ruled_events_of_one_aggregate
            ruled_is_as_new_as_the_last_acknowledgement
            all_events_of_one_aggregate_come_in_order
            heads_are_as_new_as_the_last_acknowledgement
            a_range_ends_where_it_was_asked_to
            a_long_range_comes_whole_and_in_order
            one_event_is_found_by_its_position
            a_follower_sees_what_was_and_what_comes
            a_follower_that_starts_in_the_middle_sees_the_rest
            a_follower_that_is_slow_misses_nothing
            a_follower_resumes_after_a_restart
            a_foreign_message_is_delivered_as_unreadable
            an_event_is_parked_once
            what_is_parked_comes_back_in_order
            what_is_taken_back_may_be_parked_anew
            what_was_acknowledged_survives_a_restart
            what_was_acknowledged_survives_a_crash_in_the_middle
        }
    };
    ($fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::journal::$case(&$fixture).await;
            }
        )*
    };
}

fn room(name: &str) -> Aggregate {
    Aggregate::room(&name.parse::<RoomId>().unwrap())
}

fn envelope(kind: &'static str, aggregate: &Aggregate, data: String) -> Envelope {
    Envelope {
        id: EventId(uuid::Uuid::now_v7()),
        kind: Cow::Borrowed(kind),
        aggregate: aggregate.clone(),
        time: Timestamp::from_micros(1_795_255_200_000_001),
        actor: None,
        correlation: None,
        causation: None,
        schema_version: 1,
        traceparent: None,
        data: Bytes::from(data),
    }
}

/// A free event; the number tells it from others.
fn free(aggregate: &Aggregate, number: usize) -> Append {
    let envelope = envelope("chat.message.posted", aggregate, format!("{{\"number\":{number}}}"));
    Append { envelope, expect: Expect::Nothing }
}

/// A ruled event.
fn ruled(aggregate: &Aggregate, last: u64) -> Append {
    Append { envelope: envelope("chat.room.opened", aggregate, "{}".to_owned()), expect: Expect::Last(last) }
}

async fn append(journal: &dyn Journal, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
    let events = batch.len();
    let answers = tokio::time::timeout(PATIENCE, journal.append(batch)).await.expect("an append is answered");
    assert_eq!(answers.len(), events, "an answer for each event");
    answers
}

/// Appends what must succeed.
async fn accepted(journal: &dyn Journal, batch: Vec<Append>) -> Vec<Appended> {
    append(journal, batch).await.into_iter().map(|answer| answer.expect("the journal takes it")).collect()
}

async fn accepted_one(journal: &dyn Journal, event: Append) -> Appended {
    accepted(journal, vec![event]).await[0]
}

/// Reads until the stream ends, which it must do without an error.
async fn read(journal: &dyn Journal, after: u64, until: u64) -> Vec<Recorded> {
    let mut pages = journal.read(Position::at(after), Position::at(until)).await.expect("a read begins");
    let mut events = Vec::new();
    while let Some(page) = tokio::time::timeout(PATIENCE, pages.next()).await.expect("a read goes on") {
        let page = page.expect("a page");
        assert!(!page.is_empty(), "pages are never empty");
        events.extend(page);
    }
    events
}

async fn read_all(journal: &dyn Journal) -> Vec<Recorded> {
    read(journal, 0, u64::MAX).await
}

/// Takes at least so many events from a follower.
async fn take(pages: &mut Pages, events: usize) -> Vec<Recorded> {
    let mut taken = Vec::new();
    while taken.len() < events {
        let page = tokio::time::timeout(PATIENCE, pages.next()).await.expect("events come").expect("no end");
        taken.extend(page.expect("a page"));
    }
    taken
}

fn ids(events: &[Recorded]) -> Vec<EventId> {
    events.iter().map(|event| event.envelope.as_ref().expect("an event").id).collect()
}

fn ids_of(batch: &[Append]) -> Vec<EventId> {
    batch.iter().map(|append| append.envelope.id).collect()
}

fn assert_ascending(events: &[Recorded]) {
    assert!(events.windows(2).all(|pair| pair[0].position < pair[1].position), "events come in order, each once");
}

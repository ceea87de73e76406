//! What every place for documents keeps: one function per rule, named after it.
//! [`documents_conformance!`](crate::documents_conformance) makes a test of each for an adapter.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a suite fails by panicking")]

mod applying;
mod faults;
mod finding;
mod folding;
mod views;

use cabildo_events::{Position, Timestamp};
use cabildo_projections::{Document, DocumentChange, DocumentKey, Ids, ProjectionId};

pub use applying::*;
pub use faults::*;
pub use finding::*;
pub use folding::*;
pub use views::*;

use super::sink::lane;
use crate::{Applied, Documents, LaneBatch, Query};

/// Makes a test of every rule: `documents_conformance!(everyday: Shared::new().await, faults: Own::new().await)`. The
/// fixtures of the first kind are never stopped nor emptied, so they may be several places on one server.
#[macro_export]
macro_rules! documents_conformance {
    (everyday: $shared:expr, faults: $own:expr) => {
        $crate::documents_conformance! { @cases $shared;
            a_batch_of_documents_moves_the_watermark
            a_document_appended_twice_is_one
            a_written_document_replaces_the_one_that_was_read
            a_write_from_a_stale_document_is_a_conflict
            a_document_that_is_there_already_is_not_written_from_nothing
            a_zombie_with_old_documents_changes_nothing
            of_sixteen_workers_with_the_same_documents_one_is_done
            documents_of_projections_and_versions_are_apart
            four_thousand_documents_are_one_batch
            a_load_tells_each_document_once
            a_document_comes_back_byte_for_byte
            any_text_names_a_document
            documents_are_found_in_order_both_ways
            documents_are_found_by_position
            documents_are_found_by_aggregate_kind_and_actor
            documents_are_found_by_time
            documents_are_found_by_words_in_their_text
            events_are_found_by_clauses
            events_are_found_by_words_in_their_text
            events_that_come_between_are_not_missed
            nothing_is_found_where_nothing_is
            it_tells_what_and_where_it_is
            every_document_of_a_lane_is_on_some_page
            the_versions_of_a_view_of_documents_are_told
            a_view_of_documents_is_removed_whole
            an_interrupted_removal_of_documents_leaves_no_view_that_looks_whole
            documents_are_mended_where_they_stand
            a_document_that_went_on_is_not_removed
            a_document_of_the_record_is_mended
            events_folded_in_any_cuts_give_the_same_rooms
            events_folded_in_any_cuts_give_the_same_lists
            events_folded_in_any_cuts_give_the_same_record
            documents_ahead_of_their_watermark_are_folded_once
        }
        $crate::documents_conformance! { @cases $own;
            emptied_documents_say_where_they_stand_and_are_filled_again
            emptied_in_the_middle_they_end_up_whole
            acknowledged_documents_survive_a_restart
            acknowledged_documents_survive_a_crash_in_the_middle
        }
    };
    (@cases $fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::documents::$case(&$fixture).await;
            }
        )*
    };
}

/// The collection that most cases use.
const THINGS: &str = "things";

/// When the first document was made.
const BEGAN_MICROS: i64 = 1_795_255_200_000_000;

/// A document made by the event `seq`, a second and a microsecond after the one before.
fn document(id: &str, seq: u64) -> Document {
    Document {
        key: key(id),
        created: Position::at(seq),
        folded: Position::at(seq),
        lane: lane(7),
        aggregate: "chat/lobby".into(),
        kind: "message".into(),
        actor: Some("ana".into()),
        ids: Ids::default(),
        time: Timestamp::from_micros(BEGAN_MICROS + i64::try_from(seq).unwrap() * 1_000_001),
        text: format!("number {seq}").into(),
        body: format!("{{\"number\":{seq}}}").into(),
    }
}

fn key(id: &str) -> DocumentKey {
    DocumentKey { collection: THINGS, id: id.into() }
}

/// The document as an event at `seq` left it.
fn folded(document: &Document, seq: u64) -> Document {
    let body = format!("{{\"folded\":{seq}}}").into();
    Document { folded: Position::at(seq), body, ..document.clone() }
}

fn append(document: &Document) -> DocumentChange {
    DocumentChange::Append(document.clone())
}

fn write(document: &Document, from: Option<u64>) -> DocumentChange {
    DocumentChange::Write { document: document.clone(), from: from.map(Position::at) }
}

fn batch(projection: ProjectionId, prev: u64, next: u64, changes: Vec<DocumentChange>) -> LaneBatch<DocumentChange> {
    LaneBatch { projection, lane: lane(7), prev, next, changes }
}

/// Applies what must go through.
async fn done(documents: &dyn Documents, batch: LaneBatch<DocumentChange>) {
    assert_eq!(documents.apply(batch).await.unwrap(), Applied::Done);
}

async fn load(documents: &dyn Documents, id: ProjectionId, name: &str) -> Option<Document> {
    load_of(documents, id, &key(name)).await
}

async fn load_of(documents: &dyn Documents, id: ProjectionId, key: &DocumentKey) -> Option<Document> {
    let mut loaded = documents.load(id, lane(7), vec![key.clone()]).await.unwrap();
    assert_eq!(loaded.rows.len(), 1);
    loaded.rows.remove(0).1
}

/// `cabildo doctor` has something to show.
pub async fn it_tells_what_and_where_it_is(place: &dyn super::SinkFixture<dyn Documents>) {
    let described = place.open().await.describe().await.unwrap();
    assert!(!described.is_empty());
    assert!(described.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "{described:?}");
}

/// All documents of a collection, oldest first.
async fn all(documents: &dyn Documents, id: ProjectionId, collection: &'static str) -> Vec<Document> {
    let found = documents.find(&Query::of(id, collection, 100_000)).await.unwrap();
    assert!(!found.cut_short);
    found.documents
}

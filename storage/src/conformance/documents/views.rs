//! Views as a whole: all documents of a lane, which versions there are, removing and mending.

use std::collections::BTreeMap;
use std::time::Duration;

use cabildo_events::{Lane, Position};
use cabildo_projections::{Document, DocumentChange, DocumentKey, ProjectionId, record};

use super::{THINGS, all, append, batch, document, done, folded, key, load, write};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{fresh, lane};
use crate::{Applied, Documents, LaneBatch, Query, Watermarks};

type Fixture = dyn SinkFixture<dyn Documents>;

const OTHERS: &str = "others";
const TABLES: &[&str] = &["rooms", THINGS, OTHERS];

/// Every document of a lane; `between` is called before each page but the first.
async fn every_document(
    documents: &dyn Documents,
    id: ProjectionId,
    on: Lane,
    between: impl AsyncFn(u64),
) -> BTreeMap<DocumentKey, Document> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    for page in 1.. {
        let read = documents.rows(id, on, TABLES, after, 100).await.unwrap();
        assert!(read.rows.iter().all(|(key, document)| *key == document.key));
        found.extend(read.rows);
        after = read.next;
        if after.is_none() {
            return found;
        }
        between(page).await;
    }
    found
}

/// Documents of two collections, one of them of a number of pages without a rest.
fn many(on: Lane) -> Vec<Document> {
    let things = (1..=500)
        .map(|seq| Document { lane: on, ..document(&format!("{on} {seq}"), u64::from(on.number()) * 10_000 + seq) });
    let others = (501..=730).map(|seq| {
        let made = document(&format!("{on} {seq}"), u64::from(on.number()) * 10_000 + seq);
        Document { lane: on, key: DocumentKey { collection: OTHERS, ..made.key }, ..made }
    });
    things.chain(others).collect()
}

async fn filled(documents: &dyn Documents, id: ProjectionId, on: Lane) {
    let changes = many(on).iter().map(append).collect();
    done(documents, LaneBatch { projection: id, lane: on, prev: 0, next: 900_000, changes }).await;
}

/// Whatever is written meanwhile; those of other lanes and versions are not.
pub async fn every_document_of_a_lane_is_on_some_page(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("rows"));
    let other = fresh("rows");
    for (id, on) in [(id, lane(7)), (id, lane(8)), (other, lane(7))] {
        filled(&*documents, id, on).await;
    }
    let expected: BTreeMap<_, _> = many(lane(7)).into_iter().map(|document| (document.key.clone(), document)).collect();
    assert!(every_document(&*documents, id, lane(7), async |_| {}).await == expected);
    assert_eq!(every_document(&*documents, id, lane(9), async |_| {}).await.len(), 0);
    let writing = async |page: u64| {
        let stands = documents.watermark(id, lane(7)).await.unwrap();
        let changes = vec![append(&document(&format!("page {page}"), stands + 1))];
        done(&*documents, batch(id, stands, stands + 1, changes)).await;
    };
    let seen = every_document(&*documents, id, lane(7), writing).await;
    assert!(
        expected.iter().all(|(key, document)| seen.get(key) == Some(document)),
        "what was there all the time is seen"
    );
}

/// In order, each once, whichever lanes stand where.
pub async fn the_versions_of_a_view_of_documents_are_told(place: &Fixture) {
    let documents = place.open().await;
    let (second, first) = (fresh("told"), fresh("told2"));
    let third = fresh("told");
    assert_eq!(documents.versions("told").await.unwrap(), [0_u32; 0]);
    for (id, on) in [(third, 0), (second, 63), (third, 63), (first, 7)] {
        done(&*documents, LaneBatch { projection: id, lane: lane(on), prev: 0, next: 9, changes: vec![] }).await;
    }
    assert_eq!(documents.versions("told").await.unwrap(), [second.version, third.version]);
    assert_eq!(documents.versions("told2").await.unwrap(), [first.version]);
}

/// Documents and watermarks; another version stays as it is, and so may the same one begin anew.
pub async fn a_view_of_documents_is_removed_whole(place: &Fixture) {
    let documents = place.open().await;
    let (gone, kept) = (fresh("removed"), fresh("removed"));
    for id in [gone, kept] {
        for on in [0, 7, 63] {
            filled(&*documents, id, lane(on)).await;
        }
    }
    let before = every_document(&*documents, kept, lane(7), async |_| {}).await;
    documents.drop_view(gone).await.unwrap();
    documents.drop_view(gone).await.unwrap();
    assert_eq!(documents.versions("removed").await.unwrap(), [kept.version]);
    assert_eq!(documents.watermarks(gone).await.unwrap(), Watermarks::default());
    assert_eq!(all(&*documents, gone, THINGS).await, []);
    assert_eq!(every_document(&*documents, gone, lane(63), async |_| {}).await.len(), 0);
    assert!(every_document(&*documents, kept, lane(7), async |_| {}).await == before);
    done(&*documents, batch(gone, 0, 1, vec![append(&document("again", 1))])).await;
    assert_eq!(all(&*documents, gone, THINGS).await, [document("again", 1)]);
    let words = Query { text: Some("number".to_owned()), ..Query::of(gone, THINGS, 10) };
    assert_eq!(documents.find(&words).await.unwrap().documents.len(), 1);
}

/// However far it got: what lacks a document stands at the beginning, and is removed by another go.
pub async fn an_interrupted_removal_of_documents_leaves_no_view_that_looks_whole(place: &Fixture) {
    let documents = place.open().await;
    for wait_us in [0, 300, 1_000, 3_000, 10_000, 30_000] {
        let id = fresh("interrupted");
        for on in [7, 8] {
            filled(&*documents, id, lane(on)).await;
        }
        let _ = tokio::time::timeout(Duration::from_micros(wait_us), documents.drop_view(id)).await;
        for on in [7, 8] {
            let left = every_document(&*documents, id, lane(on), async |_| {}).await.len();
            let stands = documents.watermark(id, lane(on)).await.unwrap();
            assert!(left == many(lane(on)).len() || stands == 0, "{left} documents at {stands} after {wait_us} us");
        }
        documents.drop_view(id).await.unwrap();
        assert!(!documents.versions("interrupted").await.unwrap().contains(&id.version));
        assert_eq!(every_document(&*documents, id, lane(7), async |_| {}).await.len(), 0);
    }
}

/// Where the view stands, once or twice: a document put right, one taken away, one that was missing.
pub async fn documents_are_mended_where_they_stand(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("mended"));
    let made: Vec<_> = (1..=3).map(|seq| document(&format!("message {seq}"), seq)).collect();
    done(&*documents, batch(id, 0, 9, made.iter().map(append).collect())).await;
    let moved = Document {
        created: Position::at(8),
        folded: Position::at(9),
        aggregate: "chat/plaza".into(),
        time: cabildo_events::Timestamp::from_micros(5),
        text: "righted".into(),
        ..made[2].clone()
    };
    let mended = || {
        vec![
            write(&Document { text: "mended".into(), ..made[0].clone() }, Some(1)),
            DocumentChange::Remove { key: key("message 2"), from: None },
            DocumentChange::Remove { key: key("never there"), from: None },
            write(&moved, Some(3)),
            write(&document("missing", 4), None),
        ]
    };
    assert_eq!(documents.apply(batch(id, 8, 8, mended())).await.unwrap(), Applied::Conflict { watermark: 9 });
    done(&*documents, batch(id, 9, 9, mended())).await;
    let expected = [Document { text: "mended".into(), ..made[0].clone() }, document("missing", 4), moved.clone()];
    assert_eq!(all(&*documents, id, THINGS).await, expected);
    assert_eq!(documents.watermark(id, lane(7)).await.unwrap(), 9);
    let found = async |word: &str| {
        let words = Query { text: Some(word.to_owned()), ..Query::of(id, THINGS, 10) };
        documents.find(&words).await.unwrap().documents.len()
    };
    assert_eq!((found("mended").await, found("righted").await, found("number").await), (1, 1, 1));
    done(&*documents, batch(id, 9, 10, vec![write(&folded(&made[0], 10), Some(1))])).await;
    assert_eq!(load(&*documents, id, "message 1").await, Some(folded(&made[0], 10)));
}

/// One that was folded further meanwhile is not the one that was read.
pub async fn a_document_that_went_on_is_not_removed(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("went"));
    done(&*documents, batch(id, 0, 1, vec![append(&document("a", 1))])).await;
    done(&*documents, batch(id, 1, 5, vec![write(&folded(&document("a", 1), 5), Some(1))])).await;
    let remove = |from: u64| DocumentChange::Remove { key: key("a"), from: Some(Position::at(from)) };
    assert_eq!(documents.apply(batch(id, 5, 5, vec![remove(1)])).await.unwrap(), Applied::Conflict { watermark: 5 });
    assert!(load(&*documents, id, "a").await.is_some());
    for _ in 0..2 {
        done(&*documents, batch(id, 5, 5, vec![remove(5)])).await;
        assert_eq!(load(&*documents, id, "a").await, None);
    }
}

/// The record's documents never change by folding; by mending they do.
pub async fn a_document_of_the_record_is_mended(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh(record::ID.name));
    let event = |seq: u64| {
        let made = document(&Position::at(seq).to_string(), seq);
        Document { key: DocumentKey { collection: record::EVENTS, ..made.key }, ..made }
    };
    let forged = Document { body: "{\"forged\":true}".into(), ..event(1) };
    done(&*documents, batch(id, 0, 3, vec![append(&forged), append(&event(3)), append(&event(2))])).await;
    let mended =
        vec![write(&event(1), Some(1)), DocumentChange::Remove { key: event(2).key, from: Some(Position::at(2)) }];
    done(&*documents, batch(id, 3, 3, mended.clone())).await;
    done(&*documents, batch(id, 3, 3, mended)).await;
    assert_eq!(all(&*documents, id, record::EVENTS).await, [event(1), event(3)]);
    done(&*documents, batch(id, 3, 3, vec![write(&event(2), None)])).await;
    assert_eq!(all(&*documents, id, record::EVENTS).await, [event(1), event(2), event(3)]);
}

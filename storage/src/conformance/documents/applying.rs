//! What a batch does.

use cabildo_projections::ProjectionId;
use futures::future::join_all;

use super::{THINGS, all, append, batch, document, done, folded, key, load, write};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{fresh, lane};
use crate::{Applied, Documents, LaneBatch, Watermarks};

type Fixture = dyn SinkFixture<dyn Documents>;

/// The watermark is 0 at first, and then where the last batch led, with documents or without.
pub async fn a_batch_of_documents_moves_the_watermark(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("moves"));
    assert_eq!(documents.watermarks(id).await.unwrap(), Watermarks::default());
    done(&*documents, batch(id, 0, 12, vec![append(&document("a", 12))])).await;
    done(&*documents, batch(id, 12, 13, vec![])).await;
    assert_eq!(all(&*documents, id, THINGS).await, [document("a", 12)]);
    let mut expected = Watermarks::default();
    expected.0[7] = 13;
    assert_eq!(documents.watermarks(id).await.unwrap(), expected);
    assert_eq!(documents.watermark(id, lane(7)).await.unwrap(), 13);
}

/// In the same batch again, and in a later one.
pub async fn a_document_appended_twice_is_one(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("twice"));
    let once = batch(id, 0, 2, vec![append(&document("a", 1)), append(&document("b", 2))]);
    done(&*documents, once.clone()).await;
    assert_eq!(documents.apply(once).await.unwrap(), Applied::Conflict { watermark: 2 });
    done(&*documents, batch(id, 2, 3, vec![append(&document("b", 2)), append(&document("c", 3))])).await;
    assert_eq!(all(&*documents, id, THINGS).await, [document("a", 1), document("b", 2), document("c", 3)]);
}

/// And only that one.
pub async fn a_written_document_replaces_the_one_that_was_read(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("writes"));
    let (first, other) = (document("a", 1), document("b", 2));
    done(&*documents, batch(id, 0, 2, vec![write(&first, None), write(&other, None)])).await;
    let second = folded(&first, 5);
    done(&*documents, batch(id, 2, 5, vec![write(&second, Some(1))])).await;
    assert_eq!(all(&*documents, id, THINGS).await, [second.clone(), other.clone()]);
    let third = folded(&second, 9);
    done(&*documents, batch(id, 5, 9, vec![write(&third, Some(5))])).await;
    assert_eq!(all(&*documents, id, THINGS).await, [third, other]);
}

/// The watermark stays, so the batch is made anew from what is there.
pub async fn a_write_from_a_stale_document_is_a_conflict(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("stale"));
    let first = document("a", 1);
    let second = folded(&first, 5);
    done(&*documents, batch(id, 0, 1, vec![write(&first, None)])).await;
    done(&*documents, batch(id, 1, 5, vec![write(&second, Some(1))])).await;
    let stale = batch(id, 5, 9, vec![write(&folded(&first, 9), Some(1))]);
    assert_eq!(documents.apply(stale).await.unwrap(), Applied::Conflict { watermark: 5 });
    let missing = batch(id, 5, 9, vec![write(&folded(&document("b", 2), 9), Some(2))]);
    assert_eq!(documents.apply(missing).await.unwrap(), Applied::Conflict { watermark: 5 });
    assert_eq!(all(&*documents, id, THINGS).await, [second]);
}

/// Somebody else made it since it was looked for.
pub async fn a_document_that_is_there_already_is_not_written_from_nothing(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("nothing"));
    let first = document("a", 1);
    done(&*documents, batch(id, 0, 1, vec![write(&first, None)])).await;
    let blind = batch(id, 1, 9, vec![write(&folded(&first, 9), None)]);
    assert_eq!(documents.apply(blind).await.unwrap(), Applied::Conflict { watermark: 1 });
    assert_eq!(load(&*documents, id, "a").await, Some(first));
}

/// Whoever slept through other batches comes too late.
pub async fn a_zombie_with_old_documents_changes_nothing(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("zombie"));
    let first = document("a", 1);
    done(&*documents, batch(id, 0, 1, vec![write(&first, None)])).await;
    let zombie = batch(id, 1, 5, vec![write(&folded(&first, 5), Some(1)), write(&document("b", 4), None)]);
    done(&*documents, batch(id, 1, 3, vec![])).await;
    assert_eq!(documents.apply(zombie).await.unwrap(), Applied::Conflict { watermark: 3 });
    assert_eq!(all(&*documents, id, THINGS).await, [first]);
}

/// All others are told where that one led.
pub async fn of_sixteen_workers_with_the_same_documents_one_is_done(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("race"));
    let hot = document("hot", 1);
    for round in 0..5_u64 {
        let (prev, next) = (round * 10, (round + 1) * 10);
        let log = (prev + 1..next).map(|seq| append(&document(&format!("log {seq}"), seq + 1)));
        let changed = folded(&hot, next);
        let from = if round == 0 { None } else { Some(prev) };
        let changes: Vec<_> = log.chain([write(&changed, from)]).collect();
        let race = (0..16).map(|_| documents.apply(batch(id, prev, next, changes.clone())));
        let answers: Vec<_> = join_all(race).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1, "{answers:?}");
        let told = Applied::Conflict { watermark: next };
        assert_eq!(answers.iter().filter(|answer| **answer == told).count(), 15, "{answers:?}");
        assert_eq!(load(&*documents, id, "hot").await, Some(changed));
    }
    assert_eq!(all(&*documents, id, THINGS).await.len(), 5 * 9 + 1);
}

/// The same collection and id of another projection or version is another document; lanes share collections.
pub async fn documents_of_projections_and_versions_are_apart(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("apart"));
    let name = ProjectionId { name: "apart2", ..id };
    let places = [(id, 0), (fresh("apart"), 0), (name, 0), (id, 63)];
    for (seq, (projection, number)) in (1..).zip(places) {
        let changes = vec![append(&document(&format!("lane {number}"), seq))];
        done(&*documents, LaneBatch { projection, lane: lane(number), prev: 0, next: seq, changes }).await;
    }
    assert_eq!(all(&*documents, id, THINGS).await, [document("lane 0", 1), document("lane 63", 4)]);
    assert_eq!(all(&*documents, places[1].0, THINGS).await, [document("lane 0", 2)]);
    assert_eq!(documents.watermark(id, lane(63)).await.unwrap(), 4);
}

/// As many as a worker folds at once, each rewritten.
pub async fn four_thousand_documents_are_one_batch(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("large"));
    let made: Vec<_> = (1..=4_096).map(|seq| document(&format!("message {seq}"), seq)).collect();
    done(&*documents, batch(id, 0, 4_096, made.iter().map(|document| write(document, None)).collect())).await;
    let changed: Vec<_> = made.iter().map(|document| folded(document, document.created.seq + 5_000)).collect();
    let writes = changed.iter().map(|document| write(document, Some(document.created.seq)));
    done(&*documents, batch(id, 4_096, 10_000, writes.collect())).await;
    assert_eq!(all(&*documents, id, THINGS).await, changed);
    let keys = made.iter().map(|document| document.key.clone()).collect();
    let loaded = documents.load(id, lane(7), keys).await.unwrap();
    assert_eq!(loaded.rows.into_iter().filter_map(|(_, document)| document).count(), 4_096);
}

/// With the watermark; those that are not there too, and of several collections.
pub async fn a_load_tells_each_document_once(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("load"));
    let mut room = document("a", 2);
    room.key.collection = "rooms";
    done(&*documents, batch(id, 0, 9, vec![write(&document("a", 1), None), write(&room, None)])).await;
    let keys = vec![key("a"), key("b"), room.key.clone()];
    let loaded = documents.load(id, lane(7), keys.clone()).await.unwrap();
    assert_eq!(loaded.watermark, 9);
    let mut rows = loaded.rows;
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    let mut expected = vec![(key("a"), Some(document("a", 1))), (key("b"), None), (room.key.clone(), Some(room))];
    expected.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(rows, expected);
    let nothing = documents.load(id, lane(8), vec![]).await.unwrap();
    assert_eq!((nothing.watermark, nothing.rows), (0, vec![]));
}

/// Bodies are JSON objects; what they look like is kept, whatever it is.
pub async fn a_document_comes_back_byte_for_byte(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("bytes"));
    let deep = format!("{}1{}", "{\"a\":".repeat(90), "}".repeat(90));
    let bodies = [
        "{}",
        r#"{"z":1,"a":[1,-2,0.5,1.0,true,null,"ñ 🎸\n\"\\"],"m":{"":{}}}"#,
        r#"{"max":9223372036854775807,"over":18446744073709551615,"far":123456789012345678901234567890}"#,
        r#"{"a":1e3,"b":-0,"c":0.1,"d":1.7976931348623157e308}"#,
        r#"{ "spaced" : "out" }"#,
        r#"{"twice":1,"twice":2}"#,
        r#"{"$set":{"a.b":"\u00f1\u0000"}}"#,
        &deep,
    ];
    let made = (1..).zip(bodies).map(|(seq, body)| {
        let actor = (seq % 2 == 0).then(|| "ana: {1}".into());
        let text = "línea\nuno \u{0} \"dos\" $where .* (".into();
        let time = cabildo_events::Timestamp::from_micros(-1_234_567 * i64::try_from(seq).unwrap());
        cabildo_projections::Document { body: body.into(), actor, text, time, ..document(&seq.to_string(), seq) }
    });
    let made: Vec<_> = made.collect();
    done(&*documents, batch(id, 0, 100, made.iter().map(append).collect())).await;
    assert_eq!(all(&*documents, id, THINGS).await, made);
}

/// Spaces, slashes, braces, other scripts, what looks like a position or a number.
pub async fn any_text_names_a_document(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("names"));
    let long = "ñ".repeat(64);
    let names = ["a b", "a/b", "{07}", "$id", ".", "0-1", "00-1", "1", "-1", "null", "音楽 🎸", "A B", &long];
    let made: Vec<_> = (1..).zip(names).map(|(seq, name)| document(name, seq)).collect();
    done(&*documents, batch(id, 0, 100, made.iter().map(|document| write(document, None)).collect())).await;
    for document in made {
        assert_eq!(load(&*documents, id, &document.key.id).await, Some(document));
    }
}

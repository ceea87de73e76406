//! Order, bounds, and the envelope itself.

use cabildo_events::limits::{APPEND_BATCH_EVENTS_MAX, EVENT_DATA_BYTES_MAX};
use cabildo_events::{Aggregate, EventId, PollId, Position};
use futures::future::join_all;

use super::{Fixture, accepted, append, assert_ascending, envelope, free, ids, ids_of, read_all, room, ruled};
use crate::{Append, AppendError, Expect};

/// Batches of any size are written in their order, at the positions that were acknowledged.
pub async fn a_batch_of_free_events_keeps_its_order(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let rooms = [room("one"), room("two"), room("three")];
    let mut sent = Vec::new();
    for size in [1, 2, 3, 4, 17, APPEND_BATCH_EVENTS_MAX] {
        let batch: Vec<Append> = (0..size).map(|number| free(&rooms[number % 3], number)).collect();
        let answers = accepted(&*journal, batch.clone()).await;
        assert!(answers.iter().all(|answer| !answer.repeated));
        sent.extend(ids_of(&batch).into_iter().zip(answers.iter().map(|answer| answer.position)));
    }
    let found = read_all(&*journal).await;
    let found: Vec<(EventId, Position)> = ids(&found).into_iter().zip(found.iter().map(|e| e.position)).collect();
    assert_eq!(found, sent);
    assert!(append(&*journal, Vec::new()).await.is_empty(), "nothing appended is nothing answered");
}

/// An event that was acknowledged before another was submitted stands before it, ruled or free.
pub async fn what_is_acknowledged_first_stands_first(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let (hall, yard) = (room("hall"), room("yard"));
    let (mut last, mut hall_last) = (Position::START, 0);
    for number in 0..20 {
        let batch = match number % 3 {
            0 => vec![ruled(&hall, hall_last)],
            1 => vec![free(&yard, number)],
            _ => (0..5).map(|number| free(&hall, number)).collect(),
        };
        let answers = accepted(&*journal, batch).await;
        assert!(answers.iter().all(|answer| answer.position > last), "round {number}");
        last = answers.iter().map(|answer| answer.position).max().unwrap();
        if number % 3 == 0 {
            hall_last = last.seq;
        }
    }
    assert_eq!(journal.head().await.unwrap(), last);
}

/// Eight writers, a thousand events: each is read back once, at the position that was acknowledged.
pub async fn concurrent_appends_are_each_there_once(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let writers = (0..8).map(|writer| {
        let journal = journal.clone();
        tokio::spawn(async move {
            let place = room(&format!("room {writer}"));
            let mut sent = Vec::new();
            for size in [1, 2, 3, 5, 14, 100] {
                let batch: Vec<Append> = (0..size).map(|number| free(&place, number)).collect();
                let answers = accepted(&*journal, batch.clone()).await;
                sent.extend(ids_of(&batch).into_iter().zip(answers.iter().map(|answer| answer.position)));
            }
            assert!(sent.windows(2).all(|pair| pair[0].1 < pair[1].1), "each writer's events are in order");
            sent
        })
    });
    let mut sent: Vec<(EventId, Position)> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    sent.sort_by_key(|(_, position)| *position);
    assert_eq!(sent.len(), 1_000);
    let found = read_all(&*journal).await;
    assert_ascending(&found);
    let found: Vec<(EventId, Position)> = ids(&found).into_iter().zip(found.iter().map(|e| e.position)).collect();
    assert_eq!(found, sent);
}

/// Data past its bound is refused with its size; the largest that is allowed is written, and so are its neighbours.
pub async fn an_event_too_large_is_refused_alone(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let place = room("attic");
    let of_bytes = |bytes: usize| {
        let data = format!("\"{}\"", "x".repeat(bytes - 2));
        Append { envelope: envelope("chat.message.posted", &place, data), expect: Expect::Nothing }
    };
    let batch =
        vec![free(&place, 0), of_bytes(EVENT_DATA_BYTES_MAX + 1), of_bytes(EVENT_DATA_BYTES_MAX), free(&place, 3)];
    let mut expected = ids_of(&batch);
    expected.remove(1);
    let answers = append(&*journal, batch).await;
    let refused = AppendError::TooLarge { bytes: EVENT_DATA_BYTES_MAX + 1, max: EVENT_DATA_BYTES_MAX };
    assert_eq!(answers[1], Err(refused));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert_eq!(ids(&read_all(&*journal).await), expected);
}

/// Whatever an envelope may hold is read back as it was: every attribute, unknown types, any UTF-8.
pub async fn every_attribute_comes_back_byte_for_byte(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let ids = ["lobby", "Sala José, 3.º piso", "a.b*c>d e", "_2E", "日本語 🗳️", "x/y:z%41\"'\\", &"ñ".repeat(64)];
    let mut sent = Vec::new();
    for (number, id) in ids.into_iter().enumerate() {
        let aggregates = [room(id), Aggregate::poll(&id.parse::<PollId>().unwrap())];
        for aggregate in aggregates {
            let mut full = free(&aggregate, number);
            full.envelope.actor = Some("María: \"la de la tienda\" 🌽".parse().unwrap());
            full.envelope.correlation = Some(EventId(uuid::Uuid::now_v7()));
            full.envelope.causation = Some(EventId::from_key("scope", id));
            full.envelope.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
            full.envelope.data = format!("{{\"text\":\"línea\\nünï \u{1F600}\",\"number\":{number}}}").into();
            let mut unknown = free(&aggregate, number);
            unknown.envelope.kind = "market.stall.opened".into();
            unknown.envelope.schema_version = 65_535;
            unknown.envelope.data = "null".into();
            sent.extend([full, unknown, ruled(&aggregate, 0)]);
        }
    }
    let mut expected = Vec::new();
    for append in sent {
        let answer = accepted(&*journal, vec![append.clone()]).await[0];
        expected.push((answer.position, append.envelope));
    }
    let found = read_all(&*journal).await;
    assert_eq!(found.len(), expected.len());
    for (found, (position, envelope)) in found.into_iter().zip(expected) {
        assert_eq!(found.position, position);
        assert_eq!(found.lane, envelope.aggregate.lane());
        assert_eq!(found.envelope.as_ref(), Ok(&envelope));
        assert!(found.recorded.micros() > 1_500_000_000_000_000, "the journal's own time: {}", found.recorded);
    }
}

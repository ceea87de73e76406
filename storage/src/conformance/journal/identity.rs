//! The same id twice is one event.

use futures::future::join_all;

use super::{Fixture, accepted, accepted_one, append, free, ids, ids_of, read_all, room, ruled};
use crate::{Append, Appended};

fn repeated(first: &[Appended]) -> Vec<Appended> {
    first.iter().map(|answer| Appended { repeated: true, ..*answer }).collect()
}

/// An append that is sent again, whole or in part, answers with the first one's positions. This is how a lost
/// acknowledgement is made good.
pub async fn the_same_id_again_is_the_same_event(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let (hall, yard) = (room("hall"), room("yard"));
    for size in [1, 3, 50] {
        let batch: Vec<Append> = (0..size).map(|number| free(&hall, number)).collect();
        let first = accepted(&*journal, batch.clone()).await;
        assert_eq!(accepted(&*journal, batch.clone()).await, repeated(&first), "{size} again");
        let mut mixed = batch;
        mixed.insert(1, free(&hall, 99));
        mixed.push(free(&yard, 99));
        let answers = accepted(&*journal, mixed).await;
        assert!(!answers[1].repeated && !answers.last().unwrap().repeated, "what is new is written");
        let old: Vec<Appended> = answers[..1].iter().chain(&answers[2..=size]).copied().collect();
        assert_eq!(old, repeated(&first), "what is old is where it was");
    }
    // A ruled event that is there already answers as repeated, though its expectation no longer holds.
    let opened = ruled(&yard, 0);
    let first = accepted_one(&*journal, opened.clone()).await;
    assert_eq!(accepted(&*journal, vec![opened.clone()]).await, repeated(&[first]));
    let second = accepted_one(&*journal, ruled(&yard, first.position.seq)).await;
    accepted_one(&*journal, ruled(&yard, second.position.seq)).await;
    assert_eq!(accepted(&*journal, vec![opened]).await, repeated(&[first]), "also when others followed");
    let found = read_all(&*journal).await;
    assert_eq!(found.len(), 1 + 3 + 50 + 3 * 2 + 3);
}

/// The same id twice in one batch is one event; both get its position.
pub async fn the_same_id_twice_in_a_batch_is_one_event(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let hall = room("hall");
    for size in [2, 20] {
        let mut batch: Vec<Append> = (0..size).map(|number| free(&hall, number)).collect();
        batch.push(batch[0].clone());
        let answers = accepted(&*journal, batch).await;
        assert_eq!(answers[size], Appended { repeated: true, ..answers[0] });
    }
    let opened = ruled(&hall, 0);
    let answers = accepted(&*journal, vec![opened.clone(), free(&hall, 1), opened]).await;
    assert_eq!(answers[2], Appended { repeated: true, ..answers[0] });
    assert_eq!(read_all(&*journal).await.len(), 2 + 20 + 2);
}

/// Many writers with the same events at once: each event is there once, and all are told the same positions.
pub async fn the_same_id_from_many_writers_is_one_event(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let hall = room("hall");
    let batch: Vec<Append> = (0..40).map(|number| free(&hall, number)).collect();
    let writers = (0..8).map(|writer: usize| {
        let (journal, batch) = (journal.clone(), batch.clone());
        // Some send all, some the first half, one by one.
        tokio::spawn(async move {
            if writer.is_multiple_of(2) {
                accepted(&*journal, batch).await
            } else {
                let mut answers = Vec::new();
                for event in batch.into_iter().take(20) {
                    answers.push(accepted_one(&*journal, event).await);
                }
                answers
            }
        })
    });
    let answers: Vec<Vec<Appended>> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    let whole = answers.iter().find(|answers| answers.len() == batch.len()).unwrap();
    for answers in &answers {
        assert!(answers.iter().zip(whole).all(|(one, other)| one.position == other.position));
    }
    for place in 0..batch.len() {
        let new = answers.iter().filter(|answers| answers.get(place).is_some_and(|answer| !answer.repeated)).count();
        assert_eq!(new, 1, "event {place} is new once");
    }
    let mut found = ids(&read_all(&*journal).await);
    found.sort();
    let mut sent = ids_of(&batch);
    sent.sort();
    assert_eq!(found, sent);
}

/// The journal knows its ids after a restart.
pub async fn the_same_id_after_a_restart_is_the_same_event(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let hall = room("hall");
    let batch: Vec<Append> = (0..10).map(|number| free(&hall, number)).chain([ruled(&hall, 0)]).collect();
    let first = accepted(&*journal, batch.clone()).await;
    let journal = fixture.restart(journal).await;
    assert_eq!(accepted(&*journal, batch).await, repeated(&first));
    assert_eq!(read_all(&*journal).await.len(), 11);
    let answers = append(&*journal, vec![free(&hall, 11)]).await;
    assert!(answers[0].as_ref().is_ok_and(|answer| answer.position > first[10].position));
}

//! What a sink comes back with after it was stopped, emptied or set back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cabildo_projections::{DocumentChange, ProjectionId};

use super::{THINGS, all, append, batch, document, done, folded, load, write};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{PATIENCE, answered, fresh, lane};
use crate::{Applied, Documents, LaneBatch, SinkError};

type Fixture = dyn SinkFixture<dyn Documents>;

/// The batch `number`, 1 and on: each leads 10 further, appends a document and changes another.
fn nth(id: ProjectionId, number: u64) -> LaneBatch<DocumentChange> {
    let (prev, next) = ((number - 1) * 10, number * 10);
    let from = if number == 1 { None } else { Some(prev) };
    let log = append(&document(&format!("log {number}"), next));
    batch(id, prev, next, vec![log, write(&folded(&document("hot", 1), next), from)])
}

async fn holds(documents: &dyn Documents, id: ProjectionId, batches: u64) {
    assert_eq!(documents.watermark(id, lane(7)).await.unwrap(), batches * 10);
    let hot = folded(&document("hot", 1), batches * 10);
    let log = (1..=batches).map(|number| document(&format!("log {number}"), number * 10));
    assert_eq!(all(documents, id, THINGS).await, [hot].into_iter().chain(log).collect::<Vec<_>>());
}

/// The watermark is 0; replayed from there they are what they were.
pub async fn emptied_documents_say_where_they_stand_and_are_filled_again(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("emptied"));
    for number in 1..=3 {
        done(&*documents, nth(id, number)).await;
    }
    let documents = place.empty(documents).await;
    assert_eq!(documents.apply(nth(id, 4)).await.unwrap(), Applied::Conflict { watermark: 0 });
    assert_eq!(all(&*documents, id, THINGS).await, []);
    for number in 1..=4 {
        done(&*documents, nth(id, number)).await;
    }
    holds(&*documents, id, 4).await;
}

/// While a worker writes: it is told, goes back, and in the end nothing is missing.
pub async fn emptied_in_the_middle_they_end_up_whole(place: &Fixture) {
    let (mut documents, id) = (place.open().await, fresh("middle"));
    let deadline = Instant::now() + PATIENCE;
    for goal in [3, 7, 12] {
        while documents.watermark(id, lane(7)).await.unwrap() < goal * 10 {
            assert!(Instant::now() < deadline);
            let number = documents.watermark(id, lane(7)).await.unwrap() / 10 + 1;
            documents.apply(nth(id, number)).await.unwrap();
        }
        holds(&*documents, id, goal).await;
        documents = place.empty(documents).await;
    }
}

/// In good order.
pub async fn acknowledged_documents_survive_a_restart(place: &Fixture) {
    let (mut documents, id) = (place.open().await, fresh("restart"));
    for number in 1..=4 {
        done(&*documents, nth(id, number)).await;
        if number % 2 == 0 {
            documents = place.restart(documents).await;
            holds(&*documents, id, number).await;
        }
    }
}

/// While a writer is at it: what it was told is done is there, and whoever goes on from the watermark ends where it would have.
pub async fn acknowledged_documents_survive_a_crash_in_the_middle(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("crash"));
    done(&*documents, nth(id, 1)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_until_it_fails(Arc::clone(&documents), id, stop.clone()));
    let deadline = Instant::now() + PATIENCE;
    while answered(async || documents.watermark(id, lane(7)).await).await < 100 {
        assert!(Instant::now() < deadline, "the writer stands still");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if !place.crash().await {
        writer.abort();
        return;
    }
    // A server that is back at once may be none the worse to a client that tries again by itself.
    stop.store(true, Ordering::SeqCst);
    let acknowledged = writer.await.unwrap();
    let stands = answered(async || documents.watermark(id, lane(7)).await).await / 10;
    assert!(stands >= acknowledged, "{acknowledged} batches were acknowledged, {stands} are there");
    // The documents of the batch under way may be there, ahead of the watermark.
    let hot = load(&*documents, id, "hot").await.unwrap().folded.seq / 10;
    assert!(hot == stands || hot == stands + 1, "{hot} where the watermark is {stands}");
    done(&*documents, nth(id, stands + 1)).await;
    holds(&*documents, id, stands + 1).await;
}

/// Writes batches until one fails or it is told to stop: the number of the last that was acknowledged.
async fn write_until_it_fails(documents: Arc<dyn Documents>, id: ProjectionId, stop: Arc<AtomicBool>) -> u64 {
    for number in 2.. {
        if stop.load(Ordering::SeqCst) {
            return number - 1;
        }
        match documents.apply(nth(id, number)).await {
            Ok(Applied::Done) => {}
            Err(SinkError::Unavailable { .. }) => return number - 1,
            Ok(conflict) => assert_eq!(conflict, Applied::Done),
        }
    }
    0
}

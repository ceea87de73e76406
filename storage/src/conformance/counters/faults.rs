//! What a sink comes back with after it was stopped, emptied or set back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{add, batch, done, hash, map, put};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{PATIENCE, answered, fresh, lane};
use crate::{Applied, Counters, LaneBatch, SinkError};

use cabildo_projections::{CellChange, ProjectionId};

type Fixture = dyn SinkFixture<dyn Counters>;

/// The batch `number`, 1 and on: each leads 10 further.
fn nth(id: ProjectionId, number: u64) -> LaneBatch<CellChange> {
    let changes = vec![add("votes", "bands", "Alux", 1), put("poll", "bands", "last", &number.to_string())];
    batch(id, (number - 1) * 10, number * 10, changes)
}

async fn holds(counters: &dyn Counters, id: ProjectionId, batches: u64) {
    let number = batches.to_string();
    assert_eq!(hash(counters, id, lane(7), "votes", "bands").await, (batches * 10, map(&[("Alux", &number)])));
    assert_eq!(hash(counters, id, lane(7), "poll", "bands").await, (batches * 10, map(&[("last", &number)])));
}

/// Its watermark is 0; replayed from there it holds what it held.
pub async fn an_emptied_sink_says_where_it_stands_and_is_filled_again(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("emptied"));
    for number in 1..=3 {
        done(&*counters, nth(id, number)).await;
    }
    let counters = place.empty(counters).await;
    assert_eq!(counters.apply(nth(id, 4)).await.unwrap(), Applied::Conflict { watermark: 0 });
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (0, map(&[])));
    for number in 1..=4 {
        done(&*counters, nth(id, number)).await;
    }
    holds(&*counters, id, 4).await;
}

/// It stands at an earlier watermark, with the rows of then; replayed from there it holds what it held.
pub async fn a_sink_set_back_is_brought_up_again(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("back"));
    for number in 1..=5 {
        done(&*counters, nth(id, number)).await;
    }
    // Emptied and filled up to a point is the same as restored from there.
    let counters = place.empty(counters).await;
    for number in 1..=2 {
        done(&*counters, nth(id, number)).await;
    }
    assert_eq!(counters.apply(nth(id, 6)).await.unwrap(), Applied::Conflict { watermark: 20 });
    holds(&*counters, id, 2).await;
    for number in 3..=6 {
        done(&*counters, nth(id, number)).await;
    }
    holds(&*counters, id, 6).await;
}

/// In good order.
pub async fn what_was_acknowledged_survives_a_restart(place: &Fixture) {
    let (mut counters, id) = (place.open().await, fresh("restart"));
    for number in 1..=6 {
        done(&*counters, nth(id, number)).await;
        if number % 2 == 0 {
            counters = place.restart(counters).await;
            holds(&*counters, id, number).await;
        }
    }
}

/// While a writer is at it: what it was told is done is there, and it goes on from where the sink stands.
pub async fn what_was_acknowledged_survives_a_crash_in_the_middle(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("crash"));
    done(&*counters, nth(id, 1)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_until_it_fails(Arc::clone(&counters), id, stop.clone()));
    let begun = answered(async || counters.watermark(id, lane(7)).await).await;
    let some_more = begun + 200;
    let deadline = Instant::now() + PATIENCE;
    while answered(async || counters.watermark(id, lane(7)).await).await < some_more {
        assert!(Instant::now() < deadline, "the writer stands still");
    }
    if !place.crash().await {
        writer.abort();
        return;
    }
    // A server that is back at once may be none the worse to a client that tries again by itself.
    stop.store(true, Ordering::SeqCst);
    let acknowledged = writer.await.unwrap();
    let stands = answered(async || counters.watermark(id, lane(7)).await).await / 10;
    assert!(stands >= acknowledged, "{acknowledged} batches were acknowledged, {stands} are there");
    holds(&*counters, id, stands).await;
    done(&*counters, nth(id, stands + 1)).await;
    holds(&*counters, id, stands + 1).await;
}

/// Writes batches until one fails or it is told to stop: the number of the last that was acknowledged.
async fn write_until_it_fails(counters: Arc<dyn Counters>, id: ProjectionId, stop: Arc<AtomicBool>) -> u64 {
    for number in 2.. {
        if stop.load(Ordering::SeqCst) {
            return number - 1;
        }
        match counters.apply(nth(id, number)).await {
            Ok(Applied::Done) => {}
            Err(SinkError::Unavailable { .. }) => return number - 1,
            Ok(conflict) => assert_eq!(conflict, Applied::Done),
        }
    }
    0
}

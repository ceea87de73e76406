//! What was acknowledged is never lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cabildo_events::{EventId, Position, Recorded};
use futures::TryStreamExt;
use futures::future::join_all;
use tokio::time::Instant;

use super::{Fixture, PATIENCE, accepted, append, assert_ascending, free, ids, read_all, room, ruled};
use crate::{Append, AppendError, Journal};

/// A restart in good order keeps everything where it was.
pub async fn what_was_acknowledged_survives_a_restart(fixture: &dyn Fixture) {
    let mut journal = fixture.open().await;
    let hall = room("hall");
    let (mut before, mut last) = (Vec::<Recorded>::new(), 0);
    for round in 0..3 {
        let batch = (0..100).map(|number| free(&hall, number)).chain([ruled(&hall, last)]).collect();
        last = accepted(&*journal, batch).await[100].position.seq;
        let now = read_all(&*journal).await;
        assert_eq!(now.len(), 101 * (round + 1));
        assert_eq!(now[..before.len()], before);
        journal = fixture.restart(journal).await;
        before = read_all(&*journal).await;
        assert!(before == now, "the journal is as it was");
        assert_eq!(journal.ruled(&hall).await.unwrap().len(), round + 1);
    }
}

/// Writers that go on through crashes, sending again what was not acknowledged: every acknowledged event is there, once, where it
/// was said to be, and no event is there twice.
pub async fn what_was_acknowledged_survives_a_crash_in_the_middle(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..4).map(|writer| tokio::spawn(write_until(journal.clone(), writer, stop.clone()))).collect();
    let mut crashed = true;
    for _ in 0..3 {
        wait_for_progress(&*journal).await;
        crashed = fixture.crash().await;
    }
    wait_for_progress(&*journal).await;
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = BTreeMap::<Position, EventId>::new();
    for answers in join_all(writers).await {
        acknowledged.extend(answers.unwrap());
    }
    let journal = if crashed { journal } else { fixture.restart(journal).await };
    let found = read_once_it_answers(&*journal).await;
    assert_ascending(&found);
    let by_position: BTreeMap<Position, EventId> = found.iter().map(|event| event.position).zip(ids(&found)).collect();
    for (position, id) in &acknowledged {
        assert_eq!(by_position.get(position), Some(id), "what was acknowledged at {position} is there");
    }
    // The writers went on until everything they sent was acknowledged: so nothing else can be there.
    assert_eq!(by_position.len(), acknowledged.len(), "and nothing is there twice");
}

/// Appends batches of free and ruled events until told to stop; sends again what was not acknowledged.
async fn write_until(journal: Arc<dyn Journal>, writer: usize, stop: Arc<AtomicBool>) -> Vec<(Position, EventId)> {
    let place = room(&format!("room {writer}"));
    let (mut acknowledged, mut last, mut round) = (Vec::new(), 0, 0);
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let mut batch: Vec<Append> = (0..(round * 7) % 60).map(|number| free(&place, number)).collect();
        batch.push(ruled(&place, last));
        let opened = batch[batch.len() - 1].envelope.id;
        let deadline = Instant::now() + PATIENCE;
        while !batch.is_empty() {
            assert!(Instant::now() < deadline, "the journal comes back");
            let answers = append(&*journal, batch.clone()).await;
            let mut again = Vec::new();
            for (event, answer) in batch.into_iter().zip(answers) {
                match answer {
                    Ok(answer) => {
                        if event.envelope.id == opened {
                            last = answer.position.seq;
                        }
                        acknowledged.push((answer.position, event.envelope.id));
                    }
                    Err(AppendError::Unavailable(_)) => again.push(event),
                    Err(error) => panic!("a crash is no reason for {error:?}"),
                }
            }
            batch = again;
            tokio::task::yield_now().await;
        }
    }
    acknowledged
}

/// Reads everything; a journal that has just crashed may need more than one try.
async fn read_once_it_answers(journal: &dyn Journal) -> Vec<Recorded> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let read = async { journal.read(Position::START, journal.head().await?).await?.try_concat().await };
        match read.await {
            Ok(found) => return found,
            Err(error) => assert!(Instant::now() < deadline, "the journal can be read again: {error}"),
        }
    }
}

/// Waits until the journal has grown by a few hundred events.
async fn wait_for_progress(journal: &dyn Journal) {
    let deadline = Instant::now() + PATIENCE;
    let mut begin = None;
    loop {
        if let Ok(head) = journal.head().await
            && head.seq > *begin.get_or_insert(head.seq) + 300
        {
            return;
        }
        assert!(Instant::now() < deadline, "the journal goes on");
        tokio::task::yield_now().await;
    }
}

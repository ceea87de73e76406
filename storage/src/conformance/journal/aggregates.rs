//! Expectations, and what is known about aggregates and lanes.

use cabildo_events::{Aggregate, Lane, PollId, Position, Recorded};
use futures::StreamExt;
use futures::future::join_all;

use super::{Fixture, accepted, accepted_one, append, free, ids, read_all, room, ruled};
use crate::{AppendError, Journal};

/// A fresh aggregate's first ruled event expects 0, and nothing else.
pub async fn a_fresh_aggregate_has_no_last_event(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let (hall, yard) = (room("hall"), room("yard"));
    assert_eq!(append(&*journal, vec![ruled(&hall, 1)]).await, [Err(AppendError::Conflict)]);
    let first = accepted_one(&*journal, ruled(&hall, 0)).await;
    assert_eq!(append(&*journal, vec![ruled(&hall, 0)]).await, [Err(AppendError::Conflict)]);
    assert_eq!(append(&*journal, vec![ruled(&yard, first.position.seq)]).await, [Err(AppendError::Conflict)]);
    accepted_one(&*journal, ruled(&hall, first.position.seq)).await;
    accepted_one(&*journal, ruled(&yard, 0)).await;
    // The same id in another context is another aggregate.
    accepted_one(&*journal, ruled(&Aggregate::poll(&"hall".parse::<PollId>().unwrap()), 0)).await;
    assert_eq!(read_all(&*journal).await.len(), 4);
}

/// Of sixteen that expect the same, one wins and the others are told; and so again, round after round.
pub async fn of_writers_with_the_same_expectation_one_wins(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let hall = room("hall");
    let mut last = 0;
    for round in 1..=5 {
        let writers = (0..16).map(|_| {
            let (journal, event) = (journal.clone(), ruled(&hall, last));
            tokio::spawn(async move { append(&*journal, vec![event]).await.remove(0) })
        });
        let answers: Vec<_> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
        let won: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(won.len(), 1, "one wins");
        assert_eq!(answers.iter().filter(|answer| **answer == Err(AppendError::Conflict)).count(), 15);
        last = won[0].position.seq;
        assert_eq!(journal.ruled(&hall).await.unwrap().len(), round);
    }
}

/// Events of a batch succeed or fail one by one.
pub async fn a_conflict_does_not_hold_back_its_neighbours(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let rooms: Vec<Aggregate> = (0..10).map(|number| room(&format!("room {number}"))).collect();
    for place in rooms.iter().step_by(2) {
        accepted_one(&*journal, ruled(place, 0)).await;
    }
    let batch = rooms.iter().flat_map(|place| [ruled(place, 0), free(place, 1)]).collect();
    let answers = append(&*journal, batch).await;
    for (number, pair) in answers.chunks(2).enumerate() {
        assert_eq!(pair[0].is_err(), number % 2 == 0, "{pair:?}");
        assert_eq!(pair[0].as_ref().err(), (number % 2 == 0).then_some(&AppendError::Conflict));
        assert!(pair[1].is_ok());
    }
    // Two in one batch that expect the same: one of them.
    let answers = append(&*journal, vec![ruled(&room("new"), 0), ruled(&room("new"), 0)]).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(read_all(&*journal).await.len(), 5 + 5 + 10 + 1);
}

/// Free events of an aggregate do not change what its ruled events expect.
pub async fn a_free_event_leaves_the_expectation_alone(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let hall = room("hall");
    accepted(&*journal, (0..10).map(|number| free(&hall, number)).collect()).await;
    let first = accepted_one(&*journal, ruled(&hall, 0)).await;
    let message = accepted_one(&*journal, free(&hall, 11)).await;
    assert_eq!(append(&*journal, vec![ruled(&hall, message.position.seq)]).await, [Err(AppendError::Conflict)]);
    accepted_one(&*journal, ruled(&hall, first.position.seq)).await;
}

/// The ruled events of an aggregate: all, in order, without free ones and without those of others.
pub async fn ruled_shows_the_ruled_events_of_one_aggregate(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let (hall, yard) = (room("hall"), room("hall 2"));
    assert!(journal.ruled(&hall).await.unwrap().is_empty());
    let (mut last, mut expected) = (0, Vec::new());
    for number in 0..300 {
        let event = ruled(&hall, last);
        expected.push(event.envelope.id);
        let other = if number == 0 { ruled(&yard, 0) } else { free(&yard, number) };
        let answers = accepted(&*journal, vec![event, free(&hall, number), other]).await;
        last = answers[0].position.seq;
        if matches!(number + 1, 1 | 2 | 4 | 5 | 6 | 300) {
            let found = journal.ruled(&hall).await.unwrap();
            assert_eq!(ids(&found), expected);
            assert_eq!(found.last().unwrap().position.seq, last);
        }
    }
    assert_eq!(journal.ruled(&yard).await.unwrap().len(), 1);
    assert!(journal.ruled(&room("ha")).await.unwrap().is_empty());
}

/// What was acknowledged is in the next answer, whoever asks.
pub async fn ruled_is_as_new_as_the_last_acknowledgement(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let askers = (0..8).map(|asker| {
        let journal = journal.clone();
        tokio::spawn(async move {
            let place = room(&format!("room {asker}"));
            let mut last = 0;
            for _ in 0..25 {
                last = accepted_one(&*journal, ruled(&place, last)).await.position.seq;
                let found = journal.ruled(&place).await.unwrap();
                assert_eq!(found.last().map(|event| event.position.seq), Some(last));
            }
        })
    });
    join_all(askers).await.into_iter().for_each(Result::unwrap);
}

/// Every event of an aggregate, ruled and free, in any range; none of another, also of the same lane.
pub async fn all_events_of_one_aggregate_come_in_order(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let hall = room("hall");
    assert!(of(&*journal, &hall, 0, u64::MAX).await.is_empty());
    let neighbour =
        (0..).map(|number| room(&format!("room {number}"))).find(|other| other.lane() == hall.lane()).unwrap();
    let (mut last, mut others) = ([0; 2], 0);
    for round in 0..3 {
        for (place, last) in [&hall, &neighbour].into_iter().zip(&mut last) {
            *last = accepted_one(&*journal, ruled(place, *last)).await.position.seq;
        }
        // More than one page, between events of the lane and of others.
        let batch = (0..999).map(|number| free([&hall, &neighbour, &room("yard")][number % 3], round * 999 + number));
        others += 666;
        accepted(&*journal, batch.collect()).await;
    }
    let all = read_all(&*journal).await;
    let expected = |after: u64, until: u64| {
        let of_it =
            |event: &&Recorded| event.aggregate() == Some(&hall) && (after + 1..=until).contains(&event.position.seq);
        all.iter().filter(of_it).cloned().collect::<Vec<_>>()
    };
    assert_eq!(expected(0, u64::MAX - 1).len(), all.len() - others - 3);
    let seqs: Vec<u64> = expected(0, u64::MAX - 1).iter().map(|event| event.position.seq).collect();
    let (first, middle, end) = (seqs[0], seqs[seqs.len() / 2], seqs[seqs.len() - 1]);
    for (after, until) in [
        (0, u64::MAX),
        (0, first),
        (first, middle),
        (middle - 1, middle),
        (middle, end),
        (0, 0),
        (end, u64::MAX),
        (middle, first),
    ] {
        let found = of(&*journal, &hall, after, until).await;
        assert_eq!(found, expected(after, until.min(u64::MAX - 1)), "after {after} until {until}");
    }
    assert!(of(&*journal, &room("ha"), 0, u64::MAX).await.is_empty());
    // What was acknowledged is in the next answer.
    let event = free(&hall, 9_999);
    let position = accepted_one(&*journal, event.clone()).await.position;
    assert_eq!(ids(&of(&*journal, &hall, end, u64::MAX).await), [event.envelope.id]);
    let journal = fixture.restart(journal).await;
    assert_eq!(of(&*journal, &hall, 0, position.seq).await.len(), seqs.len() + 1);
}

async fn of(journal: &dyn Journal, aggregate: &Aggregate, after: u64, until: u64) -> Vec<Recorded> {
    let mut pages = journal.of(aggregate, Position::at(after), Position::at(until)).await.expect("a read begins");
    let mut events = Vec::new();
    while let Some(page) = tokio::time::timeout(super::PATIENCE, pages.next()).await.expect("a read goes on") {
        let page = page.expect("a page");
        assert!(!page.is_empty(), "pages are never empty");
        events.extend(page);
    }
    events
}

/// The head and the lanes' heads contain every append that was acknowledged before the question.
pub async fn heads_are_as_new_as_the_last_acknowledgement(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    assert_eq!(journal.head().await.unwrap().seq, 0);
    assert!(journal.lane_heads().await.unwrap().0.iter().all(|head| *head == 0));
    let mut expected = [0_u64; cabildo_events::LANES as usize];
    for number in 0..90 {
        let place = room(&format!("room {}", number % 45));
        let event = if number < 45 { ruled(&place, 0) } else { free(&place, number) };
        let seq = accepted_one(&*journal, event).await.position.seq;
        expected[place.lane().index()] = seq;
        assert_eq!(journal.head().await.unwrap().seq, seq);
        assert_eq!(journal.lane_head(place.lane()).await.unwrap(), seq);
    }
    assert!(expected.contains(&0), "some lane is empty, else the case shows less than it could");
    check_lanes(&*journal, &expected).await;
    let journal = fixture.restart(journal).await;
    check_lanes(&*journal, &expected).await;
}

async fn check_lanes(journal: &dyn Journal, expected: &[u64]) {
    let heads = journal.lane_heads().await.unwrap();
    for lane in Lane::all() {
        assert_eq!(heads[lane], expected[lane.index()], "lane {lane}");
        assert_eq!(journal.lane_head(lane).await.unwrap(), expected[lane.index()], "lane {lane}");
    }
}

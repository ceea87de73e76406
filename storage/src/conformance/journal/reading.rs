//! Ranges, single events, followers.

use cabildo_events::{EventId, Position, Recorded};
use futures::StreamExt;

use super::{
    Fixture, PATIENCE, accepted, accepted_one, assert_ascending, free, ids, ids_of, read, read_all, room, ruled, take,
};
use crate::{Append, Journal};

/// Appends so many free events, in batches of at most a thousand; their ids.
async fn fill(journal: &dyn Journal, events: usize) -> Vec<EventId> {
    let rooms = ["one", "two", "three", "four"].map(room);
    let all: Vec<Append> = (0..events).map(|number| free(&rooms[number % rooms.len()], number)).collect();
    for batch in all.chunks(1_000) {
        accepted(journal, batch.to_vec()).await;
    }
    ids_of(&all)
}

/// Ranges are open at the start and closed at the end; what is past the head is not waited for.
pub async fn a_range_ends_where_it_was_asked_to(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    assert!(read_all(&*journal).await.is_empty(), "an empty journal");
    fill(&*journal, 100).await;
    let all = read_all(&*journal).await;
    assert_eq!(all.len(), 100);
    let seqs: Vec<u64> = all.iter().map(|event| event.position.seq).collect();
    let (first, middle, last) = (seqs[0], seqs[49], seqs[99]);
    for (after, until) in [
        (0, 0),
        (first, first),
        (last, last),
        (middle, first),
        (0, first),
        (first, middle),
        (middle - 1, middle),
        (middle, last),
        (middle, last + 1_000),
        (last, last + 1_000),
        (last + 500, last + 1_000),
        (0, last - 1),
        (0, u64::MAX),
    ] {
        let expected: Vec<&Recorded> =
            all.iter().filter(|event| event.position.seq > after && event.position.seq <= until).collect();
        let found = read(&*journal, after, until).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "after {after} until {until}");
    }
}

/// More events than any window holds at once.
pub async fn a_long_range_comes_whole_and_in_order(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let sent = fill(&*journal, 30_000).await;
    let found = read_all(&*journal).await;
    assert_ascending(&found);
    assert!(ids(&found) == sent, "every event, in order");
    // A reader that stops in the middle harms nobody.
    let mut pages = journal.read(Position::START, Position::at(u64::MAX)).await.unwrap();
    assert!(pages.next().await.unwrap().is_ok());
    drop(pages);
    assert_eq!(read(&*journal, found[29_000].position.seq, u64::MAX).await.len(), 999);
}

/// An event is found by its position, and by its id if the journal keeps ids.
pub async fn one_event_is_found_by_its_position(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    assert_eq!(journal.get(Position::at(1)).await.unwrap(), None);
    let event = ruled(&room("hall"), 0);
    let answer = accepted_one(&*journal, event.clone()).await;
    let found = journal.get(answer.position).await.unwrap().unwrap();
    assert_eq!(vec![found.clone()], read_all(&*journal).await);
    assert_eq!(journal.get(Position::START).await.unwrap(), None);
    assert_eq!(journal.get(Position::at(answer.position.seq + 1)).await.unwrap(), None);
    assert_eq!(journal.get(Position { shard: 1, seq: answer.position.seq }).await.unwrap(), None);
    if let Some(by_id) = journal.find(event.envelope.id).await.unwrap() {
        assert_eq!(by_id, found);
    }
    assert_eq!(journal.find(EventId(uuid::Uuid::now_v7())).await.unwrap(), None);
}

/// A follower sees the past, then what comes, each event once and in order, equal to what a read shows.
pub async fn a_follower_sees_what_was_and_what_comes(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let mut early = journal.follow(Position::START).await.unwrap();
    let mut sent = fill(&*journal, 500).await;
    let mut follower = journal.follow(Position::START).await.unwrap();
    let mut found = take(&mut follower, 500).await;
    for number in 0..50 {
        let event = if number % 5 == 0 { ruled(&room(&format!("{number}")), 0) } else { free(&room("hall"), number) };
        sent.push(event.envelope.id);
        accepted_one(&*journal, event).await;
        found.extend(take(&mut follower, 1).await);
    }
    // More while nobody looks.
    sent.extend(fill(&*journal, 2_000).await);
    found.extend(take(&mut follower, 2_000).await);
    assert_eq!(ids(&found), sent);
    assert_ascending(&found);
    assert!(found == read_all(&*journal).await, "live events equal stored ones");
    assert!(take(&mut early, found.len()).await == found, "whoever followed before the first event sees the same");
}

/// A follower that starts in the middle sees the rest; one at the head waits.
pub async fn a_follower_that_starts_in_the_middle_sees_the_rest(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let sent = fill(&*journal, 20).await;
    let all = read_all(&*journal).await;
    let mut middle = journal.follow(all[9].position).await.unwrap();
    assert_eq!(ids(&take(&mut middle, 10).await), sent[10..]);
    let mut end = journal.follow(all[19].position).await.unwrap();
    let next = free(&room("hall"), 20);
    accepted_one(&*journal, next.clone()).await;
    assert_eq!(ids(&take(&mut end, 1).await), [next.envelope.id]);
    assert_eq!(ids(&take(&mut middle, 1).await), [next.envelope.id]);
}

/// A follower that looks away while more comes than any queue holds still gets every event.
pub async fn a_follower_that_is_slow_misses_nothing(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let mut follower = journal.follow(Position::START).await.unwrap();
    let mut sent = fill(&*journal, 1).await;
    let mut found = take(&mut follower, 1).await;
    sent.extend(fill(&*journal, cabildo_events::limits::FOLLOW_QUEUE_EVENTS_MAX + 3_000).await);
    found.extend(take(&mut follower, sent.len() - 1).await);
    sent.extend(fill(&*journal, 10).await);
    found.extend(take(&mut follower, 10).await);
    assert!(ids(&found) == sent, "every event, in order, once");
    assert_ascending(&found);
}

/// A follower ends with an error when its journal goes down, and whoever follows again from the last position misses nothing.
pub async fn a_follower_resumes_after_a_restart(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let mut sent = fill(&*journal, 10).await;
    let mut follower = journal.follow(Position::START).await.unwrap();
    let mut found = take(&mut follower, 10).await;
    if fixture.crash().await {
        let end = tokio::time::timeout(PATIENCE, follower.next()).await.expect("the follower is told");
        assert!(end.is_some_and(|page| page.is_err()), "an error, then the end");
        assert!(follower.next().await.is_none());
    }
    drop(follower);
    let journal = fixture.restart(journal).await;
    sent.extend(fill(&*journal, 10).await);
    let mut follower = journal.follow(found[9].position).await.unwrap();
    found.extend(take(&mut follower, 10).await);
    sent.extend(fill(&*journal, 1).await);
    found.extend(take(&mut follower, 1).await);
    assert_eq!(ids(&found), sent);
}

/// What is no event is delivered where it stands, with a reason, and holds nothing up.
pub async fn a_foreign_message_is_delivered_as_unreadable(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let hall = room("hall");
    accepted_one(&*journal, free(&hall, 0)).await;
    let subject = hall.free_subject();
    if !fixture.write_foreign(&subject, b"\xff\x00 no event").await {
        return;
    }
    assert!(fixture.write_foreign("ev.elsewhere", b"").await);
    accepted_one(&*journal, free(&hall, 1)).await;
    let mut follower = journal.follow(Position::START).await.unwrap();
    accepted_one(&*journal, free(&hall, 2)).await;
    assert!(fixture.write_foreign(&subject, b"live").await);
    let found = take(&mut follower, 6).await;
    assert_eq!(found, read_all(&*journal).await);
    let readable: Vec<bool> = found.iter().map(|event| event.envelope.is_ok()).collect();
    assert_eq!(readable, [true, false, false, true, true, false]);
    let unreadable = found[1].envelope.as_ref().unwrap_err();
    assert_eq!((unreadable.aggregate.as_ref(), &unreadable.data[..]), (Some(&hall), &b"\xff\x00 no event"[..]));
    assert!(!unreadable.reason.is_empty());
    assert_eq!(found[1].lane, hall.lane());
    assert_eq!(found[2].envelope.as_ref().unwrap_err().aggregate, None);
    assert_eq!(journal.get(found[1].position).await.unwrap().as_ref(), Some(&found[1]));
}

//! Events set aside.

use cabildo_events::{Position, Timestamp};

use super::{Fixture, room};
use crate::Parked;

fn parked(projection: &str, version: u32, seq: u64, reason: &str) -> Parked {
    Parked {
        projection: projection.to_owned(),
        version,
        position: Position::at(seq),
        aggregate: seq.is_multiple_of(2).then(|| room("Sala José")),
        reason: reason.to_owned(),
        parked: Timestamp::from_micros(1_795_255_200_000_001),
    }
}

/// The same event of the same projection and version again is the first.
pub async fn an_event_is_parked_once(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    assert!(journal.parked("tally", 1).await.unwrap().is_empty());
    journal.park(Vec::new()).await.unwrap();
    let first = parked("tally", 1, 7, "not of its type");
    journal.park(vec![first.clone()]).await.unwrap();
    journal.park(vec![parked("tally", 1, 7, "another reason"), parked("tally", 1, 8, "a later one")]).await.unwrap();
    journal.park(vec![parked("tally", 2, 7, "another version"), parked("rooms", 1, 7, "another view")]).await.unwrap();
    let found = journal.parked("tally", 1).await.unwrap();
    assert_eq!(found, [first.clone(), parked("tally", 1, 8, "a later one")]);
    assert_eq!(journal.parked("tally", 2).await.unwrap().len(), 1);
    assert_eq!(journal.parked("rooms", 1).await.unwrap().len(), 1);
    let journal = fixture.restart(journal).await;
    journal.park(vec![parked("tally", 1, 7, "after a restart")]).await.unwrap();
    assert_eq!(journal.parked("tally", 1).await.unwrap(), found);
}

/// Parked events come back in the order of the journal, whenever they were parked.
pub async fn what_is_parked_comes_back_in_order(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    let expected: Vec<Parked> = (1..=1_500).map(|seq| parked("record", 3, seq, "ñ \"quoted\"")).collect();
    let (first, second): (Vec<Parked>, Vec<Parked>) =
        expected.iter().cloned().partition(|event| event.position.seq.is_multiple_of(3));
    journal.park(first).await.unwrap();
    journal.park(second).await.unwrap();
    assert!(journal.parked("record", 3).await.unwrap() == expected, "all, in order");
}

/// Of one projection and version alone; what is not parked is passed over.
pub async fn what_is_taken_back_may_be_parked_anew(fixture: &dyn Fixture) {
    let journal = fixture.open().await;
    journal.park((1..=200).map(|seq| parked("tally", 1, seq, "first")).collect()).await.unwrap();
    journal.park(vec![parked("tally", 2, 7, "another version"), parked("rooms", 1, 7, "another view")]).await.unwrap();
    let some: Vec<Position> = (1..=150).chain([999]).map(Position::at).collect();
    for _ in 0..2 {
        journal.unpark("tally", 1, &some).await.unwrap();
        let left: Vec<Parked> = (151..=200).map(|seq| parked("tally", 1, seq, "first")).collect();
        assert_eq!(journal.parked("tally", 1).await.unwrap(), left);
    }
    assert_eq!(journal.parked("tally", 2).await.unwrap().len(), 1);
    assert_eq!(journal.parked("rooms", 1).await.unwrap().len(), 1);
    journal.park(vec![parked("tally", 1, 7, "again"), parked("tally", 1, 160, "again")]).await.unwrap();
    let found = journal.parked("tally", 1).await.unwrap();
    assert_eq!(found.len(), 51);
    assert_eq!((&found[0], &*found[10].reason), (&parked("tally", 1, 7, "again"), "first"));
    journal.unpark("tally", 1, &[]).await.unwrap();
    journal.unpark("tally", 1, &(1..=200).map(Position::at).collect::<Vec<_>>()).await.unwrap();
    assert!(journal.parked("tally", 1).await.unwrap().is_empty());
}

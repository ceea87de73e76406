//! A real projection, end to end.

use std::collections::BTreeMap;

use cabildo_events::poll::{BallotCast, PollClosed, PollOpened};
use cabildo_events::{Aggregate, Event, PollId, Recorded};
use cabildo_projections::tally::{INDEX, INDEX_KEY, MINUTES, POLL, Tally, VOTERS, VOTES};

use crate::conformance::SinkFixture;
use crate::conformance::sink::{Dice, fold_in_cuts, fold_up_to, fresh, lane, recorded};
use crate::{Applied, Counters, Hashes};

const POLLS: [&str; 3] = ["bands", "álbum: {1}", "late"];

/// Ballots of a few voters for a few options in a few polls, some opened late, some closed, some ballots spoilt.
fn ballots(dice: &mut Dice, events: u64) -> Vec<Recorded> {
    let options = ["Alux Nahual", "Malacates", "Viernes Verde", "Bohemia: {x}"];
    let event = |dice: &mut Dice| match dice.roll(40) {
        0 => Event::PollClosed(PollClosed {}),
        1..=3 => {
            let listed = dice.roll(2) == 0;
            let listed = listed.then(|| options[..3].iter().map(|option| option.parse().unwrap()).collect());
            Event::PollOpened(PollOpened { question: "¿Quién toca?".parse().unwrap(), options: listed, by: None })
        }
        _ => {
            let voter = format!("voter {}", dice.roll(20)).parse().unwrap();
            let choices = vec![options[dice.roll(4)].parse().unwrap()];
            Event::BallotCast(BallotCast { voter, choices, fields: BTreeMap::new() })
        }
    };
    let polls = POLLS.map(|poll| Aggregate::poll(&poll.parse::<PollId>().unwrap()));
    (1..=events).map(|number| recorded(number * 3, &polls[dice.roll(3)], &event(dice))).collect()
}

async fn everything(counters: &dyn Counters, id: cabildo_projections::ProjectionId) -> Hashes {
    let polls = POLLS.iter().flat_map(|poll| [POLL, VOTES, MINUTES, VOTERS].map(|table| (table, *poll)));
    let wanted: Vec<_> = polls.chain([(INDEX, INDEX_KEY)]).collect();
    counters.hashes(id, lane(3), &wanted).await.unwrap()
}

/// However the events of a lane are cut into batches, by one worker or by two at once, the tally is that of one batch.
pub async fn events_folded_in_any_cuts_give_the_same_tally(place: &Fixture) {
    let counters = place.open().await;
    for seed in 0..5 {
        let mut dice = Dice(seed);
        let events = ballots(&mut dice, 400);
        let (whole, cut, shared) = (fresh("tally"), fresh("tally"), fresh("tally"));
        let last = events.last().unwrap().position.seq;
        let one = fold_up_to(&*counters, &Tally, whole, lane(3), &events, last).await.unwrap();
        assert_eq!(one, Applied::Done);
        fold_in_cuts(&*counters, &Tally, cut, lane(3), &events, &mut dice).await;
        let mut other = Dice(seed + 1_000);
        tokio::join!(
            fold_in_cuts(&*counters, &Tally, shared, lane(3), &events, &mut dice),
            fold_in_cuts(&*counters, &Tally, shared, lane(3), &events, &mut other),
        );
        let expected = everything(&*counters, whole).await;
        assert!(expected.hashes.iter().map(BTreeMap::len).sum::<usize>() > 10, "the events say something");
        assert_eq!(everything(&*counters, cut).await, expected, "seed {seed}");
        assert_eq!(everything(&*counters, shared).await, expected, "seed {seed}, two workers");
    }
}

type Fixture = dyn SinkFixture<dyn Counters>;

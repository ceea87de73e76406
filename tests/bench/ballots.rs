//! Ballots to measure with.

use cabildo_events::poll::{BallotCast, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, Timestamp};
use cabildo_storage::{Append, Expect, Journal};
use uuid::Uuid;

/// Polls that the ballots are spread over: several lanes, several hot aggregates.
const POLLS: usize = 16;

pub(crate) fn poll(number: usize) -> Aggregate {
    Aggregate::poll(&format!("bands-{}", number % POLLS).parse().unwrap())
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from(jiff::Timestamp::now())
}

/// A ballot of its own voter, about 512 bytes on the wire with its attributes.
pub(crate) fn ballot(number: usize) -> Append {
    let event = Event::BallotCast(BallotCast {
        voter: format!("voter-{number}").parse().unwrap(),
        choices: vec![format!("Band number {}", number % 31).parse().unwrap()],
        fields: [("album", "Sombras en el jardín"), ("year", "1993"), ("rank", "1")]
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .into(),
    });
    let mut envelope = Envelope::new(EventId(Uuid::now_v7()), poll(number), now(), &event);
    envelope.actor = Some(format!("voter-{number}").parse().unwrap());
    Append { envelope, expect: Expect::Nothing }
}

/// Opens the polls and casts so many ballots, as fast as the journal takes them.
pub(crate) async fn fill(journal: &dyn Journal, ballots: usize) {
    let opened = Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None });
    let polls = (0..POLLS)
        .map(|number| Envelope::new(EventId(Uuid::now_v7()), poll(number), now(), &opened))
        .map(|envelope| Append { envelope, expect: Expect::Last(0) })
        .collect();
    for answer in journal.append(polls).await {
        answer.unwrap();
    }
    let mut number = 0;
    while number < ballots {
        let batch: Vec<_> = (number..ballots.min(number + 1_000)).map(ballot).collect();
        number += batch.len();
        for answer in journal.append(batch).await {
            answer.unwrap();
        }
    }
}

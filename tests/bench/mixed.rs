//! Mixed events to measure with: what a busy town says and votes.

use cabildo_events::chat::{MessageEdited, MessagePosted, RoomOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, MessageId};
use cabildo_storage::{Append, Expect, Journal};
use uuid::Uuid;

use crate::ballots::{self, now};

const ROOMS: usize = 16;

fn room(number: usize) -> Aggregate {
    Aggregate::room(&format!("room-{}", number % ROOMS).parse().unwrap())
}

/// Six ballots, three messages and an edit of every ten.
fn event(number: usize, last: &mut [MessageId]) -> Append {
    let author = format!("voter-{}", number % 1_000);
    let event = match number % 10 {
        0..6 => return ballots::ballot(number),
        6..9 => {
            let message = MessageId(Uuid::now_v7());
            last[number % ROOMS] = message;
            let text = format!("Buenas, ¿quién toca hoy en la plaza? Yo voto por la banda número {}", number % 31);
            let (text, author) = (text.parse().unwrap(), author.parse().unwrap());
            Event::MessagePosted(MessagePosted { message, text, author, by: None })
        }
        _ => {
            let text = format!("Buenas, corrijo: banda número {}", number % 29).parse().unwrap();
            Event::MessageEdited(MessageEdited { message: last[number % ROOMS], text })
        }
    };
    let mut envelope = Envelope::new(EventId(Uuid::now_v7()), room(number), now(), &event);
    envelope.actor = Some(format!("voter-{}", number % 1_000).parse().unwrap());
    Append { envelope, expect: Expect::Nothing }
}

/// Opens polls and rooms and appends so many events, as fast as the journal takes them.
pub(crate) async fn fill(journal: &dyn Journal, events: usize) {
    ballots::fill(journal, 0).await;
    let opened = Event::RoomOpened(RoomOpened { name: "Plaza".parse().unwrap(), topic: None });
    let rooms = (0..ROOMS)
        .map(|number| Envelope::new(EventId(Uuid::now_v7()), room(number), now(), &opened))
        .map(|envelope| Append { envelope, expect: Expect::Last(0) })
        .collect();
    for answer in journal.append(rooms).await {
        answer.unwrap();
    }
    let mut last = vec![MessageId(Uuid::nil()); ROOMS];
    let mut number = 0;
    while number < events {
        let batch: Vec<_> = (number..events.min(number + 1_000)).map(|number| event(number, &mut last)).collect();
        number += batch.len();
        for answer in journal.append(batch).await {
            answer.unwrap();
        }
    }
}

//! What people do: a seeded choice of events over a few polls and rooms.

use cabildo_events::chat::{MessageDeleted, MessageEdited, MessagePosted, RoomOpened};
use cabildo_events::poll::{BallotCast, PollClosed, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, MessageId, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use uuid::Uuid;

const POLLS: [&str; 3] = ["bands", "mayor", "marimba"];
const ROOMS: [&str; 3] = ["lobby", "plaza", "Sala José"];
const OPTIONS: [&str; 3] = ["Alux Nahual", "Bohemia Suburbana", "no such option"];

/// One more thing that happens, at a moment.
pub(crate) fn event(random: &mut StdRng, now: Timestamp) -> Envelope {
    let (aggregate, event) = if random.random_bool(0.6) { poll(random) } else { room(random) };
    let id = EventId(Uuid::from_u128(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())));
    let mut envelope = Envelope::new(id, aggregate, now, &event);
    if random.random_bool(0.01) {
        // A newer build was here: nobody can fold this.
        envelope.schema_version = 99;
    }
    envelope
}

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[random.random_range(0..from.len())]
}

fn poll(random: &mut StdRng) -> (Aggregate, Event) {
    let aggregate = Aggregate::poll(&pick(random, &POLLS).parse().unwrap());
    let event = match random.random_range(0..40) {
        0..5 => {
            let options = OPTIONS[..2].iter().map(|option| option.parse().unwrap()).collect();
            Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: Some(options), by: None })
        }
        5 => Event::PollClosed(PollClosed {}),
        _ => Event::BallotCast(BallotCast {
            voter: format!("voter {}", random.random_range(0..6)).parse().unwrap(),
            choices: vec![pick(random, &OPTIONS).parse().unwrap()],
            fields: Default::default(),
        }),
    };
    (aggregate, event)
}

fn room(random: &mut StdRng) -> (Aggregate, Event) {
    let aggregate = Aggregate::room(&pick(random, &ROOMS).parse().unwrap());
    let message = MessageId(Uuid::from_u128(random.random_range(0..12)));
    let text = || "buenas".parse().unwrap();
    let event = match random.random_range(0..10) {
        0 => Event::RoomOpened(RoomOpened { name: "Sala".parse().unwrap(), topic: None }),
        1..6 => Event::MessagePosted(MessagePosted { message, text: text(), author: "Ana".parse().unwrap(), by: None }),
        6..9 => {
            let text = format!("edit {}", random.random_range(0..100)).parse().unwrap();
            Event::MessageEdited(MessageEdited { message, text })
        }
        _ => Event::MessageDeleted(MessageDeleted { message }),
    };
    (aggregate, event)
}

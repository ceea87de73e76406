//! The journal, its clients, and two views.

use std::collections::HashMap;

use cabildo_events::{Aggregate, Event, EventId, Position, Recorded, Timestamp};
use cabildo_projections::rooms::{self, Rooms};
use cabildo_projections::tally::{self, Tally};
use cabildo_storage::embedded::{CountersFile, DocumentsFile, JournalFile};
use cabildo_storage::{Append, AppendError, Appended, Expect};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::story;
use super::view::View;

/// What a sink checks before it applies a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// That the lane stands where the batch was computed.
    Watermark,
    /// Only that the batch is not older than what is there: wrong, and known to lose events.
    SkipOlder,
}

pub(crate) struct World {
    random: StdRng,
    clock: i64,
    journal: JournalFile,
    acknowledged: HashMap<EventId, Position>,
    /// Appends whose answer was lost: the client will send them again.
    unanswered: Vec<Append>,
    sent: Vec<Append>,
    tally: View<Tally, CountersFile>,
    rooms: View<Rooms, DocumentsFile>,
    broken: Option<String>,
}

impl World {
    pub(crate) fn new(seed: u64, guard: Guard) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let workers = random.random_range(1..4);
        Self {
            random,
            clock: 1_795_255_200_000_000,
            journal: JournalFile::in_memory().unwrap(),
            acknowledged: HashMap::new(),
            unanswered: vec![],
            sent: vec![],
            tally: View::new(Tally, tally::ID, workers, guard),
            rooms: View::new(Rooms, rooms::ID, workers, guard),
            broken: None,
        }
    }

    pub(crate) fn step(&mut self) {
        self.clock += self.random.random_range(0..5_000_000);
        let now = Timestamp::from_micros(self.clock);
        match self.random.random_range(0..100) {
            0..35 => self.append(now),
            35..40 => self.repeat(now),
            40..43 => self.contradict(now),
            43..72 => self.tally.step(&mut self.random, &self.journal, now),
            _ => self.rooms.step(&mut self.random, &self.journal, now),
        }
    }

    /// A batch of new events, each with the right expectation; some answers get lost.
    fn append(&mut self, now: Timestamp) {
        let count = self.random.random_range(1..6);
        let mut batch: Vec<Append> = vec![];
        for _ in 0..count {
            let envelope = story::event(&mut self.random, now);
            let twice = batch.iter().any(|other| other.envelope.aggregate == envelope.aggregate);
            if envelope.is_ruled() && twice {
                continue;
            }
            let expect =
                if envelope.is_ruled() { Expect::Last(self.last_ruled(&envelope.aggregate)) } else { Expect::Nothing };
            batch.push(Append { envelope, expect });
        }
        let answers = self.journal.append(&batch, now);
        for (append, answer) in batch.into_iter().zip(answers) {
            if self.random.random_bool(0.1) {
                self.unanswered.push(append.clone());
            } else {
                self.answered(&append, &answer);
            }
            self.sent.push(append);
        }
    }

    /// The same ids again: what was not answered, or what was.
    fn repeat(&mut self, now: Timestamp) {
        let append = match self.unanswered.pop() {
            Some(append) => append,
            None if self.sent.is_empty() => return,
            None => self.sent[self.random.random_range(0..self.sent.len())].clone(),
        };
        let answer = self.journal.append(std::slice::from_ref(&append), now).remove(0);
        if !answer.as_ref().is_ok_and(|appended| appended.repeated) {
            self.broken = Some(format!("a repeated append was answered with {answer:?}"));
        }
        self.answered(&append, &answer);
    }

    /// A wrong expectation beside a right one: the one conflicts, the other is written.
    fn contradict(&mut self, now: Timestamp) {
        let mut envelope = story::event(&mut self.random, now);
        while !envelope.is_ruled() {
            envelope = story::event(&mut self.random, now);
        }
        let expect = Expect::Last(self.last_ruled(&envelope.aggregate) + 1);
        let answer = self.journal.append(&[Append { envelope, expect }], now).remove(0);
        if answer != Err(AppendError::Conflict) {
            self.broken = Some(format!("a wrong expectation was answered with {answer:?}"));
        }
    }

    fn answered(&mut self, append: &Append, answer: &Result<Appended, AppendError>) {
        match answer {
            Ok(appended) => {
                let first = *self.acknowledged.entry(append.envelope.id).or_insert(appended.position);
                if first != appended.position {
                    self.broken = Some(format!("one event at {first} and at {}", appended.position));
                }
            }
            Err(error) => self.broken = Some(format!("an append was refused: {error}")),
        }
    }

    fn last_ruled(&self, aggregate: &Aggregate) -> u64 {
        self.journal.ruled(aggregate).unwrap().last().map_or(0, |event| event.position.seq)
    }

    fn events(&self) -> Vec<Recorded> {
        self.journal.read(0, u64::MAX, usize::MAX >> 1).unwrap()
    }

    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let now = Timestamp::from_micros(self.clock);
        while !self.unanswered.is_empty() {
            self.repeat(now);
        }
        self.tally.settle(&self.journal, now)?;
        self.rooms.settle(&self.journal, now)
    }

    /// The invariants; the digest is everything that is stored.
    pub(crate) fn check(&mut self) -> Result<String, String> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        let events = self.events();
        let stored: HashMap<EventId, Position> =
            events.iter().map(|event| (event.envelope.as_ref().unwrap().id, event.position)).collect();
        if stored.len() != events.len() {
            return Err("an event is on the journal twice".to_owned());
        }
        if let Some((id, position)) = self.acknowledged.iter().find(|(id, position)| stored.get(id) != Some(position)) {
            return Err(format!("{id} was acknowledged at {position} and is not there"));
        }
        let tally = self.tally.check(&events)?;
        recount(&events, &tally)?;
        let rooms = self.rooms.check(&events)?;
        let journal: Vec<String> = events.iter().map(cabildo_events::wire::to_json).collect();
        Ok([journal, tally, rooms].concat().join("\n"))
    }
}

/// Counts the votes in the plainest way there is, without the projection's code.
fn recount(events: &[Recorded], tally: &[String]) -> Result<(), String> {
    let mut open: HashMap<String, Option<bool>> = HashMap::new();
    let mut ballots: HashMap<(String, String), String> = HashMap::new();
    let mut parked: Vec<String> = vec![];
    for event in events {
        let envelope = event.envelope.as_ref().unwrap();
        let poll = envelope.aggregate.id().to_owned();
        if envelope.aggregate.context() != cabildo_events::Context::Poll || parked.contains(&poll) {
            continue;
        }
        match envelope.event() {
            Err(_) => parked.push(poll),
            Ok(Event::PollOpened(_)) => drop(open.entry(poll).or_insert(Some(true))),
            Ok(Event::PollClosed(_)) => {
                if let Some(state) = open.get_mut(&poll) {
                    *state = Some(false);
                }
            }
            Ok(Event::BallotCast(ballot)) => {
                let choice = ballot.choices[0].to_string();
                if open.get(&poll) == Some(&Some(true)) && choice != "no such option" {
                    ballots.insert((poll, ballot.voter.to_string()), choice);
                }
            }
            Ok(_) => {}
        }
    }
    let mut votes: HashMap<(String, String), i64> = HashMap::new();
    for ((poll, _), choice) in ballots {
        *votes.entry((poll, choice)).or_default() += 1;
    }
    for ((poll, choice), count) in votes {
        let row = format!("Text({}) Text({}) Integer({count})", bytes(&poll), bytes(&choice));
        if !tally.iter().any(|found| found.contains(&format!("Text({}) {row}", bytes("votes")))) {
            return Err(format!("{poll} / {choice} should have {count} votes"));
        }
    }
    Ok(())
}

fn bytes(text: &str) -> String {
    format!("{:?}", text.as_bytes())
}

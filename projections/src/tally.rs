//! Votes per option of a poll, per minute, and the ballot of each voter. A voter's last ballot counts.
//!
//! A ballot counts if, at its position in the journal, the poll is open and the choice is one of its options (any, up
//! to a bound, where ballots bring their own). What does not count is spoilt, and counted as such.

use std::collections::BTreeMap;

use cabildo_events::limits::POLL_OPEN_OPTIONS_MAX;
use cabildo_events::{Aggregate, Context, Event, OptionLabel, PollId, Recorded, Timestamp};
use serde::Serialize;

use crate::{Cell, Cells, Projection, ProjectionId, Unfoldable};

/// Its first view.
pub const ID: ProjectionId = ProjectionId { name: "tally", version: 1 };

/// The number of its fold: raised with any change to what it makes of the same events.
pub const FOLD: u32 = 1;

/// Table of one hash per poll: `state` (`listed`, `any` or `closed`), `mode` (`listed` or `any`), `question`, `opened`, `closed`, and the counts
/// `voters`, `options`, `spoilt`.
pub const POLL: &str = "poll";
/// Table of one hash per poll: votes by option.
pub const VOTES: &str = "votes";
/// Table of one hash per poll: ballots that counted when they were cast, by the minute they were cast in (Unix seconds).
pub const MINUTES: &str = "minutes";
/// Table of one hash per poll: the choices of each voter, as a JSON array.
pub const VOTERS: &str = "voters";
/// Table of one hash per lane, under [`INDEX_KEY`]: polls by id, with their question.
pub const INDEX: &str = "index";
/// The key of the one hash of [`INDEX`].
pub const INDEX_KEY: &str = "polls";

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally;

/// An event of a poll.
#[derive(Debug)]
pub struct Step {
    poll: Box<str>,
    time: Timestamp,
    event: Event,
}

impl Projection for Tally {
    type Rows = Cells;
    type Step = Step;

    fn name(&self) -> &'static str {
        ID.name
    }

    fn version(&self) -> u32 {
        FOLD
    }

    fn tables(&self) -> &'static [&'static str] {
        &[POLL, VOTES, MINUTES, VOTERS, INDEX]
    }

    fn step(&self, event: &Recorded) -> Result<Option<Step>, Unfoldable> {
        match &event.envelope {
            Ok(envelope) if envelope.aggregate.context() != Context::Poll => Ok(None),
            Ok(envelope) => {
                Ok(Some(Step { poll: envelope.aggregate.id().into(), time: envelope.time, event: envelope.event()? }))
            }
            Err(unreadable) => unreadable_in(Context::Poll, unreadable.aggregate.as_ref(), &unreadable.reason),
        }
    }

    fn reads(&self, step: &Step, keys: &mut Vec<Cell>) {
        keys.push(Cell::new(POLL, &step.poll, "state"));
        if let Event::BallotCast(ballot) = &step.event {
            keys.push(Cell::new(POLL, &step.poll, "options"));
            keys.push(Cell::new(VOTERS, &step.poll, ballot.voter.as_str()));
            keys.extend(ballot.choices.iter().map(|choice| Cell::new(VOTES, &step.poll, choice.as_str())));
        }
    }

    fn fold(&self, step: Step, cells: &mut Cells) -> Result<(), Unfoldable> {
        let Step { poll, time, event } = step;
        let state = cells.text(&Cell::new(POLL, &poll, "state")).map(str::to_owned);
        match (event, state.as_deref()) {
            (Event::PollOpened(opened), None) => {
                let listed = if opened.options.is_some() { "listed" } else { "any" };
                cells.put(Cell::new(POLL, &poll, "state"), listed);
                cells.put(Cell::new(POLL, &poll, "mode"), listed);
                cells.put(Cell::new(POLL, &poll, "question"), opened.question.as_str());
                cells.put(Cell::new(POLL, &poll, "opened"), &time.to_string());
                cells.put(Cell::new(INDEX, INDEX_KEY, &poll), opened.question.as_str());
                for option in opened.options.iter().flatten() {
                    cells.add(Cell::new(VOTES, &poll, option.as_str()), 0);
                    cells.add(Cell::new(POLL, &poll, "options"), 1);
                }
            }
            (Event::PollClosed(_), Some("listed" | "any")) => {
                cells.put(Cell::new(POLL, &poll, "state"), "closed");
                cells.put(Cell::new(POLL, &poll, "closed"), &time.to_string());
            }
            (Event::BallotCast(ballot), Some(state @ ("listed" | "any"))) => {
                let voter = Cell::new(VOTERS, &poll, ballot.voter.as_str());
                count(cells, &poll, state == "any", voter, &ballot.choices, time)?;
            }
            // Before it opens, after it closes: on record, but it does not count.
            (Event::BallotCast(_), _) => cells.add(Cell::new(POLL, &poll, "spoilt"), 1),
            _ => {}
        }
        Ok(())
    }

    fn is_of(&self, aggregate: &Aggregate, cell: &Cell, _row: &Box<str>) -> bool {
        let poll = if cell.table == INDEX { &cell.field } else { &cell.key };
        aggregate.context() == Context::Poll && **poll == *aggregate.id()
    }
}

fn count(
    cells: &mut Cells,
    poll: &str,
    any: bool,
    voter: Cell,
    choices: &[OptionLabel],
    time: Timestamp,
) -> Result<(), Unfoldable> {
    let before: Vec<Box<str>> = match cells.text(&voter) {
        Some(text) => {
            serde_json::from_str(text).map_err(|error| Unfoldable(format!("the voter's last ballot: {error}")))?
        }
        None => vec![],
    };
    let fresh = choices.iter().filter(|choice| !cells.exists(&Cell::new(VOTES, poll, choice.as_str())));
    let fresh = i64::try_from(fresh.count()).unwrap_or(i64::MAX);
    let options = Cell::new(POLL, poll, "options");
    let room = if any { POLL_OPEN_OPTIONS_MAX - cells.count(&options) } else { 0 };
    if choices.len() != 1 || fresh > room {
        cells.add(Cell::new(POLL, poll, "spoilt"), 1);
        return Ok(());
    }
    if fresh > 0 {
        cells.add(options, fresh);
    }
    for choice in choices {
        cells.add(Cell::new(VOTES, poll, choice.as_str()), 1);
    }
    for choice in &before {
        cells.add(Cell::new(VOTES, poll, choice), -1);
    }
    if before.is_empty() {
        cells.add(Cell::new(POLL, poll, "voters"), 1);
    }
    let minute = time.seconds().div_euclid(60) * 60;
    cells.add(Cell::new(MINUTES, poll, &minute.to_string()), 1);
    cells.put(voter, &serde_json::to_string(choices).unwrap_or_default());
    Ok(())
}

/// An unreadable message is of no concern where its subject names an aggregate of another context.
pub(crate) fn unreadable_in<T>(
    context: Context,
    aggregate: Option<&Aggregate>,
    reason: &str,
) -> Result<Option<T>, Unfoldable> {
    match aggregate {
        Some(aggregate) if aggregate.context() != context => Ok(None),
        _ => Err(Unfoldable(reason.to_owned())),
    }
}

/// A poll's result, as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PollTally {
    /// The poll.
    pub poll: PollId,
    /// What it asks.
    pub question: String,
    /// `open` or `closed`.
    pub status: &'static str,
    /// Whether ballots bring their own options.
    pub open_options: bool,
    /// When it was opened.
    pub opened: String,
    /// When it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Voters whose ballot counts.
    pub voters: i64,
    /// Ballots on record that do not count.
    pub spoilt: i64,
    /// Options with their votes, most votes first, then by name.
    pub options: Vec<OptionVotes>,
    /// Ballots that counted when they were cast, by minute, oldest first.
    pub minutes: Vec<MinuteVotes>,
}

/// Votes for one option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OptionVotes {
    /// The option.
    pub option: String,
    /// Votes for it.
    pub votes: i64,
}

/// Ballots of one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MinuteVotes {
    /// The minute's start, RFC 3339.
    pub minute: String,
    /// Ballots cast in it that counted.
    pub ballots: i64,
}

impl PollTally {
    /// Makes the result from the poll's hashes; `None` if there is no such poll.
    #[must_use]
    pub fn from_hashes(
        poll: PollId,
        meta: &BTreeMap<String, String>,
        votes: BTreeMap<String, String>,
        minutes: BTreeMap<String, String>,
    ) -> Option<Self> {
        let number = |text: &str| text.parse::<i64>().unwrap_or(0);
        let count = |field: &str| meta.get(field).map_or(0, |text| number(text));
        let text = |field: &str| meta.get(field).cloned().unwrap_or_default();
        let state = meta.get("state")?;
        let mut options: Vec<_> =
            votes.into_iter().map(|(option, votes)| OptionVotes { option, votes: number(&votes) }).collect();
        options.sort_by(|left, right| right.votes.cmp(&left.votes).then_with(|| left.option.cmp(&right.option)));
        let mut minutes: Vec<_> = minutes.into_iter().map(|(at, ballots)| (number(&at), number(&ballots))).collect();
        minutes.sort_unstable();
        let minute = |seconds: i64| {
            jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
        };
        Some(Self {
            poll,
            question: text("question"),
            status: if state == "closed" { "closed" } else { "open" },
            open_options: meta.get("mode").is_some_and(|mode| mode == "any"),
            opened: text("opened"),
            closed: meta.get("closed").cloned(),
            voters: count("voters"),
            spoilt: count("spoilt"),
            options,
            minutes: minutes.into_iter().map(|(at, ballots)| MinuteVotes { minute: minute(at), ballots }).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{fold, recorded};
    use cabildo_events::poll::{BallotCast, PollClosed, PollOpened};

    fn poll() -> Aggregate {
        Aggregate::poll(&"bands".parse().unwrap())
    }
    fn opened(options: Option<&[&str]>) -> Event {
        let options = options.map(|options| options.iter().map(|option| option.parse().unwrap()).collect());
        Event::PollOpened(PollOpened { question: "¿Quién toca?".parse().unwrap(), options, by: None })
    }
    fn ballot(voter: &str, choice: &str) -> Event {
        let (voter, choices) = (voter.parse().unwrap(), vec![choice.parse().unwrap()]);
        Event::BallotCast(BallotCast { voter, choices, fields: BTreeMap::new() })
    }
    fn given(events: &[Event]) -> Cells {
        let events: Vec<_> = (1..).zip(events).map(|(seq, event)| recorded(seq, &poll(), event)).collect();
        fold(&Tally, &events)
    }
    fn count(cells: &Cells, table: &'static str, field: &str) -> i64 {
        cells.count(&Cell::new(table, "bands", field))
    }

    #[test]
    fn the_last_ballot_of_a_voter_counts() {
        let cells = given(&[
            opened(Some(&["Alux", "Malacates"])),
            ballot("ana", "Alux"),
            ballot("luis", "Alux"),
            ballot("ana", "Malacates"),
        ]);
        assert_eq!((count(&cells, VOTES, "Alux"), count(&cells, VOTES, "Malacates")), (1, 1));
        assert_eq!((count(&cells, POLL, "voters"), count(&cells, POLL, "spoilt")), (2, 0));
        assert_eq!(count(&cells, MINUTES, "1795255200"), 3);
    }

    #[test]
    fn a_ballot_counts_only_while_the_poll_is_open() {
        let closed = Event::PollClosed(PollClosed {});
        let early_and_late =
            [ballot("ana", "Alux"), opened(None), ballot("ana", "Alux"), closed, ballot("luis", "Alux")];
        let cells = given(&early_and_late);
        assert_eq!((count(&cells, VOTES, "Alux"), count(&cells, POLL, "spoilt")), (1, 2));
    }

    #[test]
    fn a_ballot_for_no_option_is_spoilt() {
        let cells = given(&[opened(Some(&["Alux", "Malacates"])), ballot("ana", "Viernes Verde")]);
        assert_eq!((count(&cells, POLL, "spoilt"), count(&cells, POLL, "voters")), (1, 0));
    }

    #[test]
    fn an_unknown_event_of_a_poll_cannot_be_folded_and_one_of_a_room_is_ignored() {
        let mut event = recorded(1, &poll(), &opened(None));
        event.envelope.as_mut().unwrap().kind = "poll.melted".into();
        assert!(Tally.step(&event).is_err());
        let room = Aggregate::room(&"lobby".parse().unwrap());
        event.envelope.as_mut().unwrap().aggregate = room;
        assert!(Tally.step(&event).unwrap().is_none());
    }
}

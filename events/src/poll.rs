//! Polls and ballots.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::identity::Asker;
use crate::limits::{BALLOT_FIELDS_MAX, POLL_OPTIONS_MAX, POLL_OPTIONS_MIN};
use crate::{Event, FieldName, FieldValue, OptionLabel, PollId, Question, Rejection, UserId, VoterId};

/// The poll that a vote of the Band Contest, one of the predecessors, is a ballot in.
pub const BANDS: &str = "bands";

/// A poll was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollOpened {
    /// What it asks.
    pub question: Question,
    /// What can be voted for. `None`: open, every ballot may bring its own option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<OptionLabel>>,
    /// Who opened it; `None`: nobody in particular, so anybody may close it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
}

/// A ballot was cast. A voter's last ballot is the one that counts. Whether it counts is a rule of the fold: the
/// poll must be open at the ballot's position and the choice one of its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BallotCast {
    /// Who votes.
    pub voter: VoterId,
    /// What for.
    pub choices: Vec<OptionLabel>,
    /// What else the ballot says, for example an album and its year.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<FieldName, FieldValue>,
}

/// A poll was closed: ballots that stand after this event in the journal do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollClosed {}

/// A wish for a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open the poll.
    Open(PollOpened),
    /// Cast a ballot.
    Cast(BallotCast),
    /// Close the poll.
    Close,
}

/// A poll, as its ruled events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Poll {
    opened: Option<PollOpened>,
    closed: bool,
}

impl Poll {
    /// How the poll was opened; `None` if it was not.
    #[must_use]
    pub const fn opened(&self) -> Option<&PollOpened> {
        self.opened.as_ref()
    }

    /// Whether it takes no more ballots.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn evolve(&mut self, event: &Event) {
        match event {
            Event::PollOpened(opened) => {
                self.opened.get_or_insert_with(|| opened.clone());
            }
            Event::PollClosed(_) => self.closed = true,
            _ => {}
        }
    }
}

pub(crate) fn decide(poll: &Poll, id: &PollId, command: &Command, asker: Asker) -> Result<Vec<Event>, Rejection> {
    match (command, &poll.opened) {
        (Command::Open(_), Some(_)) => Err(Rejection::AlreadyExists { what: "poll", id: id.to_string() }),
        (Command::Open(opened), None) => {
            check_options(opened.options.as_deref())?;
            Ok(vec![Event::PollOpened(opened.clone())])
        }
        (_, None) => Err(Rejection::NotFound { what: "poll", id: id.to_string() }),
        (Command::Cast(_), Some(_)) if poll.closed => Err(Rejection::PollClosed(id.to_string())),
        (Command::Cast(ballot), Some(opened)) => {
            check_ballot(ballot, opened.options.as_deref())?;
            Ok(vec![Event::BallotCast(ballot.clone())])
        }
        // Closing twice is what the caller wanted; there is nothing to record.
        (Command::Close, Some(_)) if poll.closed => Ok(vec![]),
        (Command::Close, Some(opened)) if !asker.may_change(opened.by) => {
            Err(Rejection::NotYours { what: "poll", id: id.to_string() })
        }
        (Command::Close, Some(_)) => Ok(vec![Event::PollClosed(PollClosed {})]),
    }
}

fn check_options(options: Option<&[OptionLabel]>) -> Result<(), Rejection> {
    let Some(options) = options else { return Ok(()) };
    if !(POLL_OPTIONS_MIN..=POLL_OPTIONS_MAX).contains(&options.len()) {
        return Err(Rejection::OptionCount(options.len()));
    }
    let mut seen = BTreeSet::new();
    match options.iter().find(|option| !seen.insert(option.as_str())) {
        Some(twice) => Err(Rejection::OptionTwice(twice.to_string())),
        None => Ok(()),
    }
}

fn check_ballot(ballot: &BallotCast, options: Option<&[OptionLabel]>) -> Result<(), Rejection> {
    let [choice] = ballot.choices.as_slice() else { return Err(Rejection::ChoiceCount(ballot.choices.len())) };
    if ballot.fields.len() > BALLOT_FIELDS_MAX {
        return Err(Rejection::FieldCount(ballot.fields.len()));
    }
    match options {
        Some(options) if !options.contains(choice) => Err(Rejection::UnknownOption(choice.to_string())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, State, decide};

    fn opened(options: Option<&[&str]>) -> PollOpened {
        let options = options.map(|options| options.iter().map(|option| option.parse().unwrap()).collect());
        PollOpened { question: "¿Quién toca?".parse().unwrap(), options, by: None }
    }
    fn ballot(choices: &[&str]) -> BallotCast {
        let choices = choices.iter().map(|choice| choice.parse().unwrap()).collect();
        BallotCast { voter: "ana".parse().unwrap(), choices, fields: BTreeMap::new() }
    }
    fn when(given: &[Event], command: Command) -> Result<Vec<Event>, Rejection> {
        let mut state = State::default();
        given.iter().for_each(|event| state.evolve(event));
        decide(&state, &crate::Command::Poll("bands".parse().unwrap(), command), &Facts::default())
    }

    #[test]
    fn a_poll_lists_two_to_two_hundred_different_options_or_is_open() {
        assert!(when(&[], Command::Open(opened(None))).is_ok());
        assert!(when(&[], Command::Open(opened(Some(&["Alux Nahual", "Malacates"])))).is_ok());
        assert_eq!(when(&[], Command::Open(opened(Some(&["solo"])))), Err(Rejection::OptionCount(1)));
        let twice = when(&[], Command::Open(opened(Some(&["Alux", "Alux"]))));
        assert_eq!(twice, Err(Rejection::OptionTwice("Alux".into())));
    }

    #[test]
    fn a_ballot_needs_an_open_poll_and_one_of_its_options() {
        let open = Event::PollOpened(opened(Some(&["Alux", "Malacates"])));
        let cast = |given: &[Event], choices: &[&str]| when(given, Command::Cast(ballot(choices)));
        assert_eq!(cast(&[], &["Alux"]), Err(Rejection::NotFound { what: "poll", id: "bands".into() }));
        assert_eq!(cast(std::slice::from_ref(&open), &["Alux"]), Ok(vec![Event::BallotCast(ballot(&["Alux"]))]));
        assert_eq!(cast(std::slice::from_ref(&open), &["Viernes"]), Err(Rejection::UnknownOption("Viernes".into())));
        assert_eq!(cast(std::slice::from_ref(&open), &[]), Err(Rejection::ChoiceCount(0)));
        let closed = [open, Event::PollClosed(PollClosed {})];
        assert_eq!(cast(&closed, &["Alux"]), Err(Rejection::PollClosed("bands".into())));
    }

    #[test]
    fn an_open_poll_takes_any_option() {
        let open = [Event::PollOpened(opened(None))];
        assert!(when(&open, Command::Cast(ballot(&["Bohemia Suburbana"]))).is_ok());
    }

    #[test]
    fn closing_twice_records_once() {
        let open = Event::PollOpened(opened(None));
        let closed = Event::PollClosed(PollClosed {});
        assert_eq!(when(std::slice::from_ref(&open), Command::Close), Ok(vec![closed.clone()]));
        assert_eq!(when(&[open, closed], Command::Close), Ok(vec![]));
    }
}

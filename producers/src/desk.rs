//! The desk: where commands are decided and their events appended.

use std::sync::Arc;

use async_trait::async_trait;
use cabildo_events::limits::CONFLICT_TRIES_MAX;
use cabildo_events::{Command, Envelope, Event, EventId, Facts, Position, Rejection, decide};
use cabildo_storage::{
    Append, AppendError, Appended, Circumstances, CommandError, Commands, Durability, Expect, Journal, Live, Receipt,
    trace,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::states::{Known, States};
use crate::{Appender, Metrics};

/// Decides commands over the states of aggregates, which it keeps at hand and fresh by the live feed.
///
/// A yes to a free command (a ballot, a message) may rest on a state that another gateway changed a moment ago; the fold has
/// the last word on what counts. A no, and a yes from which nothing follows, is never given on a state at hand: it is read
/// from the journal again first.
pub struct Desk {
    journal: Arc<dyn Journal>,
    appender: Appender,
    states: States,
    metrics: Arc<Metrics>,
}

impl Desk {
    /// Opens the desk.
    #[must_use]
    pub fn start(
        journal: Arc<dyn Journal>,
        appender: Appender,
        live: &Live,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Self {
        let states = States::start(journal.clone(), live, shutdown);
        Self { journal, appender, states, metrics }
    }

    async fn run(&self, command: &Command, facts: &Facts, at: &Circumstances) -> Result<Receipt, CommandError> {
        let aggregate = command.aggregate();
        let id = event_id(command, at);
        let mut known = self.states.at_hand(&aggregate);
        for _ in 0..CONFLICT_TRIES_MAX {
            let (state, fresh) = match known.take() {
                Some(state) => (state, false),
                None => (self.states.read(&aggregate).await?, true),
            };
            let events = match decide(&state.state, command, facts) {
                Err(_) if !fresh => continue,
                // That there is nothing to do may have changed as well.
                Ok(events) if events.is_empty() && !fresh => continue,
                Ok(events) => events,
                Err(rejection) => return self.earlier(&aggregate, id, rejection).await,
            };
            match self.append(&aggregate, id, &state, &events, at).await {
                Err(AppendError::Conflict) => {}
                outcome => return self.receipt(outcome, &state, &events, id),
            }
        }
        Err(CommandError::Conflict)
    }

    /// Appends the events of one decision, one after the other; the ids of those after the first follow from it.
    async fn append(
        &self,
        aggregate: &cabildo_events::Aggregate,
        id: EventId,
        known: &Known,
        events: &[Event],
        at: &Circumstances,
    ) -> Result<Option<Appended>, AppendError> {
        let mut last_ruled = known.last;
        let mut last = None;
        for (number, event) in events.iter().enumerate() {
            let mut envelope = Envelope::new(nth(id, number), aggregate.clone(), at.time, event);
            envelope.actor.clone_from(&at.actor);
            envelope.correlation = at.correlation;
            envelope.causation = at.causation;
            envelope.traceparent.clone_from(&at.traceparent);
            let ruled = envelope.is_ruled();
            let expect = if ruled { Expect::Last(last_ruled) } else { Expect::Nothing };
            let appended = self.appender.append(Append { envelope, expect }).await?;
            if ruled && !appended.repeated {
                self.states.appended(aggregate, event, last_ruled, appended.position.seq);
                last_ruled = appended.position.seq;
            }
            last = Some(appended);
        }
        Ok(last)
    }

    fn receipt(
        &self,
        outcome: Result<Option<Appended>, AppendError>,
        known: &Known,
        events: &[Event],
        id: EventId,
    ) -> Result<Receipt, CommandError> {
        let appended = outcome.map_err(CommandError::Append)?;
        Ok(Receipt {
            position: appended.map_or(Position::at(known.last), |appended| appended.position),
            events: (0..events.len()).map(|number| nth(id, number)).collect(),
            durability: self.durability(),
            repeated: appended.is_some_and(|appended| appended.repeated),
        })
    }

    /// A wish that is refused now may have been granted before, and the answer lost on the way: then its event stands among
    /// the aggregate's ruled ones, or the journal still knows it by its id.
    async fn earlier(
        &self,
        aggregate: &cabildo_events::Aggregate,
        id: EventId,
        rejection: Rejection,
    ) -> Result<Receipt, CommandError> {
        let ruled = self.journal.ruled(aggregate).await?;
        let among_ruled =
            ruled.into_iter().find(|event| event.envelope.as_ref().is_ok_and(|envelope| envelope.id == id));
        let found = match among_ruled {
            Some(event) => Some(event),
            None => self.journal.find(id).await?,
        };
        let receipt = found.map(|event| Receipt {
            position: event.position,
            events: vec![id],
            durability: self.durability(),
            repeated: true,
        });
        receipt.ok_or(CommandError::Rejected(rejection))
    }

    fn durability(&self) -> Durability {
        self.journal.durability()
    }
}

/// The id of a command's first event: made from what the client chose, so that a repetition is one event. A key is the
/// client's own, and clients may choose the same: it holds for one thing, so that one voter's key never takes another's ballot.
fn event_id(command: &Command, at: &Circumstances) -> EventId {
    let scope = || format!("{} {}", command.aggregate(), command.name());
    match (&at.idempotency_key, command.client_id()) {
        (Some(key), _) => match command.thing() {
            Some(thing) => EventId::from_key(&format!("{} {thing}", scope()), key),
            None => EventId::from_key(&scope(), key),
        },
        (None, Some(id)) => EventId::from_key(&scope(), &id.to_string()),
        (None, None) => EventId(Uuid::now_v7()),
    }
}

fn nth(id: EventId, number: usize) -> EventId {
    if number == 0 { id } else { EventId::from_key(&id.to_string(), &number.to_string()) }
}

#[async_trait]
impl Commands for Desk {
    async fn execute(&self, command: Command, facts: Facts, at: Circumstances) -> Result<Receipt, CommandError> {
        let outcome = self.run(&command, &facts, &at).instrument(trace::decide(&command)).await;
        let word = match &outcome {
            Ok(receipt) if receipt.events.is_empty() => "unchanged",
            Ok(receipt) if receipt.repeated => "repeated",
            Ok(_) => "granted",
            Err(CommandError::Rejected(rejection)) => rejection.code(),
            Err(CommandError::Conflict) => "conflict",
            Err(CommandError::Append(_) | CommandError::Read(_)) => "unavailable",
        };
        self.metrics.command(command.aggregate().context().name(), word);
        outcome
    }

    fn waiting(&self) -> usize {
        self.appender.waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::poll::{self, BallotCast};
    use cabildo_events::{MessageId, Timestamp, chat};

    fn under_key(key: &str) -> Circumstances {
        Circumstances {
            idempotency_key: Some(key.to_owned()),
            time: Timestamp::from_micros(0),
            actor: None,
            correlation: None,
            causation: None,
            traceparent: None,
        }
    }
    fn ballot(voter: &str) -> Command {
        let choices = vec!["x".parse().unwrap()];
        let ballot = BallotCast { voter: voter.parse().unwrap(), choices, fields: Default::default() };
        Command::Poll("bands".parse().unwrap(), poll::Command::Cast(ballot))
    }
    fn deletion(message: u128) -> Command {
        let message = MessageId(Uuid::from_u128(message));
        Command::Chat("lobby".parse().unwrap(), chat::Command::Delete(chat::MessageDeleted { message }))
    }

    #[test]
    fn the_same_key_on_the_same_thing_is_one_event_and_on_another_is_another() {
        let id = |command: &Command| event_id(command, &under_key("1"));
        assert_eq!(id(&ballot("ana")), id(&ballot("ana")));
        assert_ne!(id(&ballot("ana")), id(&ballot("ben")));
        assert_ne!(event_id(&ballot("ana"), &under_key("2")), id(&ballot("ana")));
        assert_eq!(id(&deletion(1)), id(&deletion(1)));
        assert_ne!(id(&deletion(1)), id(&deletion(2)));
    }
}

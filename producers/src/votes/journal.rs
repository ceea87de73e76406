//! Ballots straight into the journal, by way of the appender.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cabildo_events::limits::{FRESH_WAIT_MS, RETRY_FIRST_MS};
use cabildo_events::poll::{BallotCast, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, PollId, Position, Question, Timestamp};
use cabildo_projections::tally::{self, POLL, VOTES};
use cabildo_storage::{Append, AppendError, Counters, Expect, Journal, SinkError};

use super::door::Ballot;
use super::{DoorError, Tally};
use crate::Appender;

/// The journal, and the counters where the tally is read.
#[derive(Clone)]
pub struct JournalDoor {
    /// The events.
    pub journal: Arc<dyn Journal>,
    /// The append side.
    pub appender: Appender,
    /// Where the tally is.
    pub counters: Arc<dyn Counters>,
}

impl JournalDoor {
    pub(super) async fn open_poll(&self, poll: &PollId, question: &Question) -> Result<bool, DoorError> {
        let aggregate = Aggregate::poll(poll);
        let ruled = self.journal.ruled(&aggregate).await.map_err(|error| later(&error, false))?;
        if !ruled.is_empty() {
            return Ok(false);
        }
        let id = EventId::from_key(&aggregate.to_string(), "open");
        let opened = Event::PollOpened(PollOpened { question: question.clone(), options: None, by: None });
        let append = Append { envelope: Envelope::new(id, aggregate, now(), &opened), expect: Expect::Last(0) };
        match self.appender.append(append).await {
            Ok(appended) => Ok(!appended.repeated),
            Err(AppendError::Conflict) => Ok(false),
            Err(error) => Err(not_appended(&error)),
        }
    }

    pub(super) async fn cast(&self, id: EventId, ballot: &Ballot<'_>) -> Result<Position, DoorError> {
        let event = Event::BallotCast(BallotCast {
            voter: ballot.voter.clone(),
            choices: vec![ballot.votes.options[ballot.row.option].clone()],
            fields: ballot.row.fields.clone(),
        });
        let mut envelope = Envelope::new(id, Aggregate::poll(ballot.poll), now(), &event);
        envelope.actor = ballot.voter.as_str().parse().ok();
        let appended = self.appender.append(Append { envelope, expect: Expect::Nothing }).await;
        appended.map(|appended| appended.position).map_err(|error| not_appended(&error))
    }

    pub(super) async fn tally(&self, poll: &PollId, position: Position) -> Result<Tally, DoorError> {
        let lane = Aggregate::poll(poll).lane();
        let deadline = Instant::now() + Duration::from_millis(FRESH_WAIT_MS);
        let failed = |error: SinkError| later(&error, false);
        // All ballots of a poll stand in one lane, so its watermark tells whether they are in.
        while self.counters.watermark(tally::ID, lane).await.map_err(failed)? < position.seq
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(RETRY_FIRST_MS)).await;
        }
        let wanted = [(VOTES, poll.as_str()), (POLL, poll.as_str())];
        let read = self.counters.hashes(tally::ID, lane, &wanted).await.map_err(failed)?;
        let [votes, meta] = read.hashes.as_slice() else {
            return Err(DoorError::Refused("the counters gave another number of hashes than asked for".to_owned()));
        };
        let number = |text: &String| text.parse().unwrap_or(0);
        Ok(Tally {
            votes: votes.iter().map(|(option, count)| (option.clone(), number(count))).collect(),
            spoilt: meta.get("spoilt").map_or(0, number),
            stale: read.watermark < position.seq,
        })
    }
}

fn not_appended(error: &AppendError) -> DoorError {
    if error.is_retryable() && *error != AppendError::Stopping {
        later(error, error.may_have_happened())
    } else {
        DoorError::Refused(error.to_string())
    }
}

fn later(error: &dyn std::error::Error, may_have_happened: bool) -> DoorError {
    DoorError::Later { reason: error.to_string(), after: None, may_have_happened }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

//! Deciding without a desk: for tools, which put one event on the record and end.

use std::time::Duration;

use cabildo_events::limits::{CONFLICT_TRIES_MAX, RETRY_FIRST_MS};
use cabildo_events::{
    Actor, Aggregate, Command, Envelope, Event, EventId, Facts, Position, Rejection, State, Timestamp, decide,
};
use uuid::Uuid;

use crate::{Append, AppendError, Expect, Journal, ReadError};

/// Why an operator's wish was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// It does not fit how things stand.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The journal could not be read. Nothing was decided.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The journal did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What the ruled events of an aggregate add up to, and the sequence of the last of them (0: there are none).
///
/// # Errors
/// When the journal cannot be read.
pub async fn read_state(journal: &dyn Journal, aggregate: &Aggregate) -> Result<(State, u64), ReadError> {
    let (mut state, mut last) = (State::default(), 0);
    for event in journal.ruled(aggregate).await? {
        last = event.position.seq;
        // What a newer build decided is on the record; this build goes on by what it knows.
        if let Ok(event) = event.envelope.map_err(drop).and_then(|envelope| envelope.event().map_err(drop)) {
            state.evolve(&event);
        }
    }
    Ok((state, last))
}

/// Decides a wish and puts it on the record. Returns the event and where it stands; `None` if it was so already. Decided
/// again when somebody else was faster, at most [`CONFLICT_TRIES_MAX`] times.
///
/// # Errors
/// See [`OperateError`].
pub async fn decide_alone(
    journal: &dyn Journal,
    command: &Command,
    actor: Option<Actor>,
) -> Result<Option<(Position, Event)>, OperateError> {
    let aggregate = command.aggregate();
    let mut tries = 0;
    loop {
        let (state, last) = read_state(journal, &aggregate).await?;
        let events = decide(&state, command, &Facts::default())?;
        let Some(event) = events.into_iter().next() else { return Ok(None) };
        let now = Timestamp::from(jiff::Timestamp::now());
        let mut envelope = Envelope::new(EventId(Uuid::now_v7()), aggregate.clone(), now, &event);
        envelope.actor = actor.clone();
        let answers = journal.append(vec![Append { envelope, expect: Expect::Last(last) }]).await;
        tries += 1;
        match answers.into_iter().next() {
            Some(Ok(appended)) => return Ok(Some((appended.position, event))),
            Some(Err(AppendError::Conflict)) if tries < CONFLICT_TRIES_MAX => {
                tokio::time::sleep(Duration::from_millis(RETRY_FIRST_MS)).await;
            }
            Some(Err(error)) => return Err(error.into()),
            None => return Err(AppendError::Unavailable("it gave no answer".to_owned()).into()),
        }
    }
}

//! The door to the append side. The gateway holds it and the producers implement it, so that neither sees the other.

use async_trait::async_trait;
use cabildo_events::{Actor, Command, EventId, Facts, Position, Rejection, Timestamp};

use crate::{AppendError, Durability, ReadError};

/// Under which circumstances a command is given.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The client's key for this very wish: the same key on the same aggregate is one event, however often it is sent.
    pub idempotency_key: Option<String>,
    /// When the gateway took it in.
    pub time: Timestamp,
    /// Who wishes it.
    pub actor: Option<Actor>,
    /// The request or conversation it belongs to.
    pub correlation: Option<EventId>,
    /// The event it follows from.
    pub causation: Option<EventId>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// The answer to a command that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The position of its last event; if nothing had to be recorded, that of the aggregate's last ruled event.
    pub position: Position,
    /// The events that follow from it; empty if what was wished was so already.
    pub events: Vec<EventId>,
    /// What the acknowledgement is worth.
    pub durability: Durability,
    /// Whether the same wish (by its key) had been granted before.
    pub repeated: bool,
}

/// Why a command was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It breaks a rule.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Others kept changing the aggregate.
    #[error("others keep changing it: try again")]
    Conflict,
    /// The journal did not take it.
    #[error(transparent)]
    Append(AppendError),
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Decides commands and appends their events.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// Decides a command and answers when its events are on the journal.
    async fn execute(&self, command: Command, facts: Facts, at: Circumstances) -> Result<Receipt, CommandError>;

    /// How many events wait for the journal.
    fn waiting(&self) -> usize;
}

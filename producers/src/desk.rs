//! The desk: where commands are decided and their events appended.

use std::sync::Arc;

use async_trait::async_trait;
use cabildo_events::{Command, Facts};
use cabildo_storage::{AppendError, Circumstances, CommandError, Commands, Journal, Live, Receipt};
use tokio_util::sync::CancellationToken;

use crate::Appender;

/// Decides commands over cached states of aggregates, kept fresh by the live feed.
pub struct Desk {}

impl Desk {
    /// Opens the desk.
    #[must_use]
    pub fn start(_journal: Arc<dyn Journal>, _appender: Appender, _live: &Live, _shutdown: CancellationToken) -> Self {
        Self {}
    }
}

#[async_trait]
impl Commands for Desk {
    async fn execute(&self, _command: Command, _facts: Facts, _at: Circumstances) -> Result<Receipt, CommandError> {
        Err(CommandError::Append(AppendError::Stopping))
    }

    fn waiting(&self) -> usize {
        0
    }
}

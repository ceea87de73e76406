//! Natural batching: what waits while the last write is under way goes out as the next one.

use std::sync::Arc;

use cabildo_storage::{Append, AppendError, Appended, Journal};
use tokio_util::sync::CancellationToken;

use crate::Metrics;

/// Takes events one by one, from any number of callers, and writes them in batches.
#[derive(Clone)]
pub struct Appender {}

impl Appender {
    /// Starts the appender over a journal. After `shutdown` it writes what waits and refuses what comes.
    #[must_use]
    pub fn start(_journal: Arc<dyn Journal>, _metrics: Arc<Metrics>, _shutdown: CancellationToken) -> Self {
        Self {}
    }

    /// Appends one event; answers when it is on the journal.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, _append: Append) -> Result<Appended, AppendError> {
        Err(AppendError::Stopping)
    }

    /// How many events wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        0
    }
}

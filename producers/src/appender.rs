//! Natural batching: what waits while the last write is under way goes out as the next one. There is no timer, so an idle
//! system adds no delay, and a busy one makes its batches as large as the journal is slow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo_events::limits::{
    APPEND_BATCH_BYTES_MAX, APPEND_BATCH_EVENTS_MAX, APPEND_QUEUE_EVENTS_MAX, APPEND_RETRY_MS, RETRY_FIRST_MS,
    RETRY_LONGEST_MS,
};
use cabildo_storage::{Append, AppendError, Appended, Journal, trace};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::Metrics;

struct Waiting {
    append: Append,
    caller: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Takes events one by one, from any number of callers, and writes them in batches.
///
/// At most [`APPEND_QUEUE_EVENTS_MAX`] events wait; one more is refused with [`AppendError::Overloaded`]. While the journal is
/// down a write is tried again, with the same ids, for [`APPEND_RETRY_MS`]; then its callers are told.
#[derive(Clone, Debug)]
pub struct Appender {
    queue: mpsc::Sender<Waiting>,
    metrics: Arc<Metrics>,
}

impl Appender {
    /// Starts the appender over a journal. After `shutdown` it writes what waits and refuses what comes.
    #[must_use]
    pub fn start(journal: Arc<dyn Journal>, metrics: Arc<Metrics>, shutdown: CancellationToken) -> Self {
        let (queue, waiting) = mpsc::channel(APPEND_QUEUE_EVENTS_MAX);
        tokio::spawn(gather(journal, waiting, metrics.clone(), shutdown));
        Self { queue, metrics }
    }

    /// Appends one event; answers when it is on the journal.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let since = Instant::now();
        let span = trace::append(&append.envelope);
        let (caller, answer) = oneshot::channel();
        let answer = match self.queue.try_send(Waiting { append, caller }) {
            Ok(()) => answer.instrument(span.clone()).await.unwrap_or(Err(AppendError::Stopping)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(AppendError::Overloaded { waiting: self.waiting() }),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(AppendError::Stopping),
        };
        match &answer {
            Ok(appended) => self.metrics.acknowledged(appended.repeated, since.elapsed()),
            Err(error) => {
                trace::failed(&span);
                self.metrics.refused(error);
            }
        }
        answer
    }

    /// How many events wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

async fn gather(
    journal: Arc<dyn Journal>,
    mut waiting: mpsc::Receiver<Waiting>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let writes = Arc::new(Semaphore::new(journal.writes_at_once()));
    let mut held = None;
    loop {
        // First the right to write, then the events: whatever comes while all writes are under way joins the batch.
        let Ok(permit) = writes.clone().acquire_owned().await else { return };
        let first = match held.take() {
            Some(first) => Some(first),
            None => tokio::select! {
                biased;
                first = waiting.recv() => first,
                () = shutdown.cancelled(), if !waiting.is_closed() => {
                    waiting.close();
                    waiting.recv().await
                }
            },
        };
        let Some(first) = first else { break };
        // The answers to the last write have just woken their callers: let them bring what they have next.
        tokio::task::yield_now().await;
        let mut bytes = first.append.envelope.data.len();
        let mut batch = vec![first];
        while batch.len() < APPEND_BATCH_EVENTS_MAX
            && let Ok(next) = waiting.try_recv()
        {
            bytes += next.append.envelope.data.len();
            if bytes > APPEND_BATCH_BYTES_MAX {
                held = Some(next);
                break;
            }
            batch.push(next);
        }
        metrics.waiting(waiting.len());
        let (journal, metrics) = (journal.clone(), metrics.clone());
        tokio::spawn(async move {
            write(&*journal, batch, &metrics).await;
            drop(permit);
        });
    }
}

/// Writes a batch, and again what may succeed later, until all callers have their answer.
async fn write(journal: &dyn Journal, mut batch: Vec<Waiting>, metrics: &Metrics) {
    let deadline = Instant::now() + Duration::from_millis(APPEND_RETRY_MS);
    let mut wait_ms = RETRY_FIRST_MS;
    loop {
        metrics.write(batch.len());
        let answers = journal.append(batch.iter().map(|waiting| waiting.append.clone()).collect()).await;
        let late = Instant::now() + Duration::from_millis(wait_ms) > deadline;
        let mut again = Vec::new();
        for (waiting, answer) in batch.into_iter().zip(answers) {
            match answer {
                Err(AppendError::Unavailable(_)) if !late => again.push(waiting),
                // A caller that is gone has no use for its answer.
                answer => drop(waiting.caller.send(answer)),
            }
        }
        if again.is_empty() {
            return;
        }
        metrics.retry();
        tracing::warn!(events = again.len(), wait_ms, "the journal did not take a write, trying again");
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
        batch = again;
    }
}

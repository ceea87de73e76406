//! How the columns come to be, are kept up, and go.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use cabildo_events::Position;
use cabildo_events::limits::{INDEX_CHUNK_EVENTS, INDEX_IDLE_MS, RETRY_FIRST_MS, RETRY_LONGEST_MS};
use cabildo_storage::{Journal, Live, ReadError};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::store::{Columns, Gathered};

/// Makes the columns when they are asked for, and lets go of them when they are not.
pub(crate) struct Keeper {
    journal: Arc<dyn Journal>,
    live: Live,
    stopping: CancellationToken,
    held: Mutex<Option<Arc<Held>>>,
}

/// The columns, as far as they are.
pub(crate) struct Held {
    columns: RwLock<Columns>,
    /// How far they reach: after where, up to where, and whether they will not reach further back.
    reach: watch::Sender<Reach>,
    asked: Mutex<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    to: Position,
    whole: bool,
}

impl Held {
    /// Looks at the columns. For blocking threads: a look takes milliseconds.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Columns> {
        self.columns.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Columns)) {
        let mut columns = self.columns.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut columns);
        let to = columns.to();
        drop(columns);
        self.reach.send_if_modified(|reach| std::mem::replace(&mut reach.to, to) != to);
    }

    /// Waits until they reach a position; `false` if they did not in time.
    pub(crate) async fn reaches(&self, position: Position, wait: Duration) -> bool {
        let mut reach = self.reach.subscribe();
        let reached = reach.wait_for(|reach| reach.to >= position);
        tokio::time::timeout(wait, reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// Waits until they reach as far back as they will; not for ever.
    pub(crate) async fn whole(&self, wait: Duration) -> bool {
        let mut reach = self.reach.subscribe();
        let whole = reach.wait_for(|reach| reach.whole);
        tokio::time::timeout(wait, whole).await.is_ok_and(|whole| whole.is_ok())
    }
}

impl Keeper {
    pub(crate) fn new(journal: Arc<dyn Journal>, live: Live, stopping: CancellationToken) -> Self {
        Self { journal, live, stopping, held: Mutex::default() }
    }

    /// The columns; the first to ask sets their making off.
    ///
    /// # Errors
    /// When the journal does not say where it ends.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<Arc<Held>, ReadError> {
        if let Some(held) = self.held().as_ref() {
            *held.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            return Ok(held.clone());
        }
        let head = self.journal.head().await?;
        let mut place = self.held();
        let held = place.get_or_insert_with(|| {
            let held = Arc::new(Held {
                columns: RwLock::new(Columns::at(head)),
                reach: watch::Sender::new(Reach { to: head, whole: head == Position::START }),
                asked: Mutex::new(Instant::now()),
            });
            tokio::spawn(self.clone().keep(held.clone(), head));
            held
        });
        Ok(held.clone())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Arc<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(self: Arc<Self>, held: Arc<Held>, head: Position) {
        let work = async {
            tokio::join!(self.fill(&held, head), self.follow(&held));
        };
        tokio::select! {
            () = work => {}
            () = unasked(&held) => tracing::debug!("nobody asks the index of the record: it is let go of"),
            () = self.stopping.cancelled() => {}
        }
        *self.held() = None;
    }

    /// Takes in older and older events, until there are no more or no room.
    async fn fill(&self, held: &Held, head: Position) {
        let (mut until, mut wait_ms) = (head, RETRY_FIRST_MS);
        while until.seq > 0 && held.read().has_room() {
            let from = Position { seq: until.seq.saturating_sub(INDEX_CHUNK_EVENTS), ..until };
            match self.range(held, from, until).await {
                Ok(gathered) => {
                    held.change(|columns| columns.prepend(from, until, gathered));
                    (until, wait_ms) = (from, RETRY_FIRST_MS);
                }
                Err(error) => {
                    tracing::warn!(%error, wait_ms, "the index of the record cannot be filled, trying again");
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
                }
            }
        }
        held.reach.send_modify(|reach| reach.whole = true);
    }

    async fn range(&self, held: &Held, from: Position, until: Position) -> Result<Gathered, ReadError> {
        let mut gathered = Gathered::default();
        let mut pages = self.journal.read(from, until).await?;
        while let Some(page) = pages.next().await {
            let page = page?;
            held.change(|columns| columns.gather(&mut gathered, &page));
        }
        Ok(gathered)
    }

    /// Takes in events as they come.
    async fn follow(&self, held: &Held) {
        loop {
            let after = held.read().to();
            let mut pages = self.live.stream(after);
            while let Some(page) = pages.next().await {
                match page {
                    Ok(page) => held.change(|columns| columns.append(&page)),
                    Err(error) => {
                        tracing::warn!(%error, "the index of the record lost the journal, trying again");
                        break;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS)).await;
        }
    }
}

/// Returns when nobody has asked for a while.
async fn unasked(held: &Held) {
    loop {
        let asked = *held.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let until = asked + Duration::from_millis(INDEX_IDLE_MS);
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

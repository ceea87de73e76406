//! Tallies of the past: one history per poll, folded from the journal when it is first asked for and extended as the poll grows.
//!
//! Nothing here is worth keeping: what does not fit within [`HISTORIES_BYTES_MAX`] is dropped, the poll unused for longest
//! first, and folded again when it is asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use cabildo_events::limits::{HISTORIES_BYTES_MAX, HISTORY_FOLDS_MAX, HISTORY_SPACING_EVENTS};
use cabildo_events::{Aggregate, PollId, Position};
use cabildo_projections::History;
use cabildo_projections::tally::{self, PollTally};
use cabildo_storage::{Journal, ReadError};
use futures::StreamExt;
use lru::LruCache;
use tokio::sync::Semaphore;

use crate::Ports;

/// A poll's history, used by one request at a time.
type Shared = Arc<tokio::sync::Mutex<History>>;

/// The histories at hand.
pub(crate) struct Histories {
    held: Mutex<LruCache<PollId, (Shared, usize)>>,
    folds: Semaphore,
    bytes_max: usize,
}

/// A poll as it was.
#[derive(Debug, PartialEq)]
pub(crate) struct Past {
    /// `None` before it was opened.
    pub(crate) tally: Option<PollTally>,
    /// The event that opened it, if that is known.
    pub(crate) since: Option<Position>,
}

impl Histories {
    pub(crate) fn new() -> Self {
        Self {
            held: Mutex::new(LruCache::unbounded()),
            folds: Semaphore::new(HISTORY_FOLDS_MAX),
            bytes_max: HISTORIES_BYTES_MAX,
        }
    }

    /// A poll's tally right after each of some positions, none past the journal's head.
    ///
    /// # Errors
    /// When the journal cannot be read. What was folded before stays.
    pub(crate) async fn at<const N: usize>(
        &self,
        ports: &Ports,
        poll: &PollId,
        positions: [Position; N],
    ) -> Result<[Past; N], ReadError> {
        let left_out: BTreeSet<Position> = ports.views.of(tally::ID.name).discarded().keys().copied().collect();
        let shared = self.of(poll, &left_out);
        let mut history = shared.lock().await;
        if *history.left_out() != left_out {
            *history = History::new(poll.clone(), left_out, HISTORY_SPACING_EVENTS);
        }
        let furthest = positions.into_iter().max().unwrap_or_default();
        let extended = if history.reached() < furthest {
            // The semaphore is never closed.
            let _turn = self.folds.acquire().await;
            extend(&mut history, &*ports.journal, &Aggregate::poll(poll), furthest).await
        } else {
            Ok(())
        };
        let past = positions.map(|position| Past { tally: history.at(position), since: history.since() });
        let bytes = history.bytes();
        drop(history);
        self.weigh(poll, shared, bytes);
        extended.map(|()| past)
    }

    fn of(&self, poll: &PollId, left_out: &BTreeSet<Position>) -> Shared {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || History::new(poll.clone(), left_out.clone(), HISTORY_SPACING_EVENTS);
        held.get_or_insert(poll.clone(), || (Arc::new(tokio::sync::Mutex::new(fresh())), 0)).0.clone()
    }

    /// Notes what a history takes now, and makes room.
    fn weigh(&self, poll: &PollId, shared: Shared, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.put(poll.clone(), (shared, bytes));
        let mut total: usize = held.iter().map(|(_, (_, bytes))| bytes).sum();
        while total > self.bytes_max
            && let Some((_, (_, bytes))) = held.pop_lru()
        {
            total -= bytes;
        }
    }
}

async fn extend(
    history: &mut History,
    journal: &dyn Journal,
    aggregate: &Aggregate,
    until: Position,
) -> Result<(), ReadError> {
    let mut pages = journal.of(aggregate, history.reached(), until).await?;
    while let Some(page) = pages.next().await {
        page?.iter().for_each(|event| history.take(event));
    }
    history.reach(until);
    Ok(())
}

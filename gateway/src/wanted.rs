//! Events as they come, those that a listener wants.

use std::sync::Arc;

use cabildo_events::{Position, Recorded, wire};
use cabildo_storage::{Page, ReadError};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Semaphore;

use crate::search::Asked;
use crate::{Gateway, query};

/// What a listener asked for, and the feed that it is taken from. A listener that is slower than the events is fed from the
/// journal at its own pace.
pub(crate) struct Wanted {
    pages: BoxStream<'static, Result<Arc<Page>, ReadError>>,
    asked: Asked,
    /// Turns at asking filter expressions.
    filters: Arc<Semaphore>,
}

impl Wanted {
    /// Events after a position, without a gap and each once.
    pub(crate) fn after(gateway: &Gateway, asked: Asked, after: Position) -> Self {
        Self { pages: gateway.ports.live.stream(after).boxed(), asked, filters: gateway.filters.clone() }
    }

    /// The next events, wanted or not; `None` when the feed has ended. May be given up and asked for again.
    pub(crate) async fn page(&mut self) -> Option<Result<Arc<Page>, ReadError>> {
        self.pages.next().await
    }

    /// The events of a page that the listener wants; `None` if they could not be told.
    pub(crate) async fn of(&mut self, page: Arc<Page>) -> Option<Vec<Recorded>> {
        let ended = |position: Position| self.asked.before.is_some_and(|before| position >= before);
        let clauses = &self.asked.clauses;
        let fits = |event: &&Recorded| !ended(event.position) && query::matches(clauses, event);
        let mut wanted: Vec<Recorded> = page.iter().filter(fits).cloned().collect();
        if let Some(filter) = self.asked.filter.clone().filter(|_| !wanted.is_empty()) {
            let turn = self.filters.clone().acquire_owned().await;
            let sift = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                wanted.retain(|event| filter.holds(&wire::to_json(event)) == Ok(true));
                wanted
            });
            match sift.await {
                Ok(kept) => wanted = kept,
                Err(error) => {
                    tracing::error!(%error, "a filter expression could not be asked: a live tail ends");
                    return None;
                }
            }
        }
        Some(wanted)
    }
}

//! Task lists as the journal has them: what a read of one list or task answers from.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use cabildo_events::limits::LISTS_CACHED_MAX;
use cabildo_events::task::List;
use cabildo_events::{Aggregate, ListId, Position};
use cabildo_storage::{Journal, ReadError};
use lru::LruCache;

/// Lists, folded from their own events. A client that adds a task and then looks must find it, whichever gateway it asks and
/// whatever it knows of positions; so what is kept at hand is used only while its lane has got no further.
pub(crate) struct Lists {
    journal: Arc<dyn Journal>,
    /// Each with the head that its lane had before it was read.
    cached: Mutex<LruCache<ListId, (u64, Arc<List>)>>,
}

impl Lists {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        let capacity = NonZeroUsize::new(LISTS_CACHED_MAX).unwrap_or(NonZeroUsize::MIN);
        Self { journal, cached: Mutex::new(LruCache::new(capacity)) }
    }

    /// A list with every change that was acknowledged, by any process, before the call.
    pub(crate) async fn now(&self, id: &ListId) -> Result<Arc<List>, ReadError> {
        let aggregate = Aggregate::list(id);
        let head = self.journal.lane_head(aggregate.lane()).await?;
        if let Some((read_at, list)) = self.lock().get(id)
            && *read_at == head
        {
            return Ok(list.clone());
        }
        let list = Arc::new(List::of(&self.journal.ruled(&aggregate).await?));
        if list.title().is_some() {
            self.lock().put(id.clone(), (head, list.clone()));
        }
        Ok(list)
    }

    /// A list as it was right after an event.
    pub(crate) async fn at(&self, id: &ListId, at: Position) -> Result<List, ReadError> {
        let events = self.journal.ruled(&Aggregate::list(id)).await?;
        Ok(List::of(events.iter().take_while(|event| event.position <= at)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<ListId, (u64, Arc<List>)>> {
        // Nothing in the critical sections panics halfway through a change.
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

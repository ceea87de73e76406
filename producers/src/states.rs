//! The states of aggregates, at hand.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cabildo_events::limits::STATES_CACHED_MAX;
use cabildo_events::{Aggregate, Event, LANES, Position, Recorded, State};
use cabildo_storage::{Journal, Live, ReadError};
use lru::LruCache;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// An aggregate's state and the sequence of the ruled event that led to it; 0 if there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) state: Arc<State>,
    pub(crate) last: u64,
}

impl Known {
    fn evolve(&mut self, event: &Event, seq: u64) {
        Arc::make_mut(&mut self.state).evolve_at(event, Position::at(seq));
        self.last = seq;
    }
}

/// States by aggregate, the longest unused dropped first, each kept up to date by the live feed.
#[derive(Clone)]
pub(crate) struct States {
    journal: Arc<dyn Journal>,
    cached: Arc<Mutex<Cached>>,
}

struct Cached {
    known: LruCache<Aggregate, Known>,
    /// Ruled events that the live feed has brought, by lane: a state that was read while its lane changed is not kept, because
    /// the feed may have brought what it lacks.
    brought: [u64; LANES as usize],
}

impl States {
    pub(crate) fn start(journal: Arc<dyn Journal>, live: &Live, shutdown: CancellationToken) -> Self {
        let capacity = NonZeroUsize::new(STATES_CACHED_MAX).unwrap_or(NonZeroUsize::MIN);
        let cached = Cached { known: LruCache::new(capacity), brought: [0; LANES as usize] };
        let states = Self { journal, cached: Arc::new(Mutex::new(cached)) };
        let (feed, mut pages) = (states.clone(), live.subscribe());
        tokio::spawn(async move {
            loop {
                let page = tokio::select! {
                    page = pages.recv() => page,
                    () = shutdown.cancelled() => return,
                };
                match page {
                    Ok(page) => feed.bring(&page),
                    // What was missed is not known: forget everything.
                    Err(RecvError::Lagged(_)) => feed.forget(),
                    Err(RecvError::Closed) => return,
                }
            }
        });
        states
    }

    /// The state at hand, if there is one.
    pub(crate) fn at_hand(&self, aggregate: &Aggregate) -> Option<Known> {
        self.lock().known.get(aggregate).cloned()
    }

    /// The state as the journal has it now.
    pub(crate) async fn read(&self, aggregate: &Aggregate) -> Result<Known, ReadError> {
        let lane = aggregate.lane().index();
        let before = self.lock().brought[lane];
        let mut known = Known::default();
        for recorded in self.journal.ruled(aggregate).await? {
            // An event that this build cannot read changes no state; the aggregate's last event it is all the same.
            known.last = recorded.position.seq;
            if let Some(event) = event_of(&recorded) {
                known.evolve(&event, recorded.position.seq);
            }
        }
        let mut cached = self.lock();
        if known.last > 0 && cached.brought[lane] == before {
            cached.known.put(aggregate.clone(), known.clone());
        }
        Ok(known)
    }

    /// Takes in an event that was just appended on top of `expected`.
    pub(crate) fn appended(&self, aggregate: &Aggregate, event: &Event, expected: u64, seq: u64) {
        if let Some(known) = self.lock().known.get_mut(aggregate)
            && known.last == expected
        {
            known.evolve(event, seq);
        }
    }

    fn bring(&self, page: &[Recorded]) {
        let mut cached = self.lock();
        for recorded in page {
            let Ok(envelope) = &recorded.envelope else { continue };
            if !envelope.is_ruled() {
                continue;
            }
            cached.brought[recorded.lane.index()] += 1;
            let Some(known) = cached.known.peek_mut(&envelope.aggregate) else { continue };
            if recorded.position.seq <= known.last {
                continue;
            }
            match event_of(recorded) {
                Some(event) => known.evolve(&event, recorded.position.seq),
                None => drop(cached.known.pop(&envelope.aggregate)),
            }
        }
    }

    fn forget(&self) {
        let mut cached = self.lock();
        cached.known.clear();
        cached.brought.iter_mut().for_each(|lane| *lane += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Cached> {
        // Nothing in the critical sections panics halfway through a change.
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event_of(recorded: &Recorded) -> Option<Event> {
    recorded.envelope.as_ref().ok().and_then(|envelope| envelope.event().ok())
}

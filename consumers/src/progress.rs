//! How far a round has got.

use std::sync::atomic::{AtomicU64, Ordering};

use cabildo_events::Position;

/// How far a replay has got, for whoever watches it. Counted in positions of the journal.
#[derive(Debug, Default)]
pub struct Progress {
    first: AtomicU64,
    last: AtomicU64,
    dispatched: AtomicU64,
    queued: AtomicU64,
    folded: AtomicU64,
}

impl Progress {
    /// How many events there are to read in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.last.load(Ordering::Relaxed).saturating_sub(self.first.load(Ordering::Relaxed))
    }

    /// How many of them are in the view.
    #[must_use]
    pub fn done(&self) -> u64 {
        let dispatched = self.dispatched.load(Ordering::Relaxed).saturating_sub(self.first.load(Ordering::Relaxed));
        dispatched.saturating_sub(self.queued.load(Ordering::Relaxed))
    }

    /// How many events were folded since the beginning; what was in the view before is not among them.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }

    pub(crate) fn fold(&self, events: usize) {
        self.folded.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn begin(&self, after: Position, until: Option<Position>) {
        // A round that starts again behind a view set back has more to do than it had.
        self.first.store(after.seq, Ordering::Relaxed);
        self.dispatched.store(after.seq, Ordering::Relaxed);
        self.queued.store(0, Ordering::Relaxed);
        self.last.store(until.unwrap_or(after).seq, Ordering::Relaxed);
    }

    pub(crate) fn dispatched(&self) -> u64 {
        self.dispatched.load(Ordering::Relaxed)
    }

    pub(crate) fn dispatch(&self, upto: Position) {
        self.dispatched.store(upto.seq, Ordering::Relaxed);
    }

    pub(crate) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    pub(crate) fn queue(&self, events: usize) {
        self.queued.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn settle(&self, events: usize) {
        self.queued.fetch_sub(events as u64, Ordering::Relaxed);
    }
}

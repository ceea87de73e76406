//! What the views have yet to apply: the part of the journal past the furthest one behind, kept up by the live feed.

use cabildo_events::limits::LAG_COUNT_EVENTS_MAX;
use cabildo_events::{LANES, Lane, Recorded, Timestamp};
use cabildo_storage::lag::{self, Behind};
use cabildo_storage::{Journal, LaneHeads, Pages, ReadError, Watermarks};
use futures::StreamExt;
use tokio::time::Instant;

#[derive(Clone, Copy)]
struct Waiting {
    seq: u64,
    lane: Lane,
    recorded: Timestamp,
}

/// Events that some view lacks, at most [`LAG_COUNT_EVENTS_MAX`]. While there are more than that, and while the journal is
/// still being read, counts are marked as "at least".
pub(super) struct Window {
    waiting: Vec<Waiting>,
    /// The last sequence of each lane, as far as is known.
    heads: LaneHeads,
    /// Where the view stands that is furthest behind, by lane: nothing before is kept.
    lowest: Watermarks,
    /// The part of the journal that is still being read.
    past: Option<Pages>,
    /// The feed's events up to here are part of what is read from the journal.
    read_up_to: u64,
    /// Whether something is missing that is not being read.
    incomplete: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            heads: LaneHeads([0; LANES as usize]),
            lowest: Watermarks::default(),
            past: None,
            read_up_to: 0,
            incomplete: true,
        }
    }
}

impl Window {
    fn has_room(&self) -> bool {
        (self.waiting.len() as u64) < LAG_COUNT_EVENTS_MAX
    }

    fn push(&mut self, event: &Recorded) {
        if event.position.seq > self.lowest[event.lane] {
            self.waiting.push(Waiting { seq: event.position.seq, lane: event.lane, recorded: event.recorded });
        }
    }

    /// Takes in what the feed has brought.
    pub(super) fn take_in(&mut self, page: &[Recorded]) {
        for event in page {
            let head = &mut self.heads.0[event.lane.index()];
            *head = (*head).max(event.position.seq);
            if event.position.seq <= self.read_up_to {
                continue;
            }
            if self.has_room() {
                self.push(event);
            } else {
                self.incomplete = true;
            }
        }
    }

    /// The feed has dropped something.
    pub(super) fn missed(&mut self) {
        self.incomplete = true;
    }

    /// Reads one more page of the journal; waits for ever if there is none to read, or no room for it.
    pub(super) async fn read_on(&mut self) {
        if !self.has_room() {
            return std::future::pending().await;
        }
        let Some(past) = &mut self.past else { return std::future::pending().await };
        let page = past.next().await;
        match page {
            Some(Ok(page)) => page.iter().for_each(|event| self.push(event)),
            Some(Err(error)) => {
                tracing::debug!(%error, "what the views lack cannot be read, trying again");
                self.past = None;
                self.incomplete = true;
            }
            None => self.past = None,
        }
    }

    /// Reads on until everything is read, or the deadline.
    pub(super) async fn catch_up(&mut self, deadline: Instant) {
        while self.past.is_some() && tokio::time::timeout_at(deadline, self.read_on()).await.is_ok() {}
    }

    /// Drops what all views have, and reads the journal again if one has been set back or something is missing.
    pub(super) async fn settle(&mut self, journal: &dyn Journal, stands: &[Watermarks], deadline: Instant) {
        let lowest = std::array::from_fn(|lane| stands.iter().map(|stands| stands.0[lane]).min().unwrap_or(0));
        let set_back = Lane::all().any(|lane| lowest[lane.index()] < self.lowest[lane]);
        self.lowest = Watermarks(lowest);
        self.waiting.retain(|waiting| waiting.seq > lowest[waiting.lane.index()]);
        let again = set_back || (self.incomplete && self.past.is_none() && self.has_room());
        if again && !stands.is_empty() {
            let began = tokio::time::timeout_at(deadline, self.begin(journal)).await;
            self.incomplete = !matches!(began, Ok(Ok(())));
        }
    }

    /// Begins to read what the views lack.
    async fn begin(&mut self, journal: &dyn Journal) -> Result<(), ReadError> {
        let heads = journal.lane_heads().await?;
        for (known, found) in self.heads.0.iter_mut().zip(heads.0) {
            *known = (*known).max(found);
        }
        let lacking = lag::lacking(&self.lowest, &self.heads);
        self.past = match lacking {
            Some((after, until)) => Some(journal.read(after, until).await?),
            None => None,
        };
        self.waiting.clear();
        self.read_up_to = self.heads.0.iter().copied().max().unwrap_or(0);
        Ok(())
    }

    /// What a view lacks.
    pub(super) fn behind(&self, stands: &Watermarks) -> Behind {
        if lag::lacking(stands, &self.heads).is_none() && !self.incomplete {
            return Behind::default();
        }
        let lacks = self.waiting.iter().filter(|waiting| waiting.seq > stands[waiting.lane]);
        let oldest = lacks.clone().map(|waiting| waiting.recorded).min();
        Behind { events: lacks.count() as u64, at_least: self.incomplete || self.past.is_some(), oldest }
    }
}

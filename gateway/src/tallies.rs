//! Live tallies: one watcher per poll, however many listen.
//!
//! A watcher reads the view when an event of its poll has come and the view has reached it, at most once in
//! [`LIVE_TALLY_MS`], encodes the state once and hands the same bytes to every listener. It ends with its last listener.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use cabildo_events::limits::{LIVE_TALLY_MS, RETRY_FIRST_MS, RETRY_LONGEST_MS};
use cabildo_events::{Aggregate, Lane, PollId, Position};
use cabildo_projections::ProjectionId;
use cabildo_projections::tally::{self, MINUTES, POLL, PollTally, VOTES};
use cabildo_storage::{Hashes, Page, SinkError, Views};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Ports, sse};

/// A poll's result at a position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    #[serde(flatten)]
    pub(crate) tally: PollTally,
    /// The watermark of the poll's lane that it was read at.
    pub(crate) position: Position,
}

/// Reads a poll's result from a view; `None` if there is no such poll.
pub(crate) async fn read(
    ports: &Ports,
    view: ProjectionId,
    poll: &PollId,
    lane: Lane,
) -> Result<(u64, Option<State>), SinkError> {
    let wanted = [(POLL, poll.as_str()), (VOTES, poll.as_str()), (MINUTES, poll.as_str())];
    let Hashes { watermark, hashes } = ports.counters.hashes(view, lane, &wanted).await?;
    let mut hashes = hashes.into_iter();
    let (meta, votes, minutes) =
        (hashes.next().unwrap_or_default(), hashes.next().unwrap_or_default(), hashes.next().unwrap_or_default());
    let tally = PollTally::from_hashes(poll.clone(), &meta, votes, minutes);
    Ok((watermark, tally.map(|tally| State { tally, position: Position::at(watermark) })))
}

/// The watchers by poll.
pub(crate) struct Tallies {
    ports: Ports,
    watchers: Mutex<HashMap<PollId, Weak<Watcher>>>,
}

/// Watches one poll until it is dropped.
struct Watcher {
    states: watch::Receiver<Bytes>,
    _running: DropGuard,
}

impl Tallies {
    pub(crate) fn new(ports: Ports) -> Self {
        Self { ports, watchers: Mutex::default() }
    }

    /// The states of a poll as frames: the present one at once, then each that follows; a listener that is slow skips
    /// states, and always gets the last.
    pub(crate) fn watch(&self, poll: &PollId) -> BoxStream<'static, Bytes> {
        let watcher = self.watcher(poll);
        let states = WatchStream::new(watcher.states.clone());
        // The empty frame says that nothing has been read yet. The watcher lives as long as somebody listens.
        states
            .filter(move |frame| {
                let _ = &watcher;
                std::future::ready(!frame.is_empty())
            })
            .boxed()
    }

    fn watcher(&self, poll: &PollId) -> Arc<Watcher> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = watchers.get(poll).and_then(Weak::upgrade) {
            return watcher;
        }
        watchers.retain(|_, watcher| watcher.strong_count() > 0);
        let (sender, states) = watch::channel(Bytes::new());
        let stop = CancellationToken::new();
        // Listening begins before the first read, so no event falls between the two.
        let pages = self.ports.live.subscribe();
        let views = self.ports.views.clone();
        let watching = Watching { ports: self.ports.clone(), poll: poll.clone(), sender, pages, views };
        let stopped = stop.clone();
        tokio::spawn(async move {
            let _ = stopped.run_until_cancelled(watching.run()).await;
        });
        let watcher = Arc::new(Watcher { states, _running: stop.drop_guard() });
        watchers.insert(poll.clone(), Arc::downgrade(&watcher));
        watcher
    }
}

struct Watching {
    ports: Ports,
    poll: PollId,
    sender: watch::Sender<Bytes>,
    pages: broadcast::Receiver<Arc<Page>>,
    views: Views,
}

impl Watching {
    async fn run(mut self) {
        let aggregate = Aggregate::poll(&self.poll);
        let mut shown: Option<PollTally> = None;
        let mut wanted = 0;
        loop {
            self.show(aggregate.lane(), wanted, &mut shown).await;
            let pause = tokio::time::sleep(Duration::from_millis(LIVE_TALLY_MS));
            let Some(next) = self.next(&aggregate).await else { return };
            wanted = next;
            pause.await;
            // What came during the pause is part of the same state.
            match drain(&mut self.pages, &aggregate) {
                Came::Nothing => {}
                Came::Up(seq) => wanted = seq,
                Came::Missed => wanted = self.lane_head(aggregate.lane()).await,
            }
        }
    }

    /// Waits for an event of the poll, or for another view of it: the sequence that the view must reach. `None` when the feed
    /// has ended.
    async fn next(&mut self, aggregate: &Aggregate) -> Option<u64> {
        loop {
            let page = tokio::select! {
                page = self.pages.recv() => page,
                true = self.views.changed() => return Some(self.lane_head(aggregate.lane()).await),
            };
            match page {
                Ok(page) => {
                    if let Some(seq) = last_of(&page, aggregate) {
                        return Some(seq);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => return Some(self.lane_head(aggregate.lane()).await),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// What was missed is in the journal: all of the lane up to now.
    async fn lane_head(&self, lane: Lane) -> u64 {
        let mut wait_ms = RETRY_FIRST_MS;
        loop {
            match self.ports.journal.lane_head(lane).await {
                Ok(head) => return head,
                Err(error) => tracing::debug!(%error, "a live tally waits for the journal"),
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
        }
    }

    /// Publishes the state once the view has reached `wanted`, however long that takes: a view that is down comes back.
    async fn show(&self, lane: Lane, wanted: u64, shown: &mut Option<PollTally>) {
        let mut wait_ms = 1;
        loop {
            match self.look(lane, wanted).await {
                Ok(Some((_, None))) => return,
                Ok(Some((_, Some(state)))) => {
                    if shown.as_ref() != Some(&state.tally) {
                        let data = serde_json::to_string(&state).unwrap_or_default();
                        self.sender.send_replace(sse::frame(state.position, "tally", &data));
                        *shown = Some(state.tally);
                    }
                    return;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a live tally waits for its view"),
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            wait_ms = (wait_ms * 2).min(LIVE_TALLY_MS);
        }
    }

    async fn look(&self, lane: Lane, wanted: u64) -> Result<Option<(u64, Option<State>)>, SinkError> {
        let view = self.ports.views.live(tally::ID);
        if self.ports.counters.watermark(view, lane).await? < wanted {
            return Ok(None);
        }
        read(&self.ports, view, &self.poll, lane).await.map(Some)
    }
}

/// What came of an aggregate while nobody looked.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Nothing,
    /// Events up to this sequence.
    Up(u64),
    /// More than is kept for one who does not look.
    Missed,
}

fn drain(pages: &mut broadcast::Receiver<Arc<Page>>, aggregate: &Aggregate) -> Came {
    let mut came = Came::Nothing;
    loop {
        match pages.try_recv() {
            Ok(page) if came != Came::Missed => came = last_of(&page, aggregate).map_or(came, Came::Up),
            Ok(_) => {}
            Err(broadcast::error::TryRecvError::Lagged(_)) => came = Came::Missed,
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => return came,
        }
    }
}

/// The sequence of the last event of an aggregate on a page.
fn last_of(page: &Page, aggregate: &Aggregate) -> Option<u64> {
    let mut newest_first = page.iter().rev();
    newest_first.find(|event| event.aggregate() == Some(aggregate)).map(|event| event.position.seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::poll::PollClosed;
    use cabildo_events::{Envelope, Event, EventId, Recorded, Timestamp};
    use uuid::Uuid;

    fn page(seq: u64, poll: &str) -> Arc<Page> {
        let (aggregate, time) = (Aggregate::poll(&poll.parse().unwrap()), Timestamp::from_micros(0));
        let lane = aggregate.lane();
        let event = Event::PollClosed(PollClosed {});
        let envelope = Envelope::new(EventId(Uuid::from_u128(seq.into())), aggregate, time, &event);
        Arc::new(vec![Recorded { position: Position::at(seq), lane, recorded: time, envelope: Ok(envelope) }])
    }

    #[test]
    fn what_was_missed_during_the_pause_is_looked_up_and_not_forgotten() {
        let aggregate = Aggregate::poll(&"bands".parse().unwrap());
        let (sender, mut pages) = broadcast::channel(2);
        assert_eq!(drain(&mut pages, &aggregate), Came::Nothing);
        let _ = sender.send(page(1, "bands"));
        let _ = sender.send(page(2, "films"));
        assert_eq!(drain(&mut pages, &aggregate), Came::Up(1));
        for seq in 3..6 {
            let _ = sender.send(page(seq, if seq == 3 { "bands" } else { "films" }));
        }
        assert_eq!(drain(&mut pages, &aggregate), Came::Missed);
    }
}

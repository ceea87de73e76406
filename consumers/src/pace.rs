//! How a replay shares the machine, and the sinks, with what is live.
//!
//! While nothing comes in, a replay runs as fast as it can. As soon as events arrive, it takes small batches, one at a time,
//! and rests after each for as long as that took: whatever it holds (a lock on a file, a server's one thread) is free half of
//! the time and never taken for long. When the live views fall behind a bound, it stands still until they have caught up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{APPLY_BATCH_EVENTS_MAX, REPLAY_BATCH_EVENTS_MAX, REPLAY_LIVE_LAG_MS, REPLAY_LOOK_MS};
use cabildo_events::{Lane, Position};
use cabildo_storage::{Journal, LaneHeads, Watermarks};
use futures::future::{BoxFuture, join_all};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, MissedTickBehavior};

/// How fast a replay goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gait {
    /// As fast as it can: nothing is coming in.
    Run,
    /// In small steps with rests between them: events are coming in.
    Walk,
    /// Not at all: the live views are behind.
    Stand,
}

/// What a replay's workers keep to.
#[derive(Debug)]
pub(crate) struct Pace {
    gait: watch::Sender<Gait>,
    /// One batch at a time, while it walks.
    step: Semaphore,
}

/// Leave to write one batch.
pub(crate) struct Turn<'a> {
    alone: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// Most events of the batch.
    pub(crate) const fn events_max(&self) -> usize {
        if self.alone.is_some() { REPLAY_BATCH_EVENTS_MAX } else { APPLY_BATCH_EVENTS_MAX }
    }

    /// Rests after a batch that took so long; others wait meanwhile.
    pub(crate) async fn rest(self, took: Duration) {
        if self.alone.is_some() {
            tokio::time::sleep(took).await;
        }
    }
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { gait: watch::channel(Gait::Run).0, step: Semaphore::new(1) }
    }

    pub(crate) fn gait(&self) -> watch::Receiver<Gait> {
        self.gait.subscribe()
    }

    fn set(&self, gait: Gait) {
        self.gait.send_if_modified(|now| std::mem::replace(now, gait) != gait);
    }

    /// Waits for leave to write a batch.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let mut gait = self.gait.subscribe();
        loop {
            let now = *gait.borrow_and_update();
            match now {
                Gait::Run => return Turn { alone: None },
                Gait::Walk => {
                    let alone = self.step.acquire().await.ok();
                    // It may have been told to stand while it waited.
                    if *gait.borrow() != Gait::Stand {
                        return Turn { alone };
                    }
                }
                // The sender is ours: it does not go away.
                Gait::Stand => {
                    let _ = gait.changed().await;
                }
            }
        }
    }
}

/// Asks where a live view stands; `None` when its sink does not answer.
pub(crate) type Stands = Box<dyn Fn() -> BoxFuture<'static, Option<Watermarks>> + Send + Sync>;

/// Sets the pace by what it sees of the journal and the live views, for as long as it is let run.
pub(crate) async fn watch_live(pace: Arc<Pace>, journal: Arc<dyn Journal>, live: Vec<Stands>) {
    let mut every = tokio::time::interval(Duration::from_millis(REPLAY_LOOK_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    loop {
        every.tick().await;
        // A journal or a sink that does not answer is reported by whoever works with it.
        let Ok(head) = journal.head().await else { continue };
        let heads = match seen.head < Some(head) {
            true => journal.lane_heads().await.ok(),
            false => None,
        };
        let stands = match seen.is_waiting() || heads.is_some() {
            true => join_all(live.iter().map(|stands| stands())).await,
            false => Vec::new(),
        };
        pace.set(seen.gait(Instant::now(), head, heads, &stands));
    }
}

/// How long after the last event it still counts as coming in, and how long after its last step a view as kept up.
const RECENT: Duration = Duration::from_secs(2);

/// Moments of the journal that are kept to measure by; while so many are unreached, no more are needed.
const HEADS_MAX: usize = 64;

/// What was seen of the journal, and which of it the live views have yet to reach.
#[derive(Default)]
struct Seen {
    head: Option<Position>,
    grew: Option<Instant>,
    heads: VecDeque<(Instant, LaneHeads)>,
    views: Vec<SeenView>,
}

/// Where a view stood, and when it last was further than before.
#[derive(Clone, Default)]
struct SeenView {
    stood: Option<Watermarks>,
    moved: Option<Instant>,
}

impl Seen {
    fn is_waiting(&self) -> bool {
        !self.heads.is_empty()
    }

    /// Takes in where the journal and the views stand now (`None`: not known), and says what to do.
    fn gait(&mut self, now: Instant, head: Position, heads: Option<LaneHeads>, stands: &[Option<Watermarks>]) -> Gait {
        let recently = |moment: Option<Instant>| moment.is_some_and(|moment| now - moment < RECENT);
        if self.head.is_some_and(|before| before < head) {
            self.grew = Some(now);
        }
        self.head = Some(head);
        if self.heads.len() < HEADS_MAX {
            self.heads.extend(heads.map(|heads| (now, heads)));
        }
        self.views.resize(self.views.len().max(stands.len()), SeenView::default());
        for (view, stands) in self.views.iter_mut().zip(stands) {
            let Some(stands) = stands else { continue };
            if view.stood.is_some_and(|stood| stood != *stands) {
                view.moved = Some(now);
            }
            view.stood = Some(*stands);
        }
        // A view that does not move is paused, or nobody keeps it up: it is not waited for.
        let moving: Vec<Watermarks> =
            self.views.iter().filter(|view| recently(view.moved)).filter_map(|view| view.stood).collect();
        let reached = |heads: &LaneHeads| moving.iter().all(|view| Lane::all().all(|lane| view[lane] >= heads[lane]));
        while self.heads.front().is_some_and(|(_, heads)| reached(heads)) {
            self.heads.pop_front();
        }
        let behind = self.heads.front().map_or(Duration::ZERO, |(since, _)| now - *since);
        if behind > Duration::from_millis(REPLAY_LIVE_LAG_MS) {
            Gait::Stand
        } else if recently(self.grew) {
            Gait::Walk
        } else {
            Gait::Run
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal of one lane whose head and whose view's watermark move as told, every so often.
    fn gaits(steps: &[(u64, u64)]) -> Vec<Gait> {
        let (began, mut seen) = (Instant::now(), Seen::default());
        let mut gaits = Vec::new();
        for (number, (head, stands)) in (0_u32..).zip(steps) {
            let mut heads = LaneHeads([0; 64]);
            heads.0[0] = *head;
            let mut view = Watermarks::default();
            view.0[0] = *stands;
            let fresh = (seen.head < Some(Position::at(*head))).then_some(heads);
            let now = began + Duration::from_millis(REPLAY_LOOK_MS) * number;
            // Beside it a view that is paused.
            gaits.push(seen.gait(now, Position::at(*head), fresh, &[Some(view), Some(Watermarks::default()), None]));
        }
        gaits
    }

    #[test]
    fn it_runs_while_nothing_comes_and_walks_while_the_views_keep_up() {
        assert_eq!(gaits(&[(5, 5), (5, 5)]), [Gait::Run, Gait::Run]);
        assert_eq!(gaits(&[(5, 5), (6, 6), (7, 7)]), [Gait::Run, Gait::Walk, Gait::Walk]);
        let mut quiet = vec![(5, 5), (6, 6)];
        quiet.extend([(6, 6); 30]);
        assert_eq!(gaits(&quiet).last(), Some(&Gait::Run), "after a while without events it runs again");
    }

    #[test]
    fn it_stands_while_a_view_that_moves_is_behind() {
        let falling: Vec<_> = (0..10).map(|step| (100 + 100 * step, 100 + step)).collect();
        let gaits_seen = gaits(&falling);
        assert_eq!(gaits_seen.last(), Some(&Gait::Stand), "{gaits_seen:?}");
        let mut caught_up = falling;
        caught_up.push((1_000, 1_000));
        assert_eq!(gaits(&caught_up).last(), Some(&Gait::Walk));
    }

    #[test]
    fn a_view_that_nobody_keeps_up_is_not_waited_for() {
        assert_eq!(gaits(&[(1_000, 0); 40]).last(), Some(&Gait::Run));
        let growing: Vec<_> = (0..40).map(|step| (1_000 + step, 0)).collect();
        assert_eq!(gaits(&growing).last(), Some(&Gait::Walk));
    }
}

//! A view with several workers at it, none of which knows of the others.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cabildo_consumers::{ChangeOf, Folded, Held, KeyOf, LaneState, Resume, RowOf, Target, held_by};
use cabildo_events::{Lane, Recorded, Timestamp};
use cabildo_projections::{Projection, ProjectionId};
use cabildo_storage::embedded::{CountersFile, DocumentsFile, JournalFile};
use cabildo_storage::{Applied, LaneBatch, LaneHeads, Loaded, Parked, Watermarks};
use rand::RngExt;
use rand::rngs::StdRng;

use super::world::Guard;

/// A lane in which nothing of the story happens.
const GHOST: u8 = 63;

/// What the simulation needs of a sink.
pub(crate) trait SimulatedSink<P: Projection> {
    fn empty() -> Self;
    fn load_rows(&mut self, id: ProjectionId, lane: Lane, keys: Vec<KeyOf<P>>) -> Loaded<KeyOf<P>, RowOf<P>>;
    fn apply_batch(&mut self, batch: LaneBatch<ChangeOf<P>>) -> Applied;
    fn stands(&mut self, id: ProjectionId) -> Watermarks;
    fn keep(&mut self) -> Vec<u8>;
    fn set_back(&mut self, bytes: &[u8]);
    fn content(&mut self, id: ProjectionId) -> Vec<String>;
}

macro_rules! simulated_sink {
    ($file:ident, $rows:ident, |$sink:ident, $id:ident| $content:expr) => {
        impl<P: Projection<Rows = cabildo_projections::$rows>> SimulatedSink<P> for $file {
            fn empty() -> Self {
                Self::in_memory().unwrap()
            }
            fn load_rows(&mut self, id: ProjectionId, lane: Lane, keys: Vec<KeyOf<P>>) -> Loaded<KeyOf<P>, RowOf<P>> {
                self.load(id, lane, keys).unwrap()
            }
            fn apply_batch(&mut self, batch: LaneBatch<ChangeOf<P>>) -> Applied {
                self.apply(&[batch]).unwrap()[0]
            }
            fn stands(&mut self, id: ProjectionId) -> Watermarks {
                self.watermarks(id).unwrap()
            }
            fn keep(&mut self) -> Vec<u8> {
                self.snapshot().unwrap()
            }
            fn set_back(&mut self, bytes: &[u8]) {
                self.restore(bytes).unwrap();
            }
            fn content(&mut self, $id: ProjectionId) -> Vec<String> {
                let $sink = self;
                $content
            }
        }
    };
}
simulated_sink!(CountersFile, Cells, |sink, _id| sink.dump().unwrap());
simulated_sink!(DocumentsFile, Documents, |sink, id| {
    ["rooms", "messages"].iter().flat_map(|collection| sink.dump(id, collection).unwrap()).collect()
});

/// One process at work on one projection: its lanes, how far it has read, and a batch that it has folded and not written.
struct Worker<P: Projection> {
    lanes: Vec<LaneState>,
    read: u64,
    folded: BTreeMap<Lane, Folded<ChangeOf<P>>>,
}

pub(crate) struct View<P: Projection, S> {
    projection: P,
    target: Arc<Target>,
    sink: S,
    workers: Vec<Worker<P>>,
    /// Batches of workers that crashed: a zombie may still write them.
    zombies: Vec<LaneBatch<ChangeOf<P>>>,
    snapshots: Vec<Vec<u8>>,
    parked: Vec<Parked>,
    guard: Guard,
}

impl<P: Projection, S: SimulatedSink<P>> View<P, S>
where
    ChangeOf<P>: Clone,
{
    pub(crate) fn new(projection: P, view: ProjectionId, workers: usize, guard: Guard) -> Self {
        let mut sink = S::empty();
        let snapshots = vec![sink.keep()];
        let target = Arc::new(view.into());
        let mut view =
            Self { projection, target, sink, workers: vec![], zombies: vec![], snapshots, parked: vec![], guard };
        for _ in 0..workers {
            let worker = view.started(&LaneHeads([0; 64]));
            view.workers.push(worker);
        }
        view
    }

    fn lane(&self, lane: Lane, stands: &Watermarks) -> LaneState {
        LaneState::new(self.target.clone(), lane, stands[lane], self.held_in(lane))
    }

    /// A worker as it starts: from the sink's own watermarks.
    fn started(&mut self, heads: &LaneHeads) -> Worker<P> {
        let stands = self.sink.stands(self.target.view);
        let lanes: Vec<_> = Lane::all().map(|lane| self.lane(lane, &stands)).collect();
        let behind = Lane::all().filter(|lane| heads[*lane] > stands[*lane]).map(|lane| stands[lane]).min();
        let read = behind.unwrap_or_else(|| heads.0.iter().copied().max().unwrap_or(0));
        Worker { lanes, read, folded: BTreeMap::new() }
    }

    fn held_in(&self, lane: Lane) -> Held {
        held_by(&self.target, &self.parked).into_iter().filter(|(aggregate, _)| aggregate.lane() == lane).collect()
    }

    /// One random thing that happens to this view.
    pub(crate) fn step(&mut self, random: &mut StdRng, journal: &JournalFile, now: Timestamp) {
        let worker = random.random_range(0..self.workers.len());
        match random.random_range(0..100) {
            0..30 => self.read(worker, journal, random.random_range(1..30)),
            30..60 => self.fold(worker, random, now),
            60..85 => self.write(worker, random),
            85..89 => self.crash(worker, &journal.heads()),
            89..93 => self.wake_zombie(random),
            93..96 => self.snapshots.push(self.sink.keep()),
            96..98 => self.set_back(random),
            _ => self.tear(worker, random),
        }
    }

    fn read(&mut self, worker: usize, journal: &JournalFile, count: usize) {
        let worker = &mut self.workers[worker];
        for event in journal.read(worker.read, u64::MAX, count).unwrap() {
            worker.read = event.position.seq;
            worker.lanes[event.lane.index()].push(event);
        }
    }

    /// Folds the next batch of a lane, and keeps it in hand.
    fn fold(&mut self, worker: usize, random: &mut StdRng, now: Timestamp) {
        let busy: Vec<usize> = (0..64).filter(|lane| self.workers[worker].lanes[*lane].pending() > 0).collect();
        if busy.is_empty() {
            return;
        }
        let lane = busy[random.random_range(0..busy.len())];
        self.fold_lane(worker, lane, random.random_range(1..40), now);
    }

    fn fold_lane(&mut self, worker: usize, lane: usize, max: usize, now: Timestamp) {
        let state = &mut self.workers[worker].lanes[lane];
        let mut plan = state.plan(&self.projection, max).unwrap();
        let mut loaded = self.sink.load_rows(self.target.view, state.lane(), plan.take_keys());
        if self.guard == Guard::SkipOlder {
            loaded.watermark = state.watermark();
        }
        match plan.fold(&self.projection, loaded, now) {
            Ok(folded) => {
                let known: HashSet<_> = self.parked.iter().map(|parked| parked.position).collect();
                self.parked.extend(folded.parked.iter().filter(|parked| !known.contains(&parked.position)).cloned());
                self.workers[worker].folded.insert(folded.batch.lane, folded);
            }
            Err(watermark) => self.resume(worker, lane, watermark),
        }
    }

    fn resume(&mut self, worker: usize, lane: usize, watermark: u64) {
        let held = self.held_in(self.workers[worker].lanes[lane].lane());
        let state = &mut self.workers[worker].lanes[lane];
        match state.conflict(watermark) {
            Resume::Here => state.set_held(held),
            // The runner starts a new round: every lane from the sink's watermarks, the journal from the lowest.
            Resume::Rewind => {
                let stands = self.sink.stands(self.target.view);
                let lowest = stands.0.iter().copied().min().unwrap_or(0);
                let lanes = Lane::all().map(|lane| self.lane(lane, &stands)).collect();
                self.workers[worker] = Worker { lanes, read: lowest, folded: BTreeMap::new() };
            }
        }
    }

    /// Writes a batch in hand; the answer may get lost.
    fn write(&mut self, worker: usize, random: &mut StdRng) {
        let Some((lane, folded)) = self.workers[worker].folded.pop_first() else { return };
        let next = folded.batch.next;
        let applied = self.apply(folded.batch);
        if random.random_bool(0.15) {
            // The worker never hears of it; it will plan the same events again.
            return;
        }
        match applied {
            Applied::Done => self.workers[worker].lanes[lane.index()].applied(next, &folded.parked),
            Applied::Conflict { watermark } => self.resume(worker, lane.index(), watermark),
        }
    }

    fn apply(&mut self, mut batch: LaneBatch<ChangeOf<P>>) -> Applied {
        if self.guard == Guard::SkipOlder {
            // The wrong guard: whatever leads further is applied, whatever it was computed on.
            let stands = self.sink.stands(batch.projection)[batch.lane];
            if batch.next <= stands {
                return Applied::Done;
            }
            batch.prev = stands;
        }
        self.sink.apply_batch(batch)
    }

    fn crash(&mut self, worker: usize, heads: &LaneHeads) {
        let started = self.started(heads);
        let crashed = std::mem::replace(&mut self.workers[worker], started);
        self.zombies.extend(crashed.folded.into_values().map(|folded| folded.batch));
    }

    fn wake_zombie(&mut self, random: &mut StdRng) {
        if self.zombies.is_empty() {
            return;
        }
        let index = random.random_range(0..self.zombies.len());
        let batch = if random.random_bool(0.5) { self.zombies[index].clone() } else { self.zombies.remove(index) };
        self.apply(batch);
    }

    fn set_back(&mut self, random: &mut StdRng) {
        let bytes = self.snapshots[random.random_range(0..self.snapshots.len())].clone();
        self.sink.set_back(&bytes);
    }

    /// A sink without transactions gets as far as the rows and not as far as the watermark (documents only: counters come in
    /// one script). The rows are written under a lane of their own, so that the real one stays where it is.
    fn tear(&mut self, worker: usize, random: &mut StdRng) {
        if self.target.view != cabildo_projections::rooms::ID {
            return;
        }
        let lanes: Vec<Lane> = self.workers[worker].folded.keys().copied().collect();
        if lanes.is_empty() {
            return;
        }
        let mut batch = self.workers[worker].folded[&lanes[random.random_range(0..lanes.len())]].batch.clone();
        let stands = self.sink.stands(batch.projection);
        if stands[batch.lane] != batch.prev {
            return;
        }
        // No aggregate of the story lives in this lane.
        let ghost = Lane::new(GHOST).unwrap();
        let keep = random.random_range(0..=batch.changes.len());
        batch.changes.truncate(keep);
        (batch.lane, batch.prev, batch.next) = (ghost, stands[ghost], stands[ghost] + 1);
        self.sink.apply_batch(batch);
    }

    /// Lets every worker finish in peace.
    pub(crate) fn settle(&mut self, journal: &JournalFile, now: Timestamp) -> Result<(), String> {
        let heads = journal.heads();
        for _ in 0..1_000 {
            let stands = self.sink.stands(self.target.view);
            if Lane::all().all(|lane| stands[lane] >= heads[lane]) {
                return Ok(());
            }
            for worker in 0..self.workers.len() {
                self.workers[worker].folded.clear();
                self.read(worker, journal, usize::MAX >> 1);
                for lane in 0..64 {
                    if self.workers[worker].lanes[lane].pending() > 0 {
                        self.fold_lane(worker, lane, usize::MAX, now);
                        let lane = self.workers[worker].lanes[lane].lane();
                        if let Some(folded) = self.workers[worker].folded.remove(&lane) {
                            let next = folded.batch.next;
                            match self.apply(folded.batch) {
                                Applied::Done => self.workers[worker].lanes[lane.index()].applied(next, &folded.parked),
                                Applied::Conflict { watermark } => self.resume(worker, lane.index(), watermark),
                            }
                        }
                    }
                }
            }
        }
        Err(format!("{} never catches up", self.target.view))
    }

    /// The view's content, which must equal a replay of the whole journal in one go.
    pub(crate) fn check(&mut self, events: &[Recorded]) -> Result<Vec<String>, String> {
        let id = self.target.view;
        let mut fresh = S::empty();
        for lane in Lane::all() {
            let mut state = LaneState::new(self.target.clone(), lane, 0, Held::new());
            for event in events.iter().filter(|event| event.lane == lane) {
                state.push(event.clone());
            }
            if let Some(mut plan) = state.plan(&self.projection, usize::MAX) {
                let loaded = fresh.load_rows(id, lane, plan.take_keys());
                let folded = plan.fold(&self.projection, loaded, Timestamp::default()).unwrap();
                fresh.apply_batch(folded.batch);
            }
        }
        let (live, replayed) = (self.sink.content(id), fresh.content(id));
        if live != replayed {
            let differs = live.iter().zip(&replayed).find(|(live, replayed)| live != replayed);
            return Err(format!("{id} differs from a replay ({} rows, {}): {differs:?}", live.len(), replayed.len()));
        }
        Ok(live)
    }
}

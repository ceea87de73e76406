//! One lane of one projection, as a pure state machine: events in, batches out. It does no IO and reads no clock; workers
//! and the simulation drive the same code.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use cabildo_events::{Aggregate, Lane, Position, Recorded, Timestamp};
use cabildo_projections::{Projection, ProjectionId, Rows};
use cabildo_storage::{LaneBatch, Loaded, Parked};

/// The key, row and change types of a projection.
pub type KeyOf<P> = <<P as Projection>::Rows as Rows>::Key;
/// A row of a projection's view.
pub type RowOf<P> = <<P as Projection>::Rows as Rows>::Row;
/// A change to a projection's view.
pub type ChangeOf<P> = <<P as Projection>::Rows as Rows>::Change;

/// Which view is written, and what operators told its projection to leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The view.
    pub view: ProjectionId,
    /// Events that are stepped over: neither folded nor parked, and nothing waits behind them.
    pub discarded: BTreeSet<Position>,
}

impl From<ProjectionId> for Target {
    /// A view that leaves nothing out.
    fn from(view: ProjectionId) -> Self {
        Self { view, discarded: BTreeSet::new() }
    }
}

/// Aggregates with a parked event, and the sequence of the first one: what stands behind it waits, what stands before it
/// is folded (a view that was set back comes to it again).
pub type Held = HashMap<Aggregate, u64>;

/// The aggregates of parked events. One that is discarded holds nothing.
#[must_use]
pub fn held_by<'a>(target: &Target, parked: impl IntoIterator<Item = &'a Parked>) -> Held {
    let mut held = Held::new();
    hold(&mut held, parked.into_iter().filter(|one| !target.discarded.contains(&one.position)));
    held
}

fn hold<'a>(held: &mut Held, parked: impl IntoIterator<Item = &'a Parked>) {
    for one in parked {
        if let Some(aggregate) = &one.aggregate {
            let first = held.entry(aggregate.clone()).or_insert(one.position.seq);
            *first = (*first).min(one.position.seq);
        }
    }
}

/// A lane: where its view stands as far as this worker knows, and what has been read beyond that.
#[derive(Debug)]
pub struct LaneState {
    target: Arc<Target>,
    lane: Lane,
    watermark: u64,
    pending: VecDeque<Recorded>,
    held: Held,
}

/// What a worker does after a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Go on with what is pending: the view stands where it was thought to, or further.
    Here,
    /// Read the journal again from further back: the view was set back.
    Rewind,
}

impl LaneState {
    /// A lane whose view stands at a watermark. `held` are its aggregates with a parked event.
    #[must_use]
    pub const fn new(target: Arc<Target>, lane: Lane, watermark: u64, held: Held) -> Self {
        Self { target, lane, watermark, pending: VecDeque::new(), held }
    }

    /// Which lane.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Where the view stands, as far as is known.
    #[must_use]
    pub const fn watermark(&self) -> u64 {
        self.watermark
    }

    /// Events read and not applied yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// When the journal stored the oldest event that is not applied yet.
    #[must_use]
    pub fn oldest(&self) -> Option<Timestamp> {
        self.pending.front().map(|event| event.recorded)
    }

    /// When the journal stored each event that is not applied yet, up to a sequence.
    pub fn recorded_up_to(&self, seq: u64) -> impl Iterator<Item = Timestamp> {
        self.pending.iter().take_while(move |event| event.position.seq <= seq).map(|event| event.recorded)
    }

    /// The trace contexts of the next events that are not applied yet, at most `max` events.
    pub fn traces(&self, max: usize) -> impl Iterator<Item = &str> {
        let envelopes = self.pending.iter().take(max).filter_map(|event| event.envelope.as_ref().ok());
        envelopes.filter_map(|envelope| envelope.traceparent.as_deref())
    }

    /// Takes in an event of the lane, in order. One that was applied or taken in before is dropped; says whether it was kept.
    pub fn push(&mut self, event: Recorded) -> bool {
        let last = self.pending.back().map_or(self.watermark, |last| last.position.seq);
        let fresh = event.position.seq > last;
        if fresh {
            self.pending.push_back(event);
        }
        fresh
    }

    /// Plans the next batch, of at most `max` events; `None` if nothing is pending.
    pub fn plan<P: Projection>(&self, projection: &P, max: usize) -> Option<Plan<P>> {
        let events = self.pending.iter().take(max);
        let next = events.clone().next_back()?.position.seq;
        let mut plan = Plan {
            view: self.target.view,
            lane: self.lane,
            prev: self.watermark,
            next,
            steps: Vec::with_capacity(events.len()),
            keys: Vec::new(),
            held: self.held.clone(),
        };
        for event in events.filter(|event| !self.target.discarded.contains(&event.position)) {
            let step = projection.step(event);
            if let Ok(Some(step)) = &step {
                projection.reads(step, &mut plan.keys);
            }
            let step = match step {
                Ok(None) => continue,
                Ok(Some(step)) => Ok(step),
                Err(unfoldable) => Err(unfoldable.to_string()),
            };
            plan.steps.push(Planned { position: event.position, aggregate: event.aggregate().cloned(), step });
        }
        plan.keys.sort_unstable();
        plan.keys.dedup();
        Some(plan)
    }

    /// The view took the batch that led to `next`.
    pub fn applied(&mut self, next: u64, parked: &[Parked]) {
        hold(&mut self.held, parked);
        self.advance(next);
    }

    /// The view stands elsewhere. Going on needs the parked aggregates read anew ([`set_held`](Self::set_held)): whoever
    /// moved the watermark may have parked something first.
    pub fn conflict(&mut self, watermark: u64) -> Resume {
        if watermark < self.watermark {
            return Resume::Rewind;
        }
        self.advance(watermark);
        Resume::Here
    }

    /// Replaces the aggregates with a parked event.
    pub fn set_held(&mut self, held: Held) {
        self.held = held;
    }

    fn advance(&mut self, watermark: u64) {
        self.watermark = watermark;
        while self.pending.front().is_some_and(|event| event.position.seq <= watermark) {
            self.pending.pop_front();
        }
    }
}

struct Planned<S> {
    position: Position,
    aggregate: Option<Aggregate>,
    /// The event as the projection reads it, or why it cannot.
    step: Result<S, String>,
}

/// A batch before its rows are loaded.
pub struct Plan<P: Projection> {
    view: ProjectionId,
    lane: Lane,
    prev: u64,
    next: u64,
    steps: Vec<Planned<P::Step>>,
    keys: Vec<KeyOf<P>>,
    held: Held,
}

/// A batch ready for the sink, and what has to be parked before it is applied.
#[derive(Debug)]
pub struct Folded<C> {
    /// The changes.
    pub batch: LaneBatch<C>,
    /// Events that could not be folded, and later ones of their aggregates.
    pub parked: Vec<Parked>,
}

impl<P: Projection> Plan<P> {
    /// Takes out the rows to load, each once; empty if none is needed.
    pub fn take_keys(&mut self) -> Vec<KeyOf<P>> {
        std::mem::take(&mut self.keys)
    }

    /// Rows for a plan that needs none.
    #[must_use]
    pub const fn no_rows(&self) -> Loaded<KeyOf<P>, RowOf<P>> {
        Loaded { watermark: self.prev, rows: Vec::new() }
    }

    /// Folds the events over their rows. If the rows were loaded at another watermark than the batch starts from, that one is
    /// the error: the lane has a conflict. `now` is written on what is parked.
    ///
    /// # Errors
    /// The watermark at which the rows stand.
    pub fn fold(
        self,
        projection: &P,
        loaded: Loaded<KeyOf<P>, RowOf<P>>,
        now: Timestamp,
    ) -> Result<Folded<ChangeOf<P>>, u64> {
        if loaded.watermark != self.prev {
            return Err(loaded.watermark);
        }
        let mut rows = P::Rows::default();
        rows.begin(Position::at(self.prev));
        for (key, row) in loaded.rows {
            rows.load(key, row);
        }
        let view = self.view;
        let mut held = self.held;
        let mut parked = Vec::new();
        for Planned { position, aggregate, step } in self.steps {
            let first = aggregate.as_ref().and_then(|aggregate| held.get(aggregate));
            let waits = first.is_some_and(|first| *first < position.seq);
            let outcome = match step {
                _ if waits => Err("an earlier event of its aggregate is parked".to_owned()),
                Ok(step) => {
                    rows.begin(position);
                    projection.fold(step, &mut rows).map_err(|unfoldable| unfoldable.to_string())
                }
                Err(reason) => Err(reason),
            };
            if let Err(reason) = outcome {
                let (projection, version) = (view.name.to_owned(), view.version);
                let one = Parked { projection, version, position, aggregate, reason, parked: now };
                hold(&mut held, [&one]);
                parked.push(one);
            }
        }
        let changes = rows.into_changes();
        let batch = LaneBatch { projection: view, lane: self.lane, prev: self.prev, next: self.next, changes };
        Ok(Folded { batch, parked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::poll::{PollClosed, PollOpened};
    use cabildo_events::{Envelope, Event, EventId};
    use cabildo_projections::tally::{self, Tally};
    use uuid::Uuid;

    fn event(seq: u64, poll: &str, event: &Event) -> Recorded {
        let aggregate = Aggregate::poll(&poll.parse().unwrap());
        let time = Timestamp::from_micros(0);
        let envelope = Envelope::new(EventId(Uuid::from_u128(seq.into())), aggregate, time, event);
        Recorded { position: Position::at(seq), lane: Lane::FIRST, recorded: time, envelope: Ok(envelope) }
    }
    fn opened() -> Event {
        Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None })
    }
    fn unreadable(seq: u64, poll: &str) -> Recorded {
        let mut event = event(seq, poll, &opened());
        event.envelope.as_mut().unwrap().kind = "poll.melted".into();
        event
    }
    fn lane(watermark: u64, events: impl IntoIterator<Item = Recorded>) -> LaneState {
        let mut lane = LaneState::new(Arc::new(tally::ID.into()), Lane::FIRST, watermark, Held::new());
        for event in events {
            lane.push(event);
        }
        lane
    }
    fn fold(lane: &LaneState) -> Folded<ChangeOf<Tally>> {
        let mut plan = lane.plan(&Tally, 100).unwrap();
        let rows = plan.take_keys().into_iter().map(|key| (key, None)).collect();
        plan.fold(&Tally, Loaded { watermark: lane.watermark(), rows }, Timestamp::from_micros(9)).unwrap()
    }

    #[test]
    fn what_was_applied_or_read_before_is_dropped() {
        let lane = lane(2, [1, 2, 3, 3, 2, 4].map(|seq| event(seq, "a", &opened())));
        assert_eq!(lane.pending(), 2);
    }

    #[test]
    fn a_batch_leads_from_the_watermark_to_its_last_event() {
        let lane = lane(2, [event(5, "a", &opened()), event(9, "a", &Event::PollClosed(PollClosed {}))]);
        let batch = fold(&lane).batch;
        assert_eq!((batch.prev, batch.next), (2, 9));
        assert_eq!(lane.plan(&Tally, 1).unwrap().next, 5);
    }

    #[test]
    fn rows_of_another_watermark_are_a_conflict() {
        let lane = lane(2, [event(5, "a", &opened())]);
        let plan = lane.plan(&Tally, 100).unwrap();
        let loaded = Loaded { watermark: 4, rows: vec![] };
        assert_eq!(plan.fold(&Tally, loaded, Timestamp::default()).map(|_| ()), Err(4));
    }

    #[test]
    fn what_cannot_be_folded_is_parked_with_the_later_events_of_its_aggregate_and_the_lane_goes_on() {
        let mut lane = lane(0, [unreadable(1, "a"), event(2, "a", &opened()), event(3, "b", &opened())]);
        let Folded { batch, parked } = fold(&lane);
        assert_eq!(parked.iter().map(|parked| parked.position.seq).collect::<Vec<_>>(), [1, 2]);
        assert!(batch.changes.iter().all(|change| &*change.cell().key != "a") && !batch.changes.is_empty());
        lane.applied(batch.next, &parked);
        assert!(lane.push(event(4, "a", &opened())));
        assert_eq!(fold(&lane).parked.len(), 1, "the next batch remembers");
    }

    #[test]
    fn a_view_that_was_set_back_folds_what_stands_before_the_parked_event() {
        let parked = fold(&lane(0, [unreadable(5, "a")])).parked;
        let target: Target = tally::ID.into();
        let held = held_by(&target, &parked);
        let mut again = LaneState::new(Arc::new(target), Lane::FIRST, 0, held);
        for event in [event(1, "a", &opened()), unreadable(5, "a"), event(6, "a", &opened())] {
            again.push(event);
        }
        let folded = fold(&again);
        assert_eq!(folded.parked.iter().map(|parked| parked.position.seq).collect::<Vec<_>>(), [5, 6]);
        assert!(!folded.batch.changes.is_empty());
    }

    #[test]
    fn a_discarded_event_is_stepped_over_and_nothing_waits_behind_it() {
        let first = fold(&lane(0, [unreadable(1, "a")])).parked;
        let discarded = BTreeSet::from([Position::at(1), Position::at(3)]);
        let target = Arc::new(Target { view: ProjectionId { version: 2, ..tally::ID }, discarded });
        assert!(held_by(&target, &first).is_empty());
        let mut lane = LaneState::new(target, Lane::FIRST, 0, Held::new());
        for event in [unreadable(1, "a"), event(2, "a", &opened()), unreadable(3, "a")] {
            lane.push(event);
        }
        let Folded { batch, parked } = fold(&lane);
        assert!(parked.is_empty() && !batch.changes.is_empty());
        assert_eq!((batch.next, batch.projection.version), (3, 2), "the watermark goes over it");
    }

    #[test]
    fn after_a_conflict_it_goes_on_or_back() {
        let events = || [3, 4, 5].map(|seq| event(seq, "a", &opened()));
        let mut ahead = lane(2, events());
        assert_eq!((ahead.conflict(4), ahead.pending(), ahead.watermark()), (Resume::Here, 1, 4));
        let mut same = lane(2, events());
        assert_eq!((same.conflict(2), same.pending()), (Resume::Here, 3));
        assert_eq!(lane(2, events()).conflict(1), Resume::Rewind);
    }
}

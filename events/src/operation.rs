//! Operation: which view of a projection is read, which events a projection leaves out, which projections stand still.
//!
//! What operators do to the views is on the record like anything else. One aggregate, `operation/projections`, rules on
//! it, so every process that reads the journal comes to the same answer, in the same order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{DISCARDED_EVENTS_MAX, VIEWS_MAX};
use crate::{Aggregate, Event, Position, ProjectionName, Reason, Rejection};

/// A view began to be built, beside the live one. It becomes readable by its version; nobody reads it unasked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewBegun {
    /// Of which projection.
    pub projection: ProjectionName,
    /// Its number; versions are never used twice.
    pub version: u32,
    /// The fold that builds it.
    pub fold: u32,
    /// Its first event, if it is a view of a part of the journal. Such a view is never promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Position>,
    /// Its last event, if it is a view of a part of the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Position>,
}

/// A view became the one that is read. The one before it is kept, and kept up, until it is collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewPromoted {
    /// Of which projection.
    pub projection: ProjectionName,
    /// Its number.
    pub version: u32,
    /// The fold that keeps it up.
    pub fold: u32,
}

/// The view that was read before the live one is read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRestored {
    /// Of which projection.
    pub projection: ProjectionName,
    /// Its number.
    pub version: u32,
}

/// A view was given up: its rows are removed, nobody keeps it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewCollected {
    /// Of which projection.
    pub projection: ProjectionName,
    /// Its number.
    pub version: u32,
}

/// A projection leaves an event out for ever, in this view and in any to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDiscarded {
    /// Which projection.
    pub projection: ProjectionName,
    /// Which event.
    pub position: Position,
    /// Why, in the operator's words.
    pub reason: Reason,
}

/// The rows of one aggregate were made anew, from its own events; what was parked of it is folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateMended {
    /// Of which projection.
    pub projection: ProjectionName,
    /// Which aggregate.
    pub aggregate: Aggregate,
}

/// A projection was told to stand still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionPaused {
    /// Which projection.
    pub projection: ProjectionName,
    /// Why.
    pub reason: Reason,
}

/// A projection was told to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectionResumed {
    /// Which projection.
    pub projection: ProjectionName,
}

/// An operator's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Build a view of the whole journal, or of the part from one event to another.
    Begin {
        /// By which fold.
        fold: u32,
        /// From this event on.
        from: Option<Position>,
        /// Up to and including this event.
        to: Option<Position>,
    },
    /// Read this view from now on.
    Promote(u32),
    /// Read the view that was read before.
    Rollback,
    /// Give a view up.
    Collect(u32),
    /// Leave an event out.
    Discard(Position, Reason),
    /// Fold what is parked of an aggregate: its rows have been made anew.
    Mend(Aggregate),
    /// Stand still.
    Pause(Reason),
    /// Go on.
    Resume,
}

/// What a view is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It is being built; its builder keeps it up.
    Building,
    /// It is a view of a part of the journal: it stays as it was built.
    Scratch,
    /// It is read; consumers keep it up.
    Live,
    /// It was read before; consumers keep it up, so that it can be read again.
    Kept,
}

impl Stage {
    /// Its word in lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Scratch => "scratch",
            Self::Live => "live",
            Self::Kept => "kept",
        }
    }
}

/// A view of a projection, as the record knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// The fold that builds it and keeps it up.
    pub fold: u32,
    /// What it is for.
    pub stage: Stage,
    /// Its first and last event, where it is a view of a part of the journal.
    pub part: (Option<Position>, Option<Position>),
}

/// What operators have decided about one projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decided {
    views: BTreeMap<u32, View>,
    live: u32,
    #[serde(skip)]
    before: Vec<u32>,
    #[serde(skip)]
    highest: u32,
    discarded: BTreeMap<Position, Reason>,
    paused: Option<Reason>,
    #[serde(skip)]
    mended: u64,
}

impl Default for Decided {
    /// Before anything is decided, view 1 is live, by the first fold.
    fn default() -> Self {
        let first = View { fold: 1, stage: Stage::Live, part: (None, None) };
        Self {
            views: BTreeMap::from([(1, first)]),
            live: 1,
            before: Vec::new(),
            highest: 1,
            discarded: BTreeMap::new(),
            paused: None,
            mended: 0,
        }
    }
}

impl Decided {
    /// The version that is read.
    #[must_use]
    pub const fn live(&self) -> u32 {
        self.live
    }

    /// Every view that is not collected, by version.
    #[must_use]
    pub const fn views(&self) -> &BTreeMap<u32, View> {
        &self.views
    }

    /// The version that a rollback leads to.
    #[must_use]
    pub fn previous(&self) -> Option<u32> {
        self.before.iter().rev().copied().find(|version| self.views.contains_key(version))
    }

    /// The versions that consumers with this fold keep up.
    pub fn kept_up(&self, fold: u32) -> impl Iterator<Item = u32> + '_ {
        let up = move |view: &View| view.fold == fold && matches!(view.stage, Stage::Live | Stage::Kept);
        self.views.iter().filter(move |(_, view)| up(view)).map(|(version, _)| *version)
    }

    /// The events that are left out, with the reasons.
    #[must_use]
    pub const fn discarded(&self) -> &BTreeMap<Position, Reason> {
        &self.discarded
    }

    /// Why it stands still, if it was told to.
    #[must_use]
    pub const fn paused(&self) -> Option<&Reason> {
        self.paused.as_ref()
    }

    /// How often an aggregate was mended: consumers look at what is parked anew when it grows.
    #[must_use]
    pub const fn mended(&self) -> u64 {
        self.mended
    }

    /// The number of the next view.
    #[must_use]
    pub const fn next_version(&self) -> u32 {
        self.highest + 1
    }

    fn make_live(&mut self, version: u32, fold: u32) {
        if self.live == version {
            return;
        }
        if let Some(view) = self.views.get_mut(&self.live) {
            view.stage = Stage::Kept;
        }
        self.highest = self.highest.max(version);
        self.before.retain(|before| *before != version);
        self.before.push(self.live);
        self.live = version;
        let view = self.views.entry(version).or_insert(View { fold, stage: Stage::Live, part: (None, None) });
        view.stage = Stage::Live;
    }
}

/// What operators have decided, by projection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Projections {
    by_name: BTreeMap<ProjectionName, Decided>,
}

impl Projections {
    /// What is decided about a projection.
    #[must_use]
    pub fn of(&self, projection: &str) -> Decided {
        self.get(projection).cloned().unwrap_or_default()
    }

    fn get(&self, projection: &str) -> Option<&Decided> {
        self.by_name.iter().find(|(name, _)| name.as_str() == projection).map(|(_, decided)| decided)
    }

    /// Whether anything was decided.
    pub(crate) fn is_decided(&self) -> bool {
        !self.by_name.is_empty()
    }

    /// Applies one event.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::ViewBegun(ViewBegun { projection, version, fold, from, to }) => {
                let stage = if from.is_some() || to.is_some() { Stage::Scratch } else { Stage::Building };
                let decided = self.decided(projection);
                decided.highest = decided.highest.max(*version);
                decided.views.insert(*version, View { fold: *fold, stage, part: (*from, *to) });
            }
            Event::ViewPromoted(ViewPromoted { projection, version, fold }) => {
                self.decided(projection).make_live(*version, *fold);
            }
            Event::ViewRestored(ViewRestored { projection, version }) => {
                let decided = self.decided(projection);
                let given_up = decided.live;
                let fold = decided.views.get(version).map_or(1, |view| view.fold);
                decided.make_live(*version, fold);
                // A second rollback leads further back, not forth again.
                decided.before.retain(|before| *before != given_up);
            }
            Event::ViewCollected(ViewCollected { projection, version }) => {
                let decided = self.decided(projection);
                if decided.live != *version {
                    decided.views.remove(version);
                }
            }
            Event::EventDiscarded(EventDiscarded { projection, position, reason }) => {
                self.decided(projection).discarded.insert(*position, reason.clone());
            }
            Event::AggregateMended(AggregateMended { projection, .. }) => self.decided(projection).mended += 1,
            Event::ProjectionPaused(ProjectionPaused { projection, reason }) => {
                self.decided(projection).paused = Some(reason.clone());
            }
            Event::ProjectionResumed(ProjectionResumed { projection }) => self.decided(projection).paused = None,
            _ => {}
        }
    }

    fn decided(&mut self, projection: &ProjectionName) -> &mut Decided {
        self.by_name.entry(projection.clone()).or_default()
    }
}

pub(crate) fn decide(
    projections: &Projections,
    projection: &ProjectionName,
    command: &Command,
) -> Result<Vec<Event>, Rejection> {
    let decided = projections.of(projection.as_str());
    let no_view = |version: u32| Rejection::NotFound { what: "view", id: format!("{projection}.v{version}") };
    let refused = |why: String| Err(Rejection::Operation(why));
    let projection = projection.clone();
    Ok(vec![match command {
        Command::Begin { .. } if decided.views.len() >= VIEWS_MAX => {
            return refused(format!("{projection} has {VIEWS_MAX} views already: collect one first"));
        }
        Command::Begin { fold, from, to } => Event::ViewBegun(ViewBegun {
            projection,
            version: decided.next_version(),
            fold: *fold,
            from: *from,
            to: *to,
        }),
        Command::Promote(version) => {
            let view = decided.views.get(version).ok_or_else(|| no_view(*version))?;
            match view.stage {
                Stage::Live => return refused(format!("{projection}.v{version} is live already")),
                Stage::Scratch => {
                    return refused(format!("{projection}.v{version} shows a part of the journal: it cannot be live"));
                }
                Stage::Building | Stage::Kept => {
                    Event::ViewPromoted(ViewPromoted { projection, version: *version, fold: view.fold })
                }
            }
        }
        Command::Rollback => match decided.previous() {
            Some(version) => Event::ViewRestored(ViewRestored { projection, version }),
            None => {
                return refused(format!(
                    "{projection} has no view from before: nothing was promoted, or it was collected"
                ));
            }
        },
        Command::Collect(version) => match decided.views.get(version) {
            None => return Err(no_view(*version)),
            Some(View { stage: Stage::Live, .. }) => {
                return refused(format!("{projection}.v{version} is live: promote another one first"));
            }
            Some(_) => Event::ViewCollected(ViewCollected { projection, version: *version }),
        },
        Command::Discard(position, _) if decided.discarded.contains_key(position) => {
            return refused(format!("{projection} leaves {position} out already"));
        }
        Command::Discard(..) if decided.discarded.len() >= DISCARDED_EVENTS_MAX => {
            return refused(format!(
                "{projection} leaves {DISCARDED_EVENTS_MAX} events out already: mend its fold instead"
            ));
        }
        Command::Discard(position, reason) => {
            Event::EventDiscarded(EventDiscarded { projection, position: *position, reason: reason.clone() })
        }
        Command::Mend(aggregate) => {
            Event::AggregateMended(AggregateMended { projection, aggregate: aggregate.clone() })
        }
        Command::Pause(_) if decided.paused.is_some() => return refused(format!("{projection} is paused already")),
        Command::Pause(reason) => Event::ProjectionPaused(ProjectionPaused { projection, reason: reason.clone() }),
        Command::Resume if decided.paused.is_none() => return refused(format!("{projection} is not paused")),
        Command::Resume => Event::ProjectionResumed(ProjectionResumed { projection }),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, State, decide};

    fn given(commands: &[Command]) -> State {
        let mut state = State::default();
        for command in commands {
            for event in when(&state, command).unwrap() {
                state.evolve(&event);
            }
        }
        state
    }
    fn when(state: &State, command: &Command) -> Result<Vec<Event>, Rejection> {
        let command = crate::Command::Operation("tally".parse().unwrap(), command.clone());
        decide(state, &command, &Facts::default())
    }
    fn tally(state: &State) -> Decided {
        state.projections().of("tally")
    }
    fn begin() -> Command {
        Command::Begin { fold: 1, from: None, to: None }
    }

    #[test]
    fn before_anything_is_decided_the_first_view_is_live() {
        let state = State::default();
        assert_eq!((tally(&state).live(), tally(&state).next_version()), (1, 2));
        assert!(when(&state, &Command::Rollback).is_err());
        assert!(when(&state, &Command::Collect(1)).is_err());
    }

    #[test]
    fn a_view_is_built_promoted_and_given_up_for_the_one_before() {
        let state = given(&[begin()]);
        assert_eq!((tally(&state).live(), tally(&state).views()[&2].stage), (1, Stage::Building));
        assert_eq!(tally(&state).kept_up(1).collect::<Vec<_>>(), [1], "its builder keeps it up");
        let state = given(&[begin(), Command::Promote(2)]);
        assert_eq!((tally(&state).live(), tally(&state).previous()), (2, Some(1)));
        assert_eq!(tally(&state).kept_up(1).collect::<Vec<_>>(), [1, 2]);
        let state = given(&[begin(), Command::Promote(2), Command::Rollback]);
        assert_eq!((tally(&state).live(), tally(&state).previous()), (1, None));
        assert!(when(&state, &Command::Promote(2)).is_ok(), "it is kept, and can be promoted again");
        assert_eq!(tally(&state).next_version(), 3, "a number is not used twice");
    }

    #[test]
    fn a_collected_view_cannot_come_back() {
        let state = given(&[begin(), Command::Promote(2), Command::Collect(1)]);
        assert_eq!(tally(&state).previous(), None);
        assert_eq!(when(&state, &Command::Promote(1)).map_err(|r| r.code()), Err("not-found"));
    }

    #[test]
    fn a_view_of_a_part_is_never_live() {
        let part = Command::Begin { fold: 1, from: Some(Position::at(3)), to: None };
        let state = given(&[part]);
        assert_eq!(when(&state, &Command::Promote(2)).map_err(|r| r.code()), Err("operation"));
        assert!(tally(&state).kept_up(1).eq([1]));
    }

    #[test]
    fn another_fold_keeps_up_its_own_views() {
        let state = given(&[Command::Begin { fold: 2, from: None, to: None }, Command::Promote(2)]);
        assert_eq!(tally(&state).kept_up(1).collect::<Vec<_>>(), [1]);
        assert_eq!(tally(&state).kept_up(2).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_is_discarded_or_paused_is_so_once() {
        let why: Reason = "written by a broken client".parse().unwrap();
        let discard = Command::Discard(Position::at(7), why.clone());
        let state = given(&[discard.clone(), Command::Pause(why.clone())]);
        assert!(tally(&state).discarded().contains_key(&Position::at(7)) && tally(&state).paused().is_some());
        assert!(when(&state, &discard).is_err() && when(&state, &Command::Pause(why)).is_err());
        let mut state = state;
        state.evolve(&when(&state, &Command::Resume).unwrap()[0]);
        assert!(tally(&state).paused().is_none() && when(&state, &Command::Resume).is_err());
    }
}

//! Whether a view is what the journal makes it: the journal is folded afresh, and the outcome compared with the view at the same
//! positions, while traffic goes on.

mod background;
mod fresh;
mod journal;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cabildo_events::operation::Decided;
use cabildo_events::{Lane, Position, fnv1a32};
use cabildo_projections::activity::Activity;
use cabildo_projections::lists::Lists;
use cabildo_projections::record::Record;
use cabildo_projections::rooms::Rooms;
use cabildo_projections::tally::Tally;
use cabildo_projections::{Projection, ProjectionId, activity, lists, record, rooms, tally};
use cabildo_storage::{Counters, Documents, OpenError};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::Ports;
use crate::compare::{CompareError, Row, RowKey, Sides, compare_lane};
use crate::lane::{KeyOf, RowOf};
use crate::worker::SinkOf;
use fresh::{Fresh, Throttle};

pub use background::{Background, check_now_and_then};
pub use fresh::Progress;
pub use journal::{Against, Finding, JournalChecked, Kept, KeptEvents, Kind, verify_journal};

/// What is checked, and how.
#[derive(Clone, Debug)]
pub struct Check {
    /// Which view.
    pub view: ProjectionId,
    /// What operators decided about the projection: events that are left out.
    pub decided: Decided,
    /// Which lanes of it.
    pub lanes: Vec<Lane>,
    /// At most so many events read and rows compared a second; `None`: as many as can be.
    pub per_second: Option<u64>,
}

/// Where the journal is folded into: embedded stores in a temporary folder, which goes with them.
pub struct Scratch {
    counters: Arc<dyn Counters>,
    documents: Arc<dyn Documents>,
    _folder: TempDir,
}

impl Scratch {
    /// Makes it, empty.
    ///
    /// # Errors
    /// When the folder for temporary files cannot be written to.
    pub async fn open() -> Result<Self, OpenError> {
        let failed = |error: std::io::Error| OpenError::Unavailable {
            what: "the folder for temporary files (TMPDIR names another one)".to_owned(),
            reason: error.to_string(),
        };
        let folder = tempfile::Builder::new().prefix("cabildo-verify-").tempdir().map_err(failed)?;
        let place = format!("file:{}", folder.path().display());
        let (counters, documents) =
            tokio::try_join!(cabildo_storage::open_counters(&place), cabildo_storage::open_documents(&place))?;
        Ok(Self { counters, documents, _folder: folder })
    }
}

/// The fold that keeps the live view up, if it is another than this build's: then there is nothing to compare it with.
#[must_use]
pub fn foreign_fold(projection: &str, decided: &Decided) -> Option<u32> {
    let here = cabildo_projections::fold_of(projection);
    decided.views().get(&decided.live()).map(|view| view.fold).filter(|fold| Some(*fold) != here)
}

/// A row that is not as the journal makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Which view.
    pub view: ProjectionId,
    /// The row's lane.
    pub lane: Lane,
    /// The position at which it differs.
    pub position: Position,
    /// Its table or collection.
    pub table: &'static str,
    /// Its name in it.
    pub key: String,
    /// As it should be; `None`: it should not be there.
    pub expected: Option<String>,
    /// As it is; `None`: it is not there.
    pub found: Option<String>,
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows looked at, of the view and of the one folded afresh.
    pub rows: u64,
    /// Events folded.
    pub events: u64,
    /// The last position folded.
    pub until: Position,
    /// Lanes compared.
    pub lanes: usize,
    /// Rows that differ.
    pub divergent: u64,
}

/// A share of the lanes, at least one, the same ones for the same seed.
#[must_use]
pub fn sample(percent: u32, seed: u64) -> Vec<Lane> {
    let wanted = usize::try_from((u64::from(percent.min(100)) * 64).div_ceil(100)).unwrap_or(64).max(1);
    let mut lanes: Vec<Lane> = Lane::all().collect();
    // Numbers that differ in a digit come out far apart only after a second round.
    let place = |lane: &Lane| {
        let first = fnv1a32(&[&seed.to_be_bytes()[..], &[lane.number()]].concat());
        (fnv1a32(&first.to_be_bytes()), lane.number())
    };
    lanes.sort_by_key(place);
    lanes.truncate(wanted);
    lanes.sort_unstable();
    lanes
}

/// Folds the journal afresh and compares. Differences are handed out as they are found.
///
/// A view that stands beyond the end of its lane in the journal has seen events that the journal has not: each such lane is
/// one divergence, under the table `watermark`.
///
/// # Errors
/// See [`CompareError`]. A projection that this build does not have is compared with nothing.
pub async fn verify(
    check: &Check,
    ports: &Ports,
    scratch: &Scratch,
    progress: Arc<Progress>,
    stop: &CancellationToken,
    report: &mut (dyn FnMut(Divergence) + Send),
) -> Result<Checked, CompareError> {
    let (counters, documents) = (ports.counters.clone(), ports.documents.clone());
    let (fresh_counters, fresh_documents) = (scratch.counters.clone(), scratch.documents.clone());
    let under = Under { check, ports, progress, stop };
    match check.view.name {
        name if name == tally::ID.name => under.run(Tally, counters, fresh_counters, report).await,
        name if name == activity::ID.name => under.run(Activity, counters, fresh_counters, report).await,
        name if name == rooms::ID.name => under.run(Rooms, documents, fresh_documents, report).await,
        name if name == lists::ID.name => under.run(Lists, documents, fresh_documents, report).await,
        name if name == record::ID.name => under.run(Record, documents, fresh_documents, report).await,
        _ => Ok(Checked::default()),
    }
}

/// One check under way.
struct Under<'a> {
    check: &'a Check,
    ports: &'a Ports,
    progress: Arc<Progress>,
    stop: &'a CancellationToken,
}

impl Under<'_> {
    async fn run<P>(
        self,
        projection: P,
        live: Arc<SinkOf<P>>,
        scratch: Arc<SinkOf<P>>,
        report: &mut (dyn FnMut(Divergence) + Send),
    ) -> Result<Checked, CompareError>
    where
        P: Projection,
        KeyOf<P>: RowKey,
        RowOf<P>: Row,
    {
        let Check { view, decided, lanes, per_second } = self.check;
        let tables = projection.tables();
        // The watermarks first: what is appended meanwhile must not look as if the view were ahead.
        let stands = live.watermarks(*view).await?;
        let heads = self.ports.journal.lane_heads().await?;
        let scratch_view = ProjectionId { name: projection.name(), version: 1 };
        let mut fresh = Fresh {
            projection,
            view: scratch_view,
            journal: self.ports.journal.clone(),
            sink: scratch.clone(),
            lanes: Fresh::<P>::lanes(scratch_view, lanes),
            discarded: decided.discarded().keys().copied().collect(),
            throttle: Throttle::new(*per_second),
            progress: self.progress.clone(),
            stop: self.stop.clone(),
        };
        let mut targets = stands;
        let mut divergent = 0;
        for lane in lanes.iter().copied().filter(|lane| stands[*lane] > heads[*lane]) {
            divergent += 1;
            report(Divergence {
                view: *view,
                lane,
                position: Position::at(heads[lane]),
                table: "watermark",
                key: lane.to_string(),
                expected: Some(Position::at(heads[lane]).to_string()),
                found: Some(Position::at(stands[lane]).to_string()),
            });
            targets.0[lane.index()] = 0;
        }
        fresh.fold_to(&targets).await?;
        // What came meanwhile, so that less of it is left to each lane.
        let mut targets = live.watermarks(*view).await?;
        for lane in Lane::all().filter(|lane| stands[*lane] > heads[*lane]) {
            targets.0[lane.index()] = 0;
        }
        fresh.fold_to(&targets).await?;
        let sides = Sides { expected: (&*scratch, scratch_view), found: (&*live, *view), tables };
        for lane in lanes.iter().copied().filter(|lane| stands[*lane] <= heads[*lane]) {
            let mut found = |one: crate::compare::Difference<KeyOf<P>, RowOf<P>>| {
                divergent += 1;
                let (table, key) = one.key.shown();
                report(Divergence {
                    view: *view,
                    lane: one.lane,
                    position: one.position,
                    table,
                    key,
                    expected: one.expected.as_ref().map(Row::shown),
                    found: one.found.as_ref().map(Row::shown),
                });
            };
            compare_lane(&sides, lane, &mut fresh, &mut found).await?;
        }
        Ok(Checked {
            rows: self.progress.rows.load(Ordering::Relaxed),
            events: self.progress.events.load(Ordering::Relaxed),
            until: Position::at(fresh.lanes.iter().map(crate::LaneState::watermark).max().unwrap_or(0)),
            lanes: lanes.len(),
            divergent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_share_of_the_lanes_and_the_same_for_a_seed() {
        assert_eq!(sample(100, 3).len(), 64);
        assert_eq!((sample(5, 1).len(), sample(0, 1).len()), (4, 1));
        assert_eq!(sample(5, 1), sample(5, 1));
        let drawn: std::collections::BTreeSet<_> = (0..200).flat_map(|seed| sample(5, seed)).collect();
        assert_eq!(drawn.len(), 64, "every lane has its turn");
    }
}

//! Making the rows of aggregates anew, and letting go of what was parked of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cabildo_consumers::{MendError, Mended, Ports};
use cabildo_events::limits::{MEND_ROUNDS_MAX, VIEW_CHECK_MS};
use cabildo_events::operation::Command;
use cabildo_events::{Actor, Aggregate, Position};
use cabildo_projections::ProjectionId;
use cabildo_storage::{Journal, Parked, Views, operate};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::parked::of_all;
use crate::connect::open_shared;
use crate::output::{self, Form};
use crate::settings::{PlaceOptions, Settings};

/// Who operators are on the record, until there are people with roles.
pub(crate) fn operator() -> anyhow::Result<Actor> {
    Ok("operator".parse()?)
}

/// The places, open for writing beside the roles that run on them.
pub(crate) struct Mender {
    ports: Ports,
}

/// What came of one aggregate in one view.
#[derive(Serialize)]
struct Report<'a> {
    projection: &'static str,
    version: u32,
    aggregate: &'a Aggregate,
    /// Events folded.
    events: u64,
    /// Rows that were not as they should have been.
    changed: u64,
    /// Events that are no longer parked.
    released: usize,
    /// Why it still cannot be folded.
    #[serde(skip_serializing_if = "Option::is_none")]
    still: Option<String>,
}

impl Mender {
    pub(crate) async fn open(settings: &Settings, options: &PlaceOptions) -> anyhow::Result<Self> {
        let opened = open_shared(&settings.places(options)?).await?;
        Ok(Self { ports: opened.into_consumer_ports() })
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.ports.journal
    }

    /// Makes the rows of one aggregate anew in the live view, whether anything of it is parked or not.
    pub(crate) async fn rebuild(&self, projection: ProjectionId, aggregate: &Aggregate) -> anyhow::Result<Mended> {
        let decided = Views::read(self.journal()).await?.of(projection.name);
        let view = ProjectionId { version: decided.live(), ..projection };
        let discarded: BTreeSet<Position> = decided.discarded().keys().copied().collect();
        let paused = decided.paused().is_some();
        Ok(cabildo_consumers::mend(view, &self.ports, aggregate, &discarded, paused).await?)
    }

    /// Folds again what is parked and `chosen`, in every view that is kept up, and tells what came of it. What consumers park
    /// behind its back, before they learn of it, takes another round. Returns whether something still cannot be folded, and
    /// how many aggregates there were.
    pub(crate) async fn fold_again(
        &self,
        only: Option<ProjectionId>,
        chosen: impl Fn(&Parked) -> bool,
        form: Form,
        stop: &CancellationToken,
    ) -> anyhow::Result<(bool, usize)> {
        let mut failed: BTreeSet<(ProjectionId, Aggregate)> = BTreeSet::new();
        let mut seen: BTreeSet<(ProjectionId, Aggregate)> = BTreeSet::new();
        for _ in 0..MEND_ROUNDS_MAX {
            let mut todo = BTreeMap::<(ProjectionId, Aggregate), Vec<Position>>::new();
            for (view, parked) in of_all(self.journal(), only).await? {
                let wanted: BTreeSet<_> =
                    parked.iter().filter(|one| chosen(one)).filter_map(|one| one.aggregate.clone()).collect();
                // An aggregate that was taken up stays so: what is parked of it later need not be chosen by itself.
                for one in parked {
                    let Some(aggregate) = one.aggregate else { continue };
                    let at = (view, aggregate);
                    if (wanted.contains(&at.1) || seen.contains(&at)) && !failed.contains(&at) {
                        todo.entry(at).or_default().push(one.position);
                    }
                }
            }
            if todo.is_empty() || stop.is_cancelled() {
                return Ok((!failed.is_empty(), seen.len()));
            }
            for (at, positions) in todo {
                if stop.is_cancelled() {
                    break;
                }
                if !self.mend(at.0, &at.1, &positions, form).await? {
                    failed.insert(at.clone());
                }
                seen.insert(at);
            }
            // Consumers learn of it within this time.
            tokio::time::sleep(Duration::from_millis(2 * VIEW_CHECK_MS)).await;
        }
        anyhow::bail!(
            "events keep being parked while they are folded again: is another build of cabildo at work? See `cabildo parked list`"
        )
    }

    /// One aggregate in one view; `false` if it still cannot be folded.
    async fn mend(
        &self,
        view: ProjectionId,
        aggregate: &Aggregate,
        parked: &[Position],
        form: Form,
    ) -> anyhow::Result<bool> {
        let decided = Views::read(self.journal()).await?.of(view.name);
        let discarded: BTreeSet<Position> = decided.discarded().keys().copied().collect();
        let paused = decided.paused().is_some();
        let (projection, version) = (view.name, view.version);
        let mended = cabildo_consumers::mend(view, &self.ports, aggregate, &discarded, paused).await;
        let (mended, still) = match mended {
            Ok(mended) => (mended, None),
            Err(error @ MendError::Unfoldable { .. }) => (Mended::default(), Some(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let mut released = 0;
        if still.is_none() {
            self.release(view, parked).await?;
            released = parked.len();
            let command = Command::Mend(aggregate.clone());
            operate(self.journal(), &view.name.parse()?, &command, Some(operator()?)).await?;
        }
        let Mended { events, changed } = mended;
        tell(&Report { projection, version, aggregate, events, changed, released, still: still.clone() }, form)?;
        Ok(still.is_none())
    }

    /// Lets go of parked events.
    pub(crate) async fn release(&self, view: ProjectionId, positions: &[Position]) -> anyhow::Result<()> {
        Ok(self.ports.journal.unpark(view.name, view.version, positions).await?)
    }
}

fn tell(report: &Report<'_>, form: Form) -> anyhow::Result<()> {
    if form == Form::Json {
        return output::json(report);
    }
    let Report { projection, version, aggregate, events, changed, released, still } = report;
    Ok(output::line(&match still {
        Some(still) => format!("{projection}.v{version} {aggregate}: {still}"),
        None => format!(
            "{projection}.v{version} {aggregate}: {events} events folded, {changed} rows put right, {released} no longer parked"
        ),
    })?)
}

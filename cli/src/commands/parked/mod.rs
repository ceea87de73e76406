//! `cabildo parked …`: events that a projection cannot fold, and what becomes of them.

pub(crate) mod discard;
pub(crate) mod list;
pub(crate) mod retry;
pub(crate) mod show;

use cabildo_events::Position;
use cabildo_projections::{ALL, ProjectionId};
use cabildo_storage::{Journal, Parked, Views};

/// Show events that a projection cannot fold, fold them again, or leave them out
///
/// An event that cannot be folded is set aside with the later events of its aggregate; everything else goes on.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ParkedCommand {
    List(list::List),
    Show(show::Show),
    Retry(retry::Retry),
    Discard(discard::Discard),
}

/// What is parked of the views that are kept up, by view; of one projection, or of all.
pub(super) async fn of_all(
    journal: &dyn Journal,
    only: Option<ProjectionId>,
) -> anyhow::Result<Vec<(ProjectionId, Vec<Parked>)>> {
    let decided = Views::read(journal).await?;
    let mut found = Vec::new();
    for id in ALL.into_iter().filter(|id| only.is_none_or(|only| only == *id)) {
        for version in decided.of(id.name).views().keys() {
            let parked = journal.parked(id.name, *version).await?;
            if !parked.is_empty() {
                found.push((ProjectionId { version: *version, ..id }, parked));
            }
        }
    }
    Ok(found)
}

/// Why there is nothing parked at a position.
pub(super) fn not_parked(projection: &str, position: Position) -> anyhow::Error {
    anyhow::anyhow!("{position} is not parked by {projection}: see `cabildo parked list {projection}`")
}

//! What differs between a view and the live one.

use cabildo_projections::ProjectionId;
use tokio_util::sync::CancellationToken;

use super::Replay;
use super::shop::Shop;

/// Prints the rows that differ; whether none does.
pub(super) async fn run(
    _shop: &Shop,
    _view: ProjectionId,
    _replay: &Replay,
    _stop: &CancellationToken,
) -> anyhow::Result<bool> {
    anyhow::bail!("not yet")
}

//! The hash that the panels of the Band Contest read: band by band, the votes of the poll `bands`.
//!
//! It is no view. It is what the live view of the tally says, written anew as a whole whenever that has moved on: absolute
//! numbers, at the view's watermark, so that it does not matter how often or by how many processes it is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{BANDS_SHOWN_AGAIN_MS, BANDS_SHOWN_MS};
use cabildo_events::poll::BANDS;
use cabildo_events::{Aggregate, Lane};
use cabildo_projections::ProjectionId;
use cabildo_projections::tally::{self, VOTES};
use cabildo_storage::{Counters, Shown, SinkError, Views};
use tokio::time::{Instant, MissedTickBehavior};

/// The hash, by the name that the panels know.
const DATA: &str = "data";

/// Shows the votes as they come, through any failure of the sink; ends at once where nobody but us reads it.
pub(crate) async fn show(counters: Arc<dyn Counters>, views: Views) {
    let Ok(poll) = BANDS.parse() else { return };
    let lane = Aggregate::poll(&poll).lane();
    let mut every = tokio::time::interval(Duration::from_millis(BANDS_SHOWN_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut told) = (None, false);
    loop {
        every.tick().await;
        let view = views.live(tally::ID);
        match look(&*counters, view, lane, last).await {
            Ok(Some((_, Shown::Nowhere))) => return,
            Ok(Some((at, shown))) => {
                last = Some((view, at, Instant::now()));
                if shown == Shown::Foreign && !told {
                    told = true;
                    tracing::warn!(
                        "the sink has a `{DATA}` that is not ours: it is left alone, and the panels of the Band Contest show what \
                         is in it; remove it, and the votes are written there"
                    );
                }
            }
            Ok(None) => {}
            // Whoever keeps the view up reports it.
            Err(error) => tracing::debug!(%error, "the votes of the bands are shown later"),
        }
    }
}

/// Shows the votes if the view has moved on, or if that was long ago; at which watermark, and what became of it.
async fn look(
    counters: &dyn Counters,
    view: ProjectionId,
    lane: Lane,
    last: Option<(ProjectionId, u64, Instant)>,
) -> Result<Option<(u64, Shown)>, SinkError> {
    let again = Duration::from_millis(BANDS_SHOWN_AGAIN_MS);
    if let Some((shown, at, when)) = last
        && shown == view
        && when.elapsed() < again
        && counters.watermark(view, lane).await? == at
    {
        return Ok(None);
    }
    let read = counters.hashes(view, lane, &[(VOTES, BANDS)]).await?;
    let votes: BTreeMap<String, String> =
        read.hashes.into_iter().next().unwrap_or_default().into_iter().filter(|(_, votes)| votes != "0").collect();
    let shown = counters.show(DATA, read.watermark, &votes).await?;
    Ok(Some((read.watermark, shown)))
}

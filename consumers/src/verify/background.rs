//! A slow check beside the live work: some lanes of every projection at a time, so that all have their turn.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::VERIFY_LANES;
use cabildo_events::{LANES, Lane};
use cabildo_projections::{ALL, ProjectionId};
use cabildo_storage::Views;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Check, Checked, Progress, Scratch, verify};
use crate::{Metrics, Ports};

/// How often, and how slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Background {
    /// From the beginning of a check to the beginning of the next.
    pub every: Duration,
    /// At most so many events read and rows compared a second.
    pub per_second: u64,
}

/// Checks until `shutdown`. What differs is logged, row by row up to a bound, and counted in the metrics; what fails is logged and
/// left to the next turn.
pub async fn check_now_and_then(
    background: Background,
    ports: Ports,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let mut every = tokio::time::interval(background.every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut divergent: [[u64; LANES as usize]; ALL.len()] = [[0; LANES as usize]; ALL.len()];
    for turn in 0_usize.. {
        if shutdown.run_until_cancelled(every.tick()).await.is_none() {
            return;
        }
        let all: Vec<Lane> = Lane::all().collect();
        let lanes = (0..VERIFY_LANES).map(|index| all[(turn * VERIFY_LANES + index) % all.len()]).collect::<Vec<_>>();
        for (first, divergent) in ALL.into_iter().zip(&mut divergent) {
            let name = first.name;
            match check(first, &lanes, background, &ports, divergent, &shutdown).await {
                _ if shutdown.is_cancelled() => return,
                Ok(Some(checked)) => {
                    metrics.verifying(name, checked.rows);
                    metrics.verified(name, divergent.iter().sum());
                }
                Ok(None) => {}
                Err(error) => {
                    metrics.failed(name, "verify");
                    tracing::warn!(projection = name, error, "the view could not be checked");
                }
            }
        }
    }
}

/// Checks some lanes of the live view; `None` if another build's fold made it.
async fn check(
    first: ProjectionId,
    lanes: &[Lane],
    background: Background,
    ports: &Ports,
    divergent: &mut [u64; LANES as usize],
    shutdown: &CancellationToken,
) -> Result<Option<Checked>, String> {
    let decided = Views::read(&*ports.journal).await.map_err(|error| error.to_string())?.of(first.name);
    let view = ProjectionId { version: decided.live(), ..first };
    if super::foreign_fold(first.name, &decided).is_some() {
        return Ok(None);
    }
    let scratch = Scratch::open().await.map_err(|error| error.to_string())?;
    let check = Check { view, decided, lanes: lanes.to_vec(), per_second: Some(background.per_second) };
    lanes.iter().for_each(|lane| divergent[lane.index()] = 0);
    let mut report = |one: super::Divergence| {
        divergent[one.lane.index()] += 1;
        let super::Divergence { view, lane, position, table, key, expected, found } = one;
        tracing::error!(
            projection = view.name, version = view.version, %lane, %position, table, key, ?expected, ?found,
            "a row is not what the journal makes it"
        );
    };
    let checked = verify(&check, ports, &scratch, Arc::new(Progress::default()), shutdown, &mut report).await;
    checked.map(Some).map_err(|error| error.to_string())
}

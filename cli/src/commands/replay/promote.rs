//! Having a view read, or the one before it again.

use std::time::{Duration, Instant};

use anyhow::bail;
use cabildo_consumers::BuildError;
use cabildo_events::limits::VIEW_CHECK_MS;
use cabildo_events::operation::{Command, Stage};
use cabildo_events::{Aggregate, Event, Lane, Position};
use cabildo_projections::ProjectionId;
use cabildo_storage::Watermarks;
use tokio_util::sync::CancellationToken;

use super::build::catch_up;
use super::fold_in_this_build;
use super::shop::{Shop, pause};
use crate::exit::Exit;
use crate::output;

/// Between two looks at a view that was just promoted, in milliseconds: readers of it are at most so far behind, and a pass.
const PASS_EVERY_MS: u64 = 20;
/// Consumers look at what is decided this often; so long after a decision each that runs has taken it up.
const TAKEN_UP: Duration = Duration::from_millis(3 * VIEW_CHECK_MS);

/// Has every gateway read a view, once it has caught up.
pub(super) async fn promote(shop: &Shop, view: ProjectionId, stop: &CancellationToken) -> anyhow::Result<Exit> {
    let decided = shop.decided().await?;
    if decided.live() == view.version {
        output::note(&format!("{view} is live already"));
        return Ok(Exit::Ok);
    }
    let is_building = decided.views().get(&view.version).is_some_and(|view| view.stage == Stage::Building);
    if is_building && !catch_up(shop, view, stop).await? {
        return Ok(Exit::Failed);
    }
    let before = shop.view(decided.live());
    let (position, _) = shop.decide(Command::Promote(view.version)).await?;
    output::note(&format!(
        "{view} is read from {position} on, instead of {before}; `cabildo replay {} --rollback` goes back",
        view.name
    ));
    hand_over(shop, view, position, stop).await?;
    Ok(Exit::Ok)
}

/// Has every gateway read the view again that was read before.
pub(super) async fn rollback(shop: &Shop, stop: &CancellationToken) -> anyhow::Result<Exit> {
    let (position, event) = shop.decide(Command::Rollback).await?;
    let Event::ViewRestored(restored) = event else { bail!("the journal answered with another event") };
    let view = shop.view(restored.version);
    output::note(&format!("{view} is read again, from {position} on"));
    hand_over(shop, view, position, stop).await?;
    Ok(Exit::Ok)
}

/// Sees to it that a view which is read from now on is kept up: by consumers that run, or else by this process, until it is
/// told to stop.
///
/// Who it was that folded an event cannot be told from a view. But this process folds in passes, and between two of them it
/// touches nothing: where the view has moved on by itself, somebody else keeps it up. The decision itself, if it is the last
/// event of its lane, is left to the others for a while: so they show also where nothing else happens.
async fn hand_over(
    shop: &Shop,
    view: ProjectionId,
    decided_at: Position,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let fold = shop.decided().await?.views().get(&view.version).map_or(1, |view| view.fold);
    let folds_here = fold == fold_in_this_build(shop.first);
    let lane = Aggregate::projections().lane();
    let (began, mut stood, mut alone) = (Instant::now(), None, false);
    let mut reached = Position::START;
    let builder = shop.hurried_builder();
    loop {
        let stands = shop.watermarks(view).await?;
        if stood.is_some_and(|stood| has_moved(&stood, &stands)) || (stood.is_none() && stands[lane] >= decided_at.seq)
        {
            output::note(&format!("{view} is kept up by the consumers that run"));
            return Ok(());
        }
        let late = began.elapsed() > TAKEN_UP;
        if late && !folds_here {
            output::note(&format!(
                "nobody keeps {view} up: start a consumer of the build with fold {fold} (this one has {})",
                fold_in_this_build(shop.first)
            ));
            return Ok(());
        }
        if late && !std::mem::replace(&mut alone, true) {
            output::note(&format!(
                "no consumer keeps {view} up: this process does, until Ctrl-C. Start `cabildo up` or `cabildo consumer`"
            ));
        }
        let head = shop.opened.journal.head().await?;
        if folds_here && head > reached && (late || head > decided_at) {
            let plan = shop.plan(view, Position::START, head).await?;
            match builder.build(&plan, stop).await {
                Ok(()) => (stood, reached) = (Some(shop.watermarks(view).await?), head),
                Err(BuildError::Stopped) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !pause(PASS_EVERY_MS, stop).await {
            let still = shop.decided().await?.views().get(&view.version).is_some_and(|view| view.stage == Stage::Live);
            if still {
                output::note(&format!("stopped: {view} is read, and nobody is known to keep it up"));
            }
            return Ok(());
        }
    }
}

fn has_moved(stood: &Watermarks, stands: &Watermarks) -> bool {
    Lane::all().any(|lane| stands[lane] > stood[lane])
}

//! Giving views up.

use cabildo_events::limits::VIEW_CHECK_MS;
use cabildo_events::operation::{Command, Decided, Stage};
use tokio_util::sync::CancellationToken;

use super::shop::{Shop, pause};
use crate::exit::Exit;
use crate::output;

/// Times that the rows of a view are removed, where a consumer that had not heard of it wrote some again.
const ROUNDS_MAX: usize = 3;

/// Gives up one view, or all that were read before and all of a part; and removes what an earlier, interrupted one left.
pub(super) async fn run(shop: &Shop, asked: Option<u32>, yes: bool, stop: &CancellationToken) -> anyhow::Result<Exit> {
    let decided = shop.decided().await?;
    let in_sink = shop.versions_in_sink().await?;
    let left_over: Vec<u32> =
        in_sink.iter().copied().filter(|version| is_left_over(&decided, *version, asked)).collect();
    let given_up: Vec<(u32, Stage)> = match asked {
        Some(version) if left_over.contains(&version) => Vec::new(),
        // A view that is live, or is not there, is refused by the rule.
        Some(version) => vec![(version, decided.views().get(&version).map_or(Stage::Kept, |view| view.stage))],
        None => {
            let old = |stage: Stage| matches!(stage, Stage::Kept | Stage::Scratch);
            decided
                .views()
                .iter()
                .map(|(version, view)| (*version, view.stage))
                .filter(|(_, stage)| old(*stage))
                .collect()
        }
    };
    if given_up.is_empty() && left_over.is_empty() {
        output::note(&format!("{} has no view to give up", shop.first.name));
        return Ok(Exit::Ok);
    }
    let words = given_up.iter().map(|(version, stage)| format!("{} ({})", shop.view(*version), stage.name()));
    let words: Vec<String> =
        words.chain(left_over.iter().map(|version| format!("{} (left over)", shop.view(*version)))).collect();
    if !output::confirmed(&format!("Remove the rows of {}?", words.join(", ")), yes)? {
        return Ok(Exit::Failed);
    }
    for (version, _) in &given_up {
        shop.decide(Command::Collect(*version)).await?;
    }
    // Consumers that kept it up hear of it within this time, and then let go.
    if given_up.iter().any(|(_, stage)| *stage == Stage::Kept) && !pause(2 * VIEW_CHECK_MS, stop).await {
        output::note("stopped: the same command removes the rows");
        return Ok(Exit::Failed);
    }
    let mut versions: Vec<u32> = given_up.iter().map(|(version, _)| *version).chain(left_over).collect();
    for _ in 0..ROUNDS_MAX {
        for version in &versions {
            let removal = shop.remove(shop.view(*version));
            let Some(removed) = stop.run_until_cancelled(removal).await else {
                output::note("stopped: the same command removes the rest");
                return Ok(Exit::Failed);
            };
            removed?;
        }
        if !pause(VIEW_CHECK_MS, stop).await {
            break;
        }
        let there = shop.versions_in_sink().await?;
        versions.retain(|version| there.contains(version));
        if versions.is_empty() {
            output::note(&format!("removed {}", words.join(", ")));
            return Ok(Exit::Ok);
        }
    }
    anyhow::bail!("a consumer still writes to {}: run the same command again", words.join(", "))
}

/// Whether a view that the sink has is none that the record knows: what an interrupted removal left.
fn is_left_over(decided: &Decided, version: u32, asked: Option<u32>) -> bool {
    !decided.views().contains_key(&version) && asked.is_none_or(|asked| asked == version)
}

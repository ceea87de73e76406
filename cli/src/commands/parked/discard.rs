//! `cabildo parked discard`.

use cabildo_events::operation::Command;
use cabildo_events::{Position, Reason};
use cabildo_storage::operate;
use tokio_util::sync::CancellationToken;

use super::{not_parked, of_all};
use crate::commands::mend::{Mender, operator};
use crate::commands::replay::projection;
use crate::exit::Exit;
use crate::output;
use crate::settings::{PlaceOptions, Settings};

/// Leave a parked event out of a projection, for ever
///
/// The event stays in the journal; that it is left out, and why, goes on the record. What waited for it is folded.
#[derive(clap::Args, Debug)]
pub(crate) struct Discard {
    /// Which projection parked it
    projection: String,
    /// Its position, for example 0-12
    position: Position,
    /// Why: it goes on the record
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    places: PlaceOptions,
}

/// Asks, puts it on the record, and folds what waited.
pub(crate) async fn run(settings: &Settings, discard: &Discard, stop: CancellationToken) -> anyhow::Result<Exit> {
    let id = projection(&discard.projection)?;
    let mender = Mender::open(settings, &discard.places).await?;
    let found = of_all(mender.journal(), Some(id)).await?;
    let position = discard.position;
    let one = found.iter().flat_map(|(_, parked)| parked).find(|one| one.position == position);
    let one = one.ok_or_else(|| not_parked(id.name, position))?;
    let question = format!("leave {position} ({}) out of {} for ever?", one.reason, id.name);
    if !output::confirmed(&question, discard.yes)? {
        output::note("nothing was changed");
        return Ok(Exit::Failed);
    }
    let command = Command::Discard(position, discard.reason.clone());
    let (at, _) = operate(mender.journal(), &id.name.parse()?, &command, Some(operator()?)).await?;
    output::line(&format!("{} leaves {position} out; on record at {at}", id.name))?;
    for (view, parked) in &found {
        // One that names no aggregate holds nothing back.
        if parked.iter().any(|one| one.position == position && one.aggregate.is_none()) {
            mender.release(*view, &[position]).await?;
        }
    }
    let (left, _) = mender.fold_again(Some(id), |one| one.position == position, output::Form::Pretty, &stop).await?;
    Ok(if left { Exit::Parked } else { Exit::Ok })
}

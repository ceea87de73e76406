//! `cabildo parked retry`.

use cabildo_events::{Aggregate, Position};
use cabildo_storage::Parked;
use tokio_util::sync::CancellationToken;

use super::not_parked;
use crate::commands::mend::Mender;
use crate::commands::replay::projection;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{PlaceOptions, Settings};

/// Fold parked events again, after the build or the data was put right
///
/// The rows of each aggregate are made anew from all its events, in the views that are read and kept; what can be
/// folded now is no longer parked. Exits with 4 if something still cannot be folded.
#[derive(clap::Args, Debug)]
pub(crate) struct Retry {
    /// Of this projection alone
    projection: Option<String>,
    /// The aggregate of this event alone, for example 0-12
    #[arg(long, value_name = "POSITION", conflicts_with = "aggregate")]
    position: Option<Position>,
    /// This aggregate alone, for example poll/bands-2026
    #[arg(long)]
    aggregate: Option<Aggregate>,
    /// How to write the report
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    places: PlaceOptions,
}

/// Tries again, and says what came of it.
pub(crate) async fn run(settings: &Settings, retry: &Retry, stop: CancellationToken) -> anyhow::Result<Exit> {
    let only = retry.projection.as_deref().map(projection).transpose()?;
    let mender = Mender::open(settings, &retry.places).await?;
    let chosen = |one: &Parked| {
        retry.position.is_none_or(|position| position == one.position)
            && retry.aggregate.as_ref().is_none_or(|aggregate| one.aggregate.as_ref() == Some(aggregate))
    };
    let (left, aggregates) = mender.fold_again(only, chosen, retry.output, &stop).await?;
    if let (0, Some(position)) = (aggregates, retry.position) {
        return Err(not_parked(retry.projection.as_deref().unwrap_or("any projection"), position));
    }
    if aggregates == 0 {
        output::note("nothing is parked that could be folded again");
    }
    Ok(if left { Exit::Parked } else { Exit::Ok })
}

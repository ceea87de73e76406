//! `cabildo replay PROJECTION`: its view made anew from the journal beside the live one, compared, read, given up.

mod build;
mod collect;
mod compare;
mod dry_run;
mod list;
mod promote;
mod shop;

use cabildo_events::limits::PAGE_ROWS_DEFAULT;
use cabildo_events::{Aggregate, Position, ProjectionName};
use cabildo_projections::{ALL, ProjectionId, fold_of};
use cabildo_storage::Moment;
use tokio_util::sync::CancellationToken;

use crate::commands::mend::Mender;
use crate::exit::{Exit, Usage};
use crate::output::{self, Form};
use crate::settings::{PlaceOptions, Settings, WorkerOptions};
use shop::Shop;

/// Make a projection's view anew from the journal, beside the live one; compare, promote, roll back
///
/// Folds the journal into a view of the next number, at full speed while nothing comes in and giving way to live traffic
/// otherwise. Nobody reads it until it is promoted. Ctrl-C stops it, and the same command goes on from there. Works beside a
/// running `cabildo up`, and beside gateways and consumers.
///
/// `cabildo replay tally --diff --promote` builds, shows what differs from the live view, and has all gateways read the new
/// one. `cabildo replay tally --rollback` has them read the one before again.
///
/// Exit codes: 3 if --diff found a difference and nothing was promoted, 4 if events of the new view are parked.
#[derive(clap::Args, Debug)]
pub(crate) struct Replay {
    /// Which projection: tally, activity, rooms, lists or record
    projection: String,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with_all = ["diff", "promote", "rollback", "list", "collect", "view"])]
    dry_run: bool,
    /// Compare with the live view at the same positions, and print the rows that differ
    #[arg(long)]
    diff: bool,
    /// Have every gateway read the new view
    #[arg(long)]
    promote: bool,
    /// Have every gateway read the view again that was read before
    #[arg(long, conflicts_with_all = ["diff", "promote", "list", "collect", "view"])]
    rollback: bool,
    /// List the views there are
    #[arg(long, conflicts_with_all = ["diff", "promote", "collect", "view"])]
    list: bool,
    /// Give up a view and remove its rows; without a number, all that were read before, and all scratch views
    #[arg(long, value_name = "VIEW", num_args = 0..=1, conflicts_with_all = ["diff", "promote", "view"])]
    collect: Option<Option<u32>>,
    /// Go on with this view, for --diff and --promote [default: the one being built, else a new one]
    #[arg(long, value_name = "VIEW")]
    view: Option<u32>,
    /// Make a scratch view of a part of the journal, from here on: begin, a position (0-12), a time (2026-11-21T10:00Z) or how
    /// long ago (-5m)
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, conflicts_with_all = ["promote", "view", "rollback", "list", "collect"])]
    from: Option<Moment>,
    /// And up to here: a position is included, a time is not
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, conflicts_with_all = ["promote", "view", "rollback", "list", "collect"])]
    to: Option<Moment>,
    /// Make the rows of one room or poll anew, in the live view: for example poll/bands-2026
    #[arg(long, conflicts_with_all = ["dry_run", "diff", "promote", "rollback", "list", "collect", "view", "from", "to"])]
    aggregate: Option<Aggregate>,
    /// Print at most so many differing rows
    #[arg(long, value_name = "N", default_value_t = PAGE_ROWS_DEFAULT)]
    limit: usize,
    /// Do not ask before rows are removed
    #[arg(long)]
    yes: bool,
    /// How to write what is found
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    workers: WorkerOptions,
    #[command(flatten)]
    places: PlaceOptions,
}

/// A part of the journal: after the first position, up to and including the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    after: Position,
    until: Position,
}

/// Does what the flags say.
pub(crate) async fn run(settings: &Settings, replay: &Replay, stop: CancellationToken) -> anyhow::Result<Exit> {
    let first = projection(&replay.projection)?;
    if replay.dry_run {
        return dry_run::run(settings, replay, first, &stop).await;
    }
    if replay.list {
        return list::run(settings, replay, first).await;
    }
    if let Some(aggregate) = &replay.aggregate {
        return one(settings, replay, first, aggregate).await;
    }
    let shop = Shop::open(settings, &replay.places, first, settings.workers(&replay.workers)?).await?;
    if let Some(version) = replay.collect {
        return collect::run(&shop, version, replay.yes, &stop).await;
    }
    if replay.rollback {
        return promote::rollback(&shop, &stop).await;
    }
    let view = match build::run(&shop, replay, &stop).await? {
        build::Outcome::Built(view) => view,
        build::Outcome::Stopped => return Ok(Exit::Failed),
    };
    let mut exit = if shop.tell_parked(view).await? { Exit::Parked } else { Exit::Ok };
    if replay.diff {
        let same = compare::run(&shop, view, replay, &stop).await?;
        if !same && !replay.promote {
            exit = Exit::Difference;
        }
    }
    if replay.promote {
        match promote::promote(&shop, view, &stop).await? {
            Exit::Ok => {}
            failed => exit = failed,
        }
    }
    Ok(exit)
}

/// Makes the rows of one aggregate anew, in the live view.
async fn one(settings: &Settings, replay: &Replay, id: ProjectionId, aggregate: &Aggregate) -> anyhow::Result<Exit> {
    let mender = Mender::open(settings, &replay.places).await?;
    let mended = mender.rebuild(id, aggregate).await?;
    if mended.events == 0 {
        anyhow::bail!("the journal has no event of {aggregate}");
    }
    if replay.output == Form::Json {
        let told = serde_json::json!({ "aggregate": aggregate, "events": mended.events, "changed": mended.changed });
        output::json(&told)?;
    } else {
        output::line(&format!("{aggregate}: {} events folded, {} rows put right", mended.events, mended.changed))?;
    }
    Ok(Exit::Ok)
}

/// A projection by its name.
pub(crate) fn projection(name: &str) -> Result<ProjectionId, Usage> {
    ALL.into_iter().find(|id| id.name == name).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|id| id.name).collect();
        Usage(format!("there is no projection `{name}`: there are {}", known.join(", ")))
    })
}

fn name_of(id: ProjectionId) -> anyhow::Result<ProjectionName> {
    Ok(id.name.parse()?)
}

/// The number of this build's fold. Every projection of [`ALL`] has one.
fn fold_in_this_build(id: ProjectionId) -> u32 {
    fold_of(id.name).unwrap_or(1)
}

/// The part of the journal that `--from` and `--to` name; `None`: all of it.
async fn part(replay: &Replay, journal: &dyn cabildo_storage::Journal) -> anyhow::Result<Option<Part>> {
    if replay.from.is_none() && replay.to.is_none() {
        return Ok(None);
    }
    let head = journal.head().await?;
    let after = replay.from.unwrap_or(Moment::Begin).start(journal, head).await?;
    let until = replay.to.unwrap_or(Moment::End).end(journal, head).await?;
    if until <= after {
        return Err(Usage(format!(
            "there is no event in this part of the journal: it would begin after {after} and end at {until}"
        ))
        .into());
    }
    Ok(Some(Part { after, until }))
}

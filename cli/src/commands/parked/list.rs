//! `cabildo parked list`.

use cabildo_events::{Aggregate, Position, Timestamp};
use comfy_table::{Table, presets};
use serde::Serialize;

use super::{of_all, waits};
use crate::commands::replay::projection;
use crate::connect::promptly;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{JournalOptions, Settings};

/// List what is parked, oldest first
///
/// Exits with 4 if something is.
#[derive(clap::Args, Debug)]
pub(crate) struct List {
    /// Of this projection alone
    projection: Option<String>,
    /// Also those that only wait for an earlier event of their aggregate
    #[arg(short, long)]
    all: bool,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Serialize)]
struct Line<'a> {
    projection: &'static str,
    version: u32,
    position: Position,
    aggregate: Option<&'a Aggregate>,
    parked: Timestamp,
    /// Later events of its aggregate that wait for it.
    waiting: usize,
    reason: &'a str,
}

/// Lists it.
pub(crate) async fn run(settings: &Settings, list: &List) -> anyhow::Result<Exit> {
    let only = list.projection.as_deref().map(projection).transpose()?;
    let address = settings.journal(&list.journal)?;
    let journal = promptly(&address, cabildo_storage::open_journal_read_only(address.expose())).await?;
    let found = of_all(&*journal, only).await?;
    let mut lines = Vec::new();
    for (view, parked) in &found {
        for one in parked.iter().filter(|one| list.all || !waits(one, parked)) {
            let behind = |other: &&cabildo_storage::Parked| {
                one.aggregate.is_some() && other.aggregate == one.aggregate && other.position > one.position
            };
            lines.push(Line {
                projection: view.name,
                version: view.version,
                position: one.position,
                aggregate: one.aggregate.as_ref(),
                parked: one.parked,
                waiting: parked.iter().filter(behind).count(),
                reason: &one.reason,
            });
        }
    }
    let any = !lines.is_empty();
    if list.output == Form::Json {
        lines.iter().try_for_each(output::json)?;
    } else if any {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header([
            "projection",
            "version",
            "position",
            "aggregate",
            "waiting",
            "parked",
            "reason",
        ]);
        for line in lines {
            table.add_row([
                line.projection.to_owned(),
                line.version.to_string(),
                line.position.to_string(),
                line.aggregate.map(ToString::to_string).unwrap_or_default(),
                line.waiting.to_string(),
                line.parked.to_string(),
                line.reason.to_owned(),
            ]);
        }
        output::line(&table.to_string())?;
        output::note("fold them again with `cabildo parked retry`, or leave one out with `cabildo parked discard`");
    } else {
        output::note("nothing is parked");
    }
    Ok(if any { Exit::Parked } else { Exit::Ok })
}

//! `cabildo parked list`.

use std::collections::{BTreeMap, BTreeSet};

use cabildo_events::{Aggregate, Position, Timestamp};
use comfy_table::{Table, presets};
use serde::Serialize;

use super::of_all;
use crate::commands::events::open;
use crate::commands::replay::projection;
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
    let journal = open(settings, &list.journal).await?;
    let found = of_all(&*journal, only).await?;
    let mut lines = Vec::new();
    for (view, parked) in &found {
        // The first of an aggregate stands for itself; those behind it only wait.
        let mut behind: BTreeMap<&Aggregate, usize> = BTreeMap::new();
        for aggregate in parked.iter().filter_map(|one| one.aggregate.as_ref()) {
            *behind.entry(aggregate).or_default() += 1;
        }
        let mut seen = BTreeSet::new();
        for one in parked {
            let waiting = one.aggregate.as_ref().and_then(|aggregate| behind.get_mut(aggregate));
            let waiting = waiting.map_or(0, |left| {
                *left -= 1;
                *left
            });
            let is_first = one.aggregate.as_ref().is_none_or(|aggregate| seen.insert(aggregate));
            if !is_first && !list.all {
                continue;
            }
            lines.push(Line {
                projection: view.name,
                version: view.version,
                position: one.position,
                aggregate: one.aggregate.as_ref(),
                parked: one.parked,
                waiting,
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

//! What differs between a view and the live one, at the same positions, while both may be moving.

use anyhow::bail;
use async_trait::async_trait;
use cabildo_consumers::Builder;
use cabildo_consumers::compare::{CompareError, Difference, Reach, Row, RowKey, Sides, Waiting, compare_lane};
use cabildo_events::operation::Stage;
use cabildo_events::{Lane, Position};
use cabildo_projections::{ProjectionId, tables_of};
use cabildo_storage::{Sink, SinkError};
use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Replay;
use super::shop::Shop;
use crate::output::{self, Form};

/// A row that is not the same in both.
#[derive(Serialize)]
struct Differs {
    table: &'static str,
    row: String,
    /// Where both stand.
    position: Position,
    /// As it is read now.
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    /// As it would be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

/// What was found.
#[derive(Default)]
struct Found {
    shown: Vec<Differs>,
    differing: u64,
    limit: usize,
}

impl Found {
    fn take<K: RowKey, R: Row>(&mut self, difference: Difference<K, R>) {
        self.differing += 1;
        if self.shown.len() < self.limit {
            let Difference { position, key, expected, found, .. } = difference;
            let (table, row) = key.shown();
            let text = |row: Option<R>| row.map(|row| row.shown());
            self.shown.push(Differs { table, row, position, old: text(found), new: text(expected) });
        }
    }
}

/// Prints the rows that differ; whether none does.
pub(super) async fn run(
    shop: &Shop,
    view: ProjectionId,
    replay: &Replay,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let decided = shop.decided().await?;
    let live = shop.view(decided.live());
    let stage = decided.views().get(&view.version).map(|view| view.stage);
    match stage {
        Some(Stage::Live) => bail!("{view} is the live view: there is nothing to compare it with"),
        Some(Stage::Scratch) => bail!("{view} shows a part of the journal: it cannot be compared with the live view"),
        _ => {}
    }
    let bar = output::bar(None, &format!("comparing {view} with {live}"));
    let mut waiting = Waiting::default();
    let mut bringing;
    let reach: &mut dyn Reach = if stage == Some(Stage::Building) {
        bringing = Bringing { shop, builder: shop.builder().await?, view, bar: bar.clone(), stop };
        &mut bringing
    } else {
        &mut waiting
    };
    let mut found = Found { limit: replay.limit, ..Found::default() };
    let compared = async {
        match view.keeps_counters() {
            true => lanes(&*shop.opened.counters, view, live, reach, &mut found).await,
            false => lanes(&*shop.opened.documents, view, live, reach, &mut found).await,
        }
    };
    let compared = stop.run_until_cancelled(compared).await.unwrap_or(Err(CompareError::Stopped));
    bar.finish_and_clear();
    compared?;
    print(&found, view, live, replay.output)?;
    Ok(found.differing == 0)
}

async fn lanes<S>(
    sink: &S,
    view: ProjectionId,
    live: ProjectionId,
    reach: &mut dyn Reach,
    found: &mut Found,
) -> Result<(), CompareError>
where
    S: Sink<Key: RowKey, Row: Row> + ?Sized,
{
    let sides = Sides { expected: (sink, view), found: (sink, live), tables: tables_of(view.name) };
    for lane in Lane::all() {
        compare_lane(&sides, lane, reach, &mut |difference| found.take(difference)).await?;
    }
    Ok(())
}

/// A view that is being built stands where this process leaves it: it is brought to where the live one was found.
struct Bringing<'a> {
    shop: &'a Shop,
    builder: Builder,
    view: ProjectionId,
    bar: ProgressBar,
    stop: &'a CancellationToken,
}

#[async_trait]
impl Reach for Bringing<'_> {
    async fn reach(&mut self, _lane: Lane, watermark: u64) -> Result<(), CompareError> {
        let failed = |reason: String| SinkError::Unavailable { sink: "the view", reason };
        let plan = self.shop.plan(self.view, Position::START, Position::at(watermark)).await;
        let plan = plan.map_err(|error| failed(format!("{error:#}")))?;
        Ok(self.builder.build(&plan, self.stop).await.map_err(|error| failed(error.to_string()))?)
    }

    async fn looked_at(&mut self, rows: usize) -> Result<(), CompareError> {
        self.bar.inc(rows as u64);
        Ok(())
    }
}

fn print(found: &Found, view: ProjectionId, live: ProjectionId, form: Form) -> anyhow::Result<()> {
    if form == Form::Json {
        found.shown.iter().try_for_each(output::json)?;
    } else if !found.shown.is_empty() {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(["table", "row", &live.to_string(), &view.to_string()]);
        for Differs { table: name, row, old, new, .. } in &found.shown {
            let text = |row: &Option<String>| row.clone().unwrap_or_else(|| "-".to_owned());
            table.add_row([(*name).to_owned(), row.clone(), text(old), text(new)]);
        }
        output::line(&table.to_string())?;
    }
    let shown = found.shown.len();
    let more =
        if found.differing > shown as u64 { format!(" ({shown} of them shown: --limit)") } else { String::new() };
    match found.differing {
        0 => output::note(&format!("{view} and {live} hold the same")),
        differing => output::note(&format!("{differing} rows of {view} and {live} differ{more}")),
    }
    Ok(())
}

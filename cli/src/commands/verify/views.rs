//! The views, against the journal folded afresh.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use cabildo_consumers::verify::{Check, Checked, Divergence, Progress, Scratch, foreign_fold, sample, verify};
use cabildo_events::{Lane, Position};
use cabildo_projections::ProjectionId;
use cabildo_storage::Views;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Verify;
use crate::connect::open_read_only;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::Settings;

#[derive(Serialize)]
struct Row<'a> {
    projection: &'static str,
    version: u32,
    lane: u8,
    position: Position,
    table: &'static str,
    key: &'a str,
    expected: Option<&'a str>,
    found: Option<&'a str>,
}

#[derive(Serialize)]
struct Summary {
    projection: &'static str,
    version: u32,
    divergent_rows: u64,
    rows: u64,
    events: u64,
    /// Everything up to here was folded.
    position: Position,
    lanes: usize,
    seconds: f64,
}

/// Checks one projection after the other.
pub(super) async fn run(
    settings: &Settings,
    options: &Verify,
    projections: &[ProjectionId],
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let places = options.places.places();
    let ports = open_read_only(&settings.places(&places)?).await?.into_consumer_ports();
    let lanes = match options.sample {
        Some(percent) => {
            let seed = options.seed.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond().unsigned_abs());
            let lanes = sample(percent, seed);
            let names: Vec<_> = lanes.iter().map(Lane::to_string).collect();
            output::note(&format!("lanes {} (--sample {percent}% --seed {seed})", names.join(" ")));
            lanes
        }
        None => Lane::all().collect(),
    };
    let decided = Views::read(&*ports.journal).await?;
    let mut exit = Exit::Ok;
    for first in projections {
        let decided = decided.of(first.name);
        let view = ProjectionId { version: decided.live(), ..*first };
        if let Some(fold) = foreign_fold(first.name, &decided) {
            anyhow::bail!(
                "{view} is kept up by fold {fold}, which is not this build's: verify it with the build that keeps it up"
            );
        }
        let check = Check { view, decided, lanes: lanes.clone(), per_second: None };
        let began = Instant::now();
        let (rows, checked) = one(&check, &ports, options.limit, &stop).await?;
        print(options.output, &rows, view, checked, began.elapsed().as_secs_f64())?;
        if checked.divergent > 0 {
            exit = Exit::Difference;
        }
    }
    Ok(exit)
}

async fn one(
    check: &Check,
    ports: &cabildo_consumers::Ports,
    limit: usize,
    stop: &CancellationToken,
) -> anyhow::Result<(Vec<Divergence>, Checked)> {
    let scratch = Scratch::open().await.context("a place to fold the journal afresh into")?;
    let progress = Arc::new(Progress::default());
    let _shown = super::show(progress.clone(), check.view.name);
    let mut rows = Vec::new();
    let mut report = |row: Divergence| {
        if rows.len() < limit {
            rows.push(row);
        }
    };
    let checking = verify(check, ports, &scratch, progress, stop, &mut report);
    let checked = match stop.run_until_cancelled(checking).await {
        Some(checked) => checked.map_err(super::failed)?,
        None => return Err(super::failed(cabildo_consumers::compare::CompareError::Stopped)),
    };
    Ok((rows, checked))
}

fn print(form: Form, rows: &[Divergence], view: ProjectionId, checked: Checked, seconds: f64) -> anyhow::Result<()> {
    let Checked { rows: compared, events, until, lanes, divergent } = checked;
    if form == Form::Json {
        for Divergence { view, lane, position, table, key, expected, found } in rows {
            let (expected, found) = (expected.as_deref(), found.as_deref());
            let (projection, version) = (view.name, view.version);
            let (lane, position) = (lane.number(), *position);
            output::json(&Row { projection, version, lane, position, table, key, expected, found })?;
        }
        let (projection, version) = (view.name, view.version);
        return output::json(&Summary {
            projection,
            version,
            divergent_rows: divergent,
            rows: compared,
            events,
            position: until,
            lanes,
            seconds,
        });
    }
    if !rows.is_empty() {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["projection", "lane", "at", "table", "row", "expected", "found"]);
        for Divergence { view, lane, position, table: name, key, expected, found } in rows {
            let shown = |row: &Option<String>| row.clone().unwrap_or_else(|| "nothing".to_owned());
            let (lane, position) = (lane.to_string(), position.to_string());
            let (expected, found) = (shown(expected), shown(found));
            table.add_row([&view.to_string(), &lane, &position, *name, key, &expected, &found]);
        }
        output::line(&table.to_string())?;
    }
    let unsaid = divergent.saturating_sub(rows.len() as u64);
    if unsaid > 0 {
        output::note(&format!("{unsaid} more rows differ: see them with --limit {divergent}"));
    }
    let verdict = match divergent {
        0 => "as the journal makes it".to_owned(),
        1 => "1 row differs".to_owned(),
        many => format!("{many} rows differ"),
    };
    let of = if lanes == 64 { String::new() } else { format!(" of {lanes} lanes") };
    Ok(output::line(&format!(
        "{view}: {verdict}: {compared} rows{of} compared, {events} events folded, up to {until}, {seconds:.1} s"
    ))?)
}

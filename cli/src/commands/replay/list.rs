//! The views of a projection.

use cabildo_events::Position;
use cabildo_events::operation::View;
use cabildo_storage::Views;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::Replay;
use crate::commands::projections::applied_up_to;
use crate::connect::open_read_only;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::Settings;
use cabildo_projections::ProjectionId;

#[derive(Serialize)]
struct Listed {
    projection: &'static str,
    view: u32,
    fold: Option<u32>,
    /// `live`, `kept`, `building`, `scratch`, or `left over`.
    stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Position>,
    /// Everything up to here is applied.
    watermark: Position,
    /// Positions of the journal behind it.
    behind: u64,
    parked: usize,
}

/// Lists them.
pub(super) async fn run(settings: &Settings, replay: &Replay, first: ProjectionId) -> anyhow::Result<Exit> {
    let opened = open_read_only(&settings.places(&replay.places)?).await?;
    let decided = Views::read(&*opened.journal).await?.of(first.name);
    let in_sink = opened.versions_in_sink(first).await?;
    let known = decided.views().iter().map(|(version, view)| (*version, Some(*view)));
    let left_over = in_sink.into_iter().filter(|version| !decided.views().contains_key(version));
    let mut views: Vec<(u32, Option<View>)> = known.chain(left_over.map(|version| (version, None))).collect();
    views.sort_unstable_by_key(|(version, _)| *version);

    let mut listed = Vec::new();
    for (version, about) in views {
        let view = ProjectionId { version, ..first };
        let stands = opened.watermarks(view).await?;
        let heads = opened.journal.lane_heads().await?;
        let head = heads.0.iter().copied().max().unwrap_or(0);
        let watermark = applied_up_to(&stands, &heads);
        let (from, to) = about.map_or((None, None), |view| view.part);
        listed.push(Listed {
            projection: first.name,
            view: version,
            fold: about.map(|view| view.fold),
            stage: about.map_or("left over", |view| view.stage.name()),
            from,
            to,
            watermark,
            behind: head.saturating_sub(watermark.seq),
            parked: opened.journal.parked(first.name, version).await?.len(),
        });
    }
    if replay.output == Form::Json {
        output::json(&listed)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["view", "fold", "stage", "watermark", "behind", "parked", "part"]);
    for row in listed {
        let end = |position: Option<Position>| position.map_or_else(String::new, |position| position.to_string());
        let part = if row.from.is_some() || row.to.is_some() {
            format!("{}..{}", end(row.from), end(row.to))
        } else {
            String::new()
        };
        table.add_row([
            format!("{}.v{}", row.projection, row.view),
            row.fold.map_or_else(String::new, |fold| fold.to_string()),
            row.stage.to_owned(),
            row.watermark.to_string(),
            row.behind.to_string(),
            row.parked.to_string(),
            part,
        ]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Ok)
}

//! What a replay would do.

use std::collections::BTreeMap;

use cabildo_events::{Position, Recorded, Timestamp};
use cabildo_projections::activity::UNREADABLE;
use cabildo_projections::lists::Lists;
use cabildo_projections::rooms::Rooms;
use cabildo_projections::tally::Tally;
use cabildo_projections::{Projection, ProjectionId, lists, rooms, tally};
use cabildo_storage::{Journal, Views, open_journal_read_only};
use comfy_table::{Table, presets};
use futures::StreamExt;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::build::{Chosen, choose};
use super::{Part, Replay, fold_in_this_build, part};
use crate::connect::promptly;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::Settings;

/// Events of one type.
#[derive(Default, Serialize)]
struct Kind {
    /// How many there are.
    events: u64,
    /// How many of them concern the projection; the others are stepped over.
    folded: u64,
}

#[derive(Serialize)]
struct Report {
    projection: &'static str,
    /// The number that the view has or would get.
    view: u32,
    fold: u32,
    /// Whether a view is gone on with that is being built already.
    resumes: bool,
    events: u64,
    discarded: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    types: BTreeMap<String, Kind>,
}

/// Reads the part of the journal that would be folded, and tells of it.
pub(super) async fn run(
    settings: &Settings,
    replay: &Replay,
    first: ProjectionId,
    stop: &CancellationToken,
) -> anyhow::Result<Exit> {
    let place = settings.places(&replay.places)?.journal;
    let journal = promptly(&place, open_journal_read_only(place.expose())).await?;
    let fold = fold_in_this_build(first);
    let decided = Views::read(&*journal).await?.of(first.name);
    let part = part(replay, &*journal).await?;
    let chosen = choose(&decided, None, fold, part).map_err(anyhow::Error::msg)?;
    let (view, resumes) = match chosen {
        Chosen::There(version, _) => (version, true),
        Chosen::New => (decided.next_version(), false),
    };
    let mut report = Report {
        projection: first.name,
        view,
        fold,
        resumes,
        events: 0,
        discarded: decided.discarded().len(),
        from: None,
        to: None,
        since: None,
        until: None,
        types: BTreeMap::new(),
    };
    let whole = Part { after: Position::START, until: journal.head().await? };
    let counting = count(&*journal, first, part.unwrap_or(whole), &mut report);
    let Some(counted) = stop.run_until_cancelled(counting).await else { return Ok(Exit::Failed) };
    counted?;
    match replay.output {
        Form::Json => output::json(&report)?,
        Form::Pretty => print(&report, first)?,
    }
    Ok(Exit::Ok)
}

async fn count(journal: &dyn Journal, first: ProjectionId, part: Part, report: &mut Report) -> anyhow::Result<()> {
    if part.until <= part.after {
        return Ok(());
    }
    let bar = output::bar(Some(part.until.seq - part.after.seq), "reading");
    let mut pages = journal.read(part.after, part.until).await?;
    while let Some(page) = pages.next().await {
        let page = page?;
        bar.inc(page.len() as u64);
        for event in &page {
            let kind = event.envelope.as_ref().map_or(UNREADABLE, |envelope| &envelope.kind);
            let kind = match report.types.get_mut(kind) {
                Some(kind) => kind,
                None => report.types.entry(kind.to_owned()).or_default(),
            };
            kind.events += 1;
            kind.folded += u64::from(concerns(first, event));
            report.events += 1;
            report.from.get_or_insert(event.position);
            report.since.get_or_insert(event.recorded);
            (report.to, report.until) = (Some(event.position), Some(event.recorded));
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Whether a projection reads an event, or stumbles over it.
fn concerns(projection: ProjectionId, event: &Recorded) -> bool {
    match projection {
        tally::ID => !matches!(Tally.step(event), Ok(None)),
        lists::ID => !matches!(Lists.step(event), Ok(None)),
        rooms::ID => !matches!(Rooms.step(event), Ok(None)),
        // The others take everything in.
        _ => true,
    }
}

fn print(report: &Report, first: ProjectionId) -> anyhow::Result<()> {
    let view = ProjectionId { version: report.view, ..first };
    let what = if report.resumes { "would go on with" } else { "would begin" };
    output::line(&format!("{what} {view}, by fold {}; nothing was done", report.fold))?;
    let (Some(from), Some(to), Some(since), Some(until)) = (report.from, report.to, report.since, report.until) else {
        output::line("the journal is empty")?;
        return Ok(());
    };
    output::line(&format!("{} events, {from} to {to}, stored {since} to {until}", report.events))?;
    if report.discarded > 0 {
        output::line(&format!("{} events are left out, as operators decided", report.discarded))?;
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["type", "events", "folded"]);
    for (kind, Kind { events, folded }) in &report.types {
        table.add_row([kind.clone(), events.to_string(), folded.to_string()]);
    }
    Ok(output::line(&table.to_string())?)
}

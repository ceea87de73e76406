//! The journal, against the record, an export, or an anchor.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use cabildo_consumers::verify::{Against, Finding, JournalChecked, Kept, Progress, verify_journal};
use cabildo_events::wire::{ChainHead, Link};
use cabildo_events::{Lane, Position};
use cabildo_projections::{ProjectionId, record};
use cabildo_storage::Views;
use comfy_table::{ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Verify, file};
use crate::connect::open_read_only;
use crate::exit::{Exit, Usage};
use crate::output::{self, Form};
use crate::settings::Settings;

/// Where the chain of each lane stood: what `--save` writes.
#[derive(Debug, Serialize, Deserialize)]
struct Anchor {
    /// `anchor`.
    cabildo: String,
    /// The last position read.
    position: Position,
    /// The lanes that have events.
    lanes: Vec<LaneHead>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
struct LaneHead {
    lane: u8,
    #[serde(flatten)]
    head: ChainHead,
}

const ANCHOR: &str = "anchor";

/// Checks the journal.
pub(super) async fn run(settings: &Settings, options: &Verify, stop: CancellationToken) -> anyhow::Result<Exit> {
    let places = settings.places(&options.places.places())?;
    let ports = open_read_only(&places).await?.into_consumer_ports();
    let version = Views::read(&*ports.journal).await?.of(record::ID.name).live();
    let record = ProjectionId { version, ..record::ID };

    let mut kept = None;
    let mut against = None;
    if let Some(path) = &options.against {
        match anchor(path)? {
            Some(anchor) => against = Some(Against::Anchor(anchor)),
            None => kept = Some(kept_events(path)?),
        }
    }
    if let Some(kept) = &mut kept {
        against = Some(Against::Export(kept));
    }
    let progress = Arc::new(Progress::default());
    let began = Instant::now();
    let checked = {
        let _shown = super::show(progress.clone(), "events");
        verify_journal(&ports, record, against, &progress, &stop).await.map_err(super::failed)?
    };
    if let Some(reason) = &checked.cut_off {
        anyhow::bail!("{}: {reason}", options.against.as_deref().unwrap_or(Path::new("")).display());
    }
    print(options.output, &checked, began.elapsed().as_secs_f64())?;
    if !checked.findings.is_empty() {
        if options.save.is_some() {
            output::note("nothing is saved: an anchor of a journal that differs would hide it");
        }
        return Ok(Exit::Difference);
    }
    if let Some(path) = &options.save {
        save(path, &checked)?;
    }
    Ok(Exit::Ok)
}

/// What `--save` wrote, if that is what it is.
fn anchor(path: &Path) -> anyhow::Result<Option<BTreeMap<Lane, ChainHead>>> {
    let wrong = |error: &dyn std::fmt::Display| Usage(format!("--against {}: {error}", path.display()));
    let Some(first) = file::lines(path).map_err(|error| wrong(&error))?.next() else {
        return Err(wrong(&"it is empty").into());
    };
    let first = first.map_err(|error| wrong(&error))?;
    let Ok(anchor) = serde_json::from_slice::<Anchor>(&first) else { return Ok(None) };
    if anchor.cabildo != ANCHOR {
        return Ok(None);
    }
    let head = |one: LaneHead| Lane::new(one.lane).map(|lane| (lane, one.head));
    let heads: Option<BTreeMap<_, _>> = anchor.lanes.into_iter().map(head).collect();
    heads.map(Some).ok_or_else(|| wrong(&"it names a lane that there is not").into())
}

/// The events of an export.
fn kept_events(path: &Path) -> anyhow::Result<Box<dyn Iterator<Item = Result<Kept, String>> + Send>> {
    let shown = format!("--against {}", path.display());
    let events = file::events(path).with_context(|| shown)?;
    Ok(Box::new(events.map(|exported| {
        let event = exported?.event;
        Ok(Kept { position: event.position, lane: event.lane, content: Link::START.next(&event) })
    })))
}

fn save(path: &Path, checked: &JournalChecked) -> anyhow::Result<()> {
    let lanes = checked.chains.heads().map(|(lane, head)| LaneHead { lane: lane.number(), head }).collect();
    let anchor = Anchor { cabildo: ANCHOR.to_owned(), position: checked.until, lanes };
    std::fs::write(path, format!("{}\n", serde_json::to_string(&anchor)?)).with_context(|| path.display().to_string())
}

#[derive(Serialize)]
struct Row<'a> {
    lane: u8,
    position: Position,
    kind: &'static str,
    what: &'a str,
    more: u64,
}

#[derive(Serialize)]
struct Summary {
    lanes_differing: usize,
    events: u64,
    unreadable: u64,
    documents: u64,
    position: Position,
    seconds: f64,
}

fn print(form: Form, checked: &JournalChecked, seconds: f64) -> anyhow::Result<()> {
    let JournalChecked { events, unreadable, documents, until, findings, .. } = checked;
    if form == Form::Json {
        for Finding { lane, position, kind, what, more } in findings.values() {
            output::json(&Row { lane: lane.number(), position: *position, kind: kind.name(), what, more: *more })?;
        }
        return output::json(&Summary {
            lanes_differing: findings.len(),
            events: *events,
            unreadable: *unreadable,
            documents: *documents,
            position: *until,
            seconds,
        });
    }
    if !findings.is_empty() {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["lane", "position", "event is", "", "more in the lane"]);
        for Finding { lane, position, kind, what, more } in findings.values() {
            table.add_row([
                lane.to_string(),
                position.to_string(),
                kind.name().to_owned(),
                what.clone(),
                more.to_string(),
            ]);
        }
        output::line(&table.to_string())?;
    }
    if *unreadable > 0 {
        output::note(&format!("{unreadable} messages are no readable events"));
    }
    let verdict = match findings.len() {
        0 => "as it was".to_owned(),
        lanes => format!("differs in {lanes} of 64 lanes"),
    };
    Ok(output::line(&format!(
        "journal: {verdict}: {events} events up to {until}, {documents} compared with the record, {seconds:.1} s"
    ))?)
}

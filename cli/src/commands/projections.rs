//! `cabildo projections …`: what is derived from the events, and how far it has got.

use std::sync::Arc;

use anyhow::Context;
use cabildo_events::{Position, Timestamp};
use cabildo_projections::{ALL, ProjectionId, activity, tally};
use cabildo_storage::lag::{self, Behind};
use cabildo_storage::{Counters, Documents, Journal, LaneHeads, Watermarks};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::address::Port;
use crate::connect::promptly;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{PlaceOptions, Places, Settings};

/// Show what is derived from the events, and how far it has got
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Projections {
    /// List every projection with its version, its sink, and how far it has got
    List(ProjectionOptions),
    /// Count what each projection has yet to apply, in events and seconds
    ///
    /// Exits with 4 if something is parked.
    Lag(ProjectionOptions),
    Rows(super::rows::Rows),
    Pause(super::pause::Pause),
    Resume(super::pause::Resume),
}

/// What both take.
#[derive(clap::Args, Debug)]
pub(crate) struct ProjectionOptions {
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    places: PlaceOptions,
}

struct Opened {
    journal: Arc<dyn Journal>,
    counters: Arc<dyn Counters>,
    documents: Arc<dyn Documents>,
    places: Places,
}

async fn open(settings: &Settings, options: &ProjectionOptions) -> anyhow::Result<Opened> {
    let places = settings.places(&options.places)?;
    let journal = promptly(&places.journal, cabildo_storage::open_journal_read_only(places.journal.expose())).await?;
    let counters = cabildo_storage::open_counters_read_only(places.counters.expose());
    let counters = promptly(&places.counters, counters).await?;
    let documents = cabildo_storage::open_documents_read_only(places.documents.expose());
    let documents = promptly(&places.documents, documents).await?;
    Ok(Opened { journal, counters, documents, places })
}

impl Opened {
    /// Which sink holds a projection, and where.
    fn sink(&self, id: ProjectionId) -> (Port, String) {
        if [tally::ID, activity::ID].contains(&id) {
            (Port::Counters, self.places.counters.to_string())
        } else {
            (Port::Documents, self.places.documents.to_string())
        }
    }

    async fn watermarks(&self, id: ProjectionId) -> anyhow::Result<Watermarks> {
        let watermarks = match self.sink(id).0 {
            Port::Counters => self.counters.watermarks(id).await,
            _ => self.documents.watermarks(id).await,
        };
        watermarks.with_context(|| id.to_string())
    }
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    version: u32,
    sink: &'static str,
    address: String,
    /// Everything up to here is applied.
    watermark: Position,
}

/// Lists the projections.
pub(crate) async fn list(settings: &Settings, options: &ProjectionOptions) -> anyhow::Result<Exit> {
    let opened = open(settings, options).await?;
    let mut listed = Vec::new();
    for id in ALL {
        // The watermarks first: what is appended meanwhile must not look applied.
        let watermarks = opened.watermarks(id).await?;
        let heads = opened.journal.lane_heads().await?;
        let (port, address) = opened.sink(id);
        let watermark = applied_up_to(&watermarks, &heads);
        listed.push(Listed { name: id.name, version: id.version, sink: port.name(), address, watermark });
    }
    if options.output == Form::Json {
        output::json(&listed)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["projection", "version", "sink", "watermark", "address"]);
    for Listed { name, version, sink, watermark, address } in listed {
        table.add_row([name.to_owned(), version.to_string(), sink.to_owned(), watermark.to_string(), address]);
    }
    output::line(&table.to_string())?;
    Ok(Exit::Ok)
}

/// The last position up to which no lane misses an event: that of the journal's last event if none is behind.
pub(crate) fn applied_up_to(watermarks: &Watermarks, heads: &LaneHeads) -> Position {
    let behind = lag::lacking(watermarks, heads).map(|(after, _)| after);
    behind.unwrap_or_else(|| Position::at(heads.0.iter().copied().max().unwrap_or(0)))
}

#[derive(Serialize)]
struct Lag {
    name: &'static str,
    version: u32,
    /// Events yet to be applied.
    events: u64,
    /// Whether there are more than were counted.
    at_least: bool,
    /// Since when the oldest of them waits, in seconds.
    seconds: f64,
    /// Events set aside.
    parked: usize,
}

/// Counts what is yet to be applied.
pub(crate) async fn lag(settings: &Settings, options: &ProjectionOptions) -> anyhow::Result<Exit> {
    let opened = open(settings, options).await?;
    let mut lags = Vec::new();
    for id in ALL {
        let watermarks = opened.watermarks(id).await?;
        let heads = opened.journal.lane_heads().await?;
        let Behind { events, at_least, oldest } = lag::behind(&*opened.journal, &watermarks, &heads).await?;
        let parked = opened.journal.parked(id.name, id.version).await?.len();
        let seconds = oldest.map_or(0.0, seconds_since);
        lags.push(Lag { name: id.name, version: id.version, events, at_least, seconds, parked });
    }
    let parked = lags.iter().any(|lag| lag.parked > 0);
    if options.output == Form::Json {
        output::json(&lags)?;
    } else {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(["projection", "version", "events behind", "seconds", "parked"]);
        for Lag { name, version, events, at_least, seconds, parked } in lags {
            let events = if at_least { format!("at least {events}") } else { events.to_string() };
            table.add_row([name.to_owned(), version.to_string(), events, format!("{seconds:.1}"), parked.to_string()]);
        }
        output::line(&table.to_string())?;
    }
    Ok(if parked { Exit::Parked } else { Exit::Ok })
}

fn seconds_since(time: Timestamp) -> f64 {
    let micros = Timestamp::from(jiff::Timestamp::now()).micros().saturating_sub(time.micros()).max(0);
    #[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a second")]
    let micros = micros as f64;
    micros / 1e6
}

//! `cabildo projections …`: what is derived from the events, and how far it has got.

use anyhow::Context;
use cabildo_events::{Position, Timestamp};
use cabildo_projections::{ALL, ProjectionId};
use cabildo_storage::lag::{self, Behind};
use cabildo_storage::{LaneHeads, Views, Watermarks};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::address::Port;
use crate::connect::{Opened, open_read_only};
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{PlaceOptions, Places, Settings};

/// Show what is derived from the events, and how far it has got
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Projections {
    /// List every projection with the view of it that is read, its sink, and how far it has got
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

/// The places of the views, and which view of each projection is read.
struct Looked {
    opened: Opened,
    places: Places,
    live: Vec<ProjectionId>,
}

async fn look(settings: &Settings, options: &ProjectionOptions) -> anyhow::Result<Looked> {
    let places = settings.places(&options.places)?;
    let opened = open_read_only(&places).await?;
    let decided = Views::read(&*opened.journal).await?;
    let live = ALL.map(|id| ProjectionId { version: decided.of(id.name).live(), ..id }).to_vec();
    Ok(Looked { opened, places, live })
}

impl Looked {
    /// Which sink holds a view, and where.
    fn sink(&self, view: ProjectionId) -> (Port, String) {
        match view.keeps_counters() {
            true => (Port::Counters, self.places.counters.to_string()),
            false => (Port::Documents, self.places.documents.to_string()),
        }
    }

    async fn watermarks(&self, view: ProjectionId) -> anyhow::Result<Watermarks> {
        self.opened.watermarks(view).await.with_context(|| view.to_string())
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
    let looked = look(settings, options).await?;
    let mut listed = Vec::new();
    for id in &looked.live {
        // The watermarks first: what is appended meanwhile must not look applied.
        let watermarks = looked.watermarks(*id).await?;
        let heads = looked.opened.journal.lane_heads().await?;
        let (port, address) = looked.sink(*id);
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
    let looked = look(settings, options).await?;
    let journal = &looked.opened.journal;
    let mut lags = Vec::new();
    for id in &looked.live {
        let watermarks = looked.watermarks(*id).await?;
        let heads = journal.lane_heads().await?;
        let Behind { events, at_least, oldest } = lag::behind(&**journal, &watermarks, &heads).await?;
        let parked = journal.parked(id.name, id.version).await?.len();
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

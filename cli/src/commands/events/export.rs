//! `cabildo events export`.

use std::io::{self, BufWriter, IsTerminal, Write};

use cabildo_events::{Position, wire};
use cabildo_storage::{Journal, Moment};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::output;
use crate::settings::{JournalOptions, Settings};

/// Write events to stdout, one CloudEvents object per line
///
/// What `cabildo events import` reads. When a journal stored an event is its own affair and is left out, so an export
/// of an import is the same, byte for byte.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// Where to begin: begin, end, a position (0-12), a time (2026-11-21T10:00Z) or how long ago (-5m)
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "begin")]
    from: Moment,
    /// Where to end: a position is included, a time is not
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "end")]
    to: Moment,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Writes events as they are read; nothing is held.
pub(crate) async fn run(settings: &Settings, export: &Export, stop: CancellationToken) -> anyhow::Result<Exit> {
    let journal = super::open(settings, &export.journal).await?;
    match stop.run_until_cancelled(write_all(&*journal, export)).await {
        Some(written) => {
            output::note(&format!("{} events exported", written?));
            Ok(Exit::Ok)
        }
        None => anyhow::bail!("interrupted: what was written is not complete"),
    }
}

async fn write_all(journal: &dyn Journal, export: &Export) -> anyhow::Result<u64> {
    let head = journal.head().await?;
    let after = export.from.start(journal, head).await?;
    let until = export.to.end(journal, head).await?;
    if after >= until {
        return Ok(0);
    }
    let mut out = BufWriter::new(io::stdout());
    // On a terminal the events themselves are the progress.
    let bar = if io::stdout().is_terminal() {
        indicatif::ProgressBar::hidden()
    } else {
        output::bar(Some(until.seq - after.seq), "events")
    };
    let mut events = 0;
    let mut pages = journal.read(after, until).await?;
    while let Some(page) = pages.next().await {
        for event in page? {
            writeln!(out, "{}", wire::to_portable_json(&event))?;
            events += 1;
            let Position { seq, .. } = event.position;
            bar.set_position(seq - after.seq);
        }
    }
    out.flush()?;
    bar.finish_and_clear();
    Ok(events)
}

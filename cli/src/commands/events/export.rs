//! `cabildo events export`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::bail;
use cabildo_events::wire::Ledger;
use cabildo_events::{EventId, Position};
use cabildo_storage::{Journal, Moment};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::file::Writer;
use crate::exit::{Exit, Usage};
use crate::output;
use crate::settings::{JournalOptions, Settings};

/// Write events to a file or stdout, one CloudEvents object per line
///
/// What `cabildo events import` reads. Each line has a link, a hash chained over the events of its lane; the last line is a
/// manifest with the number of events, the SHA-256 of all that stands before it and the last link of each lane. When a
/// journal stored an event is its own affair and is left out, so an export of an import is the same, byte for byte.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// Where to write; packed if its name ends in .zst [default: stdout]
    file: Option<PathBuf>,
    /// Where to begin: begin, end, a position (0-12), a time (2026-11-21T10:00Z) or how long ago (-5m)
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "begin")]
    from: Moment,
    /// Where to end: a position is included, a time is not
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, default_value = "end")]
    to: Moment,
    /// Pack with zstd
    #[arg(long)]
    zstd: bool,
    /// Go on with a file that was interrupted, after its last whole event
    #[arg(long, requires = "file", conflicts_with_all = ["zstd", "from"])]
    resume: bool,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Writes events as they are read; no more is held than a frame.
pub(crate) async fn run(settings: &Settings, export: &Export, stop: CancellationToken) -> anyhow::Result<Exit> {
    let journal = super::open(settings, &export.journal).await?;
    let journal = &*journal;
    let packed =
        export.zstd || export.file.as_deref().is_some_and(|file| file.extension().is_some_and(|end| end == "zst"));
    if packed && export.file.is_none() && io::stdout().is_terminal() {
        bail!(Usage("what is packed is nothing for a terminal: name a file, or leave --zstd out".to_owned()));
    }
    let head = journal.head().await?;
    let (mut writer, mut ledger, after) = match &export.file {
        Some(file) if export.resume => {
            let (writer, ledger, last) = Writer::resume(file, packed)?;
            if ledger.ended() {
                output::note(&format!("{} is complete already: {} events", file.display(), ledger.events()));
                return Ok(Exit::Ok);
            }
            belongs(journal, file, &ledger, last).await?;
            let after = ledger.last();
            (writer, ledger, after)
        }
        Some(file) => (Writer::create(file, packed)?, Ledger::default(), export.from.start(journal, head).await?),
        None => (Writer::stdout(packed), Ledger::default(), export.from.start(journal, head).await?),
    };
    let until = export.to.end(journal, head).await?;
    let written = write_all(journal, &mut writer, &mut ledger, (after, until), &stop).await;
    // Whatever happens, what is written is whole lines.
    writer.flush()?;
    if !written? {
        let resume = if export.file.is_some() { ": go on with --resume" } else { "" };
        bail!("interrupted after {} events, what was written is not complete{resume}", ledger.events());
    }
    let packed = if writer.packed() { ", packed" } else { "" };
    output::note(&format!("{} events exported{packed}", ledger.events()));
    Ok(Exit::Ok)
}

/// A file is gone on with only if its last event is the journal's.
async fn belongs(journal: &dyn Journal, file: &Path, ledger: &Ledger, last: Option<EventId>) -> anyhow::Result<()> {
    if ledger.events() == 0 {
        return Ok(());
    }
    let there = journal.get(ledger.last()).await?.and_then(|event| event.envelope.ok()).map(|envelope| envelope.id);
    if there != last {
        bail!(
            "{} is no export of this journal: its last event, at {}, is another one here",
            file.display(),
            ledger.last()
        );
    }
    Ok(())
}

/// Writes a range and the last line; false if it was told to stop before that.
async fn write_all(
    journal: &dyn Journal,
    writer: &mut Writer,
    ledger: &mut Ledger,
    (after, until): (Position, Position),
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    // On a terminal the events themselves are the progress.
    let bar = if io::stdout().is_terminal() {
        indicatif::ProgressBar::hidden()
    } else {
        output::bar(Some(until.seq.saturating_sub(after.seq)), "events")
    };
    if after < until {
        let mut pages = journal.read(after, until).await?;
        loop {
            let Some(page) = stop.run_until_cancelled(pages.next()).await else { return Ok(false) };
            let Some(page) = page else { break };
            for event in page? {
                writer.write(&ledger.write(&event))?;
                bar.set_position(event.position.seq - after.seq);
            }
        }
    }
    writer.write(&ledger.end())?;
    bar.finish_and_clear();
    Ok(true)
}

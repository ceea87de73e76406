//! `cabildo events import`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cabildo_events::limits::{
    APPEND_BATCH_BYTES_MAX, APPEND_BATCH_EVENTS_MAX, APPEND_RETRY_MS, RETRY_FIRST_MS, RETRY_LONGEST_MS,
};
use cabildo_events::wire::{Ledger, Line};
use cabildo_events::{Context as Part, Envelope, Event, Position, Recorded};
use cabildo_storage::{Append, AppendError, Appended, Expect, Journal, Pages};
use futures::StreamExt;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::file::{self, Lines};
use crate::connect::promptly;
use crate::exit::{Exit, Usage};
use crate::output::{self, Form};
use crate::settings::{JournalOptions, Settings};

/// Read events into the journal, in the order of the file
///
/// Ids, times and actors stay as they are. Each line is held to its link before it is written, the whole to the manifest in
/// the last line; a file without links is taken as it is. A whole export into an empty journal gives every event the position
/// that it had. Stops at the first bad line and says which; what was imported before it stays, and --resume goes on from there.
///
/// What operators decided about views (`operation.*`) is imported like the rest: the same view is live, the same events are
/// left out, a projection that was paused is paused here.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// One CloudEvents object per line, as `cabildo events export` writes them, packed with zstd or not; - for stdin
    file: PathBuf,
    /// Go on with an import that was interrupted: what the journal has must be how the file begins
    #[arg(long, conflicts_with = "append")]
    resume: bool,
    /// Add to a journal that has other events already; what is there by its id is not written twice (on JetStream, for as
    /// long as the server knows ids: two minutes)
    #[arg(long)]
    append: bool,
    /// Only check the file: nothing is opened, nothing written
    #[arg(long, conflicts_with_all = ["append", "resume"])]
    dry_run: bool,
    /// Leave out what operators decided about views; later events move up
    #[arg(long)]
    without_decisions: bool,
    /// Leave out what is no readable event; later events move up
    #[arg(long)]
    skip_unreadable: bool,
    /// How to write the report
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    journal: JournalOptions,
}

#[derive(Serialize, Default)]
struct Report {
    lines: u64,
    imported: u64,
    already_there: u64,
    left_out: u64,
    /// Whether the file's links and its manifest were there, and right.
    verified: bool,
    head: Position,
}

/// Imports, and reports how many.
pub(crate) async fn run(settings: &Settings, import: &Import, stop: CancellationToken) -> anyhow::Result<Exit> {
    let (lines, bytes) = file::open(&import.file)?;
    let address = settings.journal(&import.journal)?;
    let journal = if import.dry_run {
        None
    } else {
        Some(promptly(&address, cabildo_storage::open_journal(address.expose())).await?)
    };
    let head = match &journal {
        Some(journal) => journal.head().await?,
        None => Position::START,
    };
    if head != Position::START && !import.append && !import.resume {
        bail!(Usage(format!(
            "{address} has events already, up to {head}: import into an empty journal, go on with --resume, or add --append"
        )));
    }
    let there = match &journal {
        Some(journal) if import.resume => Some(There::begin(&**journal, head).await?),
        _ => None,
    };
    let bar = output::bar(bytes, "bytes");
    let mut importer =
        Importer { import, journal: journal.as_deref(), there, next: head.seq + 1, report: Report::default() };
    let imported = importer.all(lines, &bar, &stop).await;
    bar.finish_and_clear();
    let mut report = importer.report;
    report.head = match &journal {
        Some(journal) => journal.head().await?,
        None => Position::START,
    };
    match import.output {
        Form::Json => output::json(&report)?,
        Form::Pretty => output::line(&told(&report, import.dry_run))?,
    }
    imported.map(|()| Exit::Ok)
}

fn told(report: &Report, dry_run: bool) -> String {
    let Report { lines, imported, already_there, left_out, verified, head } = report;
    let left_out = if *left_out > 0 { format!(", {left_out} left out") } else { String::new() };
    let verified = if *verified { ", as they were exported" } else { "" };
    if dry_run {
        return format!("{lines} lines{verified}{left_out}: nothing was written");
    }
    format!(
        "{lines} lines{verified}: {imported} events imported, {already_there} there already{left_out}; the last event is at {head}"
    )
}

/// Events with their lines and the positions that they had, and what went wrong after them. Nothing at all: the end.
struct Chunk {
    events: Vec<(u64, Envelope, Option<Position>)>,
    lines: u64,
    left_out: u64,
    bytes: u64,
    error: Option<anyhow::Error>,
    end: bool,
}

/// Reads and checks, a batch at a time.
struct Reader {
    lines: Lines,
    ledger: Ledger,
    number: u64,
    without_decisions: bool,
    skip_unreadable: bool,
}

impl Reader {
    fn chunk(&mut self) -> Chunk {
        let mut chunk = Chunk { events: Vec::new(), lines: 0, left_out: 0, bytes: 0, error: None, end: false };
        while chunk.events.len() < APPEND_BATCH_EVENTS_MAX && chunk.bytes < APPEND_BATCH_BYTES_MAX as u64 {
            match self.line(&mut chunk) {
                Ok(true) => {}
                Ok(false) => {
                    chunk.end = true;
                    break;
                }
                Err(error) => {
                    chunk.error = Some(error);
                    break;
                }
            }
        }
        chunk
    }

    /// Takes a line in; false at the end of the file.
    fn line(&mut self, chunk: &mut Chunk) -> anyhow::Result<bool> {
        let at = self.number + 1;
        let Some(line) = file::read_line(&mut self.lines).with_context(|| format!("line {at}"))? else {
            if self.ledger.linked() == Some(true) && !self.ledger.ended() {
                bail!(
                    "line {at}: the last line, by which the whole is checked, is missing: the export is not complete"
                );
            }
            return Ok(false);
        };
        self.number = at;
        chunk.bytes += line.len() as u64;
        let text = std::str::from_utf8(&line).with_context(|| format!("line {at}"))?;
        if text.trim().is_empty() {
            return Ok(true);
        }
        match self.ledger.read(text).with_context(|| format!("line {at}"))? {
            Line::End(_) => return Ok(true),
            Line::Event(envelope, position) => {
                if self.without_decisions && envelope.aggregate.context() == Part::Operation {
                    chunk.left_out += 1;
                } else {
                    chunk.events.push((at, *envelope, position));
                }
            }
            Line::Unreadable(_) if self.skip_unreadable => chunk.left_out += 1,
            Line::Unreadable(reason) => {
                bail!(
                    "line {at}: what stands there is no event ({reason}): leave such lines out with --skip-unreadable"
                )
            }
        }
        chunk.lines += 1;
        Ok(true)
    }
}

type Next = JoinHandle<(Reader, Chunk)>;

/// Reads and checks on a thread of its own while the journal writes.
fn next(mut reader: Reader) -> Next {
    tokio::task::spawn_blocking(move || {
        let chunk = reader.chunk();
        (reader, chunk)
    })
}

/// What the journal has already, event by event.
struct There {
    pages: Pages,
    page: std::vec::IntoIter<Recorded>,
}

impl There {
    async fn begin(journal: &dyn Journal, head: Position) -> anyhow::Result<Self> {
        Ok(Self { pages: journal.read(Position::START, head).await?, page: Vec::new().into_iter() })
    }

    async fn next(&mut self) -> anyhow::Result<Option<Recorded>> {
        loop {
            if let Some(event) = self.page.next() {
                return Ok(Some(event));
            }
            match self.pages.next().await {
                Some(page) => self.page = page?.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

struct Importer<'a> {
    import: &'a Import,
    /// None for a dry run.
    journal: Option<&'a dyn Journal>,
    /// What is there of an interrupted import and was not met in the file yet.
    there: Option<There>,
    /// The sequence that the next event gets.
    next: u64,
    report: Report,
}

impl Importer<'_> {
    async fn all(
        &mut self,
        lines: Lines,
        bar: &indicatif::ProgressBar,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let Import { without_decisions, skip_unreadable, .. } = *self.import;
        let reader = Reader { lines, ledger: Ledger::default(), number: 0, without_decisions, skip_unreadable };
        let mut reading = next(reader);
        loop {
            let (reader, chunk) = reading.await?;
            if stop.is_cancelled() {
                bail!("interrupted after {} lines: go on with --resume", self.report.lines);
            }
            let verified = reader.ledger.ended();
            reading = next(reader);
            self.report.lines += chunk.lines;
            self.report.left_out += chunk.left_out;
            // What stands before a bad line is good.
            self.take(chunk.events).await?;
            bar.inc(chunk.bytes);
            if let Some(error) = chunk.error {
                return Err(error);
            }
            if chunk.end {
                self.report.verified = verified;
                if let Some(there) = &mut self.there
                    && there.next().await?.is_some()
                {
                    bail!("the journal has more events than the file: it is no import of it that was interrupted");
                }
                return Ok(());
            }
        }
    }

    async fn take(&mut self, events: Vec<(u64, Envelope, Option<Position>)>) -> anyhow::Result<()> {
        let (mut batch, mut lines) = (Vec::new(), Vec::new());
        let mut place = 0;
        for (line, envelope, position) in events {
            if self.is_there(&envelope, line).await? {
                continue;
            }
            if let Some(position) = position.filter(|_| names_a_position(&envelope)) {
                let here = self.next + place;
                if position.seq != here {
                    bail!(
                        "line {line}: {} names an event by its position, and positions are others here (this one stood at {position} and would stand at {}): import the whole export into an empty journal, or leave such decisions out with --without-decisions",
                        envelope.kind,
                        Position::at(here)
                    );
                }
            }
            place += 1;
            lines.push(line);
            // What was ruled where it comes from is not ruled again: the order of the file is what is kept.
            batch.push(Append { envelope, expect: Expect::Nothing });
        }
        self.append(batch, &lines).await
    }

    /// Whether an interrupted import has this event already.
    async fn is_there(&mut self, envelope: &Envelope, line: u64) -> anyhow::Result<bool> {
        let Some(there) = &mut self.there else { return Ok(false) };
        let Some(found) = there.next().await? else {
            self.there = None;
            return Ok(false);
        };
        if found.envelope.as_ref().is_ok_and(|found| found == envelope) {
            self.report.already_there += 1;
            return Ok(true);
        }
        bail!(
            "line {line}: the journal has another event at {}: it is no import of this file that was interrupted",
            found.position
        )
    }

    async fn append(&mut self, batch: Vec<Append>, lines: &[u64]) -> anyhow::Result<()> {
        let Some(journal) = self.journal else {
            // A dry run counts on as if each had been written.
            self.next += batch.len() as u64;
            return Ok(());
        };
        if batch.is_empty() {
            return Ok(());
        }
        for (appended, line) in append_all(journal, batch, lines).await?.into_iter().zip(lines) {
            if appended.repeated && self.import.append {
                self.report.already_there += 1;
                continue;
            }
            // A repeated answer is that of a write whose first answer was lost.
            self.report.imported += 1;
            if appended.position.seq != self.next && !self.import.append {
                bail!(
                    "line {line}: the event stands at {}, not at {}: something else writes to this journal meanwhile, begin again with an empty one",
                    appended.position,
                    Position::at(self.next)
                );
            }
            self.next = appended.position.seq + 1;
        }
        Ok(())
    }
}

/// Whether what an event says holds only where positions are the same.
fn names_a_position(envelope: &Envelope) -> bool {
    envelope.aggregate.context() == Part::Operation
        && match envelope.event() {
            Ok(Event::EventDiscarded(_)) => true,
            Ok(Event::ViewBegun(begun)) => begun.from.is_some() || begun.to.is_some(),
            _ => false,
        }
}

/// Appends all of it; what is not acknowledged is tried again with the same ids, for [`APPEND_RETRY_MS`].
async fn append_all(journal: &dyn Journal, batch: Vec<Append>, lines: &[u64]) -> anyhow::Result<Vec<Appended>> {
    let deadline = Instant::now() + Duration::from_millis(APPEND_RETRY_MS);
    let mut wait_ms = RETRY_FIRST_MS;
    loop {
        let answers = journal.append(batch.clone()).await;
        let failed = answers.iter().zip(lines).find_map(|(answer, line)| Some((answer.as_ref().err()?.clone(), line)));
        let Some((error, line)) = failed else { return Ok(answers.into_iter().flatten().collect()) };
        if !error.is_retryable() || Instant::now() + Duration::from_millis(wait_ms) > deadline {
            return Err(Unwritten { line: *line, error }.into());
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
    }
}

/// An event that the journal did not take.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {error}; go on with --resume once that is mended")]
struct Unwritten {
    line: u64,
    error: AppendError,
}

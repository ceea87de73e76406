//! `cabildo events import`.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cabildo_events::limits::{
    APPEND_BATCH_BYTES_MAX, APPEND_BATCH_EVENTS_MAX, APPEND_RETRY_MS, IMPORT_AGGREGATES_MAX, IMPORT_LINE_BYTES_MAX,
    READ_PAGE_EVENTS, RETRY_FIRST_MS, RETRY_LONGEST_MS,
};
use cabildo_events::{Aggregate, Envelope, Position, wire};
use cabildo_storage::{Append, AppendError, Appended, Expect, Journal};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::connect::promptly;
use crate::exit::{Exit, Usage};
use crate::output::{self, Form};
use crate::settings::{JournalOptions, Settings};

/// Read events into the journal, in the order of the file
///
/// Ids, times and actors stay as they are; positions are given anew. The journal must be empty, or --append given; then
/// what is there already, by its id, is not written twice. Stops at the first bad line and says which; what was
/// imported before it stays, and the same command with --append goes on from there.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// One CloudEvents object per line, as `cabildo events export` writes them; - for stdin
    file: PathBuf,
    /// Add to a journal that has events already
    #[arg(long)]
    append: bool,
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
    head: Position,
}

/// Imports, and reports how many.
pub(crate) async fn run(settings: &Settings, import: &Import, stop: CancellationToken) -> anyhow::Result<Exit> {
    let address = settings.journal(&import.journal)?;
    let (lines, bytes) = open_lines(&import.file)?;
    let journal = promptly(&address, cabildo_storage::open_journal(address.expose())).await?;
    let head = journal.head().await?;
    if head != Position::START && !import.append {
        bail!(Usage(format!(
            "{address} has events already, up to {head}: import into an empty journal, or add --append"
        )));
    }
    let bar = output::bar(bytes, "bytes");
    let mut importer = Importer {
        journal: &*journal,
        was_empty: head == Position::START,
        ruled: HashMap::new(),
        forgot: false,
        batch: Vec::new(),
        batch_bytes: 0,
        batch_lines: Vec::new(),
        report: Report::default(),
    };
    let imported = importer.all(lines, &bar, &stop).await;
    bar.finish_and_clear();
    importer.report.head = journal.head().await?;
    let report = importer.report;
    match import.output {
        Form::Json => output::json(&report)?,
        Form::Pretty => output::line(&format!(
            "{} lines: {} events imported, {} there already; the last event is at {}",
            report.lines, report.imported, report.already_there, report.head
        ))?,
    }
    imported.map(|()| Exit::Ok)
}

type Lines = BufReader<Box<dyn Read + Send>>;

/// The file or stdin, and its size if it is known.
fn open_lines(path: &Path) -> anyhow::Result<(Lines, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((BufReader::new(Box::new(io::stdin())), None));
    }
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((BufReader::new(Box::new(file)), bytes))
}

struct Importer<'a> {
    journal: &'a dyn Journal,
    was_empty: bool,
    /// The last ruled event of each aggregate met so far.
    ruled: HashMap<Aggregate, u64>,
    /// Whether some of them had to be forgotten, to stay within the bound.
    forgot: bool,
    /// Free events, which keep their order within a batch.
    batch: Vec<Append>,
    batch_bytes: usize,
    /// Their lines.
    batch_lines: Vec<u64>,
    report: Report,
}

impl Importer<'_> {
    async fn all(
        &mut self,
        mut lines: Lines,
        bar: &indicatif::ProgressBar,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut number = 0;
        loop {
            if stop.is_cancelled() {
                self.flush().await?;
                bail!("interrupted after line {number}: go on with --append");
            }
            let (reader, read) = tokio::task::spawn_blocking(move || {
                let read = read_lines(&mut lines);
                (lines, read)
            })
            .await?;
            lines = reader;
            if read.lines.is_empty() && read.error.is_none() {
                return self.flush().await;
            }
            for line in read.lines {
                number += 1;
                bar.inc(u64::try_from(line.len())?);
                if let Err(error) = self.take_line(&line, number).await {
                    // What stands before the bad line is good.
                    self.flush().await?;
                    return Err(error);
                }
            }
            if let Some(error) = read.error {
                self.flush().await?;
                return Err(error).with_context(|| format!("line {}", number + 1));
            }
        }
    }

    async fn take_line(&mut self, line: &[u8], number: u64) -> anyhow::Result<()> {
        let text = std::str::from_utf8(line).with_context(|| format!("line {number}"))?.trim();
        if text.is_empty() {
            return Ok(());
        }
        let (envelope, _) = wire::from_json(text).with_context(|| format!("line {number}"))?;
        self.report.lines += 1;
        self.take(envelope, number).await
    }

    /// Takes an event in. Ruled events go one by one: each needs to know where the one before it came to stand, and free
    /// events must not overtake them.
    async fn take(&mut self, envelope: Envelope, line: u64) -> anyhow::Result<()> {
        let bytes = envelope.data.len();
        let full = self.batch.len() == APPEND_BATCH_EVENTS_MAX || self.batch_bytes + bytes > APPEND_BATCH_BYTES_MAX;
        let ruled = envelope.is_ruled();
        if full || ruled {
            self.flush().await?;
        }
        if !ruled {
            self.batch_lines.push(line);
            self.batch_bytes += bytes;
            self.batch.push(Append { envelope, expect: Expect::Nothing });
            return Ok(());
        }
        let aggregate = envelope.aggregate.clone();
        let last = self.last_ruled(&aggregate).await?;
        let append = Append { envelope, expect: Expect::Last(last) };
        let appended = append_all(self.journal, vec![append], &[line]).await?;
        self.count(&appended);
        if let Some(appended) = appended.first() {
            if self.ruled.len() == IMPORT_AGGREGATES_MAX {
                self.ruled.clear();
                self.forgot = true;
            }
            self.ruled.insert(aggregate, last.max(appended.position.seq));
        }
        Ok(())
    }

    async fn last_ruled(&self, aggregate: &Aggregate) -> anyhow::Result<u64> {
        if let Some(last) = self.ruled.get(aggregate) {
            return Ok(*last);
        }
        if self.was_empty && !self.forgot {
            return Ok(0);
        }
        Ok(self.journal.ruled(aggregate).await?.last().map_or(0, |event| event.position.seq))
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.batch.is_empty() {
            self.batch_bytes = 0;
            let (batch, lines) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.batch_lines));
            let appended = append_all(self.journal, batch, &lines).await?;
            self.count(&appended);
        }
        Ok(())
    }

    fn count(&mut self, appended: &[Appended]) {
        for appended in appended {
            if appended.repeated {
                self.report.already_there += 1;
            } else {
                self.report.imported += 1;
            }
        }
    }
}

/// Appends a batch, and again what may succeed later, for [`APPEND_RETRY_MS`]: the same ids are the same events.
async fn append_all(journal: &dyn Journal, batch: Vec<Append>, lines: &[u64]) -> anyhow::Result<Vec<Appended>> {
    let deadline = Instant::now() + Duration::from_millis(APPEND_RETRY_MS);
    let mut wait_ms = RETRY_FIRST_MS;
    loop {
        let answers = journal.append(batch.clone()).await;
        let failed = answers.iter().zip(lines).find_map(|(answer, line)| Some((answer.as_ref().err()?.clone(), line)));
        let Some((error, line)) = failed else { return Ok(answers.into_iter().flatten().collect()) };
        if !error.is_retryable() || Instant::now() + Duration::from_millis(wait_ms) > deadline {
            let about = match error {
                AppendError::Conflict => " (the journal has other events of the same aggregate)",
                _ => "",
            };
            bail!("line {line}: {error}{about}");
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
    }
}

/// Some lines with their ends, and what went wrong after them. Neither: the file is at its end.
struct Chunk {
    lines: Vec<Vec<u8>>,
    error: Option<io::Error>,
}

fn read_lines(from: &mut Lines) -> Chunk {
    let mut lines = Vec::new();
    while lines.len() < READ_PAGE_EVENTS {
        match read_line(from) {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => break,
            Err(error) => return Chunk { lines, error: Some(error) },
        }
    }
    Chunk { lines, error: None }
}

/// One line with its end; `None` after the last.
fn read_line(lines: &mut Lines) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = lines.by_ref().take(IMPORT_LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if u64::try_from(read).is_ok_and(|read| read == IMPORT_LINE_BYTES_MAX) && !line.ends_with(b"\n") {
        let reason = format!("longer than {IMPORT_LINE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Some(line))
}

//! `cabildo events tail`.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use cabildo_events::limits::{READ_PAGE_EVENTS, RETRY_LONGEST_MS};
use cabildo_events::{Position, Recorded};
use cabildo_storage::{Journal, Moment, ReadError};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::filter::Filter;
use super::print::{self, EventForm};
use crate::exit::Exit;
use crate::output;
use crate::settings::{JournalOptions, Settings};

/// Print events, and follow those to come
///
/// Without --from the last 10 that match; with it, all that match from there on.
#[derive(clap::Args, Debug)]
pub(crate) struct Tail {
    /// Keep printing what comes, until Ctrl-C
    #[arg(short, long, conflicts_with = "to")]
    follow: bool,
    /// Where to begin: begin, end, a position (0-12), a time (2026-11-21T10:00Z) or how long ago (-5m)
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// Where to end: a position is included, a time is not
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: Option<Moment>,
    #[command(flatten)]
    filter: Filter,
    /// At most so many: the last ones without --from, the first ones with it
    #[arg(short = 'n', long = "lines", value_name = "N")]
    lines: Option<usize>,
    /// How to write them
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: EventForm,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Events printed when nothing is said about it.
const LINES_DEFAULT: usize = 10;

/// Prints until there is no more, or until `stop`.
pub(crate) async fn run(settings: &Settings, tail: &Tail, stop: CancellationToken) -> anyhow::Result<Exit> {
    let journal = super::open(settings, &tail.journal).await?;
    match stop.run_until_cancelled(print_all(&*journal, tail)).await {
        Some(printed) => printed.map(|()| Exit::Ok),
        None => Ok(Exit::Ok),
    }
}

async fn print_all(journal: &dyn Journal, tail: &Tail) -> anyhow::Result<()> {
    let head = journal.head().await?;
    let until = match tail.to {
        Some(to) => to.end(journal, head).await?,
        None => head,
    };
    let mut printer = Printer { tail, colours: output::colours(), left: usize::MAX };
    let mut last = until;
    match tail.from {
        None => {
            let lines = tail.lines.unwrap_or(LINES_DEFAULT);
            printer.print(&last_matching(journal, tail, until, lines).await?)?;
        }
        Some(from) => {
            let after = from.start(journal, head).await?;
            printer.left = tail.lines.unwrap_or(usize::MAX);
            if after < until {
                let mut pages = tail.filter.read(journal, after, until).await?;
                while printer.left > 0
                    && let Some(page) = pages.next().await
                {
                    printer.print(&page?)?;
                }
            }
            last = last.max(after);
        }
    }
    while tail.follow && printer.left > 0 {
        match follow(journal, &mut last, &mut printer).await {
            Ok(()) => {}
            Err(error) if error.is::<ReadError>() => {
                tracing::warn!("{error}; trying again");
                tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS)).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn follow(journal: &dyn Journal, last: &mut Position, printer: &mut Printer<'_>) -> anyhow::Result<()> {
    let mut pages = journal.follow(*last).await?;
    while printer.left > 0
        && let Some(page) = pages.next().await
    {
        let page = page?;
        printer.print(&page)?;
        *last = page.last().map_or(*last, |event| event.position);
    }
    Ok(())
}

/// The last matching events up to a position: windows of growing size are read backwards until there are enough. Holds no
/// more than asked for.
async fn last_matching(
    journal: &dyn Journal,
    tail: &Tail,
    until: Position,
    lines: usize,
) -> Result<Vec<Recorded>, ReadError> {
    let mut found: VecDeque<Recorded> = VecDeque::new();
    let (mut end, mut size) = (until, READ_PAGE_EVENTS as u64);
    while found.len() < lines && end.seq > 0 {
        let start = Position { seq: end.seq.saturating_sub(size), ..end };
        let room = lines - found.len();
        let mut window = VecDeque::new();
        let mut pages = tail.filter.read(journal, start, end).await?;
        while let Some(page) = pages.next().await {
            for event in page?.into_iter().filter(|event| tail.filter.matches(event)) {
                if window.len() == room {
                    window.pop_front();
                }
                if room > 0 {
                    window.push_back(event);
                }
            }
        }
        window.extend(found);
        found = window;
        end = start;
        size *= 2;
    }
    Ok(found.into())
}

struct Printer<'a> {
    tail: &'a Tail,
    colours: bool,
    left: usize,
}

impl Printer<'_> {
    /// Prints what matches of a page, and lets it out: a follower reads it now.
    fn print(&mut self, page: &[Recorded]) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        for event in page.iter().filter(|event| self.tail.filter.matches(event)).take(self.left) {
            print::write(&mut out, event, self.tail.output, self.colours)?;
            self.left -= 1;
        }
        out.flush()
    }
}

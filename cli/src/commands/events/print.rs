//! Events on stdout.

use std::io::{self, Write};

use cabildo_events::{Recorded, wire};

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EventForm {
    /// For people
    Pretty,
    /// A CloudEvents object on one line
    Json,
    /// The event's data alone
    Raw,
}

/// Writes an event on one line.
pub(crate) fn write(out: &mut impl Write, event: &Recorded, form: EventForm, colours: bool) -> io::Result<()> {
    match form {
        EventForm::Json => writeln!(out, "{}", wire::to_json(event)),
        EventForm::Raw => {
            out.write_all(data(event))?;
            out.write_all(b"\n")
        }
        EventForm::Pretty => pretty(out, event, colours),
    }
}

fn data(event: &Recorded) -> &[u8] {
    event.envelope.as_ref().map_or_else(|unreadable| &unreadable.data, |envelope| &envelope.data)
}

fn pretty(out: &mut impl Write, event: &Recorded, colours: bool) -> io::Result<()> {
    let (dim, bold, red, off) = if colours { ("\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[0m") } else { ("", "", "", "") };
    // What others wrote must not steer the terminal.
    let data = printable(&String::from_utf8_lossy(data(event)));
    let aggregate = event.aggregate().map_or_else(|| "-".to_owned(), |aggregate| printable(&aggregate.to_string()));
    match &event.envelope {
        Ok(envelope) => writeln!(
            out,
            "{dim}{} {}{off} {bold}{}{off} {aggregate} {data}",
            event.position,
            envelope.time,
            printable(&envelope.kind)
        ),
        Err(unreadable) => writeln!(
            out,
            "{dim}{} {}{off} {red}unreadable{off} {aggregate} {}: {data}",
            event.position,
            event.recorded,
            printable(&unreadable.reason)
        ),
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

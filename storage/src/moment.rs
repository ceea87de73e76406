//! Places in the journal as people name them: an end, a position, or a time.

use std::str::FromStr;

use cabildo_events::{Position, Recorded, Timestamp};
use futures::StreamExt;

use crate::{Journal, ReadError};

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the first event.
    Begin,
    /// After the last event.
    End,
    /// An event.
    At(Position),
    /// So many microseconds ago, by this machine's clock.
    Ago(i64),
    /// A time.
    Time(Timestamp),
}

/// How a [`Moment`] is written.
pub const MOMENTS: &str = "begin, end, a position (0-12), a time (2026-11-21T10:00Z) or how long ago (-5m)";

/// The text names no place in the journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in the journal: use {MOMENTS}")]
pub struct BadMoment(String);

impl FromStr for Moment {
    type Err = BadMoment;
    fn from_str(text: &str) -> Result<Self, BadMoment> {
        let bad = || BadMoment(text.chars().take(60).collect());
        match text {
            "begin" => return Ok(Self::Begin),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Some(span) = text.strip_prefix('-') {
            return ago(span).map(Self::Ago).ok_or_else(bad);
        }
        if let Ok(position) = text.parse() {
            return Ok(Self::At(position));
        }
        // RFC 3339 wants seconds; people leave them out.
        let with_seconds = text.strip_suffix('Z').map(|minutes| format!("{minutes}:00Z"));
        text.parse().or_else(|_| with_seconds.as_deref().unwrap_or("").parse()).map(Self::Time).map_err(|_| bad())
    }
}

/// `90s`, `5m`, `2h`, `7d` in microseconds.
fn ago(span: &str) -> Option<i64> {
    let unit = span.chars().last()?;
    let number: i64 = span.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds)?.checked_mul(1_000_000)
}

/// There is nothing yet at this place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// A position past the last event.
    #[error("{wanted} is past the last event, which is at {head}")]
    Position {
        /// What was asked for.
        wanted: Position,
        /// Where the journal ends.
        head: Position,
    },
    /// A time to come.
    #[error("{wanted} is still to come: it is {now}")]
    Time {
        /// What was asked for.
        wanted: Timestamp,
        /// What time it is, by the later of the clocks of this machine and of the journal.
        now: Timestamp,
    },
}

impl Moment {
    /// The position after which reading begins, so that the first event is the one at this place, or the next.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn start(self, journal: &dyn Journal, head: Position) -> Result<Position, ReadError> {
        match self {
            Self::Begin => Ok(Position::START),
            Self::End => Ok(head),
            Self::At(position) => Ok(before(position)),
            Self::Ago(micros) => last_before(journal, head, ago_from_now(micros)).await,
            Self::Time(time) => last_before(journal, head, time).await,
        }
    }

    /// The last position to read: up to and including an event, or up to a time, which is not included.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn end(self, journal: &dyn Journal, head: Position) -> Result<Position, ReadError> {
        match self {
            Self::At(position) => Ok(position.min(head)),
            Self::Begin | Self::End | Self::Ago(_) | Self::Time(_) => self.start(journal, head).await,
        }
    }

    /// The position of the last event that had happened by then: that one, or the last that the journal had stored by the
    /// end of that microsecond.
    ///
    /// # Errors
    /// When the journal cannot be read; inside, when it is still to come.
    pub async fn as_of(self, journal: &dyn Journal, head: Position) -> Result<Result<Position, NotYet>, ReadError> {
        let time = match self {
            Self::Begin | Self::End => return self.start(journal, head).await.map(Ok),
            Self::At(wanted) if wanted > head => return Ok(Err(NotYet::Position { wanted, head })),
            Self::At(position) => return Ok(Ok(position)),
            Self::Ago(micros) => ago_from_now(micros),
            Self::Time(time) => time,
        };
        let now = Timestamp::from(jiff::Timestamp::now());
        if time > now {
            let stored = journal.get(head).await?.map_or(now, |last| last.recorded.max(now));
            if time > stored {
                return Ok(Err(NotYet::Time { wanted: time, now: stored }));
            }
        }
        let next = Timestamp::from_micros(time.micros().saturating_add(1));
        last_before(journal, head, next).await.map(Ok)
    }
}

fn ago_from_now(micros: i64) -> Timestamp {
    Timestamp::from_micros(Timestamp::from(jiff::Timestamp::now()).micros().saturating_sub(micros))
}

const fn before(position: Position) -> Position {
    Position { seq: position.seq.saturating_sub(1), ..position }
}

/// The position of the last event that the journal stored before `time`, by bisection over its own clock: some forty reads
/// for any journal. Where the clock was set back the answer is one of the places where the time was passed.
async fn last_before(journal: &dyn Journal, head: Position, time: Timestamp) -> Result<Position, ReadError> {
    // Everything up to `low` is older than `time`; nothing after `high` is.
    let (mut low, mut high) = (0, head.seq);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match at_or_after(journal, Position { seq: middle, ..head }, Position { seq: high, ..head }).await? {
            Some(event) if event.recorded < time => low = event.position.seq,
            _ => high = middle - 1,
        }
    }
    Ok(Position { seq: low, ..head })
}

/// The event at a position or, as there may be gaps, the next one up to `until`.
async fn at_or_after(journal: &dyn Journal, at: Position, until: Position) -> Result<Option<Recorded>, ReadError> {
    if let Some(event) = journal.get(at).await? {
        return Ok(Some(event));
    }
    let mut pages = journal.read(before(at), until).await?;
    Ok(pages.next().await.transpose()?.and_then(|page| page.into_iter().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let check = |text: &str, moment: Moment| assert_eq!(text.parse(), Ok(moment), "{text}");
        check("begin", Moment::Begin);
        check("0-12", Moment::At(Position::at(12)));
        check("-5m", Moment::Ago(300_000_000));
        check("-0s", Moment::Ago(0));
        let ten: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        for text in ["2026-11-21T10:00Z", "2026-11-21T10:00:00Z", "2026-11-21T04:00:00-06:00"] {
            check(text, Moment::Time(ten));
        }
        for text in ["", "-", "5m", "-5y", "--5m", "-9999999999999999d", "12", "yesterday", "-5é"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}

//! What an address carries: path segments and the query, percent-decoded, strict.

use std::fmt::Display;
use std::str::FromStr;

use cabildo_events::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use cabildo_events::{Aggregate, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::problem::{self, Problem};
use crate::query;

/// What stands for itself in a path segment or a query value.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Writes a text so that it is one path segment or one query value.
pub(crate) fn escape(text: &str) -> impl Display + '_ {
    utf8_percent_encode(text, ESCAPED)
}

/// Reads a path segment: percent-decoded UTF-8 (else 400), then whatever it names (else 422).
pub(crate) fn segment<T: FromStr<Err: Display>>(what: &str, raw: &str) -> Result<T, Problem> {
    decode(raw, what)?.parse().map_err(|error| Problem::bad_value(what, error))
}

fn decode(raw: &str, what: &str) -> Result<String, Problem> {
    let text = percent_decode_str(raw).decode_utf8();
    text.map(String::from).map_err(|_| Problem::new(&problem::INVALID_UTF8, format!("{what}: not UTF-8")).field(what))
}

/// The query's parameters. Each is taken once; what nobody took is unknown and refused, so that a slip does not widen a search.
#[derive(Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, "query")?;
            let value = decode(&value.replace('+', " "), &name)?;
            Ok((name, value))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// Parameters that came otherwise than in an address; an empty one was not given.
    pub(crate) fn of(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        Self(given.map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A parameter that may be given once.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.texts(name);
        if values.len() > 1 {
            let detail = format!("`{name}` is given {} times", values.len());
            return Err(Problem::new(&problem::BAD_PARAMETER, detail).field(name));
        }
        Ok(values.pop())
    }

    /// A parameter that may be given many times.
    pub(crate) fn texts(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(found, _)| found == name);
        self.0 = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// A parameter that may be given once, read as a value; a bad one is 422.
    pub(crate) fn value<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|error| Problem::bad_value(name, error))).transpose()
    }

    /// A moment, RFC 3339 or so long before now, for example `-15m`. A `+` that was not escaped is read as what it was meant to be.
    pub(crate) fn moment(&mut self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name)?.map(|text| text.replace(' ', "+")) else { return Ok(None) };
        if let Some(moment) = query::relative(&text, now) {
            return Ok(Some(moment));
        }
        let moment = text.parse().map_err(|error| Problem::bad_value(name, format_args!("{error}, or -15m")))?;
        Ok(Some(moment))
    }

    /// What events are about.
    pub(crate) fn aggregate(&mut self) -> Result<Option<Aggregate>, Problem> {
        let Some(text) = self.text("aggregate")? else { return Ok(None) };
        let aggregate = text.parse().map_err(|_| {
            let detail = "expected CONTEXT/ID, for example poll/bands-2026 or chat/lobby";
            Problem::bad_value("aggregate", detail).allowed(["chat/…", "poll/…", "task/…", "identity/…"])
        })?;
        Ok(Some(aggregate))
    }

    /// Rows on a page: 1 to [`PAGE_ROWS_MAX`].
    pub(crate) fn limit(&mut self) -> Result<usize, Problem> {
        Ok(self.limit_if_any()?.unwrap_or(PAGE_ROWS_DEFAULT))
    }

    /// Rows on a page, if the client says.
    pub(crate) fn limit_if_any(&mut self) -> Result<Option<usize>, Problem> {
        match self.value::<usize>("limit")? {
            Some(limit) if !(1..=PAGE_ROWS_MAX).contains(&limit) => {
                Err(Problem::bad_value("limit", format_args!("a page has 1 to {PAGE_ROWS_MAX} rows, not {limit}")))
            }
            limit => Ok(limit),
        }
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(self, known: &[&str]) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let detail = format!("there is no parameter `{name}` here");
                Err(Problem::new(&problem::BAD_PARAMETER, detail).field(name).allowed(known.iter().copied()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::{Position, RoomId};

    fn code<T: std::fmt::Debug>(result: Result<T, Problem>) -> &'static str {
        result.unwrap_err().kind().code
    }

    #[test]
    fn a_segment_is_decoded_and_held_to_its_bounds() {
        let room: RoomId = segment("room", "Sala%20Jos%C3%A9%2F3").unwrap();
        assert_eq!(room.as_str(), "Sala José/3");
        assert_eq!(escape(room.as_str()).to_string(), "Sala%20Jos%C3%A9%2F3");
        assert_eq!(code(segment::<RoomId>("room", "%FF")), "invalid-utf8");
        assert_eq!(code(segment::<RoomId>("room", "%0A")), "bad-value");
        assert_eq!(code(segment::<Position>("position", "12")), "bad-value");
    }

    #[test]
    fn a_query_is_strict() {
        let mut params = Params::parse("type=chat.*&limit=7&q=hola+mundo&type=poll.opened").unwrap();
        assert_eq!(params.texts("type"), ["chat.*", "poll.opened"]);
        assert_eq!((params.limit().unwrap(), params.text("q").unwrap().as_deref()), (7, Some("hola mundo")));
        assert!(params.finish(&[]).is_ok());
        assert_eq!(code(Params::parse("limt=7").unwrap().finish(&["limit"])), "bad-parameter");
        assert_eq!(code(Params::parse("limit=1&limit=2").unwrap().limit()), "bad-parameter");
        for bad in ["limit=0", "limit=1001", "limit=-1", "limit=many"] {
            assert_eq!(code(Params::parse(bad).unwrap().limit()), "bad-value", "{bad}");
        }
        assert_eq!(code(Params::parse("q=%C3%28")), "invalid-utf8");
    }

    #[test]
    fn an_offset_survives_a_plus_that_was_not_escaped() {
        let moment =
            |query: &str| Params::parse(query).unwrap().moment("since", Timestamp::from_micros(0)).unwrap().unwrap();
        assert_eq!(moment("since=2026-11-21T10:00:00+00:00"), moment("since=2026-11-21T10:00:00Z"));
    }
}

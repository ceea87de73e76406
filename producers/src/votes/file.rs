//! Files of ballots: a JSON array, NDJSON, or a CSV with a header, each ballot a `name`, an `album`, a `year` and a `rank`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use cabildo_events::limits::VOTE_ROWS_MAX;
use cabildo_events::{FieldName, FieldValue, OptionLabel};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// Why a file of ballots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadVotesError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A row is no ballot.
    #[error("row {row}: {reason}")]
    Row {
        /// Counted from 1, without the header of a CSV; in NDJSON the line.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file as a whole is not what it seems to be.
    #[error("{0}")]
    Malformed(String),
    /// There is no ballot in it.
    #[error("there is no ballot in the file")]
    Empty,
}

/// One ballot of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index of its choice in [`Votes::options`].
    pub option: usize,
    /// The other columns.
    pub fields: BTreeMap<FieldName, FieldValue>,
}

/// The ballots of a file. At most [`VOTE_ROWS_MAX`]; a file with more is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    /// Every choice that occurs, in the order of its first occurrence.
    pub options: Vec<OptionLabel>,
    /// The ballots, in the order of the file.
    pub rows: Vec<Row>,
}

/// Reads a file of ballots; blocks. The format is told by the extension (`.json`, `.ndjson`, `.jsonl`, `.csv`), else by the
/// first character.
///
/// # Errors
/// See [`ReadVotesError`]; the first bad row is named.
pub fn read(path: &Path) -> Result<Votes, ReadVotesError> {
    let mut reader = BufReader::new(File::open(path)?);
    let start = reader.fill_buf()?;
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
    let first = start.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let mark = if reader.fill_buf()?.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    reader.consume(mark);
    let mut ballots = Ballots::default();
    // `.json` may hold an array or one object per line; the content tells.
    match (path.extension().and_then(|extension| extension.to_str()), first) {
        (_, None) => return Err(ReadVotesError::Empty),
        (Some("csv"), _) => ballots.read_csv(reader)?,
        (Some("ndjson" | "jsonl"), _) | (_, Some(b'{')) => ballots.read_lines(reader)?,
        (Some("json"), _) | (_, Some(b'[')) => ballots.read_array(reader)?,
        _ => ballots.read_csv(reader)?,
    }
    if ballots.votes.rows.is_empty() { Err(ReadVotesError::Empty) } else { Ok(ballots.votes) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Text,
    album: Text,
    year: Text,
    rank: Text,
}

/// A text, or a number taken as it would be written.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

#[derive(Default)]
struct Ballots {
    votes: Votes,
    known: HashMap<OptionLabel, usize>,
}

impl Ballots {
    fn push(&mut self, row: usize, raw: Raw) -> Result<(), ReadVotesError> {
        self.add(raw).map_err(|reason| ReadVotesError::Row { row, reason })
    }

    fn add(&mut self, raw: Raw) -> Result<(), String> {
        if self.votes.rows.len() == VOTE_ROWS_MAX {
            return Err(format!("a file holds at most {VOTE_ROWS_MAX} ballots"));
        }
        let label = OptionLabel::try_from(raw.name.0).map_err(|error| format!("name: {error}"))?;
        let mut fields = BTreeMap::new();
        for (name, value) in [("album", raw.album), ("year", raw.year), ("rank", raw.rank)] {
            let value = FieldValue::try_from(value.0).map_err(|error| format!("{name}: {error}"))?;
            fields.insert(name.parse::<FieldName>().map_err(|error| error.to_string())?, value);
        }
        let next = self.votes.options.len();
        let option = *self.known.entry(label.clone()).or_insert(next);
        if option == next {
            self.votes.options.push(label);
        }
        self.votes.rows.push(Row { option, fields });
        Ok(())
    }

    fn read_csv(&mut self, reader: impl io::Read) -> Result<(), ReadVotesError> {
        let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(reader);
        let header = csv.headers().map_err(|error| ReadVotesError::Malformed(error.to_string()))?.clone();
        let column = |name: &str| {
            let missing = || ReadVotesError::Malformed(format!("the header of the CSV has no column `{name}`"));
            header.iter().position(|found| found == name).ok_or_else(missing)
        };
        let (name, album, year, rank) = (column("name")?, column("album")?, column("year")?, column("rank")?);
        if let Some(unknown) = header.iter().find(|found| !["name", "album", "year", "rank"].contains(found)) {
            let known = "the columns are name, album, year and rank";
            return Err(ReadVotesError::Malformed(format!("unknown column `{unknown}`: {known}")));
        }
        for (row, record) in (1..).zip(csv.records()) {
            let record = record.map_err(|error| ReadVotesError::Row { row, reason: error.to_string() })?;
            let cell = |column: usize| Text(record.get(column).unwrap_or_default().to_owned());
            self.push(row, Raw { name: cell(name), album: cell(album), year: cell(year), rank: cell(rank) })?;
        }
        Ok(())
    }

    fn read_lines(&mut self, reader: impl BufRead) -> Result<(), ReadVotesError> {
        for (row, line) in (1..).zip(reader.lines()) {
            let line = line.map_err(|error| ReadVotesError::Row { row, reason: error.to_string() })?;
            if !line.trim().is_empty() {
                let raw = serde_json::from_str(&line)
                    .map_err(|error| ReadVotesError::Row { row, reason: error.to_string() })?;
                self.push(row, raw)?;
            }
        }
        Ok(())
    }

    fn read_array(&mut self, reader: impl io::Read) -> Result<(), ReadVotesError> {
        let mut json = serde_json::Deserializer::from_reader(reader);
        let read = self.deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| ReadVotesError::Malformed(error.to_string()))
    }
}

/// Takes the array in ballot by ballot.
impl<'de> DeserializeSeed<'de> for &mut Ballots {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Ballots {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of ballots")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        for row in 1.. {
            match rows.next_element::<Raw>() {
                Ok(Some(raw)) => self.push(row, raw).map_err(A::Error::custom)?,
                Ok(None) => break,
                Err(error) => return Err(A::Error::custom(format_args!("row {row}: {error}"))),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, content: &str) -> Result<Votes, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, content).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_three_formats_say_the_same() {
        let array = r#"[{"name":"Alux Nahual","album":"Conquista","year":"1982","rank":"5"},
                        {"name":"La Tona","album":"Luna, y más","year":"1998","rank":"4"}]"#;
        let lines = "{\"name\":\"Alux Nahual\",\"album\":\"Conquista\",\"year\":1982,\"rank\":5}\n\n\
                     {\"name\":\"La Tona\",\"album\":\"Luna, y más\",\"year\":\"1998\",\"rank\":\"4\"}\n";
        let csv = "\u{feff}rank,name,album,year\n5,Alux Nahual,Conquista,1982\n4,La Tona,\"Luna, y más\",1998\n";
        let votes = check("a.json", array).unwrap();
        assert_eq!((votes.options.len(), votes.rows.len()), (2, 2));
        for (file, content) in [("b.ndjson", lines), ("c.csv", csv), ("d", array), ("e", lines), ("f", csv)] {
            assert_eq!(check(file, content).as_ref(), Ok(&votes), "{file}");
        }
    }

    #[test]
    fn a_bad_row_is_named() {
        let good = r#"{"name":"Alux Nahual","album":"Conquista","year":"1982","rank":"5"}"#;
        for (file, content, said) in [
            ("g.json", format!("[{good},{{\"name\":\"x\"}}]"), "row 2: missing field `album`"),
            ("h.json", format!("[{good},{good}"), "EOF"),
            ("i.json", "{}".to_owned(), "row 1: missing field `name`"),
            ("j.ndjson", format!("{good}\nnope\n"), "row 2: expected"),
            ("k.csv", "name,album,year,rank\na,b,c,d\n,b,c,d\n".to_owned(), "row 2: name: the option is empty"),
            ("l.csv", "name,album,year,rank\na,b,c\n".to_owned(), "row 1: "),
            ("m.csv", "name,album,year\na,b,c\n".to_owned(), "no column `rank`"),
            ("n.csv", "name,album,year,rank,colour\na,b,c,d,e\n".to_owned(), "unknown column `colour`"),
            ("o.json", "[]".to_owned(), "no ballot"),
            ("p.json", "  ".to_owned(), "no ballot"),
            ("q.json", format!("[{}]", good.replace("1982", "\\u0000")), "year: "),
        ] {
            let error = check(file, &content).unwrap_err();
            assert!(error.contains(said), "{file}: {error}");
        }
    }
}

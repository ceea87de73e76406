//! Finding documents: a query as a filter.

use std::time::Duration;

use ::mongodb::Database;
use ::mongodb::bson::spec::BinarySubtype;
use ::mongodb::bson::{Binary, Bson, Document as Filter, RawDocument, RawDocumentBuf, doc};
use ::mongodb::error::{Error, ErrorKind};
use ::mongodb::options::Hint;
use cabildo_events::limits::{SEARCH_MS, SINK_CALL_MS};
use cabildo_events::{EventId, Position};

use super::layout::{self, Layout, number_within};
use super::{row, unavailable};
use crate::{Clause, Compare, Condition, Found, KindPattern, Matches, Order, Query, SinkError, words};

/// The server's own time limit was reached.
const TIME_IS_UP: i32 = 50;

/// Finds documents; what takes too long is cut short, with what was found until then.
///
/// Order, position, aggregate, kind, actor, time and ids are served by indexes; words are looked for in one text after the other.
pub(super) async fn find(database: &Database, query: &Query) -> Result<Found, SinkError> {
    let layout = Layout::of(query.projection, query.collection);
    let read = |found: &RawDocument| row::decode(layout, query.collection, found);
    let (documents, cut_short) = search(database, query, Reading::Documents, read).await?;
    Ok(Found { documents, cut_short })
}

/// Finds where documents are.
pub(super) async fn positions(database: &Database, query: &Query) -> Result<Matches, SinkError> {
    let order = Layout::of(query.projection, query.collection).order();
    let read = |found: &RawDocument| {
        let position = found.get_i64(order).ok().and_then(layout::position);
        position.ok_or_else(|| unavailable(format!("a document's position is not as it was written: {found:?}")))
    };
    let (positions, cut_short) = search(database, query, Reading::Positions, read).await?;
    Ok(Matches { positions, cut_short })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Documents,
    Positions,
}

async fn search<T>(
    database: &Database,
    query: &Query,
    reading: Reading,
    read: impl Fn(&RawDocument) -> Result<T, SinkError>,
) -> Result<(Vec<T>, bool), SinkError> {
    let mut found = Vec::new();
    if query.limit == 0 {
        return Ok((found, false));
    }
    let collecting = collect(database, query, reading, read, &mut found);
    let ended = tokio::time::timeout(Duration::from_millis(SINK_CALL_MS), collecting).await;
    match ended {
        Ok(Ok(())) => Ok((found, false)),
        Ok(Err(Stop::Failed(error))) => Err(error),
        Err(_) if found.is_empty() => Err(unavailable(format!("no answer within {SINK_CALL_MS} ms"))),
        Ok(Err(Stop::TimeIsUp)) | Err(_) => Ok((found, true)),
    }
}

enum Stop {
    TimeIsUp,
    Failed(SinkError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match &*error.kind {
            ErrorKind::Command(command) if command.code == TIME_IS_UP => Self::TimeIsUp,
            kind => Self::Failed(unavailable(kind.to_string())),
        }
    }
}

async fn collect<T>(
    database: &Database,
    query: &Query,
    reading: Reading,
    read: impl Fn(&RawDocument) -> Result<T, SinkError>,
    found: &mut Vec<T>,
) -> Result<(), Stop> {
    let layout = Layout::of(query.projection, query.collection);
    let name = layout::name(query.projection, query.collection);
    let direction = if query.order == Order::Oldest { 1 } else { -1 };
    let limit = u32::try_from(query.limit).unwrap_or(u32::MAX);
    let clauses = query.every_clause();
    let index = best_index(layout, &clauses).filter(|_| reading == Reading::Positions);
    // A search that may look at many documents hands over each as it finds it: what is in an unfinished batch when time is
    // up is lost.
    let one_by_one = reading == Reading::Documents && clauses.iter().any(is_text);
    let collection = database.collection::<RawDocumentBuf>(&name);
    let mut finding = collection
        .find(filter(layout, query, &clauses))
        .sort(doc! { layout.order(): direction })
        .limit(i64::from(limit))
        .batch_size(if one_by_one { 1 } else { limit })
        .max_time(Duration::from_millis(SEARCH_MS))
        .allow_disk_use(true);
    if reading == Reading::Positions {
        let id = i32::from(layout.order() == "_id");
        finding = finding.projection(doc! { "_id": id, layout.order(): 1 });
    }
    if let Some(index) = index {
        finding = finding.hint(Hint::Name(index.to_owned()));
    }
    let mut cursor = finding.await?;
    while cursor.advance().await? {
        found.push(read(cursor.current()).map_err(Stop::Failed)?);
    }
    Ok(())
}

/// The index by which few documents, if any, are looked at in vain. Left alone the server may walk the log instead, which
/// serves a page well and a whole history badly.
fn best_index(layout: Layout, clauses: &[Clause]) -> Option<&'static str> {
    if layout != Layout::Log {
        return None;
    }
    let leading = |clause: &Clause| match (clause.negated, &clause.any[..]) {
        (false, [Condition::Event(_)]) => Some((0, "event")),
        (false, [Condition::Causation(_)]) => Some((1, "causation")),
        (false, [Condition::Correlation(_)]) => Some((2, "correlation")),
        _ => None,
    };
    clauses.iter().filter_map(leading).min().map(|(_, index)| index)
}

fn is_text(clause: &Clause) -> bool {
    clause.any.iter().any(|condition| matches!(condition, Condition::Text(_)))
}

fn filter(layout: Layout, query: &Query, clauses: &[Clause]) -> Filter {
    let mut all: Vec<Filter> = Vec::new();
    if let Some(after) = query.after {
        all.push(position(layout, Compare::Above, after));
    }
    if let Some(before) = query.before {
        all.push(position(layout, Compare::Below, before));
    }
    for clause in clauses {
        let mut any: Vec<_> = clause.any.iter().map(|one| condition(layout, one)).collect();
        all.push(match (clause.negated, any.len()) {
            (false, 0) => nothing(),
            (true, 0) => continue,
            (false, 1) => any.remove(0),
            (false, _) => doc! { "$or": any },
            (true, _) => doc! { "$nor": any },
        });
    }
    if all.is_empty() {
        doc! {}
    } else {
        doc! { "$and": all }
    }
}

/// What no document is.
fn nothing() -> Filter {
    doc! { "_id": { "$in": [] } }
}

fn condition(layout: Layout, condition: &Condition) -> Filter {
    match condition {
        Condition::Kind(KindPattern::Exactly(kind)) => doc! { "kind": kind },
        Condition::Kind(KindPattern::Prefix(prefix)) => begins("kind", prefix),
        Condition::Context(context) => begins("aggregate", &format!("{context}/")),
        Condition::Aggregate(aggregate) => doc! { "aggregate": aggregate },
        Condition::Actor(actor) => doc! { "actor": actor },
        Condition::Lane(lane) => doc! { "lane": i32::from(lane.number()) },
        Condition::Event(id) => doc! { "event": uuid(*id) },
        Condition::Correlation(id) => doc! { "correlation": uuid(*id) },
        Condition::Causation(id) => doc! { "causation": uuid(*id) },
        Condition::Text(text) => {
            let words: Vec<_> = words(text).map(has_word).collect();
            if words.is_empty() {
                doc! {}
            } else {
                doc! { "$and": words }
            }
        }
        Condition::Position(compare, bound) => position(layout, *compare, *bound),
        // The date, to the millisecond, is in the index; the microseconds decide.
        Condition::Time(compare, time) => {
            let (date, micros) = (row::date(*time), time.micros());
            match compare {
                Compare::Below | Compare::AtMost => {
                    doc! { "time": { "$lte": date }, "micros": { operator(*compare): micros } }
                }
                Compare::Equal => doc! { "time": date, "micros": micros },
                Compare::AtLeast | Compare::Above => {
                    doc! { "time": { "$gte": date }, "micros": { operator(*compare): micros } }
                }
            }
        }
    }
}

fn position(layout: Layout, compare: Compare, bound: Position) -> Filter {
    let order = layout.order();
    let number = number_within(bound);
    if layout::number(bound).is_some() {
        return doc! { order: { operator(compare): number } };
    }
    // Where the bound itself has no number, none is equal to it, and what is not past its neighbour is below it.
    match compare {
        Compare::Below | Compare::AtMost => doc! { order: { "$lte": number } },
        Compare::Equal => nothing(),
        Compare::AtLeast | Compare::Above => doc! { order: { "$gt": number } },
    }
}

/// A range, so that the index serves it: no character stands behind U+10FFFF.
fn begins(field: &str, prefix: &str) -> Filter {
    doc! { field: { "$gte": prefix, "$lt": format!("{prefix}\u{10FFFF}") } }
}

/// Where a word begins so. Words are of letters and digits: nothing in them means anything to a regular expression.
fn has_word(word: &str) -> Filter {
    doc! { "text": { "$regex": format!(r"(?<![\p{{L}}\p{{N}}]){word}"), "$options": "i" } }
}

fn uuid(id: EventId) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.0.into_bytes().to_vec() })
}

const fn operator(compare: Compare) -> &'static str {
    match compare {
        Compare::Below => "$lt",
        Compare::AtMost => "$lte",
        Compare::Equal => "$eq",
        Compare::AtLeast => "$gte",
        Compare::Above => "$gt",
    }
}

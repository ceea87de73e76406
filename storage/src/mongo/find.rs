//! Finding documents: a query as a filter.

use std::time::Duration;

use ::mongodb::Database;
use ::mongodb::bson::{Document as Filter, RawDocumentBuf, doc};
use ::mongodb::error::{Error, ErrorKind};
use cabildo_events::limits::{SEARCH_MS, SINK_CALL_MS};

use super::layout::{self, Layout, number_within};
use super::{row, unavailable};
use crate::{Found, KindPattern, Order, Query, SinkError};

/// The server's own time limit was reached.
const TIME_IS_UP: i32 = 50;

/// Finds documents; what takes too long is cut short, with what was found until then.
///
/// Order, position, aggregate, kind, actor and time are served by indexes; words in texts are looked for document by
/// document, in the order asked for.
pub(super) async fn find(database: &Database, query: &Query) -> Result<Found, SinkError> {
    let mut found = Found { documents: Vec::new(), cut_short: false };
    if query.limit == 0 {
        return Ok(found);
    }
    let ended = tokio::time::timeout(Duration::from_millis(SINK_CALL_MS), collect(database, query, &mut found)).await;
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(Stop::Failed(error))) => return Err(error),
        Ok(Err(Stop::TimeIsUp)) => found.cut_short = true,
        Err(_) if found.documents.is_empty() => return Err(unavailable(format!("no answer within {SINK_CALL_MS} ms"))),
        Err(_) => found.cut_short = true,
    }
    Ok(found)
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

async fn collect(database: &Database, query: &Query, found: &mut Found) -> Result<(), Stop> {
    let layout = Layout::of(query.projection, query.collection);
    let name = layout::name(query.projection, query.collection);
    let direction = if query.order == Order::Oldest { 1 } else { -1 };
    let limit = u32::try_from(query.limit).unwrap_or(u32::MAX);
    // A search for words hands over each document as it finds it: what is in an unfinished batch when time is up is lost.
    let batch = if query.words().next().is_some() { 1 } else { limit };
    let collection = database.collection::<RawDocumentBuf>(&name);
    let mut cursor = collection
        .find(filter(layout, query))
        .sort(doc! { layout.order(): direction })
        .limit(i64::from(limit))
        .batch_size(batch)
        .max_time(Duration::from_millis(SEARCH_MS))
        .allow_disk_use(true)
        .await?;
    while cursor.advance().await? {
        found.documents.push(row::decode(layout, query.collection, cursor.current()).map_err(Stop::Failed)?);
    }
    Ok(())
}

fn filter(layout: Layout, query: &Query) -> Filter {
    let mut all: Vec<Filter> = Vec::new();
    let order = layout.order();
    if let Some(aggregate) = &query.aggregate {
        all.push(doc! { "aggregate": aggregate.to_string() });
    }
    if let Some(actor) = &query.actor {
        all.push(doc! { "actor": actor });
    }
    // The date, to the millisecond, is in the index; the microseconds decide.
    if let Some(since) = query.since {
        all.push(doc! { "time": { "$gte": row::date(since) }, "micros": { "$gte": since.micros() } });
    }
    if let Some(until) = query.until {
        all.push(doc! { "time": { "$lte": row::date(until) }, "micros": { "$lt": until.micros() } });
    }
    if let Some(after) = query.after {
        all.push(doc! { order: { "$gt": number_within(after) } });
    }
    if let Some(before) = query.before {
        // Where the bound itself has no number, it is past every document.
        let compare = if layout::number(before).is_some() { "$lt" } else { "$lte" };
        all.push(doc! { order: { compare: number_within(before) } });
    }
    if !query.kinds.is_empty() {
        all.push(doc! { "$or": query.kinds.iter().map(kind).collect::<Vec<_>>() });
    }
    all.extend(query.words().map(|word| doc! { "text": word_begins(word) }));
    if all.is_empty() {
        doc! {}
    } else {
        doc! { "$and": all }
    }
}

fn kind(pattern: &KindPattern) -> Filter {
    match pattern {
        KindPattern::Exactly(kind) => doc! { "kind": kind },
        // A range, so that the index serves it: no character stands behind U+10FFFF.
        KindPattern::Prefix(prefix) => doc! { "kind": { "$gte": prefix, "$lt": format!("{prefix}\u{10FFFF}") } },
    }
}

/// Where a word begins so. Words are of letters and digits: nothing in them means anything to a regular expression.
fn word_begins(word: &str) -> Filter {
    doc! { "$regex": format!(r"(?<![\p{{L}}\p{{N}}]){word}"), "$options": "i" }
}

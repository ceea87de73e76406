//! Finding documents: a query as SQL.

use std::time::{Duration, Instant};

use cabildo_events::limits::SEARCH_MS;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::documents_file::{COLUMNS, document, exists, table};
use crate::{Found, KindPattern, Order, Query};

/// How many of SQLite's instructions pass between two looks at the clock.
const LOOK_EVERY_OPS: i32 = 20_000;

/// Finds documents; what takes too long is cut short.
pub(super) fn find(connection: &mut Connection, query: &Query) -> rusqlite::Result<Found> {
    let table = table(query.projection, query.collection);
    if !exists(connection, &table)? {
        return Ok(Found { documents: vec![], cut_short: false });
    }
    let (condition, values) = conditions(query, &table);
    let order = if query.order == Order::Oldest { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM {table} AS d WHERE {condition} ORDER BY d.created {order} LIMIT {}",
        query.limit
    );
    let deadline = Instant::now() + Duration::from_millis(SEARCH_MS);
    connection.progress_handler(LOOK_EVERY_OPS, Some(move || Instant::now() > deadline))?;
    let found = collect(connection, &sql, values, query.collection);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    found
}

fn collect(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    collection: &'static str,
) -> rusqlite::Result<Found> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut documents = Vec::new();
    loop {
        match rows.next() {
            Ok(Some(row)) => documents.push(document(collection, row)?),
            Ok(None) => return Ok(Found { documents, cut_short: false }),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
                return Ok(Found { documents, cut_short: true });
            }
            Err(error) => return Err(error),
        }
    }
}

fn conditions(query: &Query, table: &str) -> (String, Vec<Value>) {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut add = |condition: &str, value: Value| {
        conditions.push(condition.to_owned());
        values.push(value);
    };
    let seq = |seq: u64| Value::Integer(i64::try_from(seq).unwrap_or(i64::MAX));
    if let Some(aggregate) = &query.aggregate {
        add("d.aggregate = ?", Value::Text(aggregate.to_string()));
    }
    if let Some(actor) = &query.actor {
        add("d.actor = ?", Value::Text(actor.clone()));
    }
    if let Some(since) = query.since {
        add("d.time >= ?", Value::Integer(since.micros()));
    }
    if let Some(until) = query.until {
        add("d.time < ?", Value::Integer(until.micros()));
    }
    if let Some(after) = query.after {
        add("d.created > ?", seq(after.seq));
    }
    if let Some(before) = query.before {
        add("d.created < ?", seq(before.seq));
    }
    let text = query.words().map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" AND ");
    if !text.is_empty() {
        let condition = format!("d.created IN (SELECT rowid FROM {table}_text WHERE {table}_text MATCH ?)");
        add(&condition, Value::Text(text));
    }
    if !query.kinds.is_empty() {
        let mut alternatives = Vec::new();
        for kind in &query.kinds {
            match kind {
                KindPattern::Exactly(kind) => {
                    alternatives.push("d.kind = ?");
                    values.push(Value::Text(kind.clone()));
                }
                KindPattern::Prefix(prefix) => {
                    // A range, so that the index serves it: no character stands behind U+10FFFF.
                    alternatives.push("d.kind >= ? AND d.kind < ?");
                    values.push(Value::Text(prefix.clone()));
                    values.push(Value::Text(format!("{prefix}\u{10FFFF}")));
                }
            }
        }
        conditions.push(format!("({})", alternatives.join(" OR ")));
    }
    (conditions.join(" AND "), values)
}

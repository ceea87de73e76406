//! Finding documents: a query as SQL.

use std::time::{Duration, Instant};

use cabildo_events::Position;
use cabildo_events::limits::SEARCH_MS;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::documents_file::{COLUMNS, document, exists, table};
use crate::{Clause, Compare, Condition, Found, KindPattern, Matches, Order, Query, words};

/// How many of SQLite's instructions pass between two looks at the clock.
const LOOK_EVERY_OPS: i32 = 20_000;

/// Finds documents; what takes too long is cut short.
pub(super) fn find(connection: &mut Connection, query: &Query) -> rusqlite::Result<Found> {
    let (documents, cut_short) = search(connection, query, COLUMNS, |row| document(query.collection, row))?;
    Ok(Found { documents, cut_short })
}

/// Finds where documents are; what takes too long is cut short.
pub(super) fn positions(connection: &mut Connection, query: &Query) -> rusqlite::Result<Matches> {
    let (positions, cut_short) = search(connection, query, CREATED, |row| Ok(Position::at(row.get(0)?)))?;
    Ok(Matches { positions, cut_short })
}

const CREATED: &str = "d.created";

fn search<T>(
    connection: &mut Connection,
    query: &Query,
    columns: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<(Vec<T>, bool)> {
    let table = table(query.projection, query.collection);
    if !exists(connection, &table)? {
        return Ok((Vec::new(), false));
    }
    let (sql, values) = Statement::of(query, &table).sql(columns);
    let deadline = Instant::now() + Duration::from_millis(SEARCH_MS);
    connection.progress_handler(LOOK_EVERY_OPS, Some(move || Instant::now() > deadline))?;
    let found = collect(connection, &sql, values, read);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    found
}

fn collect<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<(Vec<T>, bool)> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    loop {
        match rows.next() {
            Ok(Some(row)) => found.push(read(row)?),
            Ok(None) => return Ok((found, false)),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {
                return Ok((found, true));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A query on its way to SQL. Words that must be there lead: the full-text index gives their rows in order, and only those
/// are looked at.
struct Statement<'q> {
    query: &'q Query,
    table: &'q str,
    /// What the full-text index is asked.
    text: Vec<String>,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl<'q> Statement<'q> {
    fn of(query: &'q Query, table: &'q str) -> Self {
        let mut statement = Self { query, table, text: Vec::new(), conditions: Vec::new(), values: Vec::new() };
        for clause in query.every_clause() {
            statement.add(&clause);
        }
        statement
    }

    fn add(&mut self, clause: &Clause) {
        let texts = clause.any.iter().map(|condition| match condition {
            Condition::Text(text) => Some(expression(text)),
            _ => None,
        });
        if let Some(texts) = texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty() && !clause.negated) {
            // An alternative without words always holds.
            if let Some(texts) = texts.into_iter().collect::<Option<Vec<_>>>() {
                self.text.push(format!("({})", texts.join(" OR ")));
            }
            return;
        }
        let alternatives: Vec<_> = clause.any.iter().map(|condition| self.condition(condition, clause.negated)).collect();
        let any = if alternatives.is_empty() { "0".to_owned() } else { alternatives.join(" OR ") };
        self.conditions.push(format!("{}({any})", if clause.negated { "NOT " } else { "" }));
    }

    fn take(&mut self, value: Value) {
        self.values.push(value);
    }

    /// A condition; one that is to be negated is true or false, never unknown. Only `=` is served by the partial indexes.
    fn condition(&mut self, condition: &Condition, negated: bool) -> String {
        let is = |column: &str| format!("{column} {} ?", if negated { "IS" } else { "=" });
        match condition {
            Condition::Kind(KindPattern::Exactly(kind)) => {
                self.take(Value::Text(kind.clone()));
                "d.kind = ?".to_owned()
            }
            Condition::Kind(KindPattern::Prefix(prefix)) => self.begins("d.kind", prefix),
            Condition::Context(context) => self.begins("d.aggregate", &format!("{context}/")),
            Condition::Aggregate(aggregate) => {
                self.take(Value::Text(aggregate.clone()));
                "d.aggregate = ?".to_owned()
            }
            Condition::Actor(actor) => {
                self.take(Value::Text(actor.clone()));
                is("d.actor")
            }
            Condition::Lane(lane) => {
                self.take(Value::Integer(i64::from(lane.number())));
                "d.lane = ?".to_owned()
            }
            Condition::Event(id) => {
                self.take(Value::Blob(id.0.into_bytes().into()));
                is("d.event")
            }
            Condition::Correlation(id) => {
                self.take(Value::Blob(id.0.into_bytes().into()));
                is("d.correlation")
            }
            Condition::Causation(id) => {
                self.take(Value::Blob(id.0.into_bytes().into()));
                is("d.causation")
            }
            Condition::Text(text) => match expression(text) {
                None => "1".to_owned(),
                Some(expression) => {
                    self.take(Value::Text(expression));
                    format!("d.created IN (SELECT rowid FROM {0}_text WHERE {0}_text MATCH ?)", self.table)
                }
            },
            Condition::Position(compare, position) => {
                self.take(seq(*position));
                format!("d.created {} ?", operator(*compare))
            }
            Condition::Time(compare, time) => {
                self.take(Value::Integer(time.micros()));
                format!("d.time {} ?", operator(*compare))
            }
        }
    }

    /// A range, so that the index serves it: no character stands behind U+10FFFF.
    fn begins(&mut self, column: &str, prefix: &str) -> String {
        self.take(Value::Text(prefix.to_owned()));
        self.take(Value::Text(format!("{prefix}\u{10FFFF}")));
        format!("({column} >= ? AND {column} < ?)")
    }

    fn sql(mut self, columns: &str) -> (String, Vec<Value>) {
        let (table, query) = (self.table, self.query);
        // Where the index alone knows the answer, the documents are not looked at.
        let from_text = !self.text.is_empty();
        let text_alone = from_text && self.conditions.is_empty() && columns == CREATED;
        let rowid = if from_text { "f.rowid" } else { CREATED };
        let mut values = Vec::new();
        let mut conditions = Vec::new();
        if from_text {
            conditions.push(format!("{table}_text MATCH ?"));
            values.push(Value::Text(self.text.join(" AND ")));
        }
        if let Some(after) = query.after {
            conditions.push(format!("{rowid} > ?"));
            values.push(seq(after));
        }
        if let Some(before) = query.before {
            conditions.push(format!("{rowid} < ?"));
            values.push(seq(before));
        }
        conditions.append(&mut self.conditions);
        values.append(&mut self.values);
        let from = match (from_text, text_alone) {
            (_, true) => format!("{table}_text AS f"),
            // The order of a cross join is kept: words first.
            (true, false) => format!("{table}_text AS f CROSS JOIN {table} AS d ON d.created = f.rowid"),
            (false, _) => format!("{table} AS d"),
        };
        let columns = if text_alone { rowid } else { columns };
        let condition = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
        let order = if query.order == Order::Oldest { "ASC" } else { "DESC" };
        let limit = query.limit;
        (format!("SELECT {columns} FROM {from} WHERE {condition} ORDER BY {rowid} {order} LIMIT {limit}"), values)
    }
}

/// What the full-text index is asked for a text; `None` if the text has no words.
fn expression(text: &str) -> Option<String> {
    let words: Vec<_> = words(text).map(|word| format!("\"{word}\"*")).collect();
    (!words.is_empty()).then(|| format!("({})", words.join(" AND ")))
}

/// SQLite's integers are signed, and shards other than the first are past all that it holds.
fn seq(position: Position) -> Value {
    let seq = i64::try_from(position.seq).ok().filter(|_| position.shard == 0);
    Value::Integer(seq.unwrap_or(i64::MAX))
}

const fn operator(compare: Compare) -> &'static str {
    match compare {
        Compare::Below => "<",
        Compare::AtMost => "<=",
        Compare::Equal => "=",
        Compare::AtLeast => ">=",
        Compare::Above => ">",
    }
}

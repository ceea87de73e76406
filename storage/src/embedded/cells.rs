//! All cells of a lane, and of a view: read page by page, removed step by step.

use std::collections::HashMap;

use cabildo_events::Lane;
use cabildo_events::limits::DROP_ROWS;
use cabildo_projections::{Cell, ProjectionId};
use rusqlite::{Connection, OptionalExtension, params};

use super::counters_file::text;
use super::watermarks::{forget, reset};
use crate::sink::Place;
use crate::{Cursor, RowPage};

/// Reads the cells of a lane, by hash and field, after a place.
pub(super) fn rows(
    connection: &mut Connection,
    projection: ProjectionId,
    lane: Lane,
    tables: &[&'static str],
    after: Option<Cursor>,
    limit: usize,
) -> rusqlite::Result<RowPage<Cell, Box<str>>> {
    let transaction = connection.transaction()?;
    let tables: HashMap<&str, &'static str> = tables.iter().map(|table| (*table, *table)).collect();
    let (mut from, mut after) = match after {
        Some(Cursor(Place::Cell { hash, field })) => (hash, Some(field)),
        _ => (i64::MIN, None),
    };
    let mut rows: Vec<(Cell, Box<str>)> = Vec::new();
    let mut next = None;
    while let Some((hash, table, key)) = hash_from(&transaction, projection, lane, from)? {
        if hash > from {
            after = None;
        }
        if let Some(table) = tables.get(&*table) {
            let room = limit.max(1) - rows.len();
            let fields = fields(&transaction, hash, after.as_deref(), room)?;
            let full = fields.len() == room;
            rows.extend(fields.into_iter().map(|(field, value)| (Cell::new(table, &key, &field), value)));
            if full {
                let field = rows.last().map(|(cell, _)| cell.field.to_string()).unwrap_or_default();
                next = Some(Cursor(Place::Cell { hash, field }));
                break;
            }
        }
        (from, after) = (hash + 1, None);
    }
    Ok(RowPage { rows, next })
}

fn hash_from(
    connection: &Connection,
    projection: ProjectionId,
    lane: Lane,
    from: i64,
) -> rusqlite::Result<Option<(i64, String, String)>> {
    connection
        .prepare_cached(
            "SELECT hash, tbl, key FROM hashes NOT INDEXED
             WHERE hash >= ? AND projection = ? AND version = ? AND lane = ? ORDER BY hash LIMIT 1",
        )?
        .query_row(params![from, projection.name, projection.version, lane.number()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()
}

fn fields(
    connection: &Connection,
    hash: i64,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<(String, Box<str>)>> {
    // Every field is behind none.
    let mut statement = connection.prepare_cached(
        "SELECT field, value FROM cells WHERE hash = ?1 AND (?2 IS NULL OR field > ?2) ORDER BY field LIMIT ?3",
    )?;
    let fields = statement
        .query_map(params![hash, after, limit], |row| Ok((row.get(0)?, text(row.get_ref(1)?).into_boxed_str())))?;
    fields.collect()
}

/// One step of removing a view; whether nothing is left of it.
pub(super) fn drop_some(connection: &Connection, projection: ProjectionId) -> rusqlite::Result<bool> {
    reset(connection, projection)?;
    let mut left = DROP_ROWS;
    while left > 0 {
        let found: Option<i64> = connection
            .prepare_cached("SELECT hash FROM hashes WHERE projection = ? AND version = ? LIMIT 1")?
            .query_row(params![projection.name, projection.version], |row| row.get(0))
            .optional()?;
        let Some(hash) = found else {
            forget(connection, projection)?;
            return Ok(true);
        };
        let removed = connection
            .prepare_cached(
                "DELETE FROM cells WHERE hash = ?1 AND field IN (SELECT field FROM cells WHERE hash = ?1 LIMIT ?2)",
            )?
            .execute(params![hash, left])?;
        if removed < left {
            connection.prepare_cached("DELETE FROM hashes WHERE hash = ?")?.execute([hash])?;
            left -= 1;
        }
        left -= removed.min(left);
    }
    Ok(false)
}

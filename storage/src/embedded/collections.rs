//! All documents of a lane, and of a view: read page by page, removed step by step.

use cabildo_events::limits::DROP_ROWS;
use cabildo_events::{Lane, Position};
use cabildo_projections::{Document, DocumentKey, ProjectionId};
use rusqlite::{Connection, params};

use super::documents_file::{COLUMNS, document, exists, table};
use super::watermarks::{forget, reset};
use crate::sink::Place;
use crate::{Cursor, RowPage};

/// Reads the documents of a lane, by collection and the event that made them, after a place.
pub(super) fn rows(
    connection: &mut Connection,
    projection: ProjectionId,
    lane: Lane,
    collections: &[&'static str],
    after: Option<&Cursor>,
    limit: usize,
) -> rusqlite::Result<RowPage<DocumentKey, Document>> {
    let (first, mut after) = match after {
        Some(Cursor(Place::Document { collection, after })) => (*collection, *after),
        _ => (0, Position::START),
    };
    let mut rows = Vec::new();
    let limit = limit.max(1);
    for (index, collection) in collections.iter().enumerate().skip(first) {
        let table = table(projection, collection);
        if exists(connection, &table)? {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM {table} AS d WHERE d.lane = ? AND d.created > ? ORDER BY d.created LIMIT ?"
            ))?;
            let found = statement
                .query_map(params![lane.number(), after.seq, limit - rows.len()], |row| document(collection, row))?;
            for document in found {
                let document = document?;
                rows.push((document.key.clone(), document));
            }
        }
        if let Some((_, last)) = rows.last().filter(|_| rows.len() == limit) {
            let next = Some(Cursor(Place::Document { collection: index, after: last.created }));
            return Ok(RowPage { rows, next });
        }
        after = Position::START;
    }
    Ok(RowPage { rows, next: None })
}

/// The tables of collections whose names begin so: those with a full-text index beside them.
pub(super) fn named(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT name FROM sqlite_schema AS t WHERE type = 'table' AND substr(name, 1, length(?1)) = ?1
         AND EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = t.name || '_text') ORDER BY name",
    )?;
    statement.query_map([prefix], |row| row.get(0))?.collect()
}

/// One step of removing a view; whether nothing is left of it.
pub(super) fn drop_some(connection: &Connection, projection: ProjectionId) -> rusqlite::Result<bool> {
    reset(connection, projection)?;
    let Some(table) = named(connection, &table(projection, ""))?.into_iter().next() else {
        forget(connection, projection)?;
        return Ok(true);
    };
    let removed = connection
        .prepare_cached(&format!("DELETE FROM {table} WHERE created IN (SELECT created FROM {table} LIMIT ?)"))?
        .execute([DROP_ROWS])?;
    if removed == 0 {
        connection.execute_batch(&format!("DROP TABLE {table}_text; DROP TABLE {table};"))?;
    }
    Ok(false)
}

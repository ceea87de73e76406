//! The watermark of each lane, in the same file as the rows it vouches for.

use cabildo_events::{LANES, Lane};
use cabildo_projections::ProjectionId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Applied, Watermarks};

/// Makes the table.
macro_rules! watermarks_table {
    () => {
        "CREATE TABLE watermarks (
            projection TEXT NOT NULL,
            version INTEGER NOT NULL,
            lane INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            PRIMARY KEY (projection, version, lane)
        ) WITHOUT ROWID;"
    };
}
pub(super) use watermarks_table;

/// Moves a lane's watermark from `prev` to `next`, or tells where it stands.
pub(super) fn advance(
    connection: &Connection,
    projection: ProjectionId,
    lane: Lane,
    prev: u64,
    next: u64,
) -> rusqlite::Result<Applied> {
    let stands = watermark(connection, projection, lane)?;
    if stands != prev {
        return Ok(Applied::Conflict { watermark: stands });
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO watermarks (projection, version, lane, seq) VALUES (?, ?, ?, ?)")?
        .execute(params![projection.name, projection.version, lane.number(), next])?;
    Ok(Applied::Done)
}

pub(super) fn watermark(connection: &Connection, projection: ProjectionId, lane: Lane) -> rusqlite::Result<u64> {
    let found = connection
        .prepare_cached("SELECT seq FROM watermarks WHERE projection = ? AND version = ? AND lane = ?")?
        .query_row(params![projection.name, projection.version, lane.number()], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0))
}

pub(super) fn watermarks(connection: &Connection, projection: ProjectionId) -> rusqlite::Result<Watermarks> {
    let mut found = Watermarks([0; LANES as usize]);
    let mut statement =
        connection.prepare_cached("SELECT lane, seq FROM watermarks WHERE projection = ? AND version = ?")?;
    let mut rows = statement.query(params![projection.name, projection.version])?;
    while let Some(row) = rows.next()? {
        if let Some(lane) = Lane::new(row.get(0)?) {
            found.0[lane.index()] = row.get(1)?;
        }
    }
    Ok(found)
}

/// The versions of a projection that have a watermark, in order.
pub(super) fn versions(connection: &Connection, projection: &str) -> rusqlite::Result<Vec<u32>> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT version FROM watermarks WHERE projection = ? ORDER BY version")?;
    statement.query_map([projection], |row| row.get(0))?.collect()
}

/// Puts a view to its beginning: before its rows are removed.
pub(super) fn reset(connection: &Connection, projection: ProjectionId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE watermarks SET seq = 0 WHERE projection = ? AND version = ? AND seq > 0")?
        .execute(params![projection.name, projection.version])?;
    Ok(())
}

/// Forgets a view: after its rows are removed.
pub(super) fn forget(connection: &Connection, projection: ProjectionId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM watermarks WHERE projection = ? AND version = ?")?
        .execute(params![projection.name, projection.version])?;
    Ok(())
}

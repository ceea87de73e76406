//! Counters as a SQLite file: synchronous code over one connection.

use std::collections::{BTreeMap, HashMap};

use cabildo_events::{LANES, Lane};
use cabildo_projections::{Cell, CellChange, ProjectionId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::database::{Layout, in_memory};
use super::sink::SinkFile;
use super::watermarks::{advance, watermark, watermarks_table};
use crate::{Applied, Cursor, Hashes, LaneBatch, Loaded, RowPage};

const LAYOUT: Layout = Layout {
    name: "counters",
    schema: 1,
    tables: concat!(
        watermarks_table!(),
        "
        CREATE TABLE hashes (
            hash INTEGER PRIMARY KEY,
            projection TEXT NOT NULL,
            version INTEGER NOT NULL,
            lane INTEGER NOT NULL,
            tbl TEXT NOT NULL,
            key TEXT NOT NULL,
            UNIQUE (projection, version, tbl, key, lane)
        );
        CREATE TABLE cells (
            hash INTEGER NOT NULL,
            field TEXT NOT NULL,
            value NOT NULL,
            PRIMARY KEY (hash, field)
        ) WITHOUT ROWID;"
    ),
    upgrades: &[],
    fsync: false,
    private: false,
};

/// The counters' file.
#[derive(Debug)]
pub struct CountersFile {
    connection: Connection,
}

impl CountersFile {
    /// Counters in memory, empty, for the simulation.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn in_memory() -> rusqlite::Result<Self> {
        in_memory(&LAYOUT).map(|connection| Self { connection })
    }

    /// The connection, for reading, or for setting the store back.
    pub(super) const fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Applies batches in one transaction, each on its own condition.
    ///
    /// # Errors
    /// When SQLite fails; then nothing was applied.
    pub fn apply(&mut self, batches: &[LaneBatch<CellChange>]) -> rusqlite::Result<Vec<Applied>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answers = batches.iter().map(|batch| apply_one(&transaction, batch)).collect::<rusqlite::Result<_>>()?;
        transaction.commit()?;
        Ok(answers)
    }

    /// Reads cells and the watermark at one moment.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn load(
        &mut self,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<Cell>,
    ) -> rusqlite::Result<Loaded<Cell, Box<str>>> {
        load(&mut self.connection, projection, lane, keys)
    }
}

impl SinkFile for CountersFile {
    type Key = Cell;
    type Row = Box<str>;
    type Change = CellChange;
    const LAYOUT: Layout = LAYOUT;

    fn new(connection: Connection) -> Self {
        Self { connection }
    }

    fn apply(&mut self, batches: &[LaneBatch<CellChange>]) -> rusqlite::Result<Vec<Applied>> {
        Self::apply(self, batches)
    }

    fn load(
        connection: &mut Connection,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<Cell>,
    ) -> rusqlite::Result<Loaded<Cell, Box<str>>> {
        load(connection, projection, lane, keys)
    }

    fn rows(
        connection: &mut Connection,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> rusqlite::Result<RowPage<Cell, Box<str>>> {
        super::cells::rows(connection, projection, lane, tables, after, limit)
    }

    fn drop_some(&mut self, projection: ProjectionId) -> rusqlite::Result<bool> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = super::cells::drop_some(&transaction, projection)?;
        transaction.commit()?;
        Ok(done)
    }
}

fn apply_one(connection: &Connection, batch: &LaneBatch<CellChange>) -> rusqlite::Result<Applied> {
    let advanced = advance(connection, batch.projection, batch.lane, batch.prev, batch.next)?;
    if advanced != Applied::Done {
        return Ok(advanced);
    }
    let mut ids: HashMap<(&str, &str), i64> = HashMap::new();
    for change in &batch.changes {
        let cell = change.cell();
        let name = (cell.table, &*cell.key);
        let hash = match ids.get(&name) {
            Some(hash) => *hash,
            None => {
                let make = !matches!(change, CellChange::Remove(_));
                let found = hash_id(connection, batch.projection, batch.lane, cell.table, &cell.key, make)?;
                let Some(hash) = found else { continue };
                ids.insert(name, hash);
                hash
            }
        };
        match change {
            CellChange::Add(_, more) => connection
                .prepare_cached(
                    "INSERT INTO cells (hash, field, value) VALUES (?, ?, ?)
                     ON CONFLICT DO UPDATE SET value = value + excluded.value",
                )?
                .execute(params![hash, cell.field, more])?,
            CellChange::Put(_, text) => connection
                .prepare_cached("INSERT OR REPLACE INTO cells (hash, field, value) VALUES (?, ?, ?)")?
                .execute(params![hash, cell.field, text])?,
            CellChange::Remove(_) => connection
                .prepare_cached("DELETE FROM cells WHERE hash = ? AND field = ?")?
                .execute(params![hash, cell.field])?,
        };
    }
    Ok(Applied::Done)
}

fn hash_id(
    connection: &Connection,
    projection: ProjectionId,
    lane: Lane,
    table: &str,
    key: &str,
    make: bool,
) -> rusqlite::Result<Option<i64>> {
    let name = params![projection.name, projection.version, table, key, lane.number()];
    let found = connection
        .prepare_cached(
            "SELECT hash FROM hashes WHERE projection = ? AND version = ? AND tbl = ? AND key = ? AND lane = ?",
        )?
        .query_row(name, |row| row.get(0))
        .optional()?;
    if found.is_some() || !make {
        return Ok(found);
    }
    connection
        .prepare_cached("INSERT INTO hashes (projection, version, tbl, key, lane) VALUES (?, ?, ?, ?, ?)")?
        .execute(name)?;
    Ok(Some(connection.last_insert_rowid()))
}

fn load(
    connection: &mut Connection,
    projection: ProjectionId,
    lane: Lane,
    keys: Vec<Cell>,
) -> rusqlite::Result<Loaded<Cell, Box<str>>> {
    let transaction = connection.transaction()?;
    let watermark = watermark(&transaction, projection, lane)?;
    let mut ids: HashMap<(&'static str, Box<str>), Option<i64>> = HashMap::new();
    let mut rows = Vec::with_capacity(keys.len());
    {
        let mut select = transaction.prepare_cached("SELECT value FROM cells WHERE hash = ? AND field = ?")?;
        for cell in keys {
            let name = (cell.table, cell.key.clone());
            let hash = match ids.get(&name) {
                Some(hash) => *hash,
                None => {
                    let hash = hash_id(&transaction, projection, lane, cell.table, &cell.key, false)?;
                    ids.insert(name, hash);
                    hash
                }
            };
            let value = match hash {
                Some(hash) => {
                    select.query_row(params![hash, cell.field], |row| Ok(text(row.get_ref(0)?))).optional()?
                }
                None => None,
            };
            rows.push((cell, value.map(String::into_boxed_str)));
        }
    }
    transaction.commit()?;
    Ok(Loaded { watermark, rows })
}

/// Reads whole hashes and the watermark at one moment.
pub(super) fn hashes(
    connection: &mut Connection,
    projection: ProjectionId,
    lane: Lane,
    wanted: &[(&'static str, String)],
) -> rusqlite::Result<Hashes> {
    let transaction = connection.transaction()?;
    let watermark = watermark(&transaction, projection, lane)?;
    let mut hashes = Vec::with_capacity(wanted.len());
    for (table, key) in wanted {
        hashes.push(match hash_id(&transaction, projection, lane, table, key, false)? {
            Some(hash) => fields(&transaction, hash)?,
            None => BTreeMap::new(),
        });
    }
    transaction.commit()?;
    Ok(Hashes { watermark, hashes })
}

fn fields(connection: &Connection, hash: i64) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare_cached("SELECT field, value FROM cells WHERE hash = ?")?;
    let rows = statement.query_map([hash], |row| Ok((row.get(0)?, text(row.get_ref(1)?))))?;
    rows.collect()
}

/// The hash of every lane under one name.
pub(super) fn across_lanes(
    connection: &mut Connection,
    projection: ProjectionId,
    table: &'static str,
    key: &str,
) -> rusqlite::Result<Vec<BTreeMap<String, String>>> {
    let transaction = connection.transaction()?;
    let mut found = Vec::with_capacity(LANES.into());
    for lane in Lane::all() {
        found.push(match hash_id(&transaction, projection, lane, table, key, false)? {
            Some(hash) => fields(&transaction, hash)?,
            None => BTreeMap::new(),
        });
    }
    transaction.commit()?;
    Ok(found)
}

pub(super) fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Null => String::new(),
    }
}

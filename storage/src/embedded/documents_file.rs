//! Documents as a SQLite file: synchronous code over one connection. Each collection of each version is a table of its
//! own, with a full-text index beside it.

use std::collections::HashSet;

use cabildo_events::{Lane, Position, Timestamp};
use cabildo_projections::{Document, DocumentChange, DocumentKey, ProjectionId};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::database::{Layout, in_memory};
use super::sink::SinkFile;
use super::watermarks::{advance, watermark, watermarks_table};
use crate::{Applied, LaneBatch, Loaded};

const LAYOUT: Layout = Layout { name: "documents", schema: 1, tables: watermarks_table!(), fsync: false };

/// The columns of a collection's table, as [`document`] reads them.
pub(super) const COLUMNS: &str = "d.id, d.created, d.folded, d.aggregate, d.kind, d.actor, d.time, d.text, d.body";

/// The table of a collection. Names come from this program, never from outside.
pub(super) fn table(projection: ProjectionId, collection: &str) -> String {
    format!("{}_v{}_{collection}", projection.name, projection.version)
}

/// The documents' file.
#[derive(Debug)]
pub struct DocumentsFile {
    connection: Connection,
    made: HashSet<String>,
}

impl DocumentsFile {
    /// Documents in memory, empty, for the simulation.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn in_memory() -> rusqlite::Result<Self> {
        in_memory(&LAYOUT).map(SinkFile::new)
    }

    /// The connection, for reading, or for setting the store back.
    pub(super) fn connection(&mut self) -> &mut Connection {
        // Tables may come and go with what is done to it.
        self.made.clear();
        &mut self.connection
    }

    /// Applies batches in one transaction, each on its own condition.
    ///
    /// # Errors
    /// When SQLite fails; then nothing was applied.
    pub fn apply(&mut self, batches: &[LaneBatch<DocumentChange>]) -> rusqlite::Result<Vec<Applied>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut made = Vec::new();
        let mut answers = Vec::with_capacity(batches.len());
        for batch in batches {
            let first_of = |change: &DocumentChange| table(batch.projection, change.document().key.collection);
            for table in batch.changes.iter().map(first_of).collect::<HashSet<_>>() {
                if !self.made.contains(&table) && !made.contains(&table) {
                    make(&transaction, &table)?;
                    made.push(table);
                }
            }
            answers.push(apply_one(&transaction, batch)?);
        }
        transaction.commit()?;
        self.made.extend(made);
        Ok(answers)
    }

    /// Reads documents and the watermark at one moment.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn load(
        &mut self,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<DocumentKey>,
    ) -> rusqlite::Result<Loaded<DocumentKey, Document>> {
        load(&mut self.connection, projection, lane, keys)
    }
}

impl SinkFile for DocumentsFile {
    type Key = DocumentKey;
    type Row = Document;
    type Change = DocumentChange;
    const LAYOUT: Layout = LAYOUT;

    fn new(connection: Connection) -> Self {
        Self { connection, made: HashSet::new() }
    }

    fn apply(&mut self, batches: &[LaneBatch<DocumentChange>]) -> rusqlite::Result<Vec<Applied>> {
        Self::apply(self, batches)
    }

    fn load(
        connection: &mut Connection,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<DocumentKey>,
    ) -> rusqlite::Result<Loaded<DocumentKey, Document>> {
        load(connection, projection, lane, keys)
    }
}

fn make(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (
            created INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            folded INTEGER NOT NULL,
            aggregate TEXT NOT NULL,
            kind TEXT NOT NULL,
            actor TEXT,
            time INTEGER NOT NULL,
            text TEXT NOT NULL,
            body TEXT NOT NULL
        );
        CREATE INDEX IF NOT EXISTS {table}_aggregate ON {table} (aggregate, created);
        CREATE INDEX IF NOT EXISTS {table}_kind ON {table} (kind, created);
        CREATE VIRTUAL TABLE IF NOT EXISTS {table}_text USING fts5(
            text, content = '', contentless_delete = 1, detail = 'none', tokenize = 'unicode61 remove_diacritics 0'
        );"
    ))
}

fn apply_one(connection: &Connection, batch: &LaneBatch<DocumentChange>) -> rusqlite::Result<Applied> {
    // A batch that turns out to be stale halfway leaves nothing behind.
    connection.prepare_cached("SAVEPOINT batch")?.execute([])?;
    let applied = match advance(connection, batch.projection, batch.lane, batch.prev, batch.next)? {
        Applied::Done => write_all(connection, batch)?,
        conflict => conflict,
    };
    if applied != Applied::Done {
        connection.prepare_cached("ROLLBACK TO batch")?.execute([])?;
    }
    connection.prepare_cached("RELEASE batch")?.execute([])?;
    Ok(applied)
}

fn write_all(connection: &Connection, batch: &LaneBatch<DocumentChange>) -> rusqlite::Result<Applied> {
    for change in &batch.changes {
        let table = table(batch.projection, change.document().key.collection);
        let written = match change {
            DocumentChange::Append(document) => {
                insert(connection, &table, document)?;
                true
            }
            DocumentChange::Write { document, from: None } => insert(connection, &table, document)?,
            DocumentChange::Write { document, from: Some(from) } => replace(connection, &table, document, *from)?,
        };
        if !written {
            return Ok(Applied::Conflict { watermark: batch.prev });
        }
    }
    Ok(Applied::Done)
}

fn insert(connection: &Connection, table: &str, document: &Document) -> rusqlite::Result<bool> {
    let written = connection
        .prepare_cached(&format!(
            "INSERT INTO {table} (created, id, folded, aggregate, kind, actor, time, text, body)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        ))?
        .execute(params![
            document.created.seq,
            document.key.id,
            document.folded.seq,
            document.aggregate,
            document.kind,
            document.actor,
            document.time.micros(),
            document.text,
            document.body,
        ])?;
    if written == 1 {
        connection
            .prepare_cached(&format!("INSERT INTO {table}_text (rowid, text) VALUES (?, ?)"))?
            .execute(params![document.created.seq, document.text])?;
    }
    Ok(written == 1)
}

fn replace(connection: &Connection, table: &str, document: &Document, from: Position) -> rusqlite::Result<bool> {
    let written = connection
        .prepare_cached(&format!(
            "UPDATE {table} SET folded = ?, kind = ?, actor = ?, text = ?, body = ? WHERE id = ? AND folded = ?"
        ))?
        .execute(params![
            document.folded.seq,
            document.kind,
            document.actor,
            document.text,
            document.body,
            document.key.id,
            from.seq,
        ])?;
    if written == 1 {
        connection
            .prepare_cached(&format!("INSERT OR REPLACE INTO {table}_text (rowid, text) VALUES (?, ?)"))?
            .execute(params![document.created.seq, document.text])?;
    }
    Ok(written == 1)
}

/// Whether a collection has been made yet: a reader may come before the first document.
pub(super) fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")?.exists([table])
}

fn load(
    connection: &mut Connection,
    projection: ProjectionId,
    lane: Lane,
    keys: Vec<DocumentKey>,
) -> rusqlite::Result<Loaded<DocumentKey, Document>> {
    let transaction = connection.transaction()?;
    let watermark = watermark(&transaction, projection, lane)?;
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        let table = table(projection, key.collection);
        let found = if exists(&transaction, &table)? {
            transaction
                .prepare_cached(&format!("SELECT {COLUMNS} FROM {table} AS d WHERE d.id = ?"))?
                .query_row([&key.id], |row| document(key.collection, row))
                .optional()?
        } else {
            None
        };
        rows.push((key, found));
    }
    transaction.commit()?;
    Ok(Loaded { watermark, rows })
}

pub(super) fn document(collection: &'static str, row: &Row<'_>) -> rusqlite::Result<Document> {
    Ok(Document {
        key: DocumentKey { collection, id: row.get(0)? },
        created: Position::at(row.get(1)?),
        folded: Position::at(row.get(2)?),
        aggregate: row.get(3)?,
        kind: row.get(4)?,
        actor: row.get(5)?,
        time: Timestamp::from_micros(row.get(6)?),
        text: row.get(7)?,
        body: row.get(8)?,
    })
}

//! Documents as a SQLite file: synchronous code over one connection. Each collection of each version is a table of its
//! own, with a full-text index beside it.

use std::collections::{BTreeMap, HashSet};

use cabildo_events::{Aggregate, EventId, Lane, Position, Timestamp};
use cabildo_projections::{Document, DocumentChange, DocumentKey, Ids, ProjectionId, record};
use rusqlite::{Connection, OptionalExtension, Row, Statement, TransactionBehavior, params};
use uuid::Uuid;

use super::database::{Layout, in_memory};
use super::sink::SinkFile;
use super::watermarks::{advance, watermark, watermarks_table};
use crate::{Applied, Cursor, LaneBatch, Loaded, RowPage};

const LAYOUT: Layout = Layout {
    name: "documents",
    schema: 3,
    tables: watermarks_table!(),
    upgrades: &[add_lanes, begin_record],
    fsync: false,
    private: false,
};

/// The columns of a collection's table, as [`document`] reads them.
pub(super) const COLUMNS: &str =
    "d.id, d.created, d.folded, d.aggregate, d.kind, d.actor, d.time, d.text, d.body, d.lane,
    d.event, d.correlation, d.causation";

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
        let answers = self.apply_all(batches);
        if answers.is_err() {
            // A tool beside this process may have removed a table that it knew.
            self.made.clear();
        }
        answers
    }

    fn apply_all(&mut self, batches: &[LaneBatch<DocumentChange>]) -> rusqlite::Result<Vec<Applied>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut made = Vec::new();
        let mut answers = Vec::with_capacity(batches.len());
        let mut appended: BTreeMap<String, Vec<&Document>> = BTreeMap::new();
        for batch in batches {
            let table_of = |change: &DocumentChange| table(batch.projection, change.key().collection);
            for table in batch.changes.iter().map(table_of).collect::<HashSet<_>>() {
                if !self.made.contains(&table) && !made.contains(&table) {
                    make(&transaction, &table)?;
                    made.push(table);
                }
            }
            answers.push(apply_one(&transaction, batch, &mut appended)?);
        }
        for (table, documents) in &mut appended {
            append_all(&transaction, table, documents)?;
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

    fn rows(
        connection: &mut Connection,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> rusqlite::Result<RowPage<DocumentKey, Document>> {
        super::collections::rows(connection, projection, lane, tables, after.as_ref(), limit)
    }

    fn drop_some(&mut self, projection: ProjectionId) -> rusqlite::Result<bool> {
        self.made.clear();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = super::collections::drop_some(&transaction, projection)?;
        transaction.commit()?;
        Ok(done)
    }
}

fn make(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (
            created INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            folded INTEGER NOT NULL,
            lane INTEGER NOT NULL,
            aggregate TEXT NOT NULL,
            kind TEXT NOT NULL,
            actor TEXT,
            event BLOB,
            correlation BLOB,
            causation BLOB,
            time INTEGER NOT NULL,
            text TEXT NOT NULL,
            body TEXT NOT NULL
        );
        CREATE INDEX IF NOT EXISTS {table}_event ON {table} (event) WHERE event IS NOT NULL;
        CREATE INDEX IF NOT EXISTS {table}_correlation ON {table} (correlation) WHERE correlation IS NOT NULL;
        CREATE INDEX IF NOT EXISTS {table}_causation ON {table} (causation) WHERE causation IS NOT NULL;
        CREATE INDEX IF NOT EXISTS {table}_aggregate ON {table} (aggregate, created);
        CREATE INDEX IF NOT EXISTS {table}_lane ON {table} (lane, created);
        CREATE VIRTUAL TABLE IF NOT EXISTS {table}_text USING fts5(
            text, content = '', contentless_delete = 1, detail = 'none', tokenize = 'unicode61 remove_diacritics 0'
        );"
    ))
}

/// To schema 2: every document has a lane, and an index by it.
fn add_lanes(connection: &Connection) -> rusqlite::Result<()> {
    for table in super::collections::named(connection, "")? {
        connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN lane INTEGER NOT NULL DEFAULT 0"))?;
        for aggregate in texts(connection, &format!("SELECT DISTINCT aggregate FROM {table}"))? {
            if let Ok(lane) = aggregate.parse::<Aggregate>().map(|aggregate| aggregate.lane()) {
                let sql = format!("UPDATE {table} SET lane = ? WHERE aggregate = ?");
                connection.execute(&sql, params![lane.number(), aggregate])?;
            }
        }
        // The record's documents of what is no event may be of no aggregate; their body tells.
        connection.execute_batch(&format!(
            "UPDATE {table} SET lane = json_extract(body, '$.lane') WHERE aggregate = '' AND json_valid(body);
             CREATE INDEX {table}_lane ON {table} (lane, created);"
        ))?;
    }
    Ok(())
}

/// To schema 3: the record has the ids of its events, and of their data only the values as its text. It is folded anew from the
/// journal, which takes the consumers a second for tens of thousands of events.
fn begin_record(connection: &Connection) -> rusqlite::Result<()> {
    for table in super::collections::named(connection, "")? {
        if table.starts_with(&format!("{}_v", record::ID.name)) {
            connection.execute_batch(&format!("DROP TABLE {table}_text; DROP TABLE {table};"))?;
        } else {
            connection.execute_batch(&format!(
                "ALTER TABLE {table} ADD COLUMN event BLOB;
                 ALTER TABLE {table} ADD COLUMN correlation BLOB;
                 ALTER TABLE {table} ADD COLUMN causation BLOB;"
            ))?;
        }
    }
    connection.execute("DELETE FROM watermarks WHERE projection = ?", [record::ID.name])?;
    Ok(())
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Applies one batch. What is only appended is left to the caller, table by table: the changes of all lanes together are in the
/// order of the journal again.
fn apply_one<'b>(
    connection: &Connection,
    batch: &'b LaneBatch<DocumentChange>,
    appended: &mut BTreeMap<String, Vec<&'b Document>>,
) -> rusqlite::Result<Applied> {
    if let Some(documents) = only_appends(batch) {
        let applied = advance(connection, batch.projection, batch.lane, batch.prev, batch.next)?;
        if applied == Applied::Done {
            for document in documents {
                appended.entry(table(batch.projection, document.key.collection)).or_default().push(document);
            }
        }
        return Ok(applied);
    }
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

/// The documents of a batch that only appends.
fn only_appends(batch: &LaneBatch<DocumentChange>) -> Option<Vec<&Document>> {
    let documents = batch.changes.iter().map(|change| match change {
        DocumentChange::Append(document) => Some(document),
        _ => None,
    });
    documents.collect()
}

/// Inserts documents in the order of the journal. In any other, rows would go into the middle of full pages, and the full-text
/// index would begin a segment whenever it is told of a row before the last one.
fn append_all(connection: &Connection, table: &str, documents: &mut [&Document]) -> rusqlite::Result<()> {
    documents.sort_unstable_by_key(|document| document.created);
    let mut row = connection.prepare_cached(&insert_row(table))?;
    let mut text = connection.prepare_cached(&insert_text(table))?;
    for document in documents {
        if insert_with(&mut row, document)? {
            text.execute(params![document.created.seq, document.text])?;
        }
    }
    Ok(())
}

fn write_all(connection: &Connection, batch: &LaneBatch<DocumentChange>) -> rusqlite::Result<Applied> {
    for change in &batch.changes {
        let table = table(batch.projection, change.key().collection);
        let written = match change {
            DocumentChange::Append(document) => {
                insert(connection, &table, document)?;
                true
            }
            DocumentChange::Write { document, from: None } => insert(connection, &table, document)?,
            DocumentChange::Write { document, from: Some(from) } => replace(connection, &table, document, *from)?,
            DocumentChange::Remove { key, from } => remove(connection, &table, &key.id, *from)?,
        };
        if !written {
            return Ok(Applied::Conflict { watermark: batch.prev });
        }
    }
    Ok(Applied::Done)
}

fn insert_row(table: &str) -> String {
    format!(
        "INSERT INTO {table} (created, id, folded, lane, aggregate, kind, actor, event, correlation,
                              causation, time, text, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
}

fn insert_text(table: &str) -> String {
    format!("INSERT INTO {table}_text (rowid, text) VALUES (?, ?)")
}

/// Inserts a row, unless it is there.
fn insert_with(statement: &mut Statement<'_>, document: &Document) -> rusqlite::Result<bool> {
    let written = statement.execute(params![
        document.created.seq,
        document.key.id,
        document.folded.seq,
        document.lane.number(),
        document.aggregate,
        document.kind,
        document.actor,
        document.ids.event.map(|id| id.0),
        document.ids.correlation.map(|id| id.0),
        document.ids.causation.map(|id| id.0),
        document.time.micros(),
        document.text,
        document.body,
    ])?;
    Ok(written == 1)
}

fn insert(connection: &Connection, table: &str, document: &Document) -> rusqlite::Result<bool> {
    let written = insert_with(&mut *connection.prepare_cached(&insert_row(table))?, document)?;
    if written {
        connection.prepare_cached(&insert_text(table))?.execute(params![document.created.seq, document.text])?;
    }
    Ok(written)
}

fn replace(connection: &Connection, table: &str, document: &Document, from: Position) -> rusqlite::Result<bool> {
    let written = connection
        .prepare_cached(&format!(
            "UPDATE {table} SET folded = ?, lane = ?, aggregate = ?, kind = ?, actor = ?, time = ?, text = ?, body = ?
             WHERE id = ? AND folded = ? AND created = ?"
        ))?
        .execute(params![
            document.folded.seq,
            document.lane.number(),
            document.aggregate,
            document.kind,
            document.actor,
            document.time.micros(),
            document.text,
            document.body,
            document.key.id,
            from.seq,
            document.created.seq,
        ])?;
    if written == 1 {
        connection
            .prepare_cached(&format!("INSERT OR REPLACE INTO {table}_text (rowid, text) VALUES (?, ?)"))?
            .execute(params![document.created.seq, document.text])?;
        return Ok(true);
    }
    // Somebody gave it another place by hand.
    let there = connection
        .prepare_cached(&format!("SELECT 1 FROM {table} WHERE id = ? AND folded = ?"))?
        .exists(params![document.key.id, from.seq])?;
    Ok(there && remove(connection, table, &document.key.id, Some(from))? && insert(connection, table, document)?)
}

fn remove(connection: &Connection, table: &str, id: &str, from: Option<Position>) -> rusqlite::Result<bool> {
    let removed: Option<i64> = connection
        .prepare_cached(&format!(
            "DELETE FROM {table} WHERE id = ?1 AND (?2 IS NULL OR folded = ?2) RETURNING created"
        ))?
        .query_row(params![id, from.map(|from| from.seq)], |row| row.get(0))
        .optional()?;
    let Some(created) = removed else {
        let there = connection.prepare_cached(&format!("SELECT 1 FROM {table} WHERE id = ?"))?.exists([id])?;
        return Ok(!there);
    };
    connection.prepare_cached(&format!("DELETE FROM {table}_text WHERE rowid = ?"))?.execute([created])?;
    Ok(true)
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
        lane: Lane::new(row.get(9)?).unwrap_or(Lane::FIRST),
        ids: Ids {
            event: row.get::<_, Option<Uuid>>(10)?.map(EventId),
            correlation: row.get::<_, Option<Uuid>>(11)?.map(EventId),
            causation: row.get::<_, Option<Uuid>>(12)?.map(EventId),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::database::{Access, Database};
    use super::*;

    #[test]
    fn documents_of_the_first_schema_get_their_lanes() {
        let folder = tempfile::tempdir().unwrap();
        let aggregate: Aggregate = "chat/lobby".parse().unwrap();
        let old = Connection::open(folder.path().join("documents.db")).unwrap();
        old.execute_batch(&format!(
            "{} CREATE TABLE record_v1_events (created INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, folded INTEGER NOT NULL,
                aggregate TEXT NOT NULL, kind TEXT NOT NULL, actor TEXT, time INTEGER NOT NULL, text TEXT NOT NULL,
                body TEXT NOT NULL);
             CREATE INDEX record_v1_events_aggregate ON record_v1_events (aggregate, created);
             CREATE VIRTUAL TABLE record_v1_events_text USING fts5(text, content = '', contentless_delete = 1);
             INSERT INTO record_v1_events VALUES (1, '0-1', 1, 'chat/lobby', 'chat.message.posted', NULL, 0, '', '{{}}'),
                (2, '0-2', 2, '', 'cabildo.unreadable', NULL, 0, '', '{{\"lane\":63}}');
             INSERT INTO watermarks VALUES ('record', 1, 19, 1);
             PRAGMA application_id = 1128350281; PRAGMA user_version = 1;",
            LAYOUT.tables
        ))
        .unwrap();
        drop(old);
        let place = folder.path().to_str().unwrap();
        assert!(
            Database::open(place, LAYOUT, Access::ReadOnly).is_err_and(|error| error.to_string().contains("older"))
        );
        let second = Layout { schema: 2, ..LAYOUT };
        let database = Database::open(place, second, Access::Write).unwrap();
        let reader = database.reader().unwrap();
        let lane = |seq: u64| -> u8 {
            let sql = "SELECT lane FROM record_v1_events WHERE created = ?";
            reader.query_row(sql, [seq], |row| row.get(0)).unwrap()
        };
        assert_eq!((lane(1), lane(2)), (aggregate.lane().number(), 63));
        // To this build's: the record begins anew.
        drop((reader, database));
        let database = Database::open(place, LAYOUT, Access::Write).unwrap();
        let reader = database.reader().unwrap();
        assert!(!exists(&reader, "record_v1_events").unwrap());
        let projection = ProjectionId { name: "record", version: 1 };
        assert_eq!(watermark(&reader, projection, aggregate.lane()).unwrap(), 0);
    }
}

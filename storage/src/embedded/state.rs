//! A file's whole state: kept, brought back, written out. The simulation sets stores back with it and compares them.

use rusqlite::Connection;

use super::{CountersFile, DocumentsFile};
use cabildo_projections::ProjectionId;

use super::watermarks::watermarks;
use crate::Watermarks;

/// The bytes of a database.
fn snapshot(connection: &mut Connection) -> rusqlite::Result<Vec<u8>> {
    connection.serialize("main").map(|data| data.to_vec())
}

/// Puts a database back to what it was.
fn restore(connection: &mut Connection, snapshot: &[u8]) -> rusqlite::Result<()> {
    connection.flush_prepared_statement_cache();
    connection.deserialize_read_exact("main", snapshot, snapshot.len(), false)
}

/// Every row that a query gives, as text.
fn rows(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells = (0..columns).map(|column| row.get_ref(column).map(|value| format!("{value:?}")));
        cells.collect::<rusqlite::Result<Vec<_>>>().map(|cells| cells.join(" "))
    })?;
    rows.collect()
}

macro_rules! whole_state {
    ($file:ident) => {
        impl $file {
            /// The bytes of its database.
            ///
            /// # Errors
            /// When SQLite fails.
            pub fn snapshot(&mut self) -> rusqlite::Result<Vec<u8>> {
                snapshot(self.connection())
            }

            /// Puts it back to what it was when the bytes were taken.
            ///
            /// # Errors
            /// When SQLite fails.
            pub fn restore(&mut self, bytes: &[u8]) -> rusqlite::Result<()> {
                restore(self.connection(), bytes)
            }

            /// Where each lane stands.
            ///
            /// # Errors
            /// When SQLite fails.
            pub fn watermarks(&mut self, projection: ProjectionId) -> rusqlite::Result<Watermarks> {
                watermarks(self.connection(), projection)
            }
        }
    };
}
whole_state!(CountersFile);
whole_state!(DocumentsFile);

impl CountersFile {
    /// Every cell, in order.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn dump(&mut self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT projection, version, lane, tbl, key, field, value FROM hashes JOIN cells USING (hash)
                   ORDER BY projection, version, lane, tbl, key, field";
        rows(self.connection(), sql)
    }
}

impl DocumentsFile {
    /// Every document of a collection, in order.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn dump(&mut self, projection: ProjectionId, collection: &str) -> rusqlite::Result<Vec<String>> {
        let table = super::documents_file::table(projection, collection);
        if !super::documents_file::exists(self.connection(), &table)? {
            return Ok(vec![]);
        }
        rows(self.connection(), &format!("SELECT * FROM {table} ORDER BY created"))
    }
}

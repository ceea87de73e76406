//! A pool of connections for reading, used on blocking threads.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::database::Database;

/// Opens connections as they are needed and keeps them for the next reader.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    database: Arc<Database>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// Connections kept at hand; more than that many readers at once open and close their own.
const IDLE_MAX: usize = 16;

impl Readers {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, idle: Arc::default() }
    }

    /// Runs a read on a blocking thread; the error says what went wrong.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let readers = self.clone();
        let task = tokio::task::spawn_blocking(move || readers.run_here(read));
        task.await.map_err(|error| error.to_string())?
    }

    /// Runs a read on this thread.
    pub(super) fn run_here<T>(&self, read: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, String> {
        let pooled = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => self.database.reader().map_err(|error| error.to_string())?,
        };
        let outcome = read(&mut connection).map_err(|error| error.to_string());
        if outcome.is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        outcome
    }
}

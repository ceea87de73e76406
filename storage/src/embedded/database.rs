//! A SQLite file: opened, locked, checked for its version.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use cabildo_events::limits::{BUSY_MS, WAL_PAGES};
use rusqlite::{Connection, OpenFlags};

use crate::OpenError;

/// Marks the files as Cabildo's (`PRAGMA application_id`): "CABI".
const APPLICATION_ID: i32 = 0x4341_4249;

/// For what a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading and writing: the process that the store belongs to.
    Write,
    /// For reading and writing beside the process that the store belongs to: for tools. SQLite's own locks let one write
    /// after the other.
    Shared,
    /// For reading, while another process may write.
    ReadOnly,
}

/// A step from one schema to the next, run in a transaction.
pub(super) type Upgrade = fn(&Connection) -> rusqlite::Result<()>;

/// What a port keeps in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Name of the file without its ending.
    pub(super) name: &'static str,
    /// Version of the tables.
    pub(super) schema: u32,
    /// The statements that make them.
    pub(super) tables: &'static str,
    /// What brings a file from schema 1 to 2, from 2 to 3, and so on.
    pub(super) upgrades: &'static [Upgrade],
    /// Whether a commit waits for the disk: yes for the journal; a view may lose its last moments together with its watermark.
    pub(super) fsync: bool,
    /// Whether nobody but its owner may read the file.
    pub(super) private: bool,
}

/// Where a file is and how it is used; opens connections.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    layout: Layout,
    max_pages: Option<u64>,
    /// Held for as long as the store is open for writing; the system lets go of it with the process.
    _lock: Option<File>,
}

impl Database {
    /// Opens `DIR` or `DIR?max_mib=N`; makes the folder and the tables where they are not there.
    pub(super) fn open(place: &str, layout: Layout, access: Access) -> Result<Self, OpenError> {
        let (dir, max_pages) = parse(place, layout.name)?;
        let path = dir.join(format!("{}.db", layout.name));
        let mut database = Self { path, layout, max_pages, _lock: None };
        match access {
            Access::ReadOnly if !database.path.exists() => Err(OpenError::Missing(dir)),
            Access::ReadOnly => {
                let found = check_schema(&database.reader()?, &layout, &database.path)?;
                if (1..layout.schema).contains(&found) {
                    let reason = "an older cabildo wrote it: start `cabildo up` on it once, which brings it up to date";
                    let what = database.path.display().to_string();
                    return Err(OpenError::Mismatch { what, reason: reason.to_owned() });
                }
                Ok(database)
            }
            Access::Write => {
                database._lock = Some(lock(&dir, layout.name)?);
                database.bring_up()?;
                Ok(database)
            }
            Access::Shared => {
                std::fs::create_dir_all(&dir).map_err(|error| unavailable(&dir, error))?;
                if check_schema(&database.writer()?, &layout, &database.path)? < layout.schema {
                    let _lock = lock(&dir, layout.name)?;
                    database.bring_up()?;
                }
                Ok(database)
            }
        }
    }

    /// Makes the tables, or brings those of an older build up to this one's.
    fn bring_up(&self) -> Result<(), OpenError> {
        let connection = self.writer()?;
        let brought = match check_schema(&connection, &self.layout, &self.path)? {
            0 => make(&connection, &self.layout),
            found => upgrade(&connection, &self.layout, found),
        };
        brought.map_err(|error| unavailable(&self.path, error))
    }

    /// A connection that writes.
    pub(super) fn writer(&self) -> Result<Connection, OpenError> {
        if self.layout.private {
            make_private(&self.path).map_err(|error| unavailable(&self.path, error))?;
        }
        let open = || {
            let connection = Connection::open(&self.path)?;
            prepare(&connection)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", if self.layout.fsync { "FULL" } else { "NORMAL" })?;
            connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
            if let Some(pages) = self.max_pages {
                connection.pragma_update(None, "max_page_count", pages)?;
            }
            Ok(connection)
        };
        open().map_err(|error: rusqlite::Error| unavailable(&self.path, error))
    }

    /// A connection that reads.
    pub(super) fn reader(&self) -> Result<Connection, OpenError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.path, flags)?;
            prepare(&connection)?;
            Ok(connection)
        };
        open().map_err(|error: rusqlite::Error| unavailable(&self.path, error))
    }

    /// Its file, for `cabildo doctor`.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the file before SQLite does, for its owner alone; SQLite's own files beside it get the same permissions.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A connection to a store that lives in memory, for the simulation.
pub(super) fn in_memory(layout: &Layout) -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    prepare(&connection)?;
    make(&connection, layout)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(u64::from(BUSY_MS)))?;
    // Negative: in KiB. 16 MiB for a writer or reader at work; SQLite takes it as it needs it.
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn make(connection: &Connection, layout: &Layout) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN; {} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}; COMMIT;",
        layout.tables, layout.schema
    ))
}

/// Takes the steps from an older schema to this build's, all or none.
fn upgrade(connection: &Connection, layout: &Layout, found: u32) -> rusqlite::Result<()> {
    if found >= layout.schema {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    let taken = usize::try_from(found).unwrap_or(usize::MAX).saturating_sub(1);
    let steps = usize::try_from(layout.schema).unwrap_or(usize::MAX).saturating_sub(1);
    for step in layout.upgrades.iter().take(steps).skip(taken) {
        step(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", layout.schema)?;
    transaction.commit()
}

/// The lock of the process that a store belongs to.
fn lock(dir: &Path, name: &str) -> Result<File, OpenError> {
    let failed = |reason: std::io::Error| unavailable(dir, reason);
    std::fs::create_dir_all(dir).map_err(failed)?;
    let lock = File::create(dir.join(format!("{name}.lock"))).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The schema version found; 0 for a new file.
fn check_schema(connection: &Connection, layout: &Layout, path: &Path) -> Result<u32, OpenError> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let read = || Ok::<_, rusqlite::Error>((pragma("application_id")?, pragma("user_version")?));
    let (application, found) = read().map_err(|error| unavailable(path, error))?;
    if application != 0 && application != APPLICATION_ID.unsigned_abs() {
        let reason = "it is the database of another program: choose another folder with --data".to_owned();
        return Err(OpenError::Mismatch { what: path.display().to_string(), reason });
    }
    if found > layout.schema {
        return Err(OpenError::Newer { what: path.display().to_string(), found, known: layout.schema });
    }
    Ok(found)
}

fn parse(place: &str, name: &'static str) -> Result<(PathBuf, Option<u64>), OpenError> {
    let (dir, query) = place.split_once('?').map_or((place, None), |(dir, query)| (dir, Some(query)));
    let bad =
        || OpenError::Url { url: format!("file:{place}"), port: name, expected: "file:DIR or file:DIR?max_mib=N" };
    if dir.is_empty() {
        return Err(bad());
    }
    let max_pages = match query {
        None => None,
        Some(query) => {
            let mib: u64 = query.strip_prefix("max_mib=").and_then(|mib| mib.parse().ok()).ok_or_else(bad)?;
            Some(mib * 256)
        }
    };
    Ok((PathBuf::from(dir), max_pages))
}

pub(super) fn unavailable(path: &Path, reason: impl std::fmt::Display) -> OpenError {
    OpenError::Unavailable { what: path.display().to_string(), reason: reason.to_string() }
}

//! Credentials in a SQLite file of their own, which only its owner may read.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cabildo_events::{CredentialId, SessionId, Timestamp, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::database::{Access, Database, Layout};
use crate::{Credentials, CredentialsError, OpenError, PasswordHash, Rotated, Session, SigningKey, TokenHash};

const LAYOUT: Layout = Layout {
    name: "credentials",
    schema: 1,
    tables: "
        CREATE TABLE passwords (id BLOB PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE sessions (
            id BLOB PRIMARY KEY,
            user BLOB NOT NULL,
            name TEXT,
            family BLOB NOT NULL,
            secret BLOB NOT NULL,
            expires INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX sessions_user ON sessions (user);
        CREATE INDEX sessions_expires ON sessions (expires);
        CREATE TABLE signing_keys (
            kid TEXT PRIMARY KEY,
            seed BLOB NOT NULL,
            created INTEGER NOT NULL,
            retires INTEGER NOT NULL
        ) WITHOUT ROWID;",
    upgrades: &[],
    fsync: true,
    private: true,
};

/// Credentials in a folder. Signing in costs far more than what is kept of it: one connection serves them all.
pub(super) struct EmbeddedCredentials {
    connection: Arc<Mutex<Connection>>,
    /// Holds the lock of the process that the store belongs to.
    _database: Database,
}

impl EmbeddedCredentials {
    pub(super) fn open(place: &str, access: Access) -> Result<Self, OpenError> {
        let database = Database::open(place, LAYOUT, access)?;
        let connection = match access {
            Access::ReadOnly => database.reader()?,
            Access::Write | Access::Shared => database.writer()?,
        };
        Ok(Self { connection: Arc::new(Mutex::new(connection)), _database: database })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CredentialsError> {
        let connection = self.connection.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection).map_err(|error| CredentialsError::Unavailable(error.to_string()))
        });
        task.await.map_err(|error| CredentialsError::Unavailable(error.to_string()))?
    }
}

const fn id(uuid: &Uuid) -> &[u8] {
    uuid.as_bytes().as_slice()
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let name: Option<String> = row.get(2)?;
    Ok(Session {
        id: SessionId(Uuid::from_bytes(row.get(0)?)),
        user: UserId(Uuid::from_bytes(row.get(1)?)),
        name: name.and_then(|name| name.parse().ok()),
        family: TokenHash(row.get(3)?),
        secret: TokenHash(row.get(4)?),
        expires: Timestamp::from_micros(row.get(5)?),
    })
}

#[async_trait]
impl Credentials for EmbeddedCredentials {
    async fn put_password(&self, key: CredentialId, hash: &PasswordHash) -> Result<(), CredentialsError> {
        let hash = hash.expose().to_owned();
        let put = "INSERT INTO passwords (id, hash) VALUES (?, ?)";
        self.run(move |connection| connection.execute(put, params![id(&key.0), hash])).await.map(drop)
    }

    async fn password(&self, key: CredentialId) -> Result<Option<PasswordHash>, CredentialsError> {
        let get = "SELECT hash FROM passwords WHERE id = ?";
        let read = |row: &Row<'_>| row.get(0).map(PasswordHash::new);
        self.run(move |connection| connection.query_row(get, [id(&key.0)], read).optional()).await
    }

    async fn remove_password(&self, key: CredentialId) -> Result<(), CredentialsError> {
        let remove = "DELETE FROM passwords WHERE id = ?";
        self.run(move |connection| connection.execute(remove, [id(&key.0)])).await.map(drop)
    }

    async fn begin(&self, session: &Session) -> Result<(), CredentialsError> {
        let Session { id: key, user, name, family, secret, expires } = session.clone();
        let begin = "INSERT INTO sessions (id, user, name, family, secret, expires) VALUES (?, ?, ?, ?, ?, ?)";
        let name = name.map(String::from);
        self.run(move |connection| {
            let row = params![id(&key.0), id(&user.0), name, family.0, secret.0, expires.micros()];
            connection.execute(begin, row)
        })
        .await
        .map(drop)
    }

    async fn rotate(
        &self,
        key: SessionId,
        family: TokenHash,
        shown: TokenHash,
        next: TokenHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Rotated, CredentialsError> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let get = "SELECT id, user, name, family, secret, expires FROM sessions WHERE id = ?";
            let found = transaction.query_row(get, [id(&key.0)], session).optional()?;
            let rotated = match found.filter(|found| found.family == family && found.expires > now) {
                None => Rotated::Unknown,
                Some(found) if found.secret == shown => {
                    let set = "UPDATE sessions SET secret = ?, expires = ? WHERE id = ?";
                    transaction.execute(set, params![next.0, expires.micros(), id(&key.0)])?;
                    Rotated::Done(Session { secret: next, expires, ..found })
                }
                Some(_) => {
                    transaction.execute("DELETE FROM sessions WHERE id = ?", [id(&key.0)])?;
                    Rotated::Reused
                }
            };
            transaction.commit()?;
            Ok(rotated)
        })
        .await
    }

    async fn end(&self, key: SessionId) -> Result<bool, CredentialsError> {
        let end = "DELETE FROM sessions WHERE id = ?";
        Ok(self.run(move |connection| connection.execute(end, [id(&key.0)])).await? > 0)
    }

    async fn end_all(&self, user: UserId) -> Result<u64, CredentialsError> {
        let end = "DELETE FROM sessions WHERE user = ?";
        let ended = self.run(move |connection| connection.execute(end, [id(&user.0)])).await?;
        Ok(u64::try_from(ended).unwrap_or(u64::MAX))
    }

    async fn sweep(&self, ended: Timestamp, retired: Timestamp) -> Result<(), CredentialsError> {
        self.run(move |connection| {
            connection.execute("DELETE FROM sessions WHERE expires <= ?", [ended.micros()])?;
            connection.execute("DELETE FROM signing_keys WHERE retires <= ?", [retired.micros()])
        })
        .await
        .map(drop)
    }

    async fn keys(&self) -> Result<Vec<SigningKey>, CredentialsError> {
        self.run(|connection| {
            let get = "SELECT kid, seed, created, retires FROM signing_keys ORDER BY created, kid";
            let read = |row: &Row<'_>| {
                let (created, retires) = (Timestamp::from_micros(row.get(2)?), Timestamp::from_micros(row.get(3)?));
                Ok(SigningKey { kid: row.get(0)?, seed: row.get(1)?, created, retires })
            };
            connection.prepare_cached(get)?.query_map([], read)?.collect()
        })
        .await
    }

    async fn add_key(&self, key: &SigningKey) -> Result<(), CredentialsError> {
        let SigningKey { kid, seed, created, retires } = key.clone();
        let add = "INSERT INTO signing_keys (kid, seed, created, retires) VALUES (?, ?, ?, ?)";
        self.run(move |connection| connection.execute(add, params![kid, seed, created.micros(), retires.micros()]))
            .await
            .map(drop)
    }
}

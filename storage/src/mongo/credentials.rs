//! Credentials on MongoDB, in three collections of the documents' database.

use ::mongodb::bson::spec::BinarySubtype;
use ::mongodb::bson::{Binary, Bson, DateTime, Document, doc};
use ::mongodb::options::IndexOptions;
use ::mongodb::{Collection, Database, IndexModel};
use async_trait::async_trait;
use cabildo_events::{CredentialId, SessionId, Timestamp, UserId};

use super::within_bound;
use crate::{Credentials, CredentialsError, PasswordHash, Rotated, Session, SigningKey, SinkError, TokenHash};

/// Credentials in a database.
pub(super) struct MongoCredentials {
    passwords: Collection<Document>,
    sessions: Collection<Document>,
    keys: Collection<Document>,
}

impl MongoCredentials {
    /// Opens the collections, and makes their indexes where they are not there. The server itself removes sessions that have
    /// ended.
    pub(super) async fn open(database: &Database) -> Result<Self, SinkError> {
        let sessions = database.collection("credentials_sessions");
        let ended = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
        let indexes = [
            IndexModel::builder().keys(doc! { "user": 1 }).build(),
            IndexModel::builder().keys(doc! { "ends": 1 }).options(ended).build(),
        ];
        within_bound(async { sessions.create_indexes(indexes).await }).await?;
        let (passwords, keys) = (database.collection("credentials_passwords"), database.collection("credentials_keys"));
        Ok(Self { passwords, sessions, keys })
    }
}

impl From<SinkError> for CredentialsError {
    fn from(SinkError::Unavailable { reason, .. }: SinkError) -> Self {
        Self::Unavailable(reason)
    }
}

fn bytes(bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() })
}

fn array(document: &Document, name: &str) -> Option<[u8; 32]> {
    document.get_binary_generic(name).ok()?.as_slice().try_into().ok()
}

fn time(document: &Document, name: &str) -> Option<Timestamp> {
    document.get_i64(name).ok().map(Timestamp::from_micros)
}

/// To the millisecond, as the server's clock goes; only for the server's own removal.
fn clock(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.micros() / 1_000)
}

fn read_session(document: &Document) -> Result<Session, CredentialsError> {
    let read = || {
        Some(Session {
            id: document.get_str("_id").ok()?.parse().ok()?,
            user: document.get_str("user").ok()?.parse().ok()?,
            name: document.get_str("name").ok().and_then(|name| name.parse().ok()),
            family: TokenHash(array(document, "family")?),
            secret: TokenHash(array(document, "secret")?),
            expires: time(document, "expires")?,
        })
    };
    read().ok_or_else(|| unreadable("session"))
}

fn read_key(document: &Document) -> Result<SigningKey, CredentialsError> {
    let read = || {
        Some(SigningKey {
            kid: document.get_str("_id").ok()?.to_owned(),
            seed: array(document, "seed")?,
            created: time(document, "created")?,
            retires: time(document, "retires")?,
        })
    };
    read().ok_or_else(|| unreadable("key"))
}

/// What is wrong with it might tell what it is.
fn unreadable(what: &str) -> CredentialsError {
    CredentialsError::Unavailable(format!("a {what} in it cannot be read"))
}

#[async_trait]
impl Credentials for MongoCredentials {
    async fn put_password(&self, id: CredentialId, hash: &PasswordHash) -> Result<(), CredentialsError> {
        let row = doc! { "_id": id.to_string(), "hash": hash.expose() };
        within_bound(async { self.passwords.insert_one(row).await }).await?;
        Ok(())
    }

    async fn password(&self, id: CredentialId) -> Result<Option<PasswordHash>, CredentialsError> {
        let found = within_bound(async { self.passwords.find_one(doc! { "_id": id.to_string() }).await }).await?;
        let read = |row: Document| row.get_str("hash").map(|hash| PasswordHash::new(hash.to_owned()));
        found.map(|row| read(row).map_err(|_| unreadable("password"))).transpose()
    }

    async fn remove_password(&self, id: CredentialId) -> Result<(), CredentialsError> {
        within_bound(async { self.passwords.delete_one(doc! { "_id": id.to_string() }).await }).await?;
        Ok(())
    }

    async fn begin(&self, session: &Session) -> Result<(), CredentialsError> {
        let Session { id, user, name, family, secret, expires } = session;
        let mut row = doc! {
            "_id": id.to_string(),
            "user": user.to_string(),
            "family": bytes(&family.0),
            "secret": bytes(&secret.0),
            "expires": expires.micros(),
            "ends": clock(*expires),
        };
        if let Some(name) = name {
            row.insert("name", name.as_str());
        }
        within_bound(async { self.sessions.insert_one(row).await }).await?;
        Ok(())
    }

    async fn rotate(
        &self,
        id: SessionId,
        family: TokenHash,
        shown: TokenHash,
        next: TokenHash,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<Rotated, CredentialsError> {
        let session = doc! { "_id": id.to_string(), "family": bytes(&family.0), "expires": { "$gt": now.micros() } };
        let mut unused = session.clone();
        unused.insert("secret", bytes(&shown.0));
        let renewed =
            doc! { "$set": { "secret": bytes(&next.0), "expires": expires.micros(), "ends": clock(expires) } };
        if let Some(found) = within_bound(async { self.sessions.find_one_and_update(unused, renewed).await }).await? {
            return Ok(Rotated::Done(Session { secret: next, expires, ..read_session(&found)? }));
        }
        let ended = within_bound(async { self.sessions.find_one_and_delete(session).await }).await?;
        Ok(if ended.is_some() { Rotated::Reused } else { Rotated::Unknown })
    }

    async fn end(&self, id: SessionId) -> Result<bool, CredentialsError> {
        let ended = within_bound(async { self.sessions.delete_one(doc! { "_id": id.to_string() }).await }).await?;
        Ok(ended.deleted_count > 0)
    }

    async fn end_all(&self, user: UserId) -> Result<u64, CredentialsError> {
        let ended = within_bound(async { self.sessions.delete_many(doc! { "user": user.to_string() }).await }).await?;
        Ok(ended.deleted_count)
    }

    async fn sweep(&self, ended: Timestamp, retired: Timestamp) -> Result<(), CredentialsError> {
        let over = doc! { "ends": { "$lte": clock(ended) } };
        within_bound(async { self.sessions.delete_many(over).await }).await?;
        let over = doc! { "retires": { "$lte": retired.micros() } };
        within_bound(async { self.keys.delete_many(over).await }).await?;
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<SigningKey>, CredentialsError> {
        let find = self.keys.find(doc! {}).sort(doc! { "created": 1, "_id": 1 });
        let mut cursor = within_bound(async { find.await }).await?;
        let mut keys = Vec::new();
        while within_bound(cursor.advance()).await? {
            keys.push(read_key(&cursor.deserialize_current().map_err(|_| unreadable("key"))?)?);
        }
        Ok(keys)
    }

    async fn add_key(&self, key: &SigningKey) -> Result<(), CredentialsError> {
        let SigningKey { kid, seed, created, retires } = key;
        let (created, retires) = (created.micros(), retires.micros());
        let row = doc! { "_id": kid, "seed": bytes(seed), "created": created, "retires": retires };
        within_bound(async { self.keys.insert_one(row).await }).await?;
        Ok(())
    }
}

//! Documents on MongoDB (6 and later), without multi-document transactions: a single server is enough.
//!
//! *Collections.* `{projection}_v{version}_{collection}`, for example `record_v1_events`; the watermarks of a projection are
//! in `{projection}_v{version}_watermarks`, one document per lane: its number, `seq`, and `born`, an id that the document got
//! when it was made and keeps.
//!
//! *A batch*: the lane's watermark is read; documents are written; the watermark is moved, if it is the one that was read.
//! - An appended document is inserted. One with its id is the same document: a success.
//! - A written document is inserted if there was none, and otherwise replaced only while it is the one that was read
//!   (`folded`). One that is at the batch's own `folded` already was written by somebody with the same events: a success too.
//!   Anything else is a conflict, and the watermark stays.
//!
//! *What that stands.* Every step may be the last one, by a crash of this process, of the server, or of the connection:
//! documents may then be ahead of the watermark, never behind it. Whoever goes on from the watermark loads them with their
//! newer `folded`, and the fold passes over what they hold already. Two processes at the same batch write the same
//! documents, and one of them moves the watermark. A zombie with an old batch finds the watermark elsewhere; if it read it
//! just before, its inserts meet documents that are there, its replacements match nothing, and the watermark does not move.
//! A database that is dropped (or restored to an earlier state) in the middle of a batch has a lane document that was born
//! anew, or none: the batch that did not see that does not move it. Watermarks that are lost while documents stay lead to a
//! replay that changes nothing.
//!
//! *What it does not stand.* Documents removed by hand while the watermarks stay: the watermark cannot see that. Drop the
//! projection's watermarks as well, or rebuild it with `cabildo replay`.
//!
//! *Reads* go to the primary. Writes wait for a majority and for the journal on disk, also the documents, before the
//! watermark is written: a server that restarts, or a fail-over, between the two must not keep the second without the first.
//! A reader may see documents of a batch that is being written, each of them whole.

mod apply;
mod body;
mod credentials;
mod documents;
mod find;
mod layout;
mod row;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use ::mongodb::bson::{Document, doc};
use ::mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use ::mongodb::{Client, Database};
use cabildo_events::limits::{SINK_CALL_MS, SINK_CONNECT_MS};
use documents::MongoDocuments;

use crate::connect::without_credentials;
use crate::{Credentials, Documents, OpenError, SinkError};

/// The layout of collections that this build writes and reads.
const SCHEMA: i32 = 3;
/// Oldest major version of the server.
const SERVER_MIN: i32 = 6;
const DATABASE: &str = "cabildo";

/// Connects to MongoDB at `mongodb://HOST:PORT/DATABASE` (default database: `cabildo`), with any parameter of MongoDB's
/// connection strings, but for the read and write concerns and the read preference: those are part of the contract.
pub(crate) async fn connect(url: &str) -> Result<Arc<dyn Documents>, OpenError> {
    let (database, shown) = open(url).await?;
    Ok(Arc::new(MongoDocuments::new(database, shown)))
}

/// Connects to the credentials in the database of the documents, by a connection of their own.
pub(crate) async fn connect_credentials(url: &str) -> Result<Arc<dyn Credentials>, OpenError> {
    let (database, shown) = open(url).await?;
    let opened = credentials::MongoCredentials::open(&database).await;
    let unavailable = |SinkError::Unavailable { reason, .. }| OpenError::Unavailable { what: shown, reason };
    Ok(Arc::new(opened.map_err(unavailable)?))
}

async fn open(url: &str) -> Result<(Database, String), OpenError> {
    let shown = without_credentials(url);
    let mut options = ClientOptions::parse(url)
        .await
        .map_err(|error| OpenError::Mismatch { what: shown.clone(), reason: error.to_string() })?;
    options.app_name.get_or_insert_with(|| "cabildo".to_owned());
    options.server_selection_timeout = Some(Duration::from_millis(SINK_CONNECT_MS));
    options.connect_timeout = Some(Duration::from_millis(SINK_CONNECT_MS));
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.read_concern = Some(ReadConcern::local());
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    let name = options.default_database.clone().unwrap_or_else(|| DATABASE.to_owned());
    let unavailable = |SinkError::Unavailable { reason, .. }| OpenError::Unavailable { what: shown.clone(), reason };
    let client = Client::with_options(options)
        .map_err(|error| OpenError::Mismatch { what: shown.clone(), reason: error.to_string() })?;
    let database = client.database(&name);
    check(&database, &shown).await.map_err(unavailable)??;
    Ok((database, shown))
}

async fn check(database: &Database, shown: &str) -> Result<Result<(), OpenError>, SinkError> {
    let mismatch = |reason: String| Ok(Err(OpenError::Mismatch { what: shown.to_owned(), reason }));
    let build = within_bound(database.run_command(doc! { "buildInfo": 1 })).await?;
    let version = build.get_str("version").unwrap_or_default();
    if version.split('.').next().and_then(|major| major.parse::<i32>().ok()).is_none_or(|major| major < SERVER_MIN) {
        return mismatch(format!("it is MongoDB {version}: use {SERVER_MIN} or later"));
    }
    let meta = database.collection::<Document>("meta");
    let written = meta
        .find_one_and_update(doc! { "_id": "schema" }, doc! { "$setOnInsert": { "version": SCHEMA } })
        .upsert(true)
        .return_document(::mongodb::options::ReturnDocument::After);
    let schema = within_bound(async { written.await }).await?.unwrap_or_default();
    match schema.get_i32("version").map(u32::try_from) {
        Ok(Ok(found)) if i64::from(found) == i64::from(SCHEMA) => Ok(Ok(())),
        Ok(Ok(found)) if i64::from(found) > i64::from(SCHEMA) => {
            Ok(Err(OpenError::Newer { what: shown.to_owned(), found, known: SCHEMA.unsigned_abs() }))
        }
        Ok(Ok(found @ (1 | 2))) => {
            if found == 1 {
                upgrade::add_lanes(database).await?;
            }
            upgrade::begin_record(database).await?;
            let older = doc! { "_id": "schema", "version": i32::try_from(found).unwrap_or_default() };
            let brought = meta.update_one(older, doc! { "$set": { "version": SCHEMA } });
            within_bound(async { brought.await }).await?;
            Ok(Ok(()))
        }
        _ => mismatch(format!("its schema is {schema}: use another database")),
    }
}

/// Waits for an answer, but not for ever.
async fn within_bound<T>(answer: impl IntoFuture<Output = ::mongodb::error::Result<T>>) -> Result<T, SinkError> {
    match tokio::time::timeout(Duration::from_millis(SINK_CALL_MS), answer.into_future()).await {
        Ok(answer) => answer.map_err(|error| unavailable(error.kind.to_string())),
        Err(_) => Err(unavailable(format!("no answer within {SINK_CALL_MS} ms"))),
    }
}

fn unavailable(reason: impl Into<String>) -> SinkError {
    SinkError::Unavailable { sink: "mongodb", reason: reason.into() }
}

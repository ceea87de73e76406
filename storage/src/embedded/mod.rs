//! The embedded adapters, on SQLite: one file per port, one writer thread per file, group commit.
//!
//! The work itself is done by [`JournalFile`], [`CountersFile`] and [`DocumentsFile`], which are plain synchronous code over
//! one connection; the simulation drives them directly. Around each stands a writer thread, which makes one transaction of
//! all that waits, and a pool of connections for reading.

mod cells;
mod collections;
mod counters_file;
mod credentials;
mod database;
mod documents_file;
mod find;
mod journal;
mod journal_file;
mod readers;
mod sink;
mod state;
mod watermarks;
mod writer;

pub use counters_file::CountersFile;
pub use database::Access;
pub use documents_file::DocumentsFile;
pub use journal_file::JournalFile;

use std::sync::Arc;

use crate::{Counters, Credentials, Documents, Journal, OpenError};

pub(crate) async fn open_journal(place: &str, access: Access) -> Result<Arc<dyn Journal>, OpenError> {
    let place = place.to_owned();
    blocking(move || journal::EmbeddedJournal::open(&place, access)).await.map(|journal| Arc::new(journal) as _)
}

pub(crate) async fn open_counters(place: &str, access: Access) -> Result<Arc<dyn Counters>, OpenError> {
    let place = place.to_owned();
    blocking(move || sink::EmbeddedSink::<CountersFile>::open(&place, access))
        .await
        .map(|counters| Arc::new(counters) as _)
}

pub(crate) async fn open_documents(place: &str, access: Access) -> Result<Arc<dyn Documents>, OpenError> {
    let place = place.to_owned();
    blocking(move || sink::EmbeddedSink::<DocumentsFile>::open(&place, access))
        .await
        .map(|documents| Arc::new(documents) as _)
}

pub(crate) async fn open_credentials(place: &str, access: Access) -> Result<Arc<dyn Credentials>, OpenError> {
    let place = place.to_owned();
    blocking(move || credentials::EmbeddedCredentials::open(&place, access))
        .await
        .map(|credentials| Arc::new(credentials) as _)
}

async fn blocking<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let lost = |error: tokio::task::JoinError| OpenError::Unavailable {
        what: "the embedded store".to_owned(),
        reason: error.to_string(),
    };
    tokio::task::spawn_blocking(open).await.map_err(lost)?
}

//! An embedded sink: a file behind a writer thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use cabildo_events::Lane;
use cabildo_events::limits::APPLY_BATCH_EVENTS_MAX;
use cabildo_projections::ProjectionId;
use rusqlite::Connection;

use super::counters_file::{self, CountersFile};
use super::database::{Access, Database, Layout, unavailable};
use super::documents_file::DocumentsFile;
use super::readers::Readers;
use super::watermarks;
use super::writer::Writer;
use crate::{
    Applied, Counters, Documents, Found, Hashes, LaneBatch, Loaded, OpenError, Query, Sink, SinkError, Watermarks,
};

/// What a sink's file can do, in synchronous code.
pub(super) trait SinkFile: Send + Sized + 'static {
    type Key: Send + 'static;
    type Row: Send + 'static;
    type Change: Send + 'static;
    const LAYOUT: Layout;

    fn new(connection: Connection) -> Self;

    /// Applies batches in one transaction, each on its own condition.
    fn apply(&mut self, batches: &[LaneBatch<Self::Change>]) -> rusqlite::Result<Vec<Applied>>;

    /// Reads rows and the watermark at one moment.
    fn load(
        connection: &mut Connection,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<Self::Key>,
    ) -> rusqlite::Result<Loaded<Self::Key, Self::Row>>;
}

type SinkWriter<F> = Writer<LaneBatch<<F as SinkFile>::Change>, Result<Applied, String>>;

/// A sink in a folder.
pub(super) struct EmbeddedSink<F: SinkFile> {
    /// None when opened for reading only.
    writer: Option<SinkWriter<F>>,
    readers: Readers,
    database: Arc<Database>,
}

impl<F: SinkFile> EmbeddedSink<F> {
    pub(super) fn open(place: &str, access: Access) -> Result<Self, OpenError> {
        let database = Arc::new(Database::open(place, F::LAYOUT, access)?);
        let writer = match access {
            Access::ReadOnly => None,
            Access::Write => {
                let mut file = F::new(database.writer()?);
                let weigh = |batch: &LaneBatch<F::Change>| batch.changes.len() + 1;
                let writer = Writer::start(F::LAYOUT.name, APPLY_BATCH_EVENTS_MAX, weigh, move |jobs| {
                    let (batches, callers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
                    super::writer::answer(callers, file.apply(&batches));
                });
                Some(writer.map_err(|error| unavailable(database.path(), error))?)
            }
        };
        Ok(Self { writer, readers: Readers::new(database.clone()), database })
    }

    async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SinkError> {
        self.readers.run(read).await.map_err(failed::<F>)
    }
}

fn failed<F: SinkFile>(reason: String) -> SinkError {
    SinkError::Unavailable { sink: F::LAYOUT.name, reason }
}

#[async_trait]
impl<F: SinkFile> Sink for EmbeddedSink<F> {
    type Key = F::Key;
    type Row = F::Row;
    type Change = F::Change;

    async fn watermarks(&self, projection: ProjectionId) -> Result<Watermarks, SinkError> {
        self.read_with(move |connection| watermarks::watermarks(connection, projection)).await
    }

    async fn watermark(&self, projection: ProjectionId, lane: Lane) -> Result<u64, SinkError> {
        self.read_with(move |connection| watermarks::watermark(connection, projection, lane)).await
    }

    async fn load(
        &self,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<F::Key>,
    ) -> Result<Loaded<F::Key, F::Row>, SinkError> {
        self.read_with(move |connection| F::load(connection, projection, lane, keys)).await
    }

    async fn apply(&self, batch: LaneBatch<F::Change>) -> Result<Applied, SinkError> {
        let refused = |reason: &str| failed::<F>(reason.to_owned());
        let writer = self.writer.as_ref().ok_or_else(|| refused("it is open for reading only"))?;
        writer.run(batch).await.ok_or_else(|| refused("the writer thread has stopped"))?.map_err(failed::<F>)
    }

    async fn describe(&self) -> Result<Vec<(String, String)>, SinkError> {
        Ok(vec![
            (F::LAYOUT.name.to_owned(), "embedded".to_owned()),
            ("file".to_owned(), self.database.path().display().to_string()),
            ("sqlite".to_owned(), rusqlite::version().to_owned()),
        ])
    }
}

#[async_trait]
impl Counters for EmbeddedSink<CountersFile> {
    async fn hashes(
        &self,
        projection: ProjectionId,
        lane: Lane,
        wanted: &[(&'static str, &str)],
    ) -> Result<Hashes, SinkError> {
        let wanted: Vec<_> = wanted.iter().map(|(table, key)| (*table, (*key).to_owned())).collect();
        self.read_with(move |connection| counters_file::hashes(connection, projection, lane, &wanted)).await
    }

    async fn across_lanes(
        &self,
        projection: ProjectionId,
        table: &'static str,
        key: &str,
    ) -> Result<Vec<BTreeMap<String, String>>, SinkError> {
        let key = key.to_owned();
        self.read_with(move |connection| counters_file::across_lanes(connection, projection, table, &key)).await
    }
}

#[async_trait]
impl Documents for EmbeddedSink<DocumentsFile> {
    async fn find(&self, query: &Query) -> Result<Found, SinkError> {
        let query = query.clone();
        self.read_with(move |connection| super::find::find(connection, &query)).await
    }
}

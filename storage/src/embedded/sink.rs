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
use super::writer::{Job, Writer};
use crate::{
    Applied, Counters, Cursor, Documents, Found, Hashes, LaneBatch, Loaded, Matches, OpenError, Query, RowPage, Sink, SinkError,
    Watermarks,
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

    /// Reads all rows of a lane, page by page.
    fn rows(
        connection: &mut Connection,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> rusqlite::Result<RowPage<Self::Key, Self::Row>>;

    /// Removes some of a view in one transaction; whether nothing is left of it.
    fn drop_some(&mut self, projection: ProjectionId) -> rusqlite::Result<bool>;
}

/// What the writer thread is asked to do.
enum Request<C> {
    Apply(LaneBatch<C>),
    DropSome(ProjectionId),
}

enum Answer {
    Applied(Applied),
    Dropped { all: bool },
}

type SinkWriter<F> = Writer<Request<<F as SinkFile>::Change>, Result<Answer, String>>;
type SinkJob<F> = Job<Request<<F as SinkFile>::Change>, Result<Answer, String>>;

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
            Access::Write | Access::Shared => {
                let mut file = F::new(database.writer()?);
                let weigh = |request: &Request<F::Change>| match request {
                    Request::Apply(batch) => batch.changes.len() + 1,
                    Request::DropSome(_) => APPLY_BATCH_EVENTS_MAX,
                };
                let write = move |jobs| write(&mut file, jobs);
                let writer = Writer::start(F::LAYOUT.name, APPLY_BATCH_EVENTS_MAX, weigh, write);
                Some(writer.map_err(|error| unavailable(database.path(), error))?)
            }
        };
        Ok(Self { writer, readers: Readers::new(database.clone()), database })
    }

    async fn write_with(&self, request: Request<F::Change>) -> Result<Answer, SinkError> {
        let refused = |reason: &str| failed::<F>(reason.to_owned());
        let writer = self.writer.as_ref().ok_or_else(|| refused("it is open for reading only"))?;
        writer.run(request).await.ok_or_else(|| refused("the writer thread has stopped"))?.map_err(failed::<F>)
    }

    async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SinkError> {
        self.readers.run(read).await.map_err(failed::<F>)
    }
}

/// One transaction for all batches that wait, and one for each step of removing a view.
fn write<F: SinkFile>(file: &mut F, jobs: Vec<SinkJob<F>>) {
    let (mut batches, mut callers) = (Vec::new(), Vec::new());
    for (request, caller) in jobs {
        match request {
            Request::Apply(batch) => {
                batches.push(batch);
                callers.push(caller);
            }
            Request::DropSome(projection) => {
                let all = file.drop_some(projection).map(|all| Answer::Dropped { all });
                // A caller that is gone has no use for its answer.
                let _ = caller.send(all.map_err(|error| error.to_string()));
            }
        }
    }
    if !batches.is_empty() {
        let answers = file.apply(&batches);
        super::writer::answer(callers, answers.map(|all| all.into_iter().map(Answer::Applied).collect()));
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
        match self.write_with(Request::Apply(batch)).await? {
            Answer::Applied(applied) => Ok(applied),
            Answer::Dropped { .. } => Err(failed::<F>("the writer thread is confused".to_owned())),
        }
    }

    async fn rows(
        &self,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RowPage<F::Key, F::Row>, SinkError> {
        self.read_with(move |connection| F::rows(connection, projection, lane, tables, after, limit)).await
    }

    async fn versions(&self, projection: &str) -> Result<Vec<u32>, SinkError> {
        let projection = projection.to_owned();
        self.read_with(move |connection| watermarks::versions(connection, &projection)).await
    }

    async fn drop_view(&self, projection: ProjectionId) -> Result<(), SinkError> {
        while !matches!(self.write_with(Request::DropSome(projection)).await?, Answer::Dropped { all: true }) {}
        Ok(())
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

    async fn positions(&self, query: &Query) -> Result<Matches, SinkError> {
        let query = query.clone();
        self.read_with(move |connection| super::find::positions(connection, &query)).await
    }
}

//! The embedded journal: the file behind a writer thread.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cabildo_events::limits::{APPEND_BATCH_EVENTS_MAX, FOREIGN_APPEND_MS, FOREIGN_POLL_MS, READ_PAGE_EVENTS};
use cabildo_events::{Aggregate, EventId, Lane, Position, Recorded, Timestamp};
use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;

use super::database::{Access, Database, unavailable};
use super::journal_file::{self, JournalFile, LAYOUT};
use super::readers::Readers;
use super::writer::{Job, Writer};
use crate::{Append, AppendError, Appended, Durability, Journal, LaneHeads, OpenError, Page, Pages, Parked, ReadError};

enum Request {
    Append(Vec<Append>),
    Park(Vec<Parked>),
    Unpark { projection: String, version: u32, positions: Vec<Position> },
}

enum Answer {
    Appended(Vec<Result<Appended, AppendError>>),
    Parked(Result<(), String>),
}

/// Where the journal stands, as far as this process knows.
type Heads = (Position, LaneHeads);

/// A journal in a folder. Acknowledges after the disk has it.
pub(super) struct EmbeddedJournal {
    /// None when opened for reading only.
    writer: Option<Writer<Request, Answer>>,
    heads: watch::Receiver<Heads>,
    readers: Readers,
    database: Arc<Database>,
    /// Looks for what another process appended. None when opened for reading only.
    watch: Option<AbortHandle>,
}

impl Drop for EmbeddedJournal {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// Events in one transaction: a few full batches, so that the queue behind it stays short.
const TRANSACTION_EVENTS_MAX: usize = 4 * APPEND_BATCH_EVENTS_MAX;

impl EmbeddedJournal {
    pub(super) fn open(place: &str, access: Access) -> Result<Self, OpenError> {
        if access == Access::Shared {
            // A tool makes no journal: it would be another one than was meant.
            drop(Database::open(place, LAYOUT, Access::ReadOnly)?);
        }
        let database = Arc::new(Database::open(place, LAYOUT, access)?);
        let readers = Readers::new(database.clone());
        if access == Access::ReadOnly {
            let (_, heads) = watch::channel((Position::START, LaneHeads([0; 64])));
            return Ok(Self { writer: None, heads, readers, database, watch: None });
        }
        let failed = |error: String| unavailable(database.path(), error);
        let mut file = JournalFile::new(database.writer()?).map_err(|error| failed(error.to_string()))?;
        let (sender, heads) = watch::channel((Position::at(file.last()), file.heads()));
        let sender = Arc::new(sender);
        let watch = tokio::spawn(watch_foreign(readers.clone(), sender.clone())).abort_handle();
        let weigh = |request: &Request| match request {
            Request::Append(batch) => batch.len(),
            Request::Park(_) | Request::Unpark { .. } => TRANSACTION_EVENTS_MAX,
        };
        let write = move |jobs| write(&mut file, jobs, &sender);
        let writer = Writer::start("journal", TRANSACTION_EVENTS_MAX, weigh, write)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { writer: Some(writer), heads, readers, database, watch: Some(watch) })
    }

    async fn read_with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.readers.run(move |connection| read(connection)).await.map_err(ReadError::Unavailable)
    }

    async fn set_aside(&self, request: Request) -> Result<(), ReadError> {
        let stopped = || ReadError::Unavailable("the writer thread has stopped".to_owned());
        match self.writer.as_ref().ok_or_else(stopped)?.run(request).await {
            Some(Answer::Parked(outcome)) => outcome.map_err(ReadError::Unavailable),
            _ => Err(stopped()),
        }
    }

    /// Waits until there is something after a position.
    async fn wait_beyond(readers: &Readers, heads: &mut watch::Receiver<Heads>, owned: bool, after: Position) -> Wait {
        if owned {
            return match heads.wait_for(|(head, _)| *head > after).await {
                Ok(heads) => Wait::Until(heads.0),
                Err(_) => Wait::Closed,
            };
        }
        loop {
            match readers.run(|connection| journal_file::last(connection)).await {
                Ok(last) if last > after.seq => return Wait::Until(Position::at(last)),
                Ok(_) => tokio::time::sleep(Duration::from_millis(FOREIGN_POLL_MS)).await,
                Err(error) => return Wait::Failed(error),
            }
        }
    }
}

enum Wait {
    Until(Position),
    Closed,
    Failed(String),
}

/// Looks, now and then, for what another process appended.
async fn watch_foreign(readers: Readers, heads: Arc<watch::Sender<Heads>>) {
    let mut every = tokio::time::interval(Duration::from_millis(FOREIGN_APPEND_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let known = heads.borrow().0;
        let look = move |connection: &mut rusqlite::Connection| {
            let transaction = connection.transaction()?;
            let last = Position::at(journal_file::last(&transaction)?);
            if last <= known { Ok(None) } else { Ok(Some((last, journal_file::lane_heads(&transaction)?))) }
        };
        // A file that cannot be read is reported by whoever reads it.
        if let Ok(Some(found)) = readers.run(look).await {
            advance(&heads, found);
        }
    }
}

/// Tells followers where the journal stands, unless they know better: the writer thread and the watch may meet.
fn advance(heads: &watch::Sender<Heads>, found: Heads) {
    heads.send_if_modified(|known| {
        let further = found.0 > known.0;
        if further {
            *known = found;
        }
        further
    });
}

/// One transaction for all appends that wait.
fn write(file: &mut JournalFile, jobs: Vec<Job<Request, Answer>>, heads: &watch::Sender<Heads>) {
    let mut batch = Vec::new();
    let mut callers = Vec::new();
    let mut others = Vec::new();
    for (request, caller) in jobs {
        match request {
            Request::Append(appends) => {
                callers.push((appends.len(), caller));
                batch.extend(appends);
            }
            other => others.push((other, caller)),
        }
    }
    if !batch.is_empty() {
        let mut answers = file.append(&batch, Timestamp::from(jiff::Timestamp::now())).into_iter();
        // Followers are told before the callers: whoever has an answer can read the event.
        advance(heads, (Position::at(file.last()), file.heads()));
        for (count, caller) in callers {
            // A caller that is gone has no use for its answer.
            let _ = caller.send(Answer::Appended(answers.by_ref().take(count).collect()));
        }
    }
    for (request, caller) in others {
        let outcome = match request {
            Request::Park(parked) => file.park(&parked),
            Request::Unpark { projection, version, positions } => file.unpark(&projection, version, &positions),
            Request::Append(_) => Ok(()),
        };
        let _ = caller.send(Answer::Parked(outcome.map_err(|error| error.to_string())));
    }
}

#[async_trait]
impl Journal for EmbeddedJournal {
    fn durability(&self) -> Durability {
        Durability::Fsync
    }

    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let count = batch.len();
        let all = |error: AppendError| (0..count).map(|_| Err(error.clone())).collect();
        let Some(writer) = &self.writer else {
            return all(AppendError::Unavailable("it is open for reading only".to_owned()));
        };
        match writer.run(Request::Append(batch)).await {
            Some(Answer::Appended(answers)) => answers,
            _ => all(AppendError::Unavailable("the writer thread has stopped".to_owned())),
        }
    }

    async fn head(&self) -> Result<Position, ReadError> {
        if self.writer.is_some() {
            return Ok(self.heads.borrow().0);
        }
        self.read_with(|connection| journal_file::last(connection).map(Position::at)).await
    }

    async fn lane_head(&self, lane: Lane) -> Result<u64, ReadError> {
        self.lane_heads().await.map(|heads| heads[lane])
    }

    async fn lane_heads(&self) -> Result<LaneHeads, ReadError> {
        if self.writer.is_some() {
            return Ok(self.heads.borrow().1);
        }
        self.read_with(journal_file::lane_heads).await
    }

    async fn get(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        if position.shard != 0 || position.seq == 0 {
            return Ok(None);
        }
        let page = self.read_with(move |c| journal_file::read(c, position.seq - 1, position.seq, 1)).await?;
        Ok(page.into_iter().next())
    }

    async fn find(&self, id: EventId) -> Result<Option<Recorded>, ReadError> {
        self.read_with(move |connection| journal_file::find(connection, id)).await
    }

    async fn read(&self, after: Position, until: Position) -> Result<Pages, ReadError> {
        Ok(pages(self.readers.clone(), after, until, |connection, after, until| {
            journal_file::read(connection, after, until, READ_PAGE_EVENTS)
        }))
    }

    async fn of(&self, aggregate: &Aggregate, after: Position, until: Position) -> Result<Pages, ReadError> {
        let aggregate = aggregate.clone();
        Ok(pages(self.readers.clone(), after, until, move |connection, after, until| {
            journal_file::of(connection, &aggregate, after, until, READ_PAGE_EVENTS)
        }))
    }

    async fn follow(&self, after: Position) -> Result<Pages, ReadError> {
        let (sender, receiver) = mpsc::channel(2);
        let (readers, mut heads, owned) = (self.readers.clone(), self.heads.clone(), self.writer.is_some());
        tokio::spawn(async move {
            let mut after = after;
            loop {
                let waited = tokio::select! {
                    waited = Self::wait_beyond(&readers, &mut heads, owned, after) => waited,
                    () = sender.closed() => return,
                };
                let page = match waited {
                    Wait::Until(head) => next_page(&readers, after, head).await,
                    Wait::Closed => Err(ReadError::Unavailable("the journal was closed".to_owned())),
                    Wait::Failed(error) => Err(ReadError::Unavailable(error)),
                };
                let failed = page.is_err();
                if let Ok(page) = &page {
                    let Some(last) = page.last() else { continue };
                    after = last.position;
                }
                if sender.send(page).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(receiver).boxed())
    }

    async fn ruled(&self, aggregate: &Aggregate) -> Result<Page, ReadError> {
        let aggregate = aggregate.clone();
        self.read_with(move |connection| journal_file::ruled(connection, &aggregate)).await
    }

    async fn park(&self, parked: Vec<Parked>) -> Result<(), ReadError> {
        self.set_aside(Request::Park(parked)).await
    }

    async fn unpark(&self, projection: &str, version: u32, positions: &[Position]) -> Result<(), ReadError> {
        let (projection, positions) = (projection.to_owned(), positions.to_vec());
        self.set_aside(Request::Unpark { projection, version, positions }).await
    }

    async fn parked(&self, projection: &str, version: u32) -> Result<Vec<Parked>, ReadError> {
        let projection = projection.to_owned();
        self.read_with(move |connection| journal_file::parked(connection, &projection, version)).await
    }

    async fn describe(&self) -> Result<Vec<(String, String)>, ReadError> {
        let head = self.head().await?;
        Ok(vec![
            ("journal".to_owned(), "embedded".to_owned()),
            ("file".to_owned(), self.database.path().display().to_string()),
            ("sqlite".to_owned(), rusqlite::version().to_owned()),
            ("head".to_owned(), head.to_string()),
            ("durability".to_owned(), self.durability().name().to_owned()),
        ])
    }
}

/// Pages of what a query finds after a sequence, up to and including another, until it finds no more.
fn pages(
    readers: Readers,
    after: Position,
    until: Position,
    read: impl Fn(&rusqlite::Connection, u64, u64) -> rusqlite::Result<Page> + Clone + Send + 'static,
) -> Pages {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        let mut after = after;
        while after < until && !sender.is_closed() {
            let read = read.clone();
            let page = readers.run(move |connection| read(connection, after.seq, until.seq)).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let _ = sender.send(Err(ReadError::Unavailable(error))).await;
                    return;
                }
            };
            let Some(last) = page.last() else { return };
            after = last.position;
            if sender.send(Ok(page)).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(receiver).boxed()
}

async fn next_page(readers: &Readers, after: Position, until: Position) -> Result<Page, ReadError> {
    let read = move |connection: &mut rusqlite::Connection| {
        journal_file::read(connection, after.seq, until.seq, READ_PAGE_EVENTS)
    };
    readers.run(read).await.map_err(ReadError::Unavailable)
}

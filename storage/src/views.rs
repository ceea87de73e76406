//! Which view of a projection is read: what operators have decided, as the journal has it.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::VIEW_CHECK_MS;
use cabildo_events::operation::{self, Decided, Projections};
use cabildo_events::{Actor, Aggregate, Command, Event, Position, ProjectionName, Recorded, Rejection, State};
use cabildo_projections::ProjectionId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{Journal, Live, OperateError, Page, ReadError, decide_alone};

/// Everything decided up to an event.
#[derive(Clone, Debug, Default)]
struct Known {
    state: Arc<State>,
    /// The sequence of the last event that was looked at.
    last: u64,
}

impl Known {
    fn take_in(&mut self, event: &Recorded) {
        if event.position.seq <= self.last {
            return;
        }
        self.last = event.position.seq;
        // What a newer build decided is on the record; this build goes on by what it knows.
        if let Ok(event) = event.envelope.as_ref().map_err(drop).and_then(|envelope| envelope.event().map_err(drop)) {
            Arc::make_mut(&mut self.state).evolve(&event);
        }
    }
}

async fn read(journal: &dyn Journal) -> Result<Known, ReadError> {
    let mut known = Known::default();
    for event in journal.ruled(&Aggregate::projections()).await? {
        known.take_in(&event);
    }
    Ok(known)
}

/// What operators have decided, kept up to date. Clones share one state.
///
/// A process that follows the journal live learns of a decision with the event; any other within
/// [`VIEW_CHECK_MS`]. It never goes back to an older decision.
#[derive(Clone, Debug)]
pub struct Views {
    known: watch::Receiver<Known>,
}

impl Views {
    /// Reads what is decided, and keeps it up until `shutdown`, through any failure of the journal.
    ///
    /// # Errors
    /// When the journal cannot be read at the start.
    pub async fn start(
        journal: Arc<dyn Journal>,
        live: Option<&Live>,
        shutdown: CancellationToken,
    ) -> Result<Self, ReadError> {
        // Listening begins before the first read, so no decision falls between the two.
        let mut pages = live.map(Live::subscribe);
        let (sender, known) = watch::channel(read(&*journal).await?);
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(VIEW_CHECK_MS));
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let page = async {
                    match &mut pages {
                        Some(pages) => pages.recv().await,
                        None => std::future::pending().await,
                    }
                };
                let page = tokio::select! {
                    page = page => page,
                    _ = every.tick() => Err(RecvError::Lagged(0)),
                    () = shutdown.cancelled() => return,
                };
                match page {
                    Ok(page) => take_in(&sender, &page),
                    Err(RecvError::Lagged(_)) => match read(&*journal).await {
                        Ok(found) => replace(&sender, found),
                        Err(error) => tracing::debug!(%error, "what operators decided cannot be read, trying again"),
                    },
                    Err(RecvError::Closed) => pages = None,
                }
            }
        });
        Ok(Self { known })
    }

    /// What is decided now, read once: for tools.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn read(journal: &dyn Journal) -> Result<Projections, ReadError> {
        Ok(read(journal).await?.state.projections().clone())
    }

    /// What is decided about a projection.
    #[must_use]
    pub fn of(&self, projection: &str) -> Decided {
        self.known.borrow().state.projections().of(projection)
    }

    /// The view that is read.
    #[must_use]
    pub fn live(&self, projection: ProjectionId) -> ProjectionId {
        ProjectionId { version: self.of(projection.name).live(), ..projection }
    }

    /// Waits for the next decision after the one that this receiver saw last; `false` when there will be none.
    pub async fn changed(&mut self) -> bool {
        self.known.changed().await.is_ok()
    }
}

fn take_in(sender: &watch::Sender<Known>, page: &Page) {
    let projections = Aggregate::projections();
    // A glance at the lane first: the feed brings everything.
    let (lane, mut decided) = (projections.lane(), None);
    for event in page.iter().filter(|event| event.lane == lane && event.aggregate() == Some(&projections)) {
        decided.get_or_insert_with(|| sender.borrow().clone()).take_in(event);
    }
    if let Some(decided) = decided {
        replace(sender, decided);
    }
}

fn replace(sender: &watch::Sender<Known>, found: Known) {
    sender.send_if_modified(|known| {
        let newer = found.last > known.last;
        if newer {
            *known = found;
        }
        newer
    });
}

/// Decides an operator's wish and puts it on the record. Returns the event and where it stands.
///
/// # Errors
/// See [`OperateError`].
pub async fn operate(
    journal: &dyn Journal,
    projection: &ProjectionName,
    command: &operation::Command,
    actor: Option<Actor>,
) -> Result<(Position, Event), OperateError> {
    let command = Command::Operation(projection.clone(), command.clone());
    let decided = decide_alone(journal, &command, actor).await?;
    decided.ok_or_else(|| Rejection::Operation("nothing is to be done".to_owned()).into())
}

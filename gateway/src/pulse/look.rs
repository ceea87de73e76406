//! Where one projection's live view stands, as far as its sink says.

use std::time::{Duration, Instant};

use cabildo_events::limits::{PULSE_PARKED_MS, PULSE_UNHEARD_MS};
use cabildo_projections::ProjectionId;
use cabildo_storage::{ReadError, SinkError, Watermarks};
use tokio::task::JoinHandle;

use crate::Ports;

/// A question that is on its way; the asker does not wait for a sink that is slow.
struct Asked<T> {
    answer: JoinHandle<T>,
    since: Instant,
}

impl<T: Send + 'static> Asked<T> {
    fn new(question: impl Future<Output = T> + Send + 'static) -> Self {
        Self { answer: tokio::spawn(question), since: Instant::now() }
    }

    /// The answer, if it is there by the deadline; a question that is lost has none.
    async fn by(&mut self, deadline: tokio::time::Instant) -> Option<Option<T>> {
        let answer = tokio::time::timeout_at(deadline, &mut self.answer).await.ok()?;
        Some(answer.ok())
    }
}

/// One projection.
pub(super) struct Look {
    view: ProjectionId,
    stands: Option<Watermarks>,
    up: bool,
    parked: usize,
    parked_at: Option<Instant>,
    asked: Option<Asked<Result<Watermarks, SinkError>>>,
    asked_parked: Option<Asked<Result<usize, ReadError>>>,
}

impl Look {
    pub(super) fn new(view: ProjectionId) -> Self {
        Self { view, stands: None, up: false, parked: 0, parked_at: None, asked: None, asked_parked: None }
    }

    /// The view that was live when it was last asked about.
    pub(super) const fn view(&self) -> ProjectionId {
        self.view
    }

    /// Where it stood when its sink last said so.
    pub(super) const fn stands(&self) -> Option<Watermarks> {
        self.stands
    }

    pub(super) const fn parked(&self) -> usize {
        self.parked
    }

    /// Whether the sink answered the last question, or still may.
    pub(super) const fn is_up(&self) -> bool {
        self.up
    }

    /// Asks where the view stands that is live now, and from time to time how much of it is parked, unless a question is
    /// still open.
    pub(super) fn ask(&mut self, ports: &Ports) {
        let view = ports.views.live(self.view);
        if view != self.view {
            *self = Self::new(view);
        }
        if self.asked.is_none() {
            let (counters, documents) = (ports.counters.clone(), ports.documents.clone());
            self.asked = Some(Asked::new(async move {
                if view.keeps_counters() { counters.watermarks(view).await } else { documents.watermarks(view).await }
            }));
        }
        let due = self.parked_at.is_none_or(|at| at.elapsed() >= Duration::from_millis(PULSE_PARKED_MS));
        if due && self.asked_parked.is_none() {
            let journal = ports.journal.clone();
            self.asked_parked =
                Some(Asked::new(
                    async move { journal.parked(view.name, view.version).await.map(|parked| parked.len()) },
                ));
        }
    }

    /// Takes in what has been answered by the deadline.
    pub(super) async fn hear(&mut self, deadline: tokio::time::Instant) {
        if let Some(asked) = &mut self.asked {
            match asked.by(deadline).await {
                Some(answer) => {
                    self.asked = None;
                    self.up = matches!(answer, Some(Ok(_)));
                    if let Some(Ok(stands)) = answer {
                        self.stands = Some(stands);
                    }
                }
                None if asked.since.elapsed() >= Duration::from_millis(PULSE_UNHEARD_MS) => self.up = false,
                None => {}
            }
        }
        if let Some(asked) = &mut self.asked_parked
            && let Some(answer) = asked.by(deadline).await
        {
            self.asked_parked = None;
            self.parked_at = Some(Instant::now());
            if let Some(Ok(parked)) = answer {
                self.parked = parked;
            }
        }
    }
}

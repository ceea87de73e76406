//! Bringing one view to a position and no further: what a replay does.

use std::sync::{Arc, Mutex, PoisonError};

use cabildo_events::Position;
use cabildo_events::operation::Projections;
use cabildo_projections::{Projection, ProjectionId};
use cabildo_storage::{Journal, Watermarks};
use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::lane::Target;
use crate::pace::{Gait, Pace, Stands, watch_live};
use crate::progress::Progress;
use crate::runner::{Manner, Source, Span, round};
use crate::worker::{Patience, SinkOf};
use crate::{Metrics, Ports};

/// What is to be built.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which view, and which events it leaves out.
    pub target: Target,
    /// The events after this position are folded; the view never saw one before.
    pub after: Position,
    /// The last event that is folded.
    pub until: Position,
    /// Workers.
    pub workers: usize,
}

/// Why a view was not built to its end. What is built stays: building again goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// The journal or the sink failed, again and again.
    #[error("{0}")]
    Failed(String),
    /// The build has no such projection.
    #[error("this build has no projection `{0}`")]
    Unknown(&'static str),
}

/// Builds views at the pace that what is live allows.
pub struct Builder {
    ports: Ports,
    metrics: Arc<Metrics>,
    progress: Arc<Progress>,
    pace: Arc<Pace>,
    _watching: Option<AbortOnDropHandle<()>>,
    /// What it built last: up to where, and where the lanes stood then.
    built: Mutex<Option<(Target, Position, Watermarks)>>,
}

impl Builder {
    /// A builder that gives way to the live views of every projection, as operators decided which these are.
    #[must_use]
    pub fn start(ports: Ports, decided: &Projections, metrics: Arc<Metrics>) -> Self {
        let live = cabildo_projections::ALL.map(|first| {
            let view = ProjectionId { version: decided.of(first.name).live(), ..first };
            stands(&ports, view)
        });
        let pace = Arc::new(Pace::new());
        let watching = tokio::spawn(watch_live(pace.clone(), ports.journal.clone(), live.into()));
        let watching = Some(AbortOnDropHandle::new(watching));
        Self { ports, metrics, progress: Arc::default(), pace, _watching: watching, built: Mutex::default() }
    }

    /// A builder that gives way to nobody: for a view that is read itself.
    #[must_use]
    pub fn hurried(ports: Ports, metrics: Arc<Metrics>) -> Self {
        Self {
            ports,
            metrics,
            progress: Arc::default(),
            pace: Arc::new(Pace::new()),
            _watching: None,
            built: Mutex::default(),
        }
    }

    /// How far it has got with what it is building.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// How fast it goes.
    #[must_use]
    pub fn gait(&self) -> watch::Receiver<Gait> {
        self.pace.gait()
    }

    /// Brings a view to the end of its plan. A view that is there already, whole or in part, is gone on with.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(&self, plan: &Plan, stop: &CancellationToken) -> Result<(), BuildError> {
        let Ports { journal, counters, documents } = self.ports.clone();
        crate::with_projection!(plan.target.view.name, counters, documents, |projection, sink| {
            self.bring(projection, journal, sink, plan, stop).await
        }, else Err(BuildError::Unknown(plan.target.view.name)))
    }

    async fn bring<P: Projection>(
        &self,
        projection: P,
        journal: Arc<dyn Journal>,
        sink: Arc<SinkOf<P>>,
        plan: &Plan,
        stop: &CancellationToken,
    ) -> Result<(), BuildError> {
        let source = Source { projection, journal, sink, metrics: self.metrics.clone(), workers: plan.workers };
        let target = Arc::new(plan.target.clone());
        let built = self.built.lock().unwrap_or_else(PoisonError::into_inner).take();
        let built = built.filter(|(target, ..)| *target == plan.target).map(|(_, position, stood)| (position, stood));
        let span = Span { after: plan.after, until: Some(plan.until), known: built };
        loop {
            let manner = Manner {
                progress: self.progress.clone(),
                pace: Some(self.pace.clone()),
                patience: Patience::Tool(Default::default()),
                is_live: false,
            };
            let shared = source.share(target.clone(), manner, stop);
            if round(shared.clone(), span).await.is_ok() {
                let built = (plan.target.clone(), plan.until, shared.stood());
                *self.built.lock().unwrap_or_else(PoisonError::into_inner) = Some(built);
                return Ok(());
            }
            if stop.is_cancelled() {
                return Err(BuildError::Stopped);
            }
            if let Patience::Tool(reason) = &shared.patience
                && let Some(reason) = reason.get()
            {
                return Err(BuildError::Failed(reason.clone()));
            }
        }
    }
}

fn stands(ports: &Ports, view: ProjectionId) -> Stands {
    let Ports { counters, documents, .. } = ports.clone();
    Box::new(move || {
        let (counters, documents) = (counters.clone(), documents.clone());
        async move {
            crate::with_projection!(view.name, counters, documents, |_projection, sink| {
                sink.watermarks(view).await.ok()
            }, else None)
        }
        .boxed()
    })
}

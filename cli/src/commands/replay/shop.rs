//! What a replay works with: the places, and what operators have decided about the projection.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cabildo_consumers::{BuildPlan, Builder, Metrics, Target};
use cabildo_events::limits::READ_PAGE_EVENTS;
use cabildo_events::operation::{Command, Decided, Projections};
use cabildo_events::{Event, Position};
use cabildo_projections::ProjectionId;
use cabildo_storage::{SinkError, Views, Watermarks, operate};
use tokio_util::sync::CancellationToken;

use super::name_of;
use crate::connect::{Opened, open_shared};
use crate::output;
use crate::settings::{PlaceOptions, Settings};

/// A projection's places, open for writing beside whoever else does.
pub(super) struct Shop {
    pub(super) opened: Opened,
    /// The projection, by its first view.
    pub(super) first: ProjectionId,
    pub(super) workers: usize,
}

impl Shop {
    pub(super) async fn open(
        settings: &Settings,
        places: &PlaceOptions,
        first: ProjectionId,
        workers: usize,
    ) -> anyhow::Result<Self> {
        Ok(Self { opened: open_shared(&settings.places(places)?).await?, first, workers })
    }

    /// What is decided now.
    pub(super) async fn decided(&self) -> anyhow::Result<Decided> {
        Ok(self.all_decided().await?.of(self.first.name))
    }

    async fn all_decided(&self) -> anyhow::Result<Projections> {
        Ok(Views::read(&*self.opened.journal).await?)
    }

    pub(super) const fn view(&self, version: u32) -> ProjectionId {
        ProjectionId { version, ..self.first }
    }

    /// Puts an operator's wish on the record.
    pub(super) async fn decide(&self, command: Command) -> anyhow::Result<(Position, Event)> {
        Ok(operate(&*self.opened.journal, &name_of(self.first)?, &command, None).await?)
    }

    pub(super) async fn watermarks(&self, view: ProjectionId) -> Result<Watermarks, SinkError> {
        self.opened.watermarks(view).await
    }

    /// The versions that the sink has rows of, whatever is on record.
    pub(super) async fn versions_in_sink(&self) -> Result<Vec<u32>, SinkError> {
        self.opened.versions_in_sink(self.first).await
    }

    /// Removes the rows of a view, and what is parked of it.
    pub(super) async fn remove(&self, view: ProjectionId) -> anyhow::Result<()> {
        match view.keeps_counters() {
            true => self.opened.counters.drop_view(view).await?,
            false => self.opened.documents.drop_view(view).await?,
        }
        let parked = self.opened.journal.parked(view.name, view.version).await?;
        let positions: Vec<Position> = parked.into_iter().map(|parked| parked.position).collect();
        for some in positions.chunks(READ_PAGE_EVENTS) {
            self.opened.journal.unpark(view.name, view.version, some).await?;
        }
        Ok(())
    }

    /// A builder that gives way to what is live.
    pub(super) async fn builder(&self) -> anyhow::Result<Builder> {
        let metrics = Arc::new(Metrics::register(&mut crate::registry::new()));
        Ok(Builder::start(self.opened.clone().into_consumer_ports(), &self.all_decided().await?, metrics))
    }

    /// A builder that gives way to nobody, for a view that is read.
    pub(super) fn hurried_builder(&self) -> Builder {
        let metrics = Arc::new(Metrics::register(&mut crate::registry::new()));
        Builder::hurried(self.opened.clone().into_consumer_ports(), metrics)
    }

    /// What is to be folded into a view, as things stand.
    pub(super) async fn plan(&self, view: ProjectionId, after: Position, until: Position) -> anyhow::Result<BuildPlan> {
        let discarded: BTreeSet<Position> = self.decided().await?.discarded().keys().copied().collect();
        Ok(BuildPlan { target: Target { view, discarded }, after, until, workers: self.workers })
    }

    /// Says what of a view is parked; whether anything is.
    pub(super) async fn tell_parked(&self, view: ProjectionId) -> anyhow::Result<bool> {
        let parked = self.opened.journal.parked(view.name, view.version).await?;
        if let Some(first) = parked.first() {
            output::note(&format!(
                "{} events of {view} could not be folded and are parked, the first at {}: {}",
                parked.len(),
                first.position,
                first.reason
            ));
        }
        Ok(!parked.is_empty())
    }
}

/// Waits, unless it is told to stop; whether it waited.
pub(super) async fn pause(milliseconds: u64, stop: &CancellationToken) -> bool {
    stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(milliseconds))).await.is_some()
}

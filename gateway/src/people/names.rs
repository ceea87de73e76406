//! Whose a name is, told at once: the names of all people in memory, so that a guest's message or ballot costs no look into
//! the journal.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cabildo_events::limits::{NAMES_KNOWN_MAX, PAGE_ROWS_MAX, RETRY_LONGEST_MS};
use cabildo_events::{Aggregate, Context, Lane, PersonName, Position};
use cabildo_projections::record;
use cabildo_storage::{Documents, Journal, KindPattern, Live, Query, ReadError, SinkError, Views};
use futures::StreamExt;
use tokio::sync::broadcast::error::RecvError;

/// How the types of all events of people begin.
const PEOPLE: &str = "identity.";

/// The names that somebody has, in lower case. Until all are known, and with more than [`NAMES_KNOWN_MAX`], the journal is
/// asked as well.
#[derive(Clone)]
pub(super) struct Names {
    journal: Arc<dyn Journal>,
    known: Arc<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    names: HashSet<Box<str>>,
    whole: bool,
}

impl Known {
    fn add(&mut self, aggregate: &str) {
        let Some(name) = aggregate.strip_prefix(Context::Identity.name()).and_then(|rest| rest.strip_prefix('/'))
        else {
            return;
        };
        if self.names.len() < NAMES_KNOWN_MAX {
            self.names.insert(name.into());
        } else {
            self.whole = false;
        }
    }
}

/// Why the names could not be gathered; it is tried again.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Journal(#[from] ReadError),
    #[error(transparent)]
    View(#[from] SinkError),
}

impl Names {
    pub(super) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, known: Arc::default() }
    }

    /// Whether a name is somebody's.
    pub(super) async fn is_taken(&self, name: &PersonName) -> Result<bool, ReadError> {
        let person = Aggregate::person(name);
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if known.names.contains(person.id()) || known.whole {
                return Ok(known.names.contains(person.id()));
            }
        }
        Ok(!self.journal.ruled(&person).await?.is_empty())
    }

    /// Gathers the names and keeps them up, through any failure. Never ends.
    pub(super) async fn keep(self, documents: Arc<dyn Documents>, views: Views, live: Live) {
        loop {
            // Listening begins before the first read, so no name falls between the two.
            let mut pages = live.subscribe();
            if let Err(error) = self.gather(&*documents, &views).await {
                tracing::debug!(%error, "the names of people cannot be read, trying again");
                tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS)).await;
                continue;
            }
            loop {
                match pages.recv().await {
                    Ok(page) => {
                        let aggregates = page.iter().filter_map(|event| event.aggregate());
                        self.take_in(
                            aggregates.filter(|it| it.context() == Context::Identity).map(ToString::to_string),
                        );
                    }
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    fn take_in(&self, aggregates: impl Iterator<Item = String>) {
        let aggregates: Vec<String> = aggregates.collect();
        if !aggregates.is_empty() {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            aggregates.iter().for_each(|aggregate| known.add(aggregate));
        }
    }

    /// The names that the view of the record has, and those of the events that it does not have yet.
    async fn gather(&self, documents: &dyn Documents, views: &Views) -> Result<(), Unread> {
        let view = views.live(record::ID);
        let (head, heads) = (self.journal.head().await?, self.journal.lane_heads().await?);
        let watermarks = documents.watermarks(view).await?;
        let behind = Lane::all().filter(|lane| watermarks[*lane] < heads[*lane]).map(|lane| watermarks[lane]).min();
        let mut after = None;
        loop {
            let kinds = vec![KindPattern::Prefix(PEOPLE.to_owned())];
            let query = Query { kinds, after, ..Query::of(view, record::EVENTS, PAGE_ROWS_MAX) };
            let found = documents.find(&query).await?;
            let Some(last) = found.documents.last().map(|document| document.created) else { break };
            after = Some(last);
            self.take_in(found.documents.iter().map(|document| document.aggregate.to_string()));
        }
        if let Some(behind) = behind {
            let mut pages = self.journal.read(Position::at(behind), head).await?;
            while let Some(page) = pages.next().await {
                let page = page?;
                let aggregates = page.iter().filter_map(|event| event.aggregate());
                self.take_in(aggregates.filter(|it| it.context() == Context::Identity).map(ToString::to_string));
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.whole = known.names.len() < NAMES_KNOWN_MAX;
        Ok(())
    }
}

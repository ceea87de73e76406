//! Opening the adapters: roles wait for a server that is down, tools do not.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{ROLE_CONNECT_RETRY_MS, TOOL_CONNECT_MS};
use cabildo_projections::ProjectionId;
use cabildo_storage::{Counters, Credentials, Documents, Journal, OpenError, SinkError, Watermarks};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::exit::Unreachable;
use crate::settings::Places;

/// Opens something for a role: a server that is down is waited for, with a warning at each try. `None`: told to stop
/// meanwhile.
async fn waited_for<T, F: Future<Output = Result<T, OpenError>>>(
    open: impl Fn() -> F,
    stop: &CancellationToken,
) -> Result<Option<T>, OpenError> {
    let tries = async {
        loop {
            match open().await {
                Err(error @ OpenError::Unavailable { .. }) => {
                    tracing::warn!("{error}; trying again every {} s", ROLE_CONNECT_RETRY_MS / 1_000);
                }
                done => return done,
            }
            tokio::time::sleep(Duration::from_millis(ROLE_CONNECT_RETRY_MS)).await;
        }
    };
    stop.run_until_cancelled(tries).await.transpose()
}

/// Opens something for a tool: at most [`TOOL_CONNECT_MS`].
pub(crate) async fn promptly<T>(
    what: &impl std::fmt::Display,
    open: impl Future<Output = Result<T, OpenError>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(Duration::from_millis(TOOL_CONNECT_MS), open).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(Unreachable(format!("{what} did not answer within {} s", TOOL_CONNECT_MS / 1_000)).into()),
    }
}

/// The three ports, open.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) counters: Arc<dyn Counters>,
    pub(crate) documents: Arc<dyn Documents>,
}

impl Opened {
    /// Measures them, and asks each from time to time whether it answers, until `stop`.
    pub(crate) fn measured(self, registry: &mut Registry, stop: CancellationToken) -> Self {
        let metrics = cabildo_storage::Metrics::register(registry);
        let Self { journal, counters, documents } = &self;
        let probe = cabildo_storage::probe(journal.clone(), counters.clone(), documents.clone(), metrics.clone());
        tokio::spawn(async move { stop.run_until_cancelled(probe).await });
        Self {
            journal: cabildo_storage::measured_journal(self.journal, &metrics),
            counters: cabildo_storage::measured_counters(self.counters, &metrics),
            documents: cabildo_storage::measured_documents(self.documents, &metrics),
        }
    }

    /// How far a view has got.
    pub(crate) async fn watermarks(&self, view: ProjectionId) -> Result<Watermarks, SinkError> {
        match view.keeps_counters() {
            true => self.counters.watermarks(view).await,
            false => self.documents.watermarks(view).await,
        }
    }

    /// The versions of a projection that its sink has rows of, whatever is on record.
    pub(crate) async fn versions_in_sink(&self, projection: ProjectionId) -> Result<Vec<u32>, SinkError> {
        match projection.keeps_counters() {
            true => self.counters.versions(projection.name).await,
            false => self.documents.versions(projection.name).await,
        }
    }

    /// As the consumers want them.
    pub(crate) fn into_consumer_ports(self) -> cabildo_consumers::Ports {
        cabildo_consumers::Ports { journal: self.journal, counters: self.counters, documents: self.documents }
    }
}

/// Opens all three for a tool that writes beside a process that may be running; the first that fails is told.
pub(crate) async fn open_shared(places: &Places) -> anyhow::Result<Opened> {
    let Places { journal, counters, documents } = places;
    Ok(Opened {
        journal: promptly(journal, cabildo_storage::open_journal_shared(journal.expose())).await?,
        counters: promptly(counters, cabildo_storage::open_counters_shared(counters.expose())).await?,
        documents: promptly(documents, cabildo_storage::open_documents_shared(documents.expose())).await?,
    })
}

/// Opens all three for a tool that only reads; the first that fails is told.
pub(crate) async fn open_read_only(places: &Places) -> anyhow::Result<Opened> {
    let Places { journal, counters, documents } = places;
    Ok(Opened {
        journal: promptly(journal, cabildo_storage::open_journal_read_only(journal.expose())).await?,
        counters: promptly(counters, cabildo_storage::open_counters_read_only(counters.expose())).await?,
        documents: promptly(documents, cabildo_storage::open_documents_read_only(documents.expose())).await?,
    })
}

/// Opens all three, for writing; the first that fails is told.
pub(crate) async fn open_all(places: &Places) -> Result<Opened, OpenError> {
    let (journal, counters, documents) = tokio::try_join!(
        cabildo_storage::open_journal(places.journal.expose()),
        cabildo_storage::open_counters(places.counters.expose()),
        cabildo_storage::open_documents(places.documents.expose()),
    )?;
    Ok(Opened { journal, counters, documents })
}

/// Opens the credentials for a role that lets people in. `None`: told to stop meanwhile.
pub(crate) async fn credentials_for_role(
    places: &Places,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Arc<dyn Credentials>>> {
    Ok(waited_for(|| cabildo_storage::open_credentials(places.documents.expose()), stop).await?)
}

/// Opens the credentials for a tool.
pub(crate) async fn credentials_shared(places: &Places) -> anyhow::Result<Arc<dyn Credentials>> {
    let documents = &places.documents;
    promptly(documents, cabildo_storage::open_credentials_shared(documents.expose())).await
}

/// Opens all three for a role, all at once. `None`: told to stop meanwhile.
pub(crate) async fn open_for_role(places: &Places, stop: &CancellationToken) -> anyhow::Result<Option<Opened>> {
    let (journal, counters, documents) = tokio::try_join!(
        waited_for(|| cabildo_storage::open_journal(places.journal.expose()), stop),
        waited_for(|| cabildo_storage::open_counters(places.counters.expose()), stop),
        waited_for(|| cabildo_storage::open_documents(places.documents.expose()), stop),
    )?;
    Ok(match (journal, counters, documents) {
        (Some(journal), Some(counters), Some(documents)) => Some(Opened { journal, counters, documents }),
        _ => None,
    })
}

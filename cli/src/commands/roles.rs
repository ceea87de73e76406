//! What the roles share: how they start, and the order in which they stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cabildo_consumers::verify::{Background, check_now_and_then};
use cabildo_events::identity::Role;
use cabildo_events::limits::TOOL_TOKEN_S;
use cabildo_gateway::{People, Sources, Tries};
use cabildo_producers::{Appender, Desk};
use cabildo_storage::{Caller, Commands, Credentials, Live, Views};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::address::Port;
use crate::connect::Opened;
use crate::exit::Usage;
use crate::output;
use crate::settings::Places;

/// Refuses an embedded journal to a role that shares it with other processes.
pub(crate) fn refuse_embedded(places: &Places) -> Result<(), Usage> {
    if places.journal.folder().is_some() {
        return Err(Usage(
            "an embedded journal serves one process: use `cabildo up`, or --journal nats://…".to_owned(),
        ));
    }
    let embedded = [(Port::Counters, &places.counters), (Port::Documents, &places.documents)];
    match embedded.into_iter().find(|(_, address)| address.folder().is_some()) {
        Some((port, _)) => Err(Usage(format!(
            "embedded {name} serve one process: use `cabildo up`, or --{name} {example}",
            name = port.name(),
            example = if port == Port::Counters { "redis://…" } else { "mongodb://…" },
        ))),
        None => Ok(()),
    }
}

/// Begins to check the views in the background, if that is asked for; the future ends when the check has stopped.
pub(crate) fn check_views(
    background: Option<Background>,
    ports: &cabildo_consumers::Ports,
    metrics: &Arc<cabildo_consumers::Metrics>,
    stop: &CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let checking = background
        .map(|background| tokio::spawn(check_now_and_then(background, ports.clone(), metrics.clone(), stop.clone())));
    async move {
        if let Some(checking) = checking
            && let Err(error) = checking.await
        {
            tracing::error!(%error, "the check of the views ended");
        }
    }
}

/// Listens, or says which address is taken.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Whether a gateway on a loopback address prints an operator's way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It does.
    Shown,
    /// It does not.
    Hidden,
}

/// The append side and the gateway before it.
pub(crate) struct Front {
    ports: cabildo_gateway::Ports,
    metrics: Arc<cabildo_gateway::Metrics>,
    stop_appender: CancellationToken,
    stop_live: CancellationToken,
}

impl Front {
    /// Starts the live feed, the appender, the desk and the door for people.
    pub(crate) async fn start(
        opened: &Opened,
        credentials: Arc<dyn Credentials>,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let (stop_appender, stop_live) = (CancellationToken::new(), CancellationToken::new());
        let live = Live::start(opened.journal.clone(), stop_live.clone()).await.context("the live feed")?;
        let views = Views::start(opened.journal.clone(), Some(&live), stop_live.clone()).await;
        let views = views.context("what operators decided")?;
        let metrics = Arc::new(cabildo_producers::Metrics::register(registry));
        let appender = Appender::start(opened.journal.clone(), metrics.clone(), stop_appender.clone());
        let desk = Desk::start(opened.journal.clone(), appender, &live, metrics, stop_appender.clone());
        let commands: Arc<dyn Commands> = Arc::new(desk);
        let sources = Sources {
            credentials,
            journal: opened.journal.clone(),
            documents: opened.documents.clone(),
            commands: commands.clone(),
            live: live.clone(),
            views: views.clone(),
        };
        let people = People::start(sources, Tries::default(), stop_live.clone());
        Ok(Self {
            ports: cabildo_gateway::Ports {
                journal: opened.journal.clone(),
                counters: opened.counters.clone(),
                documents: opened.documents.clone(),
                commands,
                live,
                views,
                people,
            },
            metrics: Arc::new(cabildo_gateway::Metrics::register(registry)),
            stop_appender,
            stop_live,
        })
    }

    /// Prints the way in for whoever reads this terminal: they own the process and its files, so they are an operator. The
    /// token stands behind `#`, which browsers keep to themselves.
    async fn show_link(&self, address: SocketAddr) {
        let operator = Caller { role: Role::Operator, ..Caller::default() };
        let token = self.ports.people.tokens().for_tool(&operator, Duration::from_secs(TOOL_TOKEN_S)).await;
        match token {
            // Who has read the address may have stopped reading: the gateway serves all the same.
            Ok(token) => {
                let hours = TOOL_TOKEN_S / 3_600;
                let _ = output::line(&format!("  as an operator, for {hours} h: http://{address}/#token={token}"));
            }
            Err(error) => tracing::warn!(%error, "no link for an operator: use `cabildo users token --operator`"),
        }
    }

    /// Says that it is ready, serves until `stop`, lets what is under way finish, and only then stops the append side.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        places: &Places,
        link: Link,
        render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        let durability = self.ports.journal.durability();
        let config = cabildo_gateway::Config {
            adapters: vec![
                (Port::Journal.name(), places.journal.to_string()),
                (Port::Counters.name(), places.counters.to_string()),
                (Port::Documents.name(), places.documents.to_string()),
            ],
            render_metrics,
            patience: cabildo_gateway::Patience::default(),
        };
        tracing::info!(durability = durability.name(), "{places}");
        output::line(&format!("cabildo is ready: http://{address}"))?;
        if link == Link::Shown && address.ip().is_loopback() {
            self.show_link(address).await;
        }
        let commands = self.ports.commands.clone();
        let served = cabildo_gateway::run(listener, config, self.ports, self.metrics, stop).await;
        tracing::info!(waiting = commands.waiting(), "the gateway has drained");
        self.stop_appender.cancel();
        self.stop_live.cancel();
        served.context("the gateway")
    }
}

//! HTTP, gRPC, server-sent events, and the live fan-out.
//!
//! A connection passes the accept loop ([`serve`]), the edge (who may ask, measuring, problem documents), and ends at an
//! operation of [`routes`]. Writes go to the [`Commands`] port and answer with a position; reads go to the views and may
//! wait for a position ([`fresh`]).

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits;
use cabildo_storage::{Commands, Counters, Documents, Journal, Live, Views};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

mod answer;
mod body;
mod call;
mod columns;
mod edge;
mod filter;
mod fresh;
mod grpc;
mod histories;
mod lists;
mod lookback;
mod metrics;
mod openapi;
mod params;
mod people;
mod predecessors;
mod problem;
mod proto;
mod pulse;
mod query;
mod routes;
mod search;
mod serve;
mod slug;
mod sse;
mod stall;
mod table;
mod tallies;
mod wanted;
mod web;

pub use metrics::Metrics;
pub use people::{People, Sources, Tokens, Tries};
pub use table::rights;

/// What the gateway reads and writes.
#[derive(Clone)]
pub struct Ports {
    /// The events.
    pub journal: Arc<dyn Journal>,
    /// Where `tally` and `activity` are kept.
    pub counters: Arc<dyn Counters>,
    /// Where `rooms`, `lists` and `record` are kept.
    pub documents: Arc<dyn Documents>,
    /// Where wishes go.
    pub commands: Arc<dyn Commands>,
    /// Events as they come.
    pub live: Live,
    /// Which view of a projection is read.
    pub views: Views,
    /// Who people are.
    pub people: Arc<People>,
}

/// How the role runs.
#[derive(Clone)]
pub struct Config {
    /// Adapters in force, by port, for `/readyz`: for example `journal` and `file:./data`. Without credentials.
    pub adapters: Vec<(&'static str, String)>,
    /// Renders every metric of the process in the OpenMetrics text format.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// How long clients may take. `Patience::default()` unless there is a reason.
    pub patience: Patience,
}

/// How long clients may take; by default what `limits` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To send a request head; then the connection is closed.
    pub header_read: Duration,
    /// To send a request body; then 408.
    pub body_read: Duration,
    /// To send the next message of a gRPC stream; then the stream ends with what it did.
    pub silence: Duration,
    /// To take anything of what is being sent to them; then the connection is cut.
    pub write_stall: Duration,
    /// To finish after the shutdown; then the connections that are left are cut.
    pub drain: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            header_read: Duration::from_millis(limits::HEADER_READ_MS),
            body_read: Duration::from_millis(limits::BODY_READ_MS),
            silence: Duration::from_millis(limits::GRPC_SILENCE_MS),
            write_stall: Duration::from_millis(limits::WRITE_STALL_MS),
            drain: Duration::from_millis(limits::DRAIN_MS),
        }
    }
}

/// What the operations share.
pub(crate) struct Gateway {
    pub(crate) ports: Ports,
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stopping: CancellationToken,
    pub(crate) listeners: Arc<Semaphore>,
    pub(crate) tallies: tallies::Tallies,
    pub(crate) pulse: pulse::Pulse,
    pub(crate) histories: histories::Histories,
    /// Task lists, as the journal has them.
    pub(crate) lists: lists::Lists,
    /// The newest events as columns.
    pub(crate) index: Arc<columns::Keeper>,
    /// How many may ask filter expressions at once.
    pub(crate) filters: Arc<Semaphore>,
    /// Whether only this machine can reach it: then the gateway answers to loopback names only.
    pub(crate) loopback: bool,
}

/// Serves until `shutdown`, then finishes what is under way (for at most `limits::DRAIN_MS`).
///
/// Who may do what is in the table of operations; who shows no token is a guest. On a loopback address the gateway
/// also keeps out the pages of other sites that a browser on this machine may show: it answers to loopback names only (421
/// otherwise, against DNS rebinding), and it grants cross-origin access to pages served from this machine alone.
///
/// # Errors
/// When the listener has no address, which is to say that it is no listener.
pub async fn run(
    listener: TcpListener,
    config: Config,
    ports: Ports,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    let gateway = Arc::new(Gateway {
        tallies: tallies::Tallies::new(ports.clone()),
        pulse: pulse::Pulse::new(ports.clone(), metrics.clone()),
        histories: histories::Histories::new(),
        lists: lists::Lists::new(ports.journal.clone()),
        index: Arc::new(columns::Keeper::new(ports.journal.clone(), ports.live.clone(), shutdown.clone())),
        ports,
        config,
        metrics,
        stopping: shutdown,
        listeners: Arc::new(Semaphore::new(limits::LISTENERS_MAX)),
        filters: Arc::new(Semaphore::new(limits::FILTERS_AT_ONCE_MAX)),
        loopback,
    });
    serve::serve(listener, &gateway).await;
    Ok(())
}

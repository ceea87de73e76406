//! The accept loop: connections, their bounds, and how they end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cabildo_events::limits::{CONNECTIONS_MAX, H2_PING_MS, H2_STREAMS_MAX, HEADER_BYTES_MAX, RETRY_LONGEST_MS};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::Gateway;
use crate::edge::{Edge, Late, edge};
use crate::stall::Stall;

/// Accepts connections until the gateway stops, then waits for those that are open, for at most the drain's time. Who comes
/// meanwhile is told.
pub(crate) async fn serve(listener: TcpListener, gateway: &Arc<Gateway>) {
    let edge = edge(gateway);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = TaskTracker::new();
    while let Some(accepted) = gateway.stopping.run_until_cancelled(next(&listener, &places)).await {
        let (stream, peer, place) = accepted;
        let (gateway, edge) = (gateway.clone(), edge.clone());
        open.spawn(async move {
            let counted = gateway.metrics.connection();
            if let Err(error) = converse(stream, peer, &gateway, edge, false).await {
                tracing::debug!(%peer, error, "a connection ended");
            }
            drop((counted, place));
        });
    }
    open.close();
    let left = open.len();
    tracing::info!(connections = left, "no longer serving who comes; finishing what is under way");
    tokio::select! {
        ended = tokio::time::timeout(gateway.config.patience.drain, open.wait()) => if ended.is_err() {
            tracing::warn!(connections = open.len(), "some requests did not finish in time and are cut off");
        },
        () = turn_away(&listener, &places, gateway, &edge) => {}
    }
}

/// Tells who comes now that the gateway is going down, so that a probe hears it rather than find nobody. Nobody waits for
/// these connections: they end with this future.
async fn turn_away(listener: &TcpListener, places: &Arc<Semaphore>, gateway: &Arc<Gateway>, edge: &Edge) {
    let mut late = JoinSet::new();
    loop {
        let (stream, peer, place) = next(listener, places).await;
        let (gateway, edge) = (gateway.clone(), edge.clone());
        late.spawn(async move {
            let _ = converse(stream, peer, &gateway, edge, true).await;
            drop(place);
        });
        while late.try_join_next().is_some() {}
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is a place for it; until then it waits in the listen queue.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Accepted {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            // The client went away before it was accepted.
            Err(error) if is_of_the_connection(&error) => {}
            // Most likely out of file descriptors: connections that end give some back.
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections, trying again");
                tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS)).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection until it ends by itself, or gracefully once the gateway stops; one that came `late` gets one answer.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    gateway: &Gateway,
    edge: Edge,
    late: bool,
) -> Result<(), String> {
    let patience = gateway.config.patience;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = asked.clone();
        service_fn(move |mut request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            if late {
                request.extensions_mut().insert(Late);
            }
            edge.clone().oneshot(request)
        })
    };
    let mut builder = builder(patience.header_read);
    builder.http1().keep_alive(!late);
    let io = TokioIo::new(Stall::new(stream, patience.write_stall));
    let mut connection = pin!(builder.serve_connection(io, service));
    // hyper's own timer starts once it knows the protocol; a client that does not even send that much is ours to bound.
    let silence = tokio::time::sleep(patience.header_read + Duration::from_millis(RETRY_LONGEST_MS));
    let mut silence = pin!(silence);
    let mut waiting = true;
    let mut stopping = late;
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|error| error.to_string()),
            () = silence.as_mut(), if waiting => {
                waiting = false;
                if !asked.load(Ordering::Relaxed) {
                    return Err("no request came in time".to_owned());
                }
            }
            () = gateway.stopping.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder(header_read: Duration) -> Builder<TokioExecutor> {
    let ping = Duration::from_millis(H2_PING_MS);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_read).max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(ping)
        .keep_alive_timeout(ping)
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

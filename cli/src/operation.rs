//! `/livez`, `/readyz` and `/metrics` of a consumer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{HEADER_READ_MS, OPERATION_CONNECTIONS_MAX, READY_CHECK_MS};
use cabildo_projections::{record, tally};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::connect::Opened;

type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves until `stop`. Connections past the bound wait in the listen queue.
pub(crate) async fn serve(listener: TcpListener, opened: Opened, render: Render, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(OPERATION_CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the metrics could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        let (opened, render, stop) = (opened.clone(), render.clone(), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &opened, &render));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_millis(HEADER_READ_MS))
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is no failure of ours.
            let _ = stop.run_until_cancelled(connection).await;
            drop(place);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    opened: &Opened,
    render: &Render,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()));
    }
    Ok(match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match ready(opened).await {
            Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
        },
        "/metrics" => {
            let mut response = text(StatusCode::OK, render());
            let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response
                .headers_mut()
                .insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(open_metrics));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
    })
}

/// Whether the journal and both sinks answer.
async fn ready(opened: &Opened) -> Result<(), String> {
    let checks = async {
        opened.journal.head().await.map_err(|error| error.to_string())?;
        opened.counters.watermarks(tally::ID).await.map_err(|error| error.to_string())?;
        opened.documents.watermarks(record::ID).await.map_err(|error| error.to_string())?;
        Ok(())
    };
    tokio::time::timeout(Duration::from_millis(READY_CHECK_MS), checks)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {READY_CHECK_MS} ms")))
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

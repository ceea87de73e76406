//! For those who run it: is it alive, is it ready, what does it measure, what does it offer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::READY_CHECK_MS;
use cabildo_events::{Lane, Timestamp};
use cabildo_projections::{rooms, tally};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use crate::call::{Call, call, now};
use crate::problem::Problem;
use crate::{Gateway, answer, openapi, table};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let document: bytes::Bytes = openapi::document().into();
    let live = warp::path!("livez").and(warp::get()).map(|| answer::finish(answer::json(&Live { status: "alive" })));
    let ready = warp::path!("readyz")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(ready(call).await) });
    let metrics = warp::path!("metrics").and(warp::get()).and(call(gateway.clone())).map(|call: Call| metrics(&call));
    let time = warp::path!("api" / "v1" / "time").and(warp::get()).map(|| answer::finish(time()));
    let openapi =
        warp::path!("api" / "v1" / "openapi.json").and(warp::get()).map(move || answer::raw_json(document.clone()));
    live.or(ready).unify().or(metrics).unify().or(time).unify().or(openapi).unify().boxed()
}

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

#[derive(Serialize)]
struct Time {
    time: Timestamp,
    micros: i64,
}

fn time() -> Result<Response, Problem> {
    let time = now();
    answer::json(&Time { time, micros: time.micros() })
}

fn metrics(call: &Call) -> Response {
    let mut response = Response::new((call.gateway.config.render_metrics)().into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(table::OPEN_METRICS));
    response
}

#[derive(Serialize)]
struct Ready<'a> {
    /// `ready`, `unready` or `stopping`.
    status: &'static str,
    /// What an acknowledgement is worth.
    durability: &'static str,
    adapters: BTreeMap<&'static str, &'a str>,
    /// Ports that do not answer.
    down: Vec<&'static str>,
    /// Events that wait for the journal.
    waiting: usize,
}

/// The ports that do not answer: looks at each, at the same time, for at most [`READY_CHECK_MS`].
///
/// # Errors
/// Never, as there are lanes.
pub(crate) async fn down(gateway: &Gateway) -> Result<Vec<&'static str>, Problem> {
    let ports = &gateway.ports;
    let patience = Duration::from_millis(READY_CHECK_MS);
    let lane = Lane::all().next().ok_or_else(|| Problem::new(&crate::problem::INTERNAL, "there are no lanes"))?;
    let (journal, counters, documents) = tokio::join!(
        tokio::time::timeout(patience, ports.journal.head()),
        tokio::time::timeout(patience, ports.counters.watermark(ports.views.live(tally::ID), lane)),
        tokio::time::timeout(patience, ports.documents.watermark(ports.views.live(rooms::ID), lane)),
    );
    let checks = [
        ("journal", matches!(journal, Ok(Ok(_)))),
        ("counters", matches!(counters, Ok(Ok(_)))),
        ("documents", matches!(documents, Ok(Ok(_)))),
    ];
    Ok(checks.into_iter().filter(|(_, up)| !up).map(|(port, _)| port).collect())
}

async fn ready(call: Call) -> Result<Response, Problem> {
    let Gateway { ports, config, stopping, .. } = &*call.gateway;
    let down = down(&call.gateway).await?;
    let status = match (stopping.is_cancelled(), down.is_empty()) {
        (true, _) => "stopping",
        (false, true) => "ready",
        (false, false) => "unready",
    };
    let mut response = answer::json(&Ready {
        status,
        durability: ports.journal.durability().name(),
        adapters: config.adapters.iter().map(|(port, adapter)| (*port, adapter.as_str())).collect(),
        down,
        waiting: ports.commands.waiting(),
    })?;
    if status != "ready" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

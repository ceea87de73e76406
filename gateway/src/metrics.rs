//! What the gateway counts. Names and labels live here; call sites say what happened.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the duration buckets, in seconds: from a read at hand to a request that ran into its limit.
const DURATION_BUCKETS_S: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The gateway's metrics. Routes are templates, so labels are bounded by the number of operations.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<Request, Counter>,
    duration: Family<Route, Histogram, fn() -> Histogram>,
    refused: Family<Reason, Counter>,
    connections: Gauge,
    listeners: Gauge,
    live_bytes: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_S)),
            refused: Family::default(),
            connections: Gauge::default(),
            listeners: Gauge::default(),
            live_bytes: Counter::default(),
        };
        registry.register(
            "cabildo_gateway_requests",
            "Requests answered, by route template, method and class of status",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "cabildo_gateway_request_duration",
            "Time from the request's head to the answer's head, by route template",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "cabildo_gateway_requests_refused",
            "Requests answered with a problem document, by the problem",
            metrics.refused.clone(),
        );
        registry.register("cabildo_gateway_open_connections", "Connections open now", metrics.connections.clone());
        registry.register("cabildo_gateway_live_listeners", "Live streams open now", metrics.listeners.clone());
        registry.register_with_unit(
            "cabildo_gateway_live_sent",
            "Sent on live streams",
            Unit::Bytes,
            metrics.live_bytes.clone(),
        );
        metrics
    }

    pub(crate) fn answered(&self, route: &'static str, method: &Method, status: u16, took: Duration) {
        let request = Request { route, method: method_name(method), status: status_class(status) };
        self.requests.get_or_create(&request).inc();
        self.duration.get_or_create(&Route { route }).observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a connection for as long as the answer lives.
    pub(crate) fn connection(&self) -> Counted {
        Counted::one_of(&self.connections)
    }

    /// Counts a live listener for as long as the answer lives.
    pub(crate) fn listener(&self) -> Counted {
        Counted::one_of(&self.listeners)
    }

    /// Connections open now.
    pub(crate) fn connections(&self) -> i64 {
        self.connections.get()
    }

    /// Live streams open now.
    pub(crate) fn listeners(&self) -> i64 {
        self.listeners.get()
    }

    pub(crate) fn sent_live(&self, bytes: usize) {
        self.live_bytes.inc_by(bytes as u64);
    }
}

/// One of those that a gauge counts.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn one_of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Methods are the client's to choose: those that no route has are one label.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

const fn status_class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

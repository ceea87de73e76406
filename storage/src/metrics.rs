//! Metrics of the ports: what their calls cost, and whether what is behind them answers.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What is behind a port, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    Journal,
    Counters,
    Documents,
}

impl Sink {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Counters => "counters",
            Self::Documents => "documents",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    sink: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    sink: &'static str,
    call: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: &'static str,
}

/// What is measured of the ports of a process.
#[derive(Clone, Debug)]
pub struct Metrics {
    up: Family<Of, Gauge>,
    calls: Family<Call, Histogram>,
    failures: Family<Call, Counter>,
    clock_offset: Family<Source, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            up: Family::default(),
            calls: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_1, 2.0, 18))),
            failures: Family::default(),
            clock_offset: Family::default(),
        };
        let sinks = registry.sub_registry_with_prefix("cabildo_sink");
        sinks.register("up", "1 if the last probe of it was answered", metrics.up.clone());
        sinks.register_with_unit("call", "Duration of a call to it", Unit::Seconds, metrics.calls.clone());
        sinks.register("failures", "Calls to it that failed", metrics.failures.clone());
        registry.register_with_unit(
            "cabildo_clock_offset",
            "The journal's clock minus this process's",
            Unit::Seconds,
            metrics.clock_offset.clone(),
        );
        metrics
    }

    pub(crate) fn up(&self, sink: Sink, up: bool) {
        self.up.get_or_create(&Of { sink: sink.name() }).set(i64::from(up));
    }

    pub(crate) fn clock_offset(&self, source: Sink, seconds: f64) {
        self.clock_offset.get_or_create(&Source { source: source.name() }).set(seconds);
    }

    /// What a kind of call is measured by.
    pub(crate) fn call(&self, sink: Sink, call: &'static str) -> Calls {
        let labels = Call { sink: sink.name(), call };
        Calls {
            sink: labels.sink,
            call,
            duration: self.calls.get_or_create_owned(&labels),
            failures: self.failures.get_or_create_owned(&labels),
        }
    }
}

/// One kind of call.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) sink: &'static str,
    pub(crate) call: &'static str,
    duration: Histogram,
    failures: Counter,
}

impl Calls {
    pub(crate) fn took(&self, duration: Duration, failed: bool) {
        self.duration.observe(duration.as_secs_f64());
        if failed {
            self.failures.inc();
        }
    }
}

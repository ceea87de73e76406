//! Metrics of the append side.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cabildo_storage::AppendError;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    context: &'static str,
    outcome: &'static str,
}

/// What the append side counts.
#[derive(Debug)]
pub struct Metrics {
    appended: Counter,
    repeated: Counter,
    refused: Family<Reason, Counter>,
    commands: Family<Outcome, Counter>,
    waiting: Gauge<i64, std::sync::atomic::AtomicI64>,
    batch_events: Histogram,
    append_duration: Histogram,
    retries: Counter<u64, AtomicU64>,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            appended: Counter::default(),
            repeated: Counter::default(),
            refused: Family::default(),
            commands: Family::default(),
            waiting: Gauge::default(),
            batch_events: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            append_duration: Histogram::new(exponential_buckets(0.000_1, 2.0, 17)),
            retries: Counter::default(),
        };
        for reason in ["conflict", "too_large", "overloaded", "disk_full", "unavailable", "stopping"] {
            // Zero rather than nothing, before the first one.
            drop(metrics.refused.get_or_create(&Reason { reason }));
        }
        let registry = registry.sub_registry_with_prefix("cabildo_append");
        registry.register("events", "Events acknowledged by the journal", metrics.appended.clone());
        registry.register("repeated_events", "Events that the journal had already", metrics.repeated.clone());
        registry.register("refused_events", "Events that were not acknowledged, by reason", metrics.refused.clone());
        registry.register("commands", "Commands decided, by context and outcome", metrics.commands.clone());
        registry.register("waiting_events", "Events waiting for the journal", metrics.waiting.clone());
        registry.register("batch_events", "Events in one write to the journal", metrics.batch_events.clone());
        registry.register("retries", "Writes tried again because the journal was down", metrics.retries.clone());
        registry.register_with_unit(
            "duration",
            "From an event's arrival at the appender to its acknowledgement",
            Unit::Seconds,
            metrics.append_duration.clone(),
        );
        metrics
    }

    pub(crate) fn waiting(&self, events: usize) {
        self.waiting.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    pub(crate) fn write(&self, events: usize) {
        self.batch_events.observe(f64::from(u32::try_from(events).unwrap_or(u32::MAX)));
    }

    pub(crate) fn retry(&self) {
        self.retries.inc();
    }

    pub(crate) fn acknowledged(&self, repeated: bool, after: Duration) {
        if repeated {
            self.repeated.inc()
        } else {
            self.appended.inc()
        };
        self.append_duration.observe(after.as_secs_f64());
    }

    pub(crate) fn refused(&self, error: &AppendError) {
        let reason = match error {
            AppendError::Conflict => "conflict",
            AppendError::TooLarge { .. } => "too_large",
            AppendError::Overloaded { .. } => "overloaded",
            AppendError::DiskFull => "disk_full",
            AppendError::Unavailable(_) => "unavailable",
            AppendError::Stopping => "stopping",
        };
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn command(&self, context: &'static str, outcome: &'static str) {
        self.commands.get_or_create(&Outcome { context, outcome }).inc();
    }
}

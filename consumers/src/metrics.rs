//! Metrics of the read side.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cabildo_events::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    projection: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    projection: &'static str,
    what: &'static str,
}

/// What the read side counts, by projection.
#[derive(Debug)]
pub struct Metrics {
    applied: Family<Of, Counter>,
    batches: Family<Of, Counter>,
    conflicts: Family<Of, Counter>,
    rewinds: Family<Of, Counter>,
    failures: Family<Failure, Counter>,
    parked: Family<Of, Gauge>,
    lag_events: Family<Of, Gauge>,
    lag_seconds: Family<Of, Gauge<f64, AtomicU64>>,
    apply_duration: Family<Of, Histogram>,
    latency: Family<Of, Histogram>,
    divergent_rows: Family<Of, Gauge>,
    compared_rows: Family<Of, Counter>,
    compared_at: Family<Of, Gauge<f64, AtomicU64>>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            applied: Family::default(),
            batches: Family::default(),
            conflicts: Family::default(),
            rewinds: Family::default(),
            failures: Family::default(),
            parked: Family::default(),
            lag_events: Family::default(),
            lag_seconds: Family::default(),
            apply_duration: Family::new_with_constructor(seconds),
            latency: Family::new_with_constructor(seconds),
            divergent_rows: Family::default(),
            compared_rows: Family::default(),
            compared_at: Family::default(),
        };
        metrics.register_checks(registry.sub_registry_with_prefix("cabildo_verify"));
        let registry = registry.sub_registry_with_prefix("cabildo_projection");
        registry.register("applied_events", "Events applied to the view", metrics.applied.clone());
        registry.register("batches", "Batches applied to the view", metrics.batches.clone());
        registry.register("conflicts", "Batches whose lane stood elsewhere", metrics.conflicts.clone());
        registry.register("rewinds", "Times the view was found set back", metrics.rewinds.clone());
        registry.register("failures", "Failed calls to the journal or the sink", metrics.failures.clone());
        registry.register("parked_events", "Events set aside", metrics.parked.clone());
        registry.register("lag_events", "Events of the journal that the view lacks", metrics.lag_events.clone());
        registry.register_with_unit(
            "lag",
            "Age of the oldest event that the view lacks",
            Unit::Seconds,
            metrics.lag_seconds.clone(),
        );
        registry.register_with_unit(
            "apply_duration",
            "Loading, folding and writing one batch",
            Unit::Seconds,
            metrics.apply_duration.clone(),
        );
        registry.register_with_unit(
            "latency",
            "From the journal's storing of a batch's oldest event to its being in the view",
            Unit::Seconds,
            metrics.latency.clone(),
        );
        metrics
    }

    fn register_checks(&self, registry: &mut Registry) {
        registry.register(
            "divergent_rows",
            "Rows that differed from what the journal makes them when the background check last came by",
            self.divergent_rows.clone(),
        );
        registry.register("rows", "Rows compared by the background check", self.compared_rows.clone());
        registry.register_with_unit(
            "timestamp",
            "When the last background check was completed",
            Unit::Seconds,
            self.compared_at.clone(),
        );
    }

    pub(crate) fn verified(&self, projection: &'static str, rows: u64, divergent: u64) {
        let of = Of { projection };
        self.compared_rows.get_or_create(&of).inc_by(rows);
        self.divergent_rows.get_or_create(&of).set(i64::try_from(divergent).unwrap_or(i64::MAX));
        self.compared_at.get_or_create(&of).set(micros_to_seconds(crate::now().micros()));
    }

    pub(crate) fn applied(&self, projection: &'static str, events: usize, took: Duration, oldest: Option<Timestamp>) {
        let of = Of { projection };
        self.applied.get_or_create(&of).inc_by(events as u64);
        self.batches.get_or_create(&of).inc();
        self.apply_duration.get_or_create(&of).observe(took.as_secs_f64());
        if let Some(oldest) = oldest {
            let age_us = (crate::now().micros() - oldest.micros()).max(0);
            self.latency.get_or_create(&of).observe(micros_to_seconds(age_us));
        }
    }

    pub(crate) fn conflict(&self, projection: &'static str) {
        self.conflicts.get_or_create(&Of { projection }).inc();
    }

    pub(crate) fn rewind(&self, projection: &'static str) {
        self.rewinds.get_or_create(&Of { projection }).inc();
    }

    pub(crate) fn failed(&self, projection: &'static str, what: &'static str) {
        self.failures.get_or_create(&Failure { projection, what }).inc();
    }

    pub(crate) fn parked(&self, projection: &'static str, events: usize) {
        self.parked.get_or_create(&Of { projection }).set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    pub(crate) fn lag(&self, projection: &'static str, events: u64, age_us: i64) {
        let of = Of { projection };
        self.lag_events.get_or_create(&of).set(i64::try_from(events).unwrap_or(i64::MAX));
        self.lag_seconds.get_or_create(&of).set(micros_to_seconds(age_us));
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds to the microsecond for the next two centuries")]
fn micros_to_seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

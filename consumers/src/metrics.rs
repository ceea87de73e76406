//! Metrics of the read side.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cabildo_events::Timestamp;
use cabildo_projections::ProjectionId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::spread::Spread;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    projection: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    projection: &'static str,
    what: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfView {
    projection: &'static str,
    version: u32,
}

/// What the read side counts, by projection. Labels are the projections of this build and their views, which are bounded.
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
    end_to_end: Family<Of, Spread>,
    progress: Family<Of, Gauge<f64, AtomicU64>>,
    view_version: Family<Of, Gauge>,
    queued: Family<Of, Gauge>,
    parked_oldest: Family<Of, Gauge<f64, AtomicU64>>,
    circuit_open: Family<Of, Gauge>,
    paused: Family<Of, Gauge>,
    building: Family<OfView, Gauge>,
    verify_divergent: Family<Of, Gauge>,
    verify_rows: Family<Of, Counter>,
    verify_timestamp: Family<Of, Gauge<f64, AtomicU64>>,
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
            end_to_end: Family::default(),
            progress: Family::default(),
            view_version: Family::default(),
            queued: Family::default(),
            parked_oldest: Family::default(),
            circuit_open: Family::default(),
            paused: Family::default(),
            building: Family::default(),
            verify_divergent: Family::default(),
            verify_rows: Family::default(),
            verify_timestamp: Family::default(),
        };
        metrics.begin();
        metrics.register_verify(registry);
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
        metrics.register_views(registry);
        metrics
    }

    fn register_views(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "end_to_end",
            "From the journal's time of each event to the sink's acknowledgement",
            Unit::Seconds,
            self.end_to_end.clone(),
        );
        registry.register_with_unit(
            "progress_timestamp",
            "Unix time of the last batch applied, or of the last moment without lag",
            Unit::Seconds,
            self.progress.clone(),
        );
        registry.register("view_version", "Version of the view that is live", self.view_version.clone());
        registry.register("queued_events", "Events dispatched that wait for the sink", self.queued.clone());
        registry.register_with_unit(
            "parked_oldest",
            "Age of the event that was set aside first; 0 if there is none",
            Unit::Seconds,
            self.parked_oldest.clone(),
        );
        registry.register(
            "circuit_open",
            "1 while the projection stands still because too much is set aside",
            self.circuit_open.clone(),
        );
        registry.register("paused", "1 while an operator holds the projection", self.paused.clone());
        registry.register(
            "building_events",
            "Events still to fold of a view that is built beside the live one",
            self.building.clone(),
        );
    }

    fn register_verify(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("cabildo_verify");
        registry.register(
            "divergent_rows",
            "Rows that differed from a fresh fold in the last background check",
            self.verify_divergent.clone(),
        );
        registry.register("rows", "Rows compared by the background check", self.verify_rows.clone());
        registry.register_with_unit(
            "timestamp",
            "Unix time of the last background check that came to its end",
            Unit::Seconds,
            self.verify_timestamp.clone(),
        );
    }

    /// What is known before anything has happened, so that a dashboard shows zero rather than nothing.
    fn begin(&self) {
        for ProjectionId { name: projection, version } in cabildo_projections::ALL {
            let of = Of { projection };
            for counts in [&self.applied, &self.batches, &self.conflicts, &self.rewinds] {
                drop(counts.get_or_create(&of));
            }
            drop(self.failures.get_or_create(&Failure { projection, what: "sink" }));
            drop(self.end_to_end.get_or_create(&of));
            drop(self.verify_rows.get_or_create(&of));
            self.progress(projection);
            self.live_view(projection, version);
            self.queued(projection, 0);
            self.parked(projection, 0);
            self.parked_oldest(projection, None);
            self.circuit_open(projection, false);
            self.paused(projection, false);
        }
    }

    pub(crate) fn applied(&self, projection: &'static str, events: usize, took: Duration, oldest: Option<Timestamp>) {
        let of = Of { projection };
        self.applied.get_or_create(&of).inc_by(events as u64);
        self.batches.get_or_create(&of).inc();
        self.apply_duration.get_or_create(&of).observe(took.as_secs_f64());
        self.progress(projection);
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
        if events == 0 {
            self.progress(projection);
        }
    }

    fn progress(&self, projection: &'static str) {
        self.progress.get_or_create(&Of { projection }).set(micros_to_seconds(crate::now().micros()));
    }

    /// Counts events that the sink of the live view has just acknowledged, by when the journal stored each.
    pub(crate) fn arrived(&self, projection: &'static str, recorded: impl Iterator<Item = Timestamp>) {
        let now_us = crate::now().micros();
        let ages_us = recorded.map(|recorded| now_us - recorded.micros());
        self.end_to_end.get_or_create(&Of { projection }).observe(ages_us);
    }

    /// Events dispatched that wait for the sink.
    pub(crate) fn queued(&self, projection: &'static str, events: u64) {
        self.queued.get_or_create(&Of { projection }).set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// Which view is read.
    pub fn live_view(&self, projection: &'static str, version: u32) {
        self.view_version.get_or_create(&Of { projection }).set(i64::from(version));
    }

    /// When the oldest event was set aside; `None` if there is none. The age is as of now: set it again from time to time.
    pub fn parked_oldest(&self, projection: &'static str, since: Option<Timestamp>) {
        let age_us = since.map_or(0, |since| (crate::now().micros() - since.micros()).max(0));
        self.parked_oldest.get_or_create(&Of { projection }).set(micros_to_seconds(age_us));
    }

    /// Whether the projection stands still because too much is set aside.
    pub fn circuit_open(&self, projection: &'static str, open: bool) {
        self.circuit_open.get_or_create(&Of { projection }).set(i64::from(open));
    }

    /// Whether an operator holds the projection.
    pub fn paused(&self, projection: &'static str, paused: bool) {
        self.paused.get_or_create(&Of { projection }).set(i64::from(paused));
    }

    /// How many events a view lacks that is built beside the live one; `None` once it is not built any more.
    pub fn building(&self, projection: &'static str, version: u32, events: Option<u64>) {
        let of = OfView { projection, version };
        match events {
            Some(events) => drop(self.building.get_or_create(&of).set(i64::try_from(events).unwrap_or(i64::MAX))),
            None => drop(self.building.remove(&of)),
        }
    }

    /// Rows that the background check has compared just now.
    pub fn verifying(&self, projection: &'static str, rows: u64) {
        self.verify_rows.get_or_create(&Of { projection }).inc_by(rows);
    }

    /// A background check came to its end: so many rows differed.
    pub fn verified(&self, projection: &'static str, divergent: u64) {
        let of = Of { projection };
        self.verify_divergent.get_or_create(&of).set(i64::try_from(divergent).unwrap_or(i64::MAX));
        self.verify_timestamp.get_or_create(&of).set(micros_to_seconds(crate::now().micros()));
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds to the microsecond for the next two centuries")]
fn micros_to_seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

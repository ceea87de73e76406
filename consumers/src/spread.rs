//! A histogram of many durations at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bound of the first bucket, in microseconds; each next one is twice as wide.
const FIRST_US: u64 = 500;
/// Buckets with a bound: up to about a minute.
const BOUNDED: usize = 18;

/// Takes the durations of a whole batch in one pass: what a lane's events have in common (most fall into the bucket of the
/// one before) costs a comparison each, and the counters are touched once a batch.
#[derive(Clone, Default)]
pub(crate) struct Spread(Arc<Counts>);

#[derive(Default)]
struct Counts {
    buckets: [AtomicU64; BOUNDED + 1],
    sum_us: AtomicU64,
}

impl Spread {
    /// Adds durations, in microseconds; those below zero, which clocks that differ give, count as none.
    pub(crate) fn observe(&self, durations_us: impl Iterator<Item = i64>) {
        let (mut counts, mut sum_us) = ([0; BOUNDED + 1], 0_u64);
        let mut bucket = 0;
        for duration_us in durations_us {
            let duration_us = u64::try_from(duration_us).unwrap_or(0);
            sum_us = sum_us.saturating_add(duration_us);
            while bucket < BOUNDED && duration_us > bound_us(bucket) {
                bucket += 1;
            }
            while bucket > 0 && duration_us <= bound_us(bucket - 1) {
                bucket -= 1;
            }
            counts[bucket] += 1;
        }
        for (total, count) in self.0.buckets.iter().zip(counts).filter(|(_, count)| *count > 0) {
            total.fetch_add(count, Ordering::Relaxed);
        }
        self.0.sum_us.fetch_add(sum_us, Ordering::Relaxed);
    }

    fn counts(&self) -> [u64; BOUNDED + 1] {
        std::array::from_fn(|bucket| self.0.buckets[bucket].load(Ordering::Relaxed))
    }
}

const fn bound_us(bucket: usize) -> u64 {
    FIRST_US << bucket
}

#[expect(clippy::cast_precision_loss, reason = "seconds to the microsecond for the next two centuries")]
const fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

impl fmt::Debug for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spread").field(&self.counts()).finish()
    }
}

impl TypedMetric for Spread {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Spread {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts = self.counts();
        let bounds = (0..BOUNDED).map(|bucket| seconds(bound_us(bucket))).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let sum = seconds(self.0.sum_us.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::{Registry, Unit};

    #[test]
    fn every_duration_is_in_the_bucket_that_holds_it() {
        let spread = Spread::default();
        let durations = [-5, 0, 500, 501, 1_000, 70_000_000, 1_001, 400, i64::MAX];
        spread.observe(durations.into_iter());
        spread.observe(std::iter::empty());
        let mut expected = [0; BOUNDED + 1];
        for duration_us in durations {
            let holds = |bucket: &usize| u64::try_from(duration_us).unwrap_or(0) <= bound_us(*bucket);
            expected[(0..BOUNDED).find(holds).unwrap_or(BOUNDED)] += 1;
        }
        assert_eq!(spread.counts(), expected);
    }

    #[test]
    fn it_is_written_as_a_histogram() {
        let (mut registry, mut text, spread) = (Registry::default(), String::new(), Spread::default());
        registry.register_with_unit("x", "How long", Unit::Seconds, spread.clone());
        spread.observe([400, 900, 1_500_000, 100_000_000].into_iter());
        encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE x_seconds histogram",
            "x_seconds_sum 101.5013",
            "x_seconds_count 4",
            "x_seconds_bucket{le=\"0.0005\"} 1",
            "x_seconds_bucket{le=\"0.001\"} 2",
            "x_seconds_bucket{le=\"65.536\"} 3",
            "x_seconds_bucket{le=\"+Inf\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}

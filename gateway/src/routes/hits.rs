//! Events counted by type and time, from the `activity` projection.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use cabildo_events::Timestamp;
use cabildo_events::limits::{HITS_BUCKETS_MAX, HITS_HOURS_MAX};
use cabildo_projections::activity::{self, HOUR_S, HOURS};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use crate::call::{Call, call, now};
use crate::problem::Problem;
use crate::{Gateway, answer, fresh};

/// Hours read from the sink at once.
const HOURS_AT_ONCE: usize = 8;

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "events" / "hits")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(hits(call).await) })
        .boxed()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Second,
    Minute,
    Hour,
}

impl Step {
    const fn seconds(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => HOUR_S,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "1s",
            Self::Minute => "1m",
            Self::Hour => "1h",
        }
    }
}

impl FromStr for Step {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Second, Self::Minute, Self::Hour].into_iter().find(|step| step.name() == text);
        known.ok_or_else(|| format!("`{text}` is no step: 1s, 1m or 1h"))
    }
}

#[derive(Serialize)]
struct Hits {
    step: &'static str,
    since: Timestamp,
    until: Timestamp,
    total: i64,
    /// Buckets with events in them, oldest first.
    buckets: Vec<Bucket>,
}

#[derive(Serialize)]
struct Bucket {
    start: Timestamp,
    events: BTreeMap<String, i64>,
}

/// Whole buckets from the one that holds `since` up to the one that holds `until`, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    step: Step,
    from: i64,
    to: i64,
}

impl Span {
    fn new(step: Step, since: Timestamp, until: Timestamp) -> Result<Self, Problem> {
        let seconds = step.seconds();
        let from = since.seconds().div_euclid(seconds) * seconds;
        let to = until.seconds().div_euclid(seconds) * seconds + seconds;
        if until < since {
            return Err(Problem::bad_value("until", "`until` is before `since`"));
        }
        if (to - from) / seconds > HITS_BUCKETS_MAX {
            let detail = format!("more than {HITS_BUCKETS_MAX} buckets: take a larger step or a shorter time");
            return Err(Problem::bad_value("step", detail));
        }
        if (to - from) / HOUR_S > HITS_HOURS_MAX {
            return Err(Problem::bad_value("since", format_args!("a histogram spans at most {HITS_HOURS_MAX} hours")));
        }
        Ok(Self { step, from, to })
    }

    fn hours(self) -> impl Iterator<Item = i64> {
        (self.from.div_euclid(HOUR_S)..=(self.to - 1).div_euclid(HOUR_S)).map(|hour| hour * HOUR_S)
    }

    /// Adds an hour's hash (`{second}:{type}` to count) to the buckets.
    fn add(self, hour: i64, hash: &BTreeMap<String, String>, buckets: &mut BTreeMap<i64, BTreeMap<String, i64>>) {
        for (field, count) in hash {
            let Some((second, kind)) = field.split_once(':') else { continue };
            let (Ok(second), Ok(count)) = (second.parse::<i64>(), count.parse::<i64>()) else { continue };
            let at = hour + second;
            if (self.from..self.to).contains(&at) {
                let start = at.div_euclid(self.step.seconds()) * self.step.seconds();
                *buckets.entry(start).or_default().entry(kind.to_owned()).or_default() += count;
            }
        }
    }
}

async fn hits(call: Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let step = params.value("step")?.unwrap_or(Step::Minute);
    let until = params.moment("until")?.unwrap_or_else(now);
    let since = params.moment("since")?.unwrap_or_else(|| Timestamp::from_micros(until.micros() - HOUR_S * 1_000_000));
    params.finish(&["step", "since", "until"])?;
    let span = Span::new(step, since, until)?;
    let ports = &call.gateway.ports;
    let view = ports.views.live(activity::ID);
    let fresh = match call.min_position()? {
        Some(min) => fresh::every_lane(&*ports.counters, view, &*ports.journal, min).await?,
        None => true,
    };
    let mut buckets = BTreeMap::new();
    let mut hours = futures::stream::iter(span.hours())
        .map(|hour| async move {
            let lanes = ports.counters.across_lanes(view, HOURS, &hour.to_string()).await;
            lanes.map(|lanes| (hour, lanes))
        })
        .buffered(HOURS_AT_ONCE)
        .boxed();
    while let Some((hour, lanes)) = hours.try_next().await? {
        lanes.iter().for_each(|hash| span.add(hour, hash, &mut buckets));
    }
    drop(hours);
    let moment = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let total = buckets.values().flat_map(BTreeMap::values).sum();
    let buckets = buckets.into_iter().map(|(start, events)| Bucket { start: moment(start), events }).collect();
    let (since, until) = (moment(span.from), moment(span.to));
    let mut response = answer::json(&Hits { step: step.name(), since, until, total, buckets })?;
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn seconds_add_up_to_minutes_within_the_span() {
        let span = Span::new(Step::Minute, at("2026-11-21T10:00:30Z"), at("2026-11-21T10:01:10Z")).unwrap();
        let hour = at("2026-11-21T10:00:00Z").seconds();
        let count = |second: i64, kind: &str| (format!("{second}:{kind}"), "2".to_owned());
        let hash = [count(0, "a"), count(59, "a"), count(60, "b"), count(120, "a")].into();
        let mut buckets = BTreeMap::new();
        span.add(hour, &hash, &mut buckets);
        let expected = [(hour, [("a".to_owned(), 4)].into()), (hour + 60, [("b".to_owned(), 2)].into())].into();
        assert_eq!(buckets, expected);
        assert_eq!(span.hours().collect::<Vec<_>>(), [hour]);
    }

    #[test]
    fn a_span_has_bounds() {
        let span = |step, since, until| Span::new(step, at(since), at(until)).map(|_| ());
        assert!(span(Step::Second, "2026-11-21T10:00:00Z", "2026-11-21T16:00:00Z").is_err());
        assert!(span(Step::Hour, "2026-11-01T10:00:00Z", "2026-11-21T10:00:00Z").is_err());
        assert!(span(Step::Hour, "2026-11-21T10:00:00Z", "2026-11-21T09:00:00Z").is_err());
        assert!(span(Step::Minute, "2026-11-15T00:00:00Z", "2026-11-21T00:00:00Z").is_ok());
        assert!("5m".parse::<Step>().is_err());
    }
}

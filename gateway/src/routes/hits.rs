//! Events counted by time and by one field: the histogram above the record.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use cabildo_events::Timestamp;
use cabildo_events::limits::{HITS_BUCKETS_AUTO, HITS_BUCKETS_MAX, HITS_VALUES_MAX};
use serde::Serialize;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::events::wait;
use crate::call::{Call, call, now};
use crate::columns::{Ask, Columns, Field, Matching};
use crate::problem::Problem;
use crate::search::{ASKED, Asked, Searched, counting};
use crate::{Gateway, answer};

/// What the values are added up as that are not shown apart, and events without a value.
const OTHER: &str = "other";

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "events" / "hits")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(hits(call).await) })
        .boxed()
}

const STEPS: [(&str, i64); 11] = [
    ("1s", 1),
    ("5s", 5),
    ("15s", 15),
    ("30s", 30),
    ("1m", 60),
    ("5m", 300),
    ("15m", 900),
    ("30m", 1_800),
    ("1h", 3_600),
    ("6h", 21_600),
    ("1d", 86_400),
];

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The smallest that gives few buckets.
    Auto,
    /// By its name, so many seconds.
    Of(&'static str, i64),
}

impl FromStr for Step {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let known = STEPS.into_iter().find(|(name, _)| *name == text);
        known.map(|(name, seconds)| Self::Of(name, seconds)).ok_or_else(|| {
            format!("`{text}` is no step: auto, {}", STEPS.map(|(name, _)| name).join(", "))
        })
    }
}

#[derive(Serialize)]
struct Hits {
    step: &'static str,
    since: Timestamp,
    until: Timestamp,
    field: &'static str,
    total: u64,
    /// Buckets with events in them, oldest first.
    buckets: Vec<Bucket>,
    searched: Searched,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Bucket {
    start: Timestamp,
    events: BTreeMap<String, u64>,
}

/// Whole buckets from the one that holds a moment up to the one that holds another, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    name: &'static str,
    step: i64,
    from: i64,
    to: i64,
}

impl Span {
    /// From `since` up to before `until`.
    fn new(step: Step, since: i64, until: i64) -> Result<Self, Problem> {
        let of = |(name, seconds): (&'static str, i64)| {
            let step = seconds * 1_000_000;
            let from = since.div_euclid(step) * step;
            let to = (until.max(since + 1) - 1).div_euclid(step) * step + step;
            Self { name, step, from, to }
        };
        match step {
            Step::Of(name, seconds) => {
                let span = of((name, seconds));
                if span.count() > HITS_BUCKETS_MAX {
                    let detail = format!("more than {HITS_BUCKETS_MAX} buckets: take a larger step or a shorter time");
                    return Err(Problem::bad_value("step", detail));
                }
                Ok(span)
            }
            Step::Auto => {
                let [.., day] = STEPS;
                let few = STEPS.into_iter().map(of).find(|span| span.count() <= HITS_BUCKETS_AUTO);
                let span = few.unwrap_or_else(|| of(day));
                // Events of very different ages: the newest are shown.
                let from = span.from.max(span.to - HITS_BUCKETS_MAX * span.step);
                Ok(Self { from, ..span })
            }
        }
    }

    const fn count(self) -> i64 {
        (self.to - self.from) / self.step
    }

    fn bucket(self, time: i64) -> Option<usize> {
        let inside = (self.from..self.to).contains(&time);
        inside.then(|| usize::try_from((time - self.from) / self.step).ok()).flatten()
    }
}

/// What a first look at the events shows: how many there are of each value, and from when to when.
struct Seen {
    by_value: Vec<u64>,
    times: Option<(i64, i64)>,
}

fn look(columns: &Columns, ask: &Ask, field: Field) -> Seen {
    let mut seen = Seen { by_value: vec![0; columns.values(field)], times: None };
    columns.visit(ask, |matching| {
        for number in matching.numbers(field) {
            if let Some(count) = seen.by_value.get_mut(number as usize) {
                *count += 1;
            }
        }
        let (mut first, mut last) = seen.times.unwrap_or((i64::MAX, i64::MIN));
        for row in matching.rows {
            let time = matching.time(*row);
            (first, last) = (first.min(time), last.max(time));
        }
        seen.times = Some((first, last));
    });
    seen
}

/// The values that are shown apart, the most frequent first.
fn apart(by_value: &[u64]) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..u32::try_from(by_value.len()).unwrap_or(u32::MAX)).collect();
    numbers.retain(|number| by_value.get(*number as usize).is_some_and(|count| *count > 0));
    let most = |number: &u32| std::cmp::Reverse(by_value.get(*number as usize).copied().unwrap_or(0));
    if numbers.len() > HITS_VALUES_MAX {
        numbers.select_nth_unstable_by_key(HITS_VALUES_MAX - 1, most);
        numbers.truncate(HITS_VALUES_MAX);
    }
    numbers.sort_by_key(most);
    numbers
}

fn count(columns: &Columns, ask: &Ask, field: Field, span: Span, shown: &[u32]) -> (u64, Vec<Bucket>) {
    // A row of counts per bucket: one for each value that is shown, and the last for the others.
    let width = shown.len() + 1;
    let mut places = vec![shown.len(); columns.values(field)];
    for (place, number) in shown.iter().enumerate() {
        if let Some(found) = places.get_mut(*number as usize) {
            *found = place;
        }
    }
    let mut counts = vec![0_u64; usize::try_from(span.count()).unwrap_or(0) * width];
    let mut total = 0;
    let mut add = |matching: &Matching<'_>| {
        for (row, number) in matching.rows.iter().zip(matching.numbers(field)) {
            let place = places.get(number as usize).copied().unwrap_or(shown.len());
            let bucket = span.bucket(matching.time(*row));
            if let Some(count) = bucket.and_then(|bucket| counts.get_mut(bucket * width + place)) {
                *count += 1;
                total += 1;
            }
        }
    };
    columns.visit(ask, &mut add);
    let name = |place: usize| shown.get(place).map_or(OTHER.to_owned(), |number| columns.value(field, *number));
    let names: Vec<_> = (0..width).map(name).collect();
    let starts = (0..).map(|number| Timestamp::from_micros(span.from + number * span.step));
    let buckets = counts.chunks(width).zip(starts).filter(|(counts, _)| counts.iter().any(|count| *count > 0));
    let bucket = |(counts, start): (&[u64], Timestamp)| {
        let mut events = BTreeMap::new();
        for (name, count) in names.iter().zip(counts).filter(|(_, count)| **count > 0) {
            // A value may be called like the rest.
            *events.entry(name.clone()).or_default() += count;
        }
        Bucket { start, events }
    };
    (total, buckets.map(bucket).collect())
}

async fn hits(call: Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let asked = Asked::take(&mut params)?;
    let step = params.value("step")?.unwrap_or(Step::Auto);
    let field = params.value("field")?.unwrap_or(Field::Type);
    params.finish(&[&ASKED[..], &["step", "field"]].concat())?;
    if let (Some(since), Some(until)) = (asked.since, asked.until)
        && until < since
    {
        return Err(Problem::bad_value("until", "`until` is before `since`"));
    }
    if let (Some(since), Some(until)) = (asked.since, asked.until) {
        // What cannot be drawn is refused before it is counted.
        Span::new(step, since.micros(), until.micros())?;
    }
    let fresh = wait(&call, &asked).await?;
    let (since, until, now) = (asked.since, asked.until, now().micros());
    let (counted, searched) = counting(&call.gateway, &asked, move |columns, ask| {
        let seen = look(columns, ask, field);
        let since_then = since.map(Timestamp::micros);
        let from = since_then.or(seen.times.map(|(first, _)| first)).unwrap_or(now);
        // Up to the present if it is from some moment on, up to the last event if it is everything.
        let last = seen.times.map(|(_, last)| last + 1);
        let to = until.map(Timestamp::micros).unwrap_or_else(|| match since_then {
            Some(_) => last.map_or(now, |last| last.max(now)),
            None => last.unwrap_or(now),
        });
        let span = Span::new(step, from, to)?;
        let (total, buckets) = count(columns, ask, field, span, &apart(&seen.by_value));
        Ok::<_, Problem>((span, total, buckets))
    })
    .await?;
    let (span, total, buckets) = counted?;
    let (since, until) = (Timestamp::from_micros(span.from), Timestamp::from_micros(span.to));
    let hits = Hits { step: span.name, since, until, field: field.name(), total, buckets, searched };
    let mut response = answer::json(&hits)?;
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().micros()
    }

    #[test]
    fn a_span_is_of_whole_buckets() {
        let minute = "1m".parse().unwrap();
        let span = Span::new(minute, at("2026-11-21T10:00:30Z"), at("2026-11-21T10:02:00Z")).unwrap();
        assert_eq!((span.from, span.to), (at("2026-11-21T10:00:00Z"), at("2026-11-21T10:02:00Z")));
        assert_eq!(span.count(), 2);
        assert_eq!(span.bucket(at("2026-11-21T10:01:59.999999Z")), Some(1));
        assert_eq!((span.bucket(span.to), span.bucket(span.from - 1)), (None, None));
    }

    #[test]
    fn a_step_is_chosen_so_that_there_are_few_buckets() {
        let auto = |since, until| Span::new(Step::Auto, at(since), at(until)).unwrap().name;
        assert_eq!(auto("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"), "1s");
        assert_eq!(auto("2026-11-21T10:00:00Z", "2026-11-21T10:02:00Z"), "1s");
        assert_eq!(auto("2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"), "30s");
        assert_eq!(auto("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"), "15m");
        let ages = Span::new(Step::Auto, 0, at("2026-11-21T00:00:00Z")).unwrap();
        assert_eq!((ages.name, ages.count()), ("1d", HITS_BUCKETS_MAX));
    }

    #[test]
    fn a_span_has_bounds() {
        let second = "1s".parse().unwrap();
        assert!(Span::new(second, at("2026-11-21T10:00:00Z"), at("2026-11-21T16:00:00Z")).is_err());
        assert!(Span::new(second, at("2026-11-21T10:00:00Z"), at("2026-11-21T12:00:00Z")).is_ok());
        assert!("2m".parse::<Step>().unwrap_err().contains("auto, 1s, 5s"));
    }

    #[test]
    fn the_most_frequent_are_shown_apart() {
        let mut counts: Vec<u64> = (0..40).collect();
        counts.push(1_000);
        let shown = apart(&counts);
        assert_eq!(shown.len(), HITS_VALUES_MAX);
        assert_eq!(shown[..3], [40, 39, 38]);
        assert_eq!(apart(&[0, 3, 0]), [1]);
    }
}

//! Metrics: what is promised is there, described, and moves when it should.

use std::collections::BTreeMap;

use super::{Role, until};
use crate::servers::Redis;

/// Metrics that are absent until something has happened that does not happen here, and where that is said.
const LATER: [&str; 4] = [
    "cabildo_projection_building_events",
    "cabildo_verify_timestamp_seconds",
    "cabildo_trace_spans_total",
    "cabildo_verify_divergent_rows",
];

/// The metrics of a process by the names that are scraped, with their types; each has a line of help.
fn described(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let scraped = format!("{name}{suffix}");
        let sample = if kind == "histogram" { format!("{scraped}_count") } else { scraped.clone() };
        let is_sample =
            |line: &str| line.starts_with(&format!("{sample}{{")) || line.starts_with(&format!("{sample} "));
        if text.lines().any(is_sample) {
            found.insert(scraped, kind.to_owned());
        }
    }
    found
}

/// The metrics that the page for operators lists.
fn listed() -> BTreeMap<String, String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut columns = row.split(" | ");
        let name = columns.next().unwrap().trim_end_matches('`').to_owned();
        (name, columns.next().expect("a type").to_owned())
    })
    .collect()
}

/// The value of one sample.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(line.parse().expect(sample))
}

#[tokio::test]
async fn the_page_for_operators_lists_exactly_what_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let up = Role::start(folder.path(), &["up", "--listen", "127.0.0.1:0"]).await;
    let before = up.get("/metrics").await;
    assert_eq!(value(&before, "cabildo_projection_end_to_end_seconds_count{projection=\"record\"}"), Some(0.0));
    up.say_something(&[]).await;
    up.get("/api/v1/rooms").await;
    let arrived = "cabildo_projection_end_to_end_seconds_count{projection=\"record\"}";
    until("both events have arrived in the record", || async {
        value(&up.get("/metrics").await, arrived) == Some(2.0)
    })
    .await;
    until("the lag is measured", || async {
        value(&up.get("/metrics").await, "cabildo_projection_lag_seconds{projection=\"record\"}") == Some(0.0)
    })
    .await;
    until("the servers are asked", || async {
        value(&up.get("/metrics").await, "cabildo_sink_up{sink=\"documents\"}") == Some(1.0)
    })
    .await;
    let told = up.get("/metrics").await;
    let mut expected = listed();
    for later in LATER {
        assert!(expected.remove(later).is_some(), "{later} is not on the page");
    }
    assert_eq!(described(&told), expected);

    for (sample, least) in [
        ("cabildo_append_events_total", 2.0),
        ("cabildo_append_duration_seconds_count", 2.0),
        ("cabildo_append_commands_total{context=\"chat\",outcome=\"granted\"}", 2.0),
        ("cabildo_sink_call_seconds_count{sink=\"journal\",call=\"append\"}", 1.0),
        ("cabildo_sink_call_seconds_count{sink=\"documents\",call=\"apply\"}", 2.0),
        ("cabildo_sink_call_seconds_count{sink=\"documents\",call=\"find\"}", 1.0),
        ("cabildo_projection_view_version{projection=\"tally\"}", 1.0),
        ("cabildo_projection_progress_timestamp_seconds{projection=\"tally\"}", 1.7e9),
        ("process_start_time_seconds", 1.7e9),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 1.0),
        ("cabildo_gateway_open_connections", 1.0),
    ] {
        let found = value(&told, sample).unwrap_or_else(|| panic!("{sample} is not in {told}"));
        assert!(found >= least, "{sample} {found}");
    }
    assert!(value(&told, "process_cpu_seconds_total") > value(&before, "process_cpu_seconds_total"));
    up.stop().await;
}

#[tokio::test]
async fn a_sink_that_is_down_is_told_with_its_failures_and_comes_back() {
    let (mut redis, folder) = (Redis::own().await, tempfile::tempdir().unwrap());
    let arguments = ["up", "--listen", "127.0.0.1:0", "--counters", &redis.url()];
    let up = Role::start(folder.path(), &arguments).await;
    let tells =
        async |sample: &str, wanted: fn(f64) -> bool| value(&up.get("/metrics").await, sample).is_some_and(wanted);
    let is_up = "cabildo_sink_up{sink=\"counters\"}";
    until("it is up", || tells(is_up, |up| up == 1.0)).await;
    redis.kill();
    up.say_something(&[]).await;
    until("it is down", || tells(is_up, |up| up == 0.0)).await;
    let failures = "cabildo_projection_failures_total{projection=\"activity\",what=\"sink\"}";
    until("the failures are counted", || tells(failures, |failures| failures > 0.0)).await;
    let lag = "cabildo_projection_lag_events{projection=\"activity\"}";
    until("the lag is told", || tells(lag, |lag| lag > 0.0)).await;
    assert!(tells("cabildo_sink_up{sink=\"documents\"}", |up| up == 1.0).await, "the other one is not concerned");
    let told = up.get("/metrics").await;
    let of_the_counters = |line: &&str| line.starts_with("cabildo_sink_failures_total{sink=\"counters\"");
    let failed = told.lines().filter(of_the_counters).any(|line| !line.ends_with(" 0"));
    assert!(failed, "{told}");
    redis.start_again().await;
    until("it is up again", || tells(is_up, |up| up == 1.0)).await;
    until("the lag is gone", || tells(lag, |lag| lag == 0.0)).await;
    up.stop().await;
}

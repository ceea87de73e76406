//! Every metric that a dashboard or an alert asks for is one that the program has.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use tokio::time::{Duration, Instant};

use super::{PATIENCE, Up};

/// Metrics that have no value until something happens that cannot be made to happen here: as they are scraped, and as what they are
/// registered in which file.
const RARE: [(&str, &str, &str); 10] = [
    ("cabildo_append_refused_events_total", "refused_events", "producers/src/metrics.rs"),
    ("cabildo_projection_conflicts_total", "conflicts", "consumers/src/metrics.rs"),
    ("cabildo_projection_rewinds_total", "rewinds", "consumers/src/metrics.rs"),
    ("cabildo_projection_failures_total", "failures", "consumers/src/metrics.rs"),
    ("cabildo_projection_building_events", "building_events", "consumers/src/metrics.rs"),
    ("cabildo_projection_parked_events", "parked_events", "consumers/src/metrics.rs"),
    ("cabildo_verify_divergent_rows", "divergent_rows", "consumers/src/metrics.rs"),
    ("cabildo_verify_rows_total", "rows", "consumers/src/metrics.rs"),
    ("cabildo_verify_timestamp_seconds", "timestamp", "consumers/src/metrics.rs"),
    ("cabildo_sink_failures_total", "failures", "storage/src/metrics.rs"),
];

/// The metrics that a query names.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| word.starts_with("cabildo_") || word.starts_with("process_"))
}

#[tokio::test]
async fn every_metric_that_is_asked_for_is_there() {
    let queries = crate::dashboards::queries();
    let alerts = crate::dashboards::alert_queries();
    let asked: BTreeSet<&str> = queries.iter().chain(&alerts).flat_map(|query| names(query)).collect();
    assert!(asked.len() > 30, "{asked:?}");

    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let client = crate::http_client().build().unwrap();
    let poll = json!({"id": "bands", "question": "¿La mejor banda?"});
    let opened = client.post(format!("{}/api/v1/polls", up.address)).json(&poll).send().await.unwrap();
    assert!(opened.status().is_success());
    client.get(format!("{}/api/v1/polls/none", up.address)).send().await.unwrap();

    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = client.get(format!("{}/metrics", up.address)).send().await.unwrap().text().await.unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let there: BTreeSet<&str> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();
        let missing: Vec<_> = asked.iter().filter(|name| !there.contains(**name)).collect();
        if missing.iter().all(|name| RARE.iter().any(|(rare, ..)| *rare == **name)) {
            break;
        }
        assert!(Instant::now() < deadline, "no such metrics: {missing:?} in {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (name, registered, file) in RARE {
        let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
        assert!(source.contains(&format!("\"{registered}\"")), "{name} is not registered in {file}");
    }
    up.stop().await.expect(0);
}

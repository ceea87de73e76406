//! The band file, voted in over each way in: what the tally says is what the file says, wherever things are kept.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Up, run};
use crate::servers::{Mongo, Nats, Redis};

/// Ballots over each way in; `make bench` casts fifty thousand.
const BALLOTS: usize = 5_000;

fn seed() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/seed/votes-gt.json").display().to_string()
}

/// Votes by band, had so many ballots of the file been cast.
fn expected(ballots: usize) -> BTreeMap<String, u64> {
    let file: Vec<BTreeMap<String, String>> = serde_json::from_str(&std::fs::read_to_string(seed()).unwrap()).unwrap();
    let mut votes = BTreeMap::new();
    for ballot in file.iter().cycle().take(ballots) {
        *votes.entry(ballot["name"].clone()).or_default() += 1;
    }
    votes
}

async fn tally(address: &str) -> BTreeMap<String, u64> {
    let answer = crate::http_client().build().unwrap().get(format!("{address}/api/v1/polls/bands/tally")).send().await;
    let tally: Value = answer.unwrap().error_for_status().unwrap().json().await.unwrap();
    let options = tally["options"].as_array().unwrap().iter();
    let votes = |option: &Value| (option["option"].as_str().unwrap().to_owned(), option["votes"].as_u64().unwrap());
    options.map(votes).filter(|(_, votes)| *votes > 0).collect()
}

/// Casts the file into the poll `bands` over one way in.
async fn cast(folder: &Path, transport: &str, more: &[&str]) {
    let (file, count) = (seed(), BALLOTS.to_string());
    let plain = ["produce", "votes", "--file", &file, "--poll", "bands", "--count", &count, "-o", "json"];
    let report = run(folder, &[&plain[..], &["--transport", transport], more].concat()).await.expect(0);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!((&report["acknowledged"], &report["exact"]), (&BALLOTS.into(), &true.into()), "{transport}: {report}");
}

#[tokio::test]
async fn embedded_every_way_in_gives_the_tally_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    // An embedded journal serves one process: what goes straight into it goes before that one starts.
    cast(folder.path(), "journal", &[]).await;
    let up = Up::start(folder.path()).await;
    for (times, transport) in [(2, "http"), (3, "grpc")] {
        cast(folder.path(), transport, &["--server", &up.address]).await;
        let wanted: BTreeMap<_, _> = expected(BALLOTS).into_iter().map(|(band, votes)| (band, votes * times)).collect();
        assert_eq!(tally(&up.address).await, wanted, "{transport}");
    }
    up.stop().await.expect(0);
}

#[tokio::test]
async fn distributed_every_way_in_gives_the_tally_of_the_file_and_the_panels_hash() {
    let folder = tempfile::tempdir().unwrap();
    let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
    let (nats, counters, mongo) = (nats.url(), redis.url(), mongo.url());
    let places = ["--journal", &nats, "--counters", &counters, "--documents", &mongo];
    let up = Up::start_with(folder.path(), &[&["--log", "warn"], &places[..]].concat()).await;
    let client = ::redis::Client::open(counters.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for (times, transport) in [(1, "http"), (2, "grpc"), (3, "journal")] {
        cast(folder.path(), transport, &[&["--server", &up.address], &places[..]].concat()).await;
        let wanted: BTreeMap<_, _> = expected(BALLOTS).into_iter().map(|(band, votes)| (band, votes * times)).collect();
        assert_eq!(tally(&up.address).await, wanted, "{transport}");
        let deadline = tokio::time::Instant::now() + super::PATIENCE;
        loop {
            let data: BTreeMap<String, u64> =
                ::redis::cmd("HGETALL").arg("data").query_async(&mut connection).await.unwrap();
            if data == wanted {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{transport}: {data:?} is not {wanted:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    up.stop().await.expect(0);
}

#[tokio::test]
async fn all_ways_in_are_compared_on_the_same_ballots() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let file = seed();
    let compare = |count: &'static str, form: &'static str| {
        let plain = ["produce", "votes", "--file", &file, "--poll", "compared", "--transport", "all"];
        let more = ["--server", &up.address, "--count", count, "-o", form];
        let arguments: Vec<String> = plain.iter().chain(&more).map(ToString::to_string).collect();
        let folder = folder.path();
        async move { run(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await.expect(0) }
    };
    let report: Value = serde_json::from_str(&compare("900", "json").await.out).unwrap();
    let rows = report["transports"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["transport"].as_str().unwrap()).collect();
    assert_eq!(names, ["http", "grpc", "journal"]);
    for row in rows {
        let name = row["transport"].as_str().unwrap();
        assert_eq!((&row["acknowledged"], &row["exact"]), (&900.into(), &true.into()), "{row}");
        assert_eq!(row["poll"], format!("compared-{name}"));
        assert!(row["per_second"].as_f64().unwrap() > 0.0 && row["client_cpu_us"].as_f64().unwrap() > 0.0, "{row}");
        // Straight into an embedded journal there is no server.
        assert_eq!(row["server_cpu_us"].as_f64().is_some_and(|cpu| cpu > 0.0), name != "journal", "{row}");
    }
    // What was made for the journal's row alone is gone.
    let left = std::fs::read_dir(folder.path().join("data")).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with("transports")));
    let table = compare("300", "pretty").await.out;
    for word in ["transport", "p50", "p99", "client CPU each", "server CPU each", "grpc", "exact"] {
        assert!(table.contains(word), "{word} is not in {table}");
    }
    up.stop().await.expect(0);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_told_over_grpc_too() {
    let (folder, file) = (tempfile::tempdir().unwrap(), seed());
    let plain = ["produce", "votes", "--file", &file, "--transport", "grpc", "--server", "http://127.0.0.1:1"];
    run(folder.path(), &plain).await.expect(5).says("127.0.0.1:1");
}

//! The same ballots over HTTP, over gRPC and straight into the journal: `cabildo produce votes --transport all`.

use serde_json::Value;

use crate::servers::{Mongo, Nats, Redis};
use crate::table::Table;
use crate::visible::{VOTES, cabildo, up};

const BALLOTS: usize = 50_000;

async fn footing(table: &mut Table, name: &str, environment: &[(&str, String)]) {
    let (_server, address) = up(environment).await;
    let count = table.scaled(BALLOTS).to_string();
    let plain = ["produce", "votes", "--file", VOTES, "--poll", "ways", "--transport", "all", "--users", "64"];
    let arguments = [&plain[..], &["--count", &count, "--server", &address, "-o", "json"]].concat();
    let output = cabildo(&arguments, environment).output().await.unwrap();
    // It fails unless every tally is exactly what the file says.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |transport: &str| {
        let rows = report["transports"].as_array().unwrap();
        let row = rows.iter().find(|row| row["transport"] == transport).unwrap().clone();
        eprintln!("{name}: {row}");
        row
    };
    let (http, grpc, journal) = (row("http"), row("grpc"), row("journal"));
    let rate = |row: &Value| row["per_second"].as_f64().unwrap();
    let ways = format!("{count} votes, 64 clients, {name}");
    table.rate(&format!("{ways}, over gRPC"), rate(&grpc), "over HTTP", rate(&http), "≥ 0.8");
    table.rate(&format!("{ways}, straight into the journal"), rate(&journal), "over HTTP", rate(&http), "≥ 1");
    let each = |row: &Value| 1e6 / row["server_cpu_us"].as_f64().unwrap();
    let name = format!("{ways}, over gRPC, for a second of the server's CPU");
    table.rate(&name, each(&grpc), "over HTTP", each(&http), "≥ 0.8");
}

pub(crate) async fn ways(table: &mut Table) {
    if table.wants("votes over gRPC, embedded") {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        footing(table, "embedded", &[("CABILDO_DATA", data)]).await;
    }
    if table.wants("votes over gRPC, distributed") {
        let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
        let environment =
            [("CABILDO_JOURNAL", nats.url()), ("CABILDO_COUNTERS", redis.url()), ("CABILDO_DOCUMENTS", mongo.url())];
        footing(table, "distributed", &environment).await;
    }
}

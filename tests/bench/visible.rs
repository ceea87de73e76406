//! From a vote over HTTP to its being in the tally: the time between sending a ballot and having read a tally that counts it.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::servers::{Mongo, Nats, Redis};
use crate::table::Table;

const IDLE_SAMPLES: usize = 400;
const BUSY_SAMPLES: usize = 400;
/// Between two samples.
const PAUSE: Duration = Duration::from_millis(10);
pub(crate) const VOTES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/seed/votes-gt.json");

pub(crate) fn cabildo(arguments: &[&str], environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
    command.args(arguments).env_clear().envs(environment.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) async fn up(environment: &[(&str, String)]) -> (Child, String) {
    let mut command = cabildo(&["up", "--listen", "127.0.0.1:0", "--log", "warn"], environment);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it says that it is ready");
    (child, line.split("ready: ").nth(1).expect("the address").to_owned())
}

pub(crate) struct Sample {
    written: Duration,
    visible: Duration,
}

/// Casts ballots one after the other; how long each took to be acknowledged, and to be read back from the tally.
pub(crate) async fn samples(address: &str, poll: &str, count: usize, voter: &str) -> Vec<Sample> {
    let client = reqwest::Client::builder().tcp_nodelay(true).build().unwrap();
    let mut samples = Vec::with_capacity(count);
    for number in 0..count {
        let ballot = format!("{address}/api/v1/polls/{poll}/ballots/{voter}-{number}");
        let tally = format!("{address}/api/v1/polls/{poll}/tally");
        let began = Instant::now();
        let answer = client.put(ballot).json(&json!({ "choice": "Alux Nahual" })).send().await.unwrap();
        let answer = answer.error_for_status().unwrap();
        let written = began.elapsed();
        let position = answer.headers()["cabildo-position"].clone();
        let read = client.get(tally).header("cabildo-min-position", position).send().await.unwrap();
        let read = read.error_for_status().unwrap();
        let stale = read.headers().contains_key("cabildo-stale");
        read.bytes().await.unwrap();
        assert!(!stale, "the tally did not have the ballot within the bound");
        samples.push(Sample { written, visible: began.elapsed() });
        tokio::time::sleep(PAUSE).await;
    }
    samples
}

/// Voters that the load's tally counts.
async fn voters(address: &str) -> usize {
    let answer = reqwest::get(format!("{address}/api/v1/polls/load/tally")).await.unwrap().error_for_status().unwrap();
    let tally: serde_json::Value = answer.json().await.unwrap();
    usize::try_from(tally["voters"].as_u64().unwrap()).unwrap()
}

pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn visible(samples: &[Sample]) -> Vec<Duration> {
    samples.iter().map(|sample| sample.visible).collect()
}

/// A row of samples beside others.
pub(crate) fn row(table: &mut Table, name: &str, samples: &[Sample], base: (&str, &[Sample]), goal: &str) {
    table.latency(name, 99, &visible(samples), (base.0, percentile(&visible(base.1), 99)), goal);
}

fn beside_written(table: &mut Table, name: &str, samples: &[Sample], goal: &str) {
    let written: Vec<_> = samples.iter().map(|sample| sample.written).collect();
    let base = ("the same ballot's acknowledgement", percentile(&written, 99));
    table.latency(name, 99, &visible(samples), base, goal);
}

async fn footing(table: &mut Table, name: &str, environment: &[(&str, String)]) {
    let (_server, address) = up(environment).await;
    let client = reqwest::Client::new();
    let poll = json!({ "id": "visible", "question": "¿Quién?" });
    client.post(format!("{address}/api/v1/polls")).json(&poll).send().await.unwrap().error_for_status().unwrap();
    samples(&address, "visible", 50, "warm").await;
    let idle = samples(&address, "visible", IDLE_SAMPLES, "idle").await;
    beside_written(table, &format!("vote to tally, {name}, idle"), &idle, "p99 < 15 ms");

    let load = ["produce", "votes", "--file", VOTES, "--poll", "load", "--users", "64", "--rate", "10000/s"];
    let mut load = cabildo(&[&load[..], &["--count", "200000", "--server", &address]].concat(), environment);
    let mut load = load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    samples(&address, "visible", 50, "ramp").await;
    let (before, began) = (voters(&address).await, Instant::now());
    let busy = samples(&address, "visible", BUSY_SAMPLES, "busy").await;
    let rate = crate::table::per_second(voters(&address).await - before, began.elapsed());
    assert!(load.try_wait().unwrap().is_none(), "the load ended before the last sample");
    load.kill().await.unwrap();
    beside_written(table, &format!("vote to tally, {name}, at {rate:.0} votes/s"), &busy, "p99 < 50 ms at 10k/s");
}

pub(crate) async fn latency(table: &mut Table) {
    if table.wants("vote to tally, embedded") {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        footing(table, "embedded", &[("CABILDO_DATA", data)]).await;
    }
    if table.wants("vote to tally, distributed") {
        let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
        let environment =
            [("CABILDO_JOURNAL", nats.url()), ("CABILDO_COUNTERS", redis.url()), ("CABILDO_DOCUMENTS", mongo.url())];
        footing(table, "distributed", &environment).await;
    }
}

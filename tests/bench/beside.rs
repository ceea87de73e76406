//! Replays of a journal of mixed events: how fast they are alone, and what they cost those who vote and read meanwhile.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo_consumers::{BuildPlan, Builder, Metrics, Ports};
use cabildo_events::{Position, limits};
use cabildo_projections::{ProjectionId, record, tally};
use cabildo_storage::{Journal, Views, open_counters, open_documents, open_journal};
use futures::StreamExt;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::mixed;
use crate::servers::{Mongo, Nats, Redis};
use crate::table::{Table, per_second};
use crate::visible::{Sample, VOTES, cabildo, row, samples, up};

const EVENTS: usize = 1_000_000;
const SAMPLES: usize = 1_000;

/// Builds a view of its own number, as `cabildo replay` does; events a second.
async fn replayed(view: ProjectionId, ports: &Ports, events: usize) -> f64 {
    let decided = Views::read(&*ports.journal).await.unwrap();
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let builder = Builder::start(ports.clone(), &decided, metrics);
    let until = ports.journal.head().await.unwrap();
    let plan = BuildPlan { target: view.into(), after: Position::START, until, workers: limits::WORKERS_DEFAULT };
    let began = Instant::now();
    builder.build(&plan, &CancellationToken::new()).await.unwrap();
    per_second(events, began.elapsed())
}

/// A read of the whole journal that does nothing with it.
async fn bare_read(journal: &dyn Journal) -> f64 {
    let began = Instant::now();
    let mut pages = journal.read(Position::START, journal.head().await.unwrap()).await.unwrap();
    let mut read = 0;
    while let Some(page) = pages.next().await {
        read += page.unwrap().len();
    }
    per_second(read, began.elapsed())
}

const TALLY: ProjectionId = ProjectionId { version: 2, ..tally::ID };
const RECORD: ProjectionId = ProjectionId { version: 2, ..record::ID };

/// The goals of a replay: embedded, into Redis, into MongoDB.
pub(crate) async fn alone(table: &mut Table) {
    let events = table.scaled(EVENTS);
    if table.wants("replay beside, embedded") {
        let folder = tempfile::tempdir().unwrap();
        let place = format!("file:{}", folder.path().display());
        let ports = Ports {
            journal: open_journal(&place).await.unwrap(),
            counters: open_counters(&place).await.unwrap(),
            documents: open_documents(&place).await.unwrap(),
        };
        mixed::fill(&*ports.journal, events).await;
        let base = bare_read(&*ports.journal).await;
        for (view, goal) in [(TALLY, "≥ 200k/s"), (RECORD, "≥ 60k/s, full-text")] {
            let name = format!("replay beside, embedded, {}, {events} mixed events", view.name);
            let rate = replayed(view, &ports, events).await;
            table.rate(&name, rate, "bare ordered read of the journal", base, goal);
        }
    }
    if table.wants("replay beside, into Redis") || table.wants("replay beside, into MongoDB") {
        let (nats, redis, mongo) = (Nats::own().await, Redis::own().await, Mongo::own().await);
        let ports = Ports {
            journal: open_journal(&nats.url()).await.unwrap(),
            counters: open_counters(&redis.url()).await.unwrap(),
            documents: open_documents(&mongo.url()).await.unwrap(),
        };
        mixed::fill(&*ports.journal, events).await;
        if table.wants("replay beside, into Redis") {
            let base = bare_read(&*ports.journal).await;
            let rate = replayed(TALLY, &ports, events).await;
            let name = format!("replay beside, into Redis, tally, {events} mixed events");
            table.rate(&name, rate, "bare ordered read of JetStream", base, "≥ 100k/s");
        }
        if table.wants("replay beside, into MongoDB") {
            let rate = replayed(RECORD, &ports, events).await;
            let base = crate::apply::bare_insert_many(&mongo.url(), "record_v2_events").await;
            let name = format!("replay beside, into MongoDB, record, {events} mixed events");
            table.rate(&name, rate, "bare insert_many, same documents and indexes", base, "≥ 0.6");
        }
    }
}

/// Votes at a thousand a second, and how long one takes to be in the tally; with and without a replay.
async fn footing(table: &mut Table, name: &str, environment: &[(&str, String)]) {
    let (_server, address) = up(environment).await;
    let client = reqwest::Client::new();
    let poll = json!({ "id": "visible", "question": "¿Quién?" });
    client.post(format!("{address}/api/v1/polls")).json(&poll).send().await.unwrap().error_for_status().unwrap();
    let load = ["produce", "votes", "--file", VOTES, "--poll", "load", "--users", "16", "--rate", "1000/s"];
    let mut load = cabildo(&[&load[..], &["--count", "10000000", "--server", &address]].concat(), environment);
    let _load = load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    samples(&address, "visible", 100, "warm").await;
    let count = table.scaled(SAMPLES).max(50);
    let usual = samples(&address, "visible", count, "usual").await;
    for projection in ["tally", "record"] {
        let mut replay = cabildo(&["replay", projection], environment);
        let mut replay = replay.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut beside: Vec<Sample> = Vec::new();
        while beside.len() < count && replay.try_wait().unwrap().is_none() {
            beside.extend(samples(&address, "visible", 25, &format!("{projection}-{}", beside.len())).await);
        }
        let whole = beside.len();
        replay.kill().await.unwrap();
        let name = format!("1,000 votes/s beside a replay of the {projection}, {name} ({whole} votes measured)");
        row(table, &name, &beside, ("the same without it", &usual), "≤ 2 × p99");
    }
}

pub(crate) async fn live(table: &mut Table) {
    let events = table.scaled(EVENTS);
    if table.wants("beside a replay, embedded") {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let place = format!("file:{data}");
        mixed::fill(&*open_journal(&place).await.unwrap(), events).await;
        let environment = [("CABILDO_DATA", data)];
        settled(&place, &environment).await;
        footing(table, "embedded", &environment).await;
    }
    if table.wants("beside a replay, distributed") {
        let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
        mixed::fill(&*open_journal(&nats.url()).await.unwrap(), events).await;
        let environment =
            [("CABILDO_JOURNAL", nats.url()), ("CABILDO_COUNTERS", redis.url()), ("CABILDO_DOCUMENTS", mongo.url())];
        settled(&nats.url(), &environment).await;
        footing(table, "distributed", &environment).await;
    }
}

/// Lets a role bring the live views to the journal's end, and stops it again.
async fn settled(journal: &str, environment: &[(&str, String)]) {
    let (mut server, _) = up(environment).await;
    let head = cabildo_storage::open_journal_read_only(journal).await.unwrap().head().await.unwrap();
    loop {
        let listed = cabildo(&["projections", "list", "-o", "json"], environment).output().await.unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        let at_head = |view: &serde_json::Value| view["watermark"] == head.to_string();
        if listed.as_array().unwrap().iter().all(at_head) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    server.kill().await.unwrap();
}

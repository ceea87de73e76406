//! Appending: many writers over the appender, beside the plainest way to write one event safely.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use cabildo_events::wire;
use cabildo_producers::{Appender, Metrics};
use cabildo_storage::{Append, Journal, open_journal};
use futures::StreamExt;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::ballots::ballot;
use crate::servers::Nats;
use crate::table::{Table, per_second};

/// So many writers, each waiting for its answer before it writes again.
async fn writers(journal: Arc<dyn Journal>, writers: usize, events: usize) -> Duration {
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let appender = Appender::start(journal, metrics, stop.clone());
    let mut batches: Vec<Vec<Append>> = (0..writers).map(|_| Vec::new()).collect();
    for number in 0..events {
        batches[number % writers].push(ballot(number));
    }
    let began = Instant::now();
    let tasks: Vec<_> = batches
        .into_iter()
        .map(|batch| {
            let appender = appender.clone();
            tokio::spawn(async move {
                for append in batch {
                    appender.append(append).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let took = began.elapsed();
    stop.cancel();
    took
}

/// One transaction and one flush for each event, into the same table.
fn one_fsync_per_event(events: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("baseline.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE events (seq INTEGER PRIMARY KEY, id BLOB UNIQUE, kind TEXT, aggregate TEXT, time INTEGER, data BLOB);",
        )
        .unwrap();
    let mut insert =
        connection.prepare("INSERT INTO events (id, kind, aggregate, time, data) VALUES (?, ?, ?, ?, ?)").unwrap();
    let ballots: Vec<_> = (0..events).map(ballot).collect();
    let began = Instant::now();
    for Append { envelope, .. } in ballots {
        let (aggregate, time) = (envelope.aggregate.to_string(), envelope.time.micros());
        insert.execute(rusqlite::params![envelope.id.0, envelope.kind, aggregate, time, &envelope.data[..]]).unwrap();
    }
    began.elapsed()
}

pub(crate) async fn embedded(table: &mut Table) {
    if !table.wants("append embedded") {
        return;
    }
    let baseline = "SQLite, one transaction and fsync per event";
    let base = per_second(10_000, tokio::task::spawn_blocking(|| one_fsync_per_event(10_000)).await.unwrap());
    for (count, events, goal) in [(1, 10_000, ""), (1_000, 300_000, "≥ 20")] {
        let folder = tempfile::tempdir().unwrap();
        let journal = open_journal(&format!("file:{}", folder.path().display())).await.unwrap();
        let rate = per_second(events, writers(journal, count, events).await);
        table.rate(&format!("append embedded, fsync, {count} writers"), rate, baseline, base, goal);
    }
}

/// Publishes by the bare client, so many unanswered at a time.
async fn pipelined(url: &str, events: usize, in_flight: usize) -> Duration {
    let client = async_nats::connect(url.split('?').next().unwrap()).await.unwrap();
    let mut context = jetstream::new(client);
    context.set_timeout(Duration::from_secs(30));
    let context = &context;
    let messages: Vec<_> = (0..events)
        .map(|number| {
            let envelope = ballot(number).envelope;
            let mut headers = async_nats::HeaderMap::new();
            for (name, value) in wire::to_headers(&envelope) {
                headers.insert(name, value);
            }
            (envelope.subject(), headers, envelope.data)
        })
        .collect();
    let began = Instant::now();
    futures::stream::iter(messages)
        .map(|(subject, headers, data)| async move {
            context.publish_with_headers(subject, headers, data).await.unwrap().await.unwrap();
        })
        .buffer_unordered(in_flight)
        .for_each(|()| async {})
        .await;
    began.elapsed()
}

pub(crate) async fn jetstream(table: &mut Table) {
    for (sync_always, name, goal) in
        [(false, "append JetStream, default sync", "≥ 0.6"), (true, "append JetStream, sync_interval always", "≥ 8")]
    {
        if !table.wants(name) {
            continue;
        }
        let nats = Nats::own_with(sync_always).await;
        let (events, base_events) = if sync_always { (100_000, 20_000) } else { (300_000, 300_000) };
        let journal = open_journal(&nats.url()).await.unwrap();
        let rate = per_second(events, writers(journal, 1_000, events).await);
        let base = per_second(base_events, pipelined(&nats.url(), base_events, 1_000).await);
        let name = format!("{name}, 1000 writers");
        table.rate(&name, rate, "async-nats, publishes pipelined, 1000 in flight", base, goal);
    }
}

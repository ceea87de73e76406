//! Projecting from JetStream into Redis and MongoDB, end to end, beside the bare commands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo_consumers::{Config, Metrics, Ports};
use cabildo_events::{Lane, limits};
use cabildo_projections::{ProjectionId, record, tally};
use cabildo_storage::{Counters, Documents, Journal, Watermarks, open_counters, open_documents, open_journal};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::ballots;
use crate::servers::{Mongo, Nats, Redis};
use crate::table::{Table, per_second};

/// Runs one projection over a journal until its view is at the head.
pub(crate) async fn project(
    id: ProjectionId,
    journal: Arc<dyn Journal>,
    counters: Arc<dyn Counters>,
    documents: Arc<dyn Documents>,
) -> Duration {
    let heads = journal.lane_heads().await.unwrap();
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let ports = Ports { journal, counters: counters.clone(), documents: documents.clone() };
    let config = Config { workers: limits::WORKERS_DEFAULT, projections: vec![id] };
    let began = Instant::now();
    let running = tokio::spawn(cabildo_consumers::run(config, ports, metrics, stop.clone()));
    loop {
        let stands: Watermarks = match id {
            tally::ID => counters.watermarks(id).await.unwrap(),
            _ => documents.watermarks(id).await.unwrap(),
        };
        if Lane::all().all(|lane| stands[lane] >= heads[lane]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = began.elapsed();
    stop.cancel();
    running.await.unwrap();
    took
}

pub(crate) async fn redis(table: &mut Table) {
    if !table.wants("tally into Redis") {
        return;
    }
    let events = 300_000;
    let (nats, redis, folder) = (Nats::own().await, Redis::start().await, tempfile::tempdir().unwrap());
    let journal = open_journal(&nats.url()).await.unwrap();
    ballots::fill(&*journal, events).await;
    let counters = open_counters(&redis.url()).await.unwrap();
    let documents = open_documents(&format!("file:{}", folder.path().display())).await.unwrap();
    let rate = per_second(events, project(tally::ID, journal, counters, documents).await);

    // What a tally that keeps each voter's ballot needs at least: three increments and a write per ballot, pipelined.
    let client = redis::Client::open(redis.url().split('?').next().unwrap()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let began = Instant::now();
    for start in (0..events).step_by(500) {
        let mut pipeline = redis::pipe();
        for number in start..start + 500 {
            let (poll, band) = (number % 16, number % 31);
            pipeline
                .hincr(format!("base:votes:{poll}"), format!("Band number {band}"), 1)
                .ignore()
                .hincr(format!("base:minutes:{poll}"), "1795255200", 1)
                .ignore()
                .hincr(format!("base:poll:{poll}"), "voters", 1)
                .ignore()
                .hset(format!("base:voters:{poll}"), format!("voter-{number}"), "[\"Band\"]")
                .ignore();
        }
        pipeline.exec_async(&mut connection).await.unwrap();
    }
    let base = per_second(events, began.elapsed());
    table.rate(
        "tally into Redis, from JetStream, 300k ballots",
        rate,
        "4 bare commands per ballot, pipelined by 500",
        base,
        "≥ 100k/s",
    );
}

pub(crate) async fn mongo(table: &mut Table) {
    if !table.wants("record into MongoDB") {
        return;
    }
    let events = 100_000;
    let (nats, mongo, folder) = (Nats::own().await, Mongo::start().await, tempfile::tempdir().unwrap());
    let journal = open_journal(&nats.url()).await.unwrap();
    ballots::fill(&*journal, events).await;
    let counters = open_counters(&format!("file:{}", folder.path().display())).await.unwrap();
    let documents = open_documents(&mongo.url()).await.unwrap();
    let rate = per_second(events, project(record::ID, journal, counters, documents).await);

    let base = bare_insert_many(&mongo.url(), "record_v1_events").await;
    table.rate(
        "record into MongoDB, from JetStream, 100k events",
        rate,
        "bare insert_many, same documents and indexes",
        base,
        "≥ 0.6",
    );
}

/// Copies the record's documents into a collection with the same indexes, 1,000 at a time, with the same write concern.
pub(crate) async fn bare_insert_many(url: &str, record: &str) -> f64 {
    use futures::TryStreamExt;
    use mongodb::bson::Document;
    use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
    let client = mongodb::Client::with_uri_str(url).await.unwrap();
    let database = client.default_database().unwrap_or_else(|| client.database("cabildo"));
    let from = database.collection::<Document>(record);
    let found: Vec<Document> = from.find(mongodb::bson::doc! {}).await.unwrap().try_collect().await.unwrap();
    assert!(!found.is_empty(), "the record holds the events");
    let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let options = CollectionOptions::builder().write_concern(concern).build();
    let to = database.collection_with_options::<Document>("baseline", options);
    let indexes: Vec<mongodb::IndexModel> = from.list_indexes().await.unwrap().try_collect().await.unwrap();
    to.create_indexes(indexes.into_iter().skip(1)).await.unwrap();
    let began = Instant::now();
    for batch in found.chunks(1_000) {
        to.insert_many(batch).ordered(false).await.unwrap();
    }
    per_second(found.len(), began.elapsed())
}

//! A view that is emptied while nothing happens: no event comes that would show it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo_consumers::{Config, Metrics, Ports};
use cabildo_events::poll::PollOpened;
use cabildo_events::{Aggregate, Envelope, Event, EventId, Timestamp};
use cabildo_projections::tally;
use cabildo_storage::{Append, Counters, Expect, open_counters, open_documents, open_journal};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::servers::Redis;

const PATIENCE: Duration = Duration::from_secs(20);

async fn stands_at(counters: &dyn Counters, aggregate: &Aggregate, seq: u64) {
    let began = Instant::now();
    while counters.watermark(tally::ID, aggregate.lane()).await.ok() != Some(seq) {
        assert!(began.elapsed() < PATIENCE, "the view does not reach {seq}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_emptied_while_nothing_happens_is_filled_again() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::own().await);
    let file = format!("file:{}", folder.path().display());
    let journal = open_journal(&file).await.unwrap();
    let counters = open_counters(&redis.url()).await.unwrap();
    let ports =
        Ports { journal: journal.clone(), counters: counters.clone(), documents: open_documents(&file).await.unwrap() };
    let (metrics, stop) = (Arc::new(Metrics::register(&mut Registry::default())), CancellationToken::new());
    let config = Config { workers: 2, projections: vec![tally::ID] };
    let running = tokio::spawn(cabildo_consumers::run(config, ports, metrics, stop.clone()));

    let aggregate = Aggregate::poll(&"bands".parse().unwrap());
    let opened = Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None });
    let envelope = Envelope::new(EventId(Uuid::now_v7()), aggregate.clone(), Timestamp::from_micros(0), &opened);
    let answers = journal.append(vec![Append { envelope, expect: Expect::Last(0) }]).await;
    let seq = answers[0].as_ref().unwrap().position.seq;
    stands_at(&*counters, &aggregate, seq).await;

    redis.flush();
    stands_at(&*counters, &aggregate, seq).await;
    let found = counters.hashes(tally::ID, aggregate.lane(), &[(tally::POLL, "bands")]).await.unwrap();
    assert_eq!(found.hashes[0].get("question").map(String::as_str), Some("¿Quién?"));
    stop.cancel();
    running.await.unwrap();
}

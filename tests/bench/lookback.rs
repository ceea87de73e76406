//! The tally of a poll of a million ballots as of any position, beside the same tally as it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cabildo_events::poll::{BallotCast, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId};
use cabildo_storage::{Append, Expect, Journal, open_journal};
use uuid::Uuid;

use crate::ballots::now;
use crate::servers::{Mongo, Nats, Redis};
use crate::table::Table;
use crate::visible::{percentile, up};

const BALLOTS: usize = 1_000_000;
const POSITIONS: u64 = 100;

/// One poll of a million ballots, a tenth of them by voters who change their minds.
async fn fill(journal: &dyn Journal) {
    let poll = Aggregate::poll(&"million".parse().unwrap());
    let envelope = |event: &Event| Envelope::new(EventId(Uuid::now_v7()), poll.clone(), now(), event);
    let opened = Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None });
    let opened = Append { envelope: envelope(&opened), expect: Expect::Last(0) };
    journal.append(vec![opened]).await.remove(0).unwrap();
    let ballot = |number: usize| {
        let event = Event::BallotCast(BallotCast {
            voter: format!("voter-{}", number % (BALLOTS * 9 / 10)).parse().unwrap(),
            choices: vec![format!("Band number {}", number % 97).parse().unwrap()],
            fields: BTreeMap::new(),
        });
        Append { envelope: envelope(&event), expect: Expect::Nothing }
    };
    for batch in (0..BALLOTS).collect::<Vec<_>>().chunks(1_000) {
        for answer in journal.append(batch.iter().copied().map(ballot).collect()).await {
            answer.unwrap();
        }
    }
}

async fn timed(client: &reqwest::Client, url: &str) -> Duration {
    let began = Instant::now();
    let answer = client.get(url).send().await.unwrap().error_for_status().unwrap();
    answer.bytes().await.unwrap();
    began.elapsed()
}

async fn footing(table: &mut Table, name: &str, journal: &str, environment: &[(&str, String)]) {
    let opened = open_journal(journal).await.unwrap();
    fill(&*opened).await;
    let head = opened.head().await.unwrap();
    drop(opened);
    let (_server, address) = up(environment).await;
    let client = reqwest::Client::builder().tcp_nodelay(true).build().unwrap();
    // The views catch up first: they are not what is measured.
    for view in ["polls/million/tally", "events?limit=1", "rooms"] {
        let read = || client.get(format!("{address}/api/v1/{view}")).header("cabildo-min-position", head.to_string());
        while read().send().await.unwrap().headers().contains_key("cabildo-stale") {}
    }
    let tally = format!("{address}/api/v1/polls/million/tally");
    let now: Vec<_> = futures::future::join_all((0..20).map(|_| timed(&client, &tally))).await;
    let first = timed(&client, &format!("{tally}?at={head}")).await;
    let mut times = Vec::new();
    for number in 0..POSITIONS {
        // All over the journal, in no order: 37 has no divisor in common with 100.
        let seq = 1 + (number * 37 % POSITIONS) * (head.seq / POSITIONS);
        times.push(timed(&client, &format!("{tally}?at=0-{seq}")).await);
    }
    let name = format!("tally of 1M ballots as of any position, {name}; the first time {:.1} s", first.as_secs_f64());
    table.latency(&name, 99, &times, ("the same tally as it is", percentile(&now, 99)), "p99 < 200 ms");
}

pub(crate) async fn latency(table: &mut Table) {
    if table.wants("as of any position, embedded") {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        footing(table, "embedded", &format!("file:{data}"), &[("CABILDO_DATA", data)]).await;
    }
    if table.wants("as of any position, distributed") {
        let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
        let environment =
            [("CABILDO_JOURNAL", nats.url()), ("CABILDO_COUNTERS", redis.url()), ("CABILDO_DOCUMENTS", mongo.url())];
        footing(table, "distributed", &nats.url(), &environment).await;
    }
}

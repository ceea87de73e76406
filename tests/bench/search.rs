//! Searching a record of 1,000,000 events over HTTP: a page, its histogram and its facets, for typical questions.

use std::time::{Duration, Instant};

use cabildo_events::chat::{MessagePosted, RoomOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, MessageId};
use cabildo_projections::record;
use cabildo_storage::{Append, Expect, Journal, open_counters, open_documents, open_journal};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;
use uuid::Uuid;

use crate::apply::project;
use crate::ballots::{self, now};
use crate::servers::{Mongo, Nats, Redis};
use crate::table::Table;
use crate::visible::{cabildo, percentile, up};

const EVENTS: usize = 1_000_000;
/// One event in so many is a message; the others are ballots.
const MESSAGES: usize = 10;
const SAMPLES: usize = 20;

/// What people look for, from everything to a needle.
const QUERIES: [&str; 8] = [
    "",
    "type:poll.ballot.cast",
    "room:room-3",
    "actor:voter-777",
    "-type:poll.* -room:room-1",
    "\"band number 7\"",
    "type:chat.* marimba",
    "needle",
];

fn room(number: usize) -> Aggregate {
    Aggregate::room(&format!("room-{}", number % 8).parse().unwrap())
}

fn message(number: usize) -> Append {
    let word = ["marimba", "rock", "son", "garífuna"][number / MESSAGES % 4];
    let needle = if number.is_multiple_of(250_000) { "needle" } else { "" };
    let text = format!("mensaje {number}: me gusta {word} {needle}");
    let author: cabildo_events::PersonName = format!("Persona {}", number % 500).parse().unwrap();
    let posted =
        MessagePosted { message: MessageId(Uuid::now_v7()), text: text.trim().parse().unwrap(), author, by: None };
    let mut envelope = Envelope::new(EventId(Uuid::now_v7()), room(number), now(), &Event::MessagePosted(posted));
    envelope.actor = Some(format!("Persona {}", number % 500).parse().unwrap());
    Append { envelope, expect: Expect::Nothing }
}

async fn fill(journal: &dyn Journal) {
    let opened = |number: usize| {
        let name = format!("Room {number}").parse().unwrap();
        let event = Event::RoomOpened(RoomOpened { name, topic: None });
        let envelope = Envelope::new(EventId(Uuid::now_v7()), room(number), now(), &event);
        Append { envelope, expect: Expect::Last(0) }
    };
    for answer in journal.append((0..8).map(opened).collect()).await {
        answer.unwrap();
    }
    let one = |number: usize| if number.is_multiple_of(MESSAGES) { message(number) } else { ballots::ballot(number) };
    for first in (0..EVENTS).step_by(1_000) {
        for answer in journal.append((first..first + 1_000).map(one).collect()).await {
            answer.unwrap();
        }
    }
}

async fn get(client: &reqwest::Client, url: &str) -> (Duration, Value) {
    let began = Instant::now();
    let answer = client.get(url).send().await.unwrap().error_for_status().unwrap();
    let bytes = answer.bytes().await.unwrap();
    (began.elapsed(), serde_json::from_slice(&bytes).unwrap())
}

async fn footing(table: &mut Table, name: &str, journal: &str, documents: &str, environment: &[(&str, String)]) {
    {
        let folder = tempfile::tempdir().unwrap();
        let journal = open_journal(journal).await.unwrap();
        fill(&*journal).await;
        let counters = open_counters(&format!("file:{}", folder.path().display())).await.unwrap();
        let documents = open_documents(documents).await.unwrap();
        project(record::ID, journal, counters, documents).await;
    }
    let (_server, address) = up(environment).await;
    let token = cabildo(&["users", "token", "--operator", "--minutes", "720"], environment).output().await.unwrap();
    let token = format!("Bearer {}", String::from_utf8(token.stdout).unwrap().trim());
    let headers = HeaderMap::from_iter([(AUTHORIZATION, token.parse().unwrap())]);
    let client = reqwest::Client::builder().tcp_nodelay(true).default_headers(headers).build().unwrap();
    // The other views catch up, and the index is made: then it is quiet.
    loop {
        let (_, projections) = get(&client, &format!("{address}/api/v1/projections")).await;
        let (_, hits) = get(&client, &format!("{address}/api/v1/events/hits")).await;
        let projections = projections["projections"].as_array().unwrap();
        let caught_up = projections.iter().all(|projection| projection["lag_events"] == 0);
        if caught_up && hits["searched"]["complete"] == true {
            assert_eq!(hits["total"], EVENTS + 8);
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut base = Vec::new();
    for _ in 0..SAMPLES * QUERIES.len() {
        base.push(get(&client, &format!("{address}/api/v1/time")).await.0);
    }
    let base = percentile(&base, 95);
    for (what, path) in [("search", "events"), ("histogram", "events/hits"), ("facets", "events/facets")] {
        let mut times = Vec::new();
        for query in QUERIES {
            let mut url = reqwest::Url::parse(&format!("{address}/api/v1/{path}")).unwrap();
            url.query_pairs_mut().append_pair("query", query);
            let mut of_query = Vec::new();
            for _ in 0..SAMPLES {
                let (took, answer) = get(&client, url.as_str()).await;
                of_query.push(took);
                let found = answer["events"].as_array().map(Vec::len);
                assert!(found.is_none_or(|found| found > 0), "{query} finds nothing");
            }
            let (p50, p95) = (percentile(&of_query, 50), percentile(&of_query, 95));
            eprintln!("  {name}, {what}, {query:?}: p50 {p50:?}, p95 {p95:?}");
            times.extend(of_query);
        }
        let row = format!("{what} of {EVENTS} events, {name}");
        table.latency(&row, 95, &times, ("GET /time", base), "p95 < 300 ms");
    }
}

pub(crate) async fn answers(table: &mut Table) {
    if table.wants("search of 1000000 events, embedded") {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let place = format!("file:{data}");
        footing(table, "embedded", &place, &place, &[("CABILDO_DATA", data)]).await;
    }
    if table.wants("search of 1000000 events, distributed") {
        let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
        let environment =
            [("CABILDO_JOURNAL", nats.url()), ("CABILDO_COUNTERS", redis.url()), ("CABILDO_DOCUMENTS", mongo.url())];
        footing(table, "distributed", &nats.url(), &mongo.url(), &environment).await;
    }
}

//! What only the JetStream journal has to say: foreign streams, a server that is down, hangs, or is full.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo_events::limits::APPEND_WRITE_MS;
use cabildo_events::{Aggregate, Envelope, EventId, Position, RoomId, Timestamp};
use cabildo_storage::{Append, AppendError, Durability, Expect, Journal, OpenError, open_journal};
use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::servers::{Nats, Wire};

/// What the bound on a write may be overrun by on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

fn event(bytes: usize) -> Append {
    let envelope = Envelope {
        id: EventId(uuid::Uuid::now_v7()),
        kind: Cow::Borrowed("chat.message.posted"),
        aggregate: Aggregate::room(&"hall".parse::<RoomId>().unwrap()),
        time: Timestamp::from_micros(1_795_255_200_000_001),
        actor: None,
        correlation: None,
        causation: None,
        schema_version: 1,
        traceparent: None,
        data: format!("\"{}\"", "x".repeat(bytes)).into(),
    };
    Append { envelope, expect: Expect::Nothing }
}

async fn count(journal: &dyn Journal) -> usize {
    let mut pages = journal.read(Position::START, Position::at(u64::MAX)).await.unwrap();
    let mut events = 0;
    while let Some(page) = pages.next().await {
        events += page.unwrap().len();
    }
    events
}

/// Makes a stream as somebody else might, over the events' subjects.
fn make_stream(url: &str, name: &str, metadata: &Value) {
    let config = json!({
        "name": name, "subjects": ["ev.>"], "storage": "file", "retention": "limits", "num_replicas": 1,
        "allow_atomic": true, "republish": {"src": "ev.>", "dest": "live.ev.>"}, "metadata": metadata,
    });
    let answer = Wire::connect(url).request(&format!("$JS.API.STREAM.CREATE.{name}"), &config.to_string());
    assert!(answer.contains("\"did_create\":true"), "{answer}");
}

async fn refusal(url: &str) -> OpenError {
    open_journal(url).await.err().expect("the journal is refused")
}

#[tokio::test]
async fn a_stream_with_another_lane_count_is_refused() {
    let nats = Nats::start().await;
    make_stream(&nats.url(), "CABILDO", &json!({"cabildo-lanes": "32", "cabildo-schema": "1"}));
    let error = refusal(&nats.url()).await;
    assert!(matches!(&error, OpenError::Mismatch { what, .. } if what.contains("CABILDO")), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("32 lanes") && text.contains("64") && text.contains("cabildo events export"), "{text}");
}

#[tokio::test]
async fn a_stream_of_a_newer_build_is_refused() {
    let nats = Nats::start().await;
    make_stream(&nats.url(), "CABILDO", &json!({"cabildo-lanes": "64", "cabildo-schema": "7"}));
    let error = refusal(&nats.url()).await;
    assert!(matches!(error, OpenError::Newer { found: 7, known: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("upgrade cabildo"), "{error}");
}

#[tokio::test]
async fn a_stream_that_is_not_cabildos_is_refused() {
    let nats = Nats::start().await;
    make_stream(&nats.url(), "CABILDO", &json!({}));
    let text = refusal(&nats.url()).await.to_string();
    assert!(text.contains("not made by cabildo") && text.contains("?stream=NAME"), "{text}");
    // Under another name there is no room either: the subjects are taken.
    let error = refusal(&format!("{}?stream=OTHER", nats.url())).await;
    assert!(matches!(error, OpenError::Mismatch { .. }), "{error:?}");
    assert!(error.to_string().contains("another stream there holds the subjects"), "{error}");
}

#[tokio::test]
async fn a_stream_whose_settings_break_a_promise_is_refused() {
    let nats = Nats::start().await;
    let error = refusal(&format!("{}?replicas=3", nats.url())).await;
    assert!(error.to_string().contains("it is no cluster"), "{error}");
    drop(open_journal(&nats.url()).await.unwrap());
    let error = refusal(&format!("{}?replicas=3", nats.url())).await;
    assert!(error.to_string().contains("it has 1 replicas, and 3 are asked for"), "{error}");
    let mut wire = Wire::connect(&nats.url());
    let info: Value = serde_json::from_str(&wire.request("$JS.API.STREAM.INFO.CABILDO", "")).unwrap();
    for (setting, value, complaint) in [
        ("max_age", json!(3_600_000_000_000_u64), "drops events that are old"),
        ("discard", json!("old"), "drops old events to make room"),
        ("duplicate_window", json!(1_000_000_000), "remembers ids for less than 120 s"),
        ("allow_atomic", json!(false), "does not take atomic batches"),
        ("republish", Value::Null, "does not republish"),
        ("subjects", json!(["ev.00.>"]), "does not take the subjects ev.>"),
    ] {
        let mut config = info["config"].clone();
        config[setting] = value;
        let answer = wire.request("$JS.API.STREAM.UPDATE.CABILDO", &config.to_string());
        assert!(!answer.contains("\"error\""), "{setting}: {answer}");
        let error = refusal(&nats.url()).await.to_string();
        assert!(error.contains(complaint) && error.contains("nats stream edit CABILDO"), "{setting}: {error}");
    }
    wire.request("$JS.API.STREAM.UPDATE.CABILDO", &info["config"].to_string());
    assert!(open_journal(&nats.url()).await.is_ok(), "as it was, it is taken");
}

#[tokio::test]
async fn many_that_open_at_once_all_succeed() {
    let nats = Nats::start().await;
    let url = nats.url();
    let opened = join_all((0..8).map(|_| open_journal(&url))).await;
    for journal in &opened {
        assert!(journal.as_ref().unwrap().append(vec![event(1)]).await[0].is_ok());
    }
    assert_eq!(count(&**opened[0].as_ref().unwrap()).await, 8);
}

#[tokio::test]
async fn the_journal_says_what_it_is_and_what_its_word_is_worth() {
    let plain = Nats::own().await;
    let journal = open_journal(&plain.url()).await.unwrap();
    assert_eq!(journal.durability(), Durability::Accepted);
    let always = Nats::own_with(true).await;
    let journal = open_journal(&always.url()).await.unwrap();
    assert_eq!(journal.durability(), Durability::Fsync);
    for size in [1, 2, 500] {
        let answers = journal.append((0..size).map(|_| event(10)).collect()).await;
        assert!(answers.iter().all(Result::is_ok));
    }
    assert_eq!(count(&*journal).await, 503);
    let description = journal.describe().await.unwrap();
    let value = |name: &str| description.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(value("stream"), Some("CABILDO"));
    assert_eq!((value("messages"), value("durability"), value("replicas")), (Some("503"), Some("fsync"), Some("1")));
    assert!(value("version").is_some_and(|version| version.starts_with("2.")), "{description:?}");
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_unavailable() {
    let mut nats = Nats::own().await;
    nats.kill();
    let error = refusal(&nats.url()).await;
    assert!(matches!(error, OpenError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot connect to nats://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_journal_that_is_down_says_so_and_comes_back() {
    let mut nats = Nats::own().await;
    let journal = open_journal(&nats.url()).await.unwrap();
    assert!(journal.append(vec![event(1)]).await[0].is_ok());
    nats.kill();
    for size in [1, 100] {
        let begin = Instant::now();
        for answer in journal.append((0..size).map(|_| event(1)).collect()).await {
            assert!(matches!(answer, Err(AppendError::Unavailable(_))), "{answer:?}");
        }
        assert!(begin.elapsed() < Duration::from_millis(APPEND_WRITE_MS) + SLACK, "{:?}", begin.elapsed());
    }
    assert!(journal.head().await.is_err());
    nats.start_again().await;
    append_until_accepted(&journal, event(1)).await;
    assert_eq!(journal.durability(), Durability::Accepted);
}

#[tokio::test]
async fn a_journal_that_hangs_says_so_within_the_bound_and_goes_on() {
    let mut nats = Nats::own().await;
    let journal = open_journal(&nats.url()).await.unwrap();
    assert!(journal.append(vec![event(1)]).await[0].is_ok());
    nats.pause();
    let waiting: Vec<Append> = (0..50).map(|_| event(1)).collect();
    let begin = Instant::now();
    for answer in journal.append(waiting.clone()).await {
        assert!(matches!(answer, Err(AppendError::Unavailable(_))), "{answer:?}");
    }
    assert!(begin.elapsed() < Duration::from_millis(APPEND_WRITE_MS) + SLACK, "{:?}", begin.elapsed());
    nats.resume();
    // Whether the first time arrived after all or not: the same ids again are the same events.
    for event in waiting {
        append_until_accepted(&journal, event).await;
    }
    assert_eq!(count(&*journal).await, 51);
}

async fn append_until_accepted(journal: &Arc<dyn Journal>, event: Append) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = journal.append(vec![event.clone()]).await.remove(0) {
        assert!(matches!(error, AppendError::Unavailable(_)), "{error:?}");
        assert!(Instant::now() < deadline, "the journal comes back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_journal_refuses_the_new_and_keeps_the_old() {
    // Atomic batches on the one, single messages on the other.
    for sync_always in [false, true] {
        fill_up(&Nats::own_with(sync_always).await).await;
    }
}

async fn fill_up(nats: &Nats) {
    let journal = open_journal(&nats.url()).await.unwrap();
    let mut wire = Wire::connect(&nats.url());
    let mut set_room = |bytes: i64| {
        let info: Value = serde_json::from_str(&wire.request("$JS.API.STREAM.INFO.CABILDO", "")).unwrap();
        let mut config = info["config"].clone();
        config["max_bytes"] = json!(bytes);
        let answer = wire.request("$JS.API.STREAM.UPDATE.CABILDO", &config.to_string());
        assert!(!answer.contains("\"error\""), "{answer}");
    };
    set_room(200_000);
    let mut accepted = 0;
    for size in [1, 20].into_iter().cycle() {
        let answers = journal.append((0..size).map(|_| event(1_000)).collect()).await;
        accepted += answers.iter().filter(|answer| answer.is_ok()).count();
        if let Some(error) = answers.into_iter().find_map(Result::err) {
            assert_eq!(error, AppendError::DiskFull);
            break;
        }
        assert!(accepted < 300, "200 kB do not hold 300 events of 1 kB");
    }
    for size in [1, 20] {
        for answer in journal.append((0..size).map(|_| event(100_000)).collect()).await {
            assert_eq!(answer, Err(AppendError::DiskFull));
        }
    }
    assert!(accepted > 50);
    assert_eq!(count(&*journal).await, accepted, "what was refused is not there, what was accepted is");
    set_room(-1);
    assert!(journal.append(vec![event(1_000)]).await[0].is_ok(), "writing goes on by itself");
}

//! `cabildo replay` as people use it, over files that nobody else has open.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo_consumers::{Config, Metrics, Ports};
use cabildo_events::chat::{MessagePosted, RoomOpened};
use cabildo_events::poll::{BallotCast, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, Lane, MessageId, Position, Timestamp};
use cabildo_projections::{ProjectionId, record, tally};
use cabildo_storage::{Append, Expect, Journal, open_counters, open_documents, open_documents_read_only, open_journal};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::footing::{PATIENCE, command, finish};

fn poll() -> Aggregate {
    Aggregate::poll(&"bands".parse().unwrap())
}

fn append(aggregate: &Aggregate, event: &Event, expect: Expect) -> Append {
    let time = Timestamp::from(jiff::Timestamp::now());
    Append { envelope: Envelope::new(EventId(Uuid::now_v7()), aggregate.clone(), time, event), expect }
}

fn ballot(number: usize) -> Append {
    let (voter, choice) = (format!("voter-{number}"), format!("Band {}", number % 5));
    let event = Event::BallotCast(BallotCast {
        voter: voter.parse().unwrap(),
        choices: vec![choice.parse().unwrap()],
        fields: Default::default(),
    });
    append(&poll(), &event, Expect::Nothing)
}

/// A poll, a room, and then ballots and messages by turns.
async fn fill(journal: &dyn Journal, events: usize) {
    let room = Aggregate::room(&"lobby".parse().unwrap());
    let opened = Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None });
    let lobby = Event::RoomOpened(RoomOpened { name: "Sala".parse().unwrap(), topic: None });
    let mut batch = vec![append(&poll(), &opened, Expect::Last(0)), append(&room, &lobby, Expect::Last(0))];
    for number in 0..events {
        batch.push(match number % 2 {
            0 => ballot(number),
            _ => {
                let message = MessageId(Uuid::now_v7());
                let (text, author) = (format!("buenas {number}").parse().unwrap(), "Ana".parse().unwrap());
                append(&room, &Event::MessagePosted(MessagePosted { message, text, author, by: None }), Expect::Nothing)
            }
        });
        if batch.len() == 1_000 || number + 1 == events {
            for answer in journal.append(std::mem::take(&mut batch)).await {
                answer.unwrap();
            }
        }
    }
}

fn place(folder: &Path) -> String {
    format!("file:{}", folder.join("data").display())
}

/// Fills a journal, and brings the live views to its end.
async fn prepare(folder: &Path, events: usize) -> Position {
    let place = place(folder);
    let journal = open_journal(&place).await.unwrap();
    fill(&*journal, events).await;
    let ports = Ports {
        journal: journal.clone(),
        counters: open_counters(&place).await.unwrap(),
        documents: open_documents(&place).await.unwrap(),
    };
    let (heads, head) = (journal.lane_heads().await.unwrap(), journal.head().await.unwrap());
    let stop = CancellationToken::new();
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let running = tokio::spawn(cabildo_consumers::run(Config::all(2), ports.clone(), metrics, stop.clone()));
    let began = Instant::now();
    loop {
        let counted = ports.counters.watermarks(tally::ID).await.unwrap();
        let logged = ports.documents.watermarks(record::ID).await.unwrap();
        if Lane::all().all(|lane| counted[lane] >= heads[lane] && logged[lane] >= heads[lane]) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the views do not reach {head}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap();
    head
}

async fn cabildo(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    finish(command(folder, &[], arguments)).await
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_it_and_the_next_start_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let head = prepare(folder, 30_000).await;
    let mut replay = command(folder, &[], &["replay", "record", "--workers", "1", "-o", "json"]);
    let replay = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let documents = open_documents_read_only(&place(folder)).await.unwrap();
    let (view, began) = (ProjectionId { version: 2, ..record::ID }, Instant::now());
    while documents.watermarks(view).await.unwrap().0.iter().all(|stands| *stands == 0) {
        assert!(began.elapsed() < PATIENCE, "it does not begin");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let id = replay.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, replay.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped: what is folded of record.v2 stays"), "{said}");

    let (_, listed, _) = cabildo(folder, &["replay", "record", "--list", "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed[1]["view"], &listed[1]["stage"]), (&2.into(), &"building".into()), "{listed}");
    assert!(listed[1]["behind"].as_u64().unwrap() > 0, "it was stopped before its end: {listed}");

    let (code, out, err) = cabildo(folder, &["replay", "record", "-o", "json"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("record.v2 is there in part: going on with it"), "{err}");
    let report = &lines(&out)[0];
    let events = report["events"].as_u64().unwrap();
    assert!(events > 0 && events < head.seq, "{events} of {head}, the rest was there: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let head = prepare(folder, 100).await;
    let (code, out, err) = cabildo(folder, &["replay", "tally", "--dry-run", "-o", "json"]).await;
    assert_eq!(code, 0, "{err}");
    let report = &lines(&out)[0];
    assert_eq!((&report["view"], &report["resumes"]), (&2.into(), &false.into()), "{report}");
    assert_eq!((&report["from"], &report["to"]), (&"0-1".into(), &head.to_string().into()), "{report}");
    let kind = |kind: &str| (report["types"][kind]["events"].as_u64(), report["types"][kind]["folded"].as_u64());
    assert_eq!(kind("poll.ballot.cast"), (Some(50), Some(50)), "{report}");
    assert_eq!(kind("chat.message.posted"), (Some(50), Some(0)), "{report}");
    let (_, listed, _) = cabildo(folder, &["replay", "tally", "--list", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_journal_becomes_a_view_that_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder, 100).await;
    // The poll, the room, and of the events that follow the first twenty: ten ballots.
    let (code, _, err) = cabildo(folder, &["replay", "tally", "--from", "begin", "--to", "0-22"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("cabildo projections rows tally --view 2"), "{err}");
    let rows = ["projections", "rows", "tally", "--view", "2", "--key", "poll/bands", "--table", "votes"];
    let (code, out, err) = cabildo(folder, &rows).await;
    assert_eq!(code, 0, "{err}");
    let counted: i64 = lines(&out).iter().map(|row| row["value"].as_str().unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!(counted, 10, "{out}");

    let (code, _, err) = cabildo(folder, &["replay", "tally", "--promote", "--view", "2"]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("a part of the journal"), "{err}");
    let (code, _, err) = cabildo(folder, &["replay", "tally", "--collect", "--yes"]).await;
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = cabildo(folder, &rows).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("has no view 2: there are 1"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_consumer_runs_the_tool_keeps_up_what_it_promoted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder, 100).await;
    let mut replay = command(folder, &[], &["replay", "tally", "--promote"]);
    let replay = replay.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let journal = cabildo_storage::open_journal_shared(&place(folder)).await.unwrap();
    let counters = cabildo_storage::open_counters_shared(&place(folder)).await.unwrap();
    let view = ProjectionId { version: 2, ..tally::ID };
    let lane = Aggregate::projections().lane();
    let began = Instant::now();
    // It leaves its own decision to others for a while, and then folds it itself.
    while counters.watermark(view, lane).await.unwrap() < 104 {
        assert!(began.elapsed() < PATIENCE, "it does not take the view up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let appended = journal.append(vec![ballot(7_000)]).await.remove(0).unwrap();
    while counters.watermark(view, poll().lane()).await.unwrap() < appended.position.seq {
        assert!(began.elapsed() < PATIENCE, "it does not keep the view up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = replay.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, replay.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("no consumer keeps tally.v2 up: this process does"), "{said}");
}

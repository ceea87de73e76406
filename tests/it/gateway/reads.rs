//! Reading: one's own writes, pages, the record.

use std::time::{Duration, Instant};

use cabildo_events::limits::FRESH_WAIT_MS;
use serde_json::{Value, json};

use super::{Gateway, votes};

#[tokio::test]
async fn who_wrote_reads_what_was_written_two_hundred_times_in_a_row() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    for voter in 1..=200 {
        let cast = gateway.cast(voter, "Malacates").await.expect(200);
        let read = gateway.get_from("/api/v1/polls/bands/tally", &cast.position()).await.expect(200);
        assert!(!read.is_stale(), "ballot {voter}");
        let tally = read.json();
        assert_eq!((votes(&tally).0["Malacates"], votes(&tally).1), (voter, voter));
    }
}

#[tokio::test]
async fn a_position_that_is_not_there_yet_is_waited_for_and_then_the_answer_says_that_it_is_stale() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    gateway.open_room().await;
    let bound = Duration::from_millis(FRESH_WAIT_MS);
    let read = async |path: &str| {
        let began = Instant::now();
        let answer = gateway.get_from(path, "0-999999").await.expect(200);
        assert!(answer.is_stale(), "{answer:?}");
        assert!(began.elapsed() >= bound - Duration::from_millis(100), "{path}: {:?}", began.elapsed());
    };
    tokio::join!(
        read("/api/v1/polls/bands/tally"),
        read("/api/v1/polls"),
        read("/api/v1/rooms/lobby"),
        read("/api/v1/rooms"),
        read("/api/v1/events"),
        read("/api/v1/events/hits"),
    );
    // One that comes while it is waited for ends the wait.
    let (late, cast) =
        tokio::join!(gateway.get_from("/api/v1/polls/bands/tally", "0-3"), gateway.cast("ana", "Malacates"));
    assert_eq!(cast.expect(200).position(), "0-3");
    assert!(!late.is_stale());
    assert_eq!(votes(&late.json()).1, 1);
}

#[tokio::test]
async fn a_position_in_another_lane_is_not_waited_for() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let room = gateway.open_room().await;
    let began = Instant::now();
    let read = gateway.get_from("/api/v1/polls/bands", &room.position()).await.expect(200);
    assert!(!read.is_stale() && began.elapsed() < Duration::from_millis(FRESH_WAIT_MS), "{:?}", began.elapsed());
}

/// Follows the links of one kind and collects what the pages hold.
async fn pages(gateway: &Gateway, first: &str, relation: &str, rows: &str) -> Vec<Value> {
    let (mut address, mut found) = (first.to_owned(), Vec::new());
    loop {
        let page = gateway.get(&address).await.expect(200);
        let body = page.json();
        let these = body[rows].as_array().expect("rows");
        if these.is_empty() {
            return found;
        }
        found.extend(these.iter().cloned());
        let links = page.headers.get("link").map(|links| links.to_str().unwrap().to_owned()).unwrap_or_default();
        let wanted = format!("rel=\"{relation}\"");
        let Some(link) = links.split(", ").find(|link| link.ends_with(&wanted)) else { return found };
        address = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
        assert!(found.len() < 1_000, "the links go round");
    }
}

#[tokio::test]
async fn pages_lead_through_everything_once_in_order() {
    let gateway = Gateway::start().await;
    let mut last = gateway.open_room().await.position();
    for number in 0..7 {
        gateway.say(&format!("m{number}")).await.expect(201);
        gateway.post("/api/v1/polls", json!({"id": format!("p{number}"), "question": "?"})).await.expect(201);
        let room = json!({"id": format!("r{number}"), "name": "R"});
        last = gateway.post("/api/v1/rooms", room).await.expect(201).position();
    }
    for path in ["/api/v1/rooms", "/api/v1/polls", "/api/v1/events"] {
        assert!(!gateway.get_from(path, &last).await.expect(200).is_stale());
    }
    let texts = |rows: Vec<Value>, name: &str| -> Vec<String> {
        rows.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect()
    };
    let numbered = |letter: &str| (0..7).map(|number| format!("{letter}{number}")).collect::<Vec<_>>();

    let newest = gateway.get("/api/v1/rooms/lobby/messages?limit=3").await.json();
    assert_eq!(texts(newest["messages"].as_array().unwrap().clone(), "text"), ["m4", "m5", "m6"]);
    let messages = pages(&gateway, "/api/v1/rooms/lobby/messages?after=0-0&limit=3", "next", "messages").await;
    assert_eq!(texts(messages, "text"), numbered("m"));
    let back = pages(&gateway, "/api/v1/rooms/lobby/messages?limit=3", "prev", "messages").await;
    assert_eq!(texts(back, "text"), ["m4", "m5", "m6", "m1", "m2", "m3", "m0"]);
    let polls = pages(&gateway, "/api/v1/polls?limit=3", "next", "polls").await;
    assert_eq!(texts(polls, "poll"), numbered("p"));
    let rooms = pages(&gateway, "/api/v1/rooms?limit=3", "next", "rooms").await;
    assert_eq!(texts(rooms, "room"), [&["lobby".to_owned()][..], &numbered("r")].concat());

    let events = pages(&gateway, "/api/v1/events?order=oldest&limit=4", "next", "events").await;
    let positions: Vec<_> = (1..=22).map(|seq| format!("0-{seq}")).collect();
    assert_eq!(texts(events, "position"), positions);
    let newest = pages(&gateway, "/api/v1/events?limit=4", "next", "events").await;
    assert_eq!(texts(newest, "position"), positions.iter().rev().cloned().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_record_is_searched_counted_and_exported() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    gateway.cast("ana", "Malacates").await.expect(200);
    gateway.open_room().await;
    let last = gateway.say("marimba en el parque").await.expect(201).position();
    let found = async |query: &str| {
        let answer = gateway.get_from(&format!("/api/v1/events?{query}"), &last).await.expect(200).json();
        assert_eq!(answer["cut_short"], false);
        let events = answer["events"].as_array().unwrap().iter();
        events.map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("type=poll.*&order=oldest").await, ["poll.opened", "poll.ballot.cast"]);
    assert_eq!(found("aggregate=chat%2Flobby&order=oldest").await, ["chat.room.opened", "chat.message.posted"]);
    assert_eq!(found("actor=ana").await, ["poll.ballot.cast"]);
    assert_eq!(found("q=marimba").await, ["chat.message.posted"]);
    assert_eq!(found("after=0-2&before=0-4").await, ["chat.room.opened"]);
    assert_eq!(found("since=2100-01-01T00:00:00Z").await, <[&str; 0]>::default());

    let export = [("Accept", "application/x-ndjson")];
    let lines = gateway.send("GET", "/api/v1/events?order=oldest", &export, None).await.expect(200);
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    let one = gateway.get("/api/v1/events/0-2").await.expect(200).json();
    assert_eq!((&lines[1], &one["type"]), (&one, &json!("poll.ballot.cast")));
    gateway.get("/api/v1/events/0-5").await.problem(404, "not-found", "0-5");

    let hits = gateway.get_from("/api/v1/events/hits?step=1h", &last).await.expect(200).json();
    assert_eq!((&hits["total"], &hits["step"]), (&json!(4), &json!("1h")));
    let counted: i64 = hits["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| bucket["events"]["poll.ballot.cast"].as_i64().unwrap_or(0))
        .sum();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn those_who_run_it_are_told_how_it_stands() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/livez").await.expect(200).json(), json!({"status": "alive"}));
    let ready = gateway.get("/readyz").await.expect(200).json();
    let expected = json!({"status": "ready", "durability": "fsync", "adapters": {"journal": "file:here"}, "down": [], "waiting": 0});
    assert_eq!(ready, expected);
    let time = gateway.get("/api/v1/time").await.expect(200).json();
    assert!(time["micros"].as_i64().is_some_and(|micros| micros > 1_700_000_000_000_000), "{time}");
    gateway.open_poll().await;
    gateway.cast("ana", "nobody").await.expect(422);
    let metrics = gateway.get("/metrics").await.expect(200);
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let line = |name: &str, labels: &[&str], value: &str| {
        metrics.text.lines().any(|line| {
            line.starts_with(name) && line.ends_with(value) && labels.iter().all(|label| line.contains(label))
        })
    };
    let route = "route=\"/api/v1/polls/{poll}/ballots/{voter}\"";
    assert!(
        line("cabildo_gateway_requests_total", &[route, "method=\"PUT\"", "status=\"4xx\""], " 1"),
        "{}",
        metrics.text
    );
    assert!(line("cabildo_gateway_requests_refused_total", &["unknown-option"], " 1"), "{}", metrics.text);
    assert!(metrics.text.ends_with("# EOF\n"));

    let head = gateway.send("HEAD", "/api/v1/polls/bands", &[("Cabildo-Min-Position", "0-1")], None).await.expect(200);
    assert_eq!((head.text.as_str(), head.header("content-type")), ("", "application/json"));
}

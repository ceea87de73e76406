//! Looking back: things as they were right after an event, or at a time.

use std::collections::{BTreeMap, HashMap};

use cabildo_events::operation;
use cabildo_events::poll::{BallotCast, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, PollId, Position, Timestamp};
use cabildo_storage::{Append, Expect, operate};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Gateway, Stores, votes};
use crate::servers::{Mongo, Nats, Redis};

fn append(aggregate: &Aggregate, event: &Event, last: Option<u64>) -> Append {
    let now = Timestamp::from(jiff::Timestamp::now());
    let envelope = Envelope::new(EventId(Uuid::now_v7()), aggregate.clone(), now, event);
    Append { envelope, expect: last.map_or(Expect::Nothing, Expect::Last) }
}

/// A poll of so many ballots, by a third as many voters who change their minds, between ballots of another poll. At a hundred
/// positions drawn by lot the tally is what the last ballots until then add up to.
async fn any_position_shows_what_the_ballots_until_then_add_up_to(stores: Stores, ballots: usize) {
    let gateway = Gateway::over(stores).await;
    let journal = gateway.stores.journal.clone();
    let polls = ["bands", "films"].map(|poll| Aggregate::poll(&poll.parse::<PollId>().unwrap()));
    let mut dice = StdRng::seed_from_u64(7);
    let opened = Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None });
    for poll in &polls {
        journal.append(vec![append(poll, &opened, Some(0))]).await.remove(0).unwrap();
    }
    let mut cast: Vec<(u64, usize, usize)> = Vec::new();
    for _ in 0..ballots.div_ceil(1_000) {
        let drawn: Vec<_> = (0..1_000)
            .map(|_| (dice.random_range(0..4) > 0, dice.random_range(0..ballots / 3), dice.random_range(0..40)))
            .collect();
        let batch = drawn.iter().map(|(here, voter, choice)| {
            let event = Event::BallotCast(BallotCast {
                voter: format!("voter-{voter}").parse().unwrap(),
                choices: vec![format!("band {choice}").parse().unwrap()],
                fields: BTreeMap::new(),
            });
            append(&polls[usize::from(!here)], &event, None)
        });
        let answers = journal.append(batch.collect()).await;
        let placed = answers.into_iter().map(|answer| answer.unwrap().position.seq).zip(drawn);
        cast.extend(placed.filter(|(_, (here, ..))| *here).map(|(seq, (_, voter, choice))| (seq, voter, choice)));
    }
    let head = journal.head().await.unwrap().seq;
    let mut positions: Vec<u64> = (0..100).map(|_| dice.random_range(1..=head)).collect();
    positions.extend([1, head]);
    // Not in their order: the history is extended, and looked into behind its end.
    for seq in positions {
        let at = format!("0-{seq}");
        let answer = gateway.get(&format!("/api/v1/polls/bands/tally?at={at}")).await.expect(200);
        assert_eq!((answer.header("cabildo-as-of"), &answer.json()["position"]), (at.as_str(), &json!(at)));
        let mut last = HashMap::new();
        for (_, voter, choice) in cast.iter().filter(|(cast, ..)| *cast <= seq) {
            last.insert(voter, choice);
        }
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        last.values().for_each(|choice| *expected.entry(format!("band {choice}")).or_default() += 1);
        let (mut found, voters) = votes(&answer.json());
        found.retain(|_, votes| *votes > 0);
        assert_eq!((found, voters), (expected, i64::try_from(last.len()).unwrap()), "at {at}");
    }
    // The last of them is what there is now.
    let now = gateway.get_from("/api/v1/polls/bands/tally", &format!("0-{head}")).await.expect(200).json();
    let then = gateway.get(&format!("/api/v1/polls/bands/tally?at=0-{head}")).await.expect(200).json();
    assert_eq!((&now["options"], &now["minutes"]), (&then["options"], &then["minutes"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tally_of_any_position_on_the_embedded_journal() {
    any_position_shows_what_the_ballots_until_then_add_up_to(Stores::embedded().await, 40_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tally_of_any_position_on_jetstream() {
    let (nats, redis) = (Nats::start().await, Redis::start().await);
    any_position_shows_what_the_ballots_until_then_add_up_to(Stores::at(&nats.url(), &redis.url()).await, 20_000).await;
}

/// A room in which everything happens to one message, event by event.
async fn messages_are_as_they_were(gateway: &Gateway) {
    let room = gateway.open_room().await.position();
    let said = gateway.say("hola").await.expect(201);
    let id = said.json()["id"].as_str().unwrap().to_owned();
    let message = format!("/api/v1/rooms/lobby/messages/{id}");
    let edit = async |text: &str| {
        gateway.send("PATCH", &message, &[], Some(json!({"text": text}))).await.expect(200).position()
    };
    let first = edit("¿hola?").await;
    let other = gateway.say("adiós").await.expect(201).position();
    let second = edit("¡hola!").await;
    let deleted = gateway.send("DELETE", &message, &[], None).await.expect(200).position();
    let texts = async |at: &str| {
        let answer = gateway.get(&format!("/api/v1/rooms/lobby/messages?at={at}")).await.expect(200);
        assert_eq!(answer.header("cabildo-as-of"), at);
        let messages = answer.json()["messages"].as_array().unwrap().clone();
        messages.iter().map(|message| message["text"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&room).await, [""; 0]);
    assert_eq!(texts(&said.position()).await, ["hola"]);
    assert_eq!(texts(&first).await, ["¿hola?"]);
    assert_eq!(texts(&other).await, ["¿hola?", "adiós"]);
    assert_eq!(texts(&second).await, ["¡hola!", "adiós"]);
    assert_eq!(texts(&deleted).await, ["-", "adiós"]);

    // Page by page, with the moment kept in the links.
    let page = gateway.get(&format!("/api/v1/rooms/lobby/messages?limit=1&at={second}")).await.expect(200);
    assert_eq!(page.json()["messages"][0]["text"], "adiós");
    let link = page.header("link").split(", ").find(|link| link.contains("\"prev\"")).unwrap().to_owned();
    let link = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    assert!(link.ends_with(&format!("&at={second}")), "{link}");
    assert_eq!(gateway.get(&link).await.expect(200).json()["messages"][0]["text"], "¡hola!");

    // What each event changed.
    let state = async |at: &str| gateway.get(&format!("/api/v1/events/{at}/state")).await.expect(200).json();
    let opened = state(&room).await;
    assert_eq!(
        (&opened["aggregate"], &opened["kind"], &opened["before"]),
        (&json!("chat/lobby"), &json!("room"), &Value::Null)
    );
    assert_eq!(opened["after"]["room"]["name"], "Lobby");
    let posted = state(&said.position()).await;
    assert_eq!((&posted["before"]["message"], &posted["after"]["message"]["text"]), (&Value::Null, &json!("hola")));
    let edited = state(&second).await;
    let text = |side: &str| edited[side]["message"]["text"].clone();
    assert_eq!((text("before"), text("after")), (json!("¿hola?"), json!("¡hola!")));
    let gone = state(&deleted).await;
    assert!(
        gone["after"]["message"]["deleted"].is_string() && gone["before"]["message"]["deleted"].is_null(),
        "{gone}"
    );

    // Rooms that were opened later are not there yet.
    let later = gateway.post("/api/v1/rooms", json!({"id": "yard", "name": "Yard"})).await.expect(201).position();
    let rooms = async |at: &str| gateway.get(&format!("/api/v1/rooms?at={at}")).await.expect(200).json();
    assert_eq!(rooms(&deleted).await["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(rooms(&later).await["rooms"].as_array().unwrap().len(), 2);
    assert_eq!(gateway.get(&format!("/api/v1/rooms/lobby?at={room}")).await.expect(200).json()["name"], "Lobby");
    for path in ["rooms/yard", "rooms/yard/messages"] {
        let problem = gateway.get(&format!("/api/v1/{path}?at={deleted}")).await;
        problem.problem(404, "not-found", &format!("it is there since {later}"));
    }
}

#[tokio::test]
async fn messages_of_the_past_embedded() {
    messages_are_as_they_were(&Gateway::start().await).await;
}

#[tokio::test]
async fn messages_of_the_past_on_servers() {
    let (nats, redis, mongo) = (Nats::start().await, Redis::start().await, Mongo::start().await);
    let stores = Stores::on(&nats.url(), &redis.url(), &mongo.url()).await;
    messages_are_as_they_were(&Gateway::over(stores).await).await;
}

#[tokio::test]
async fn a_time_is_the_last_event_until_then() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let first = gateway.cast("ana", "Malacates").await.expect(200).position();
    let stored = gateway.get(&format!("/api/v1/events/{first}")).await.expect(200).json()["recordedtime"].clone();
    let second = gateway.cast("luis", "Malacates").await.expect(200).position();
    let tally = async |at: &str| gateway.get(&format!("/api/v1/polls/bands/tally?at={at}")).await.expect(200);
    assert_eq!(tally(stored.as_str().unwrap()).await.header("cabildo-as-of"), first);
    assert_eq!(tally("-0s").await.header("cabildo-as-of"), second);
    let options = gateway.get(&format!("/api/v1/polls/bands?at={first}")).await.expect(200).json();
    assert_eq!((&options["voters"], &options["status"]), (&json!(1), &json!("open")));
    gateway.post("/api/v1/polls/bands/close", json!({})).await.expect(200);
    let open = gateway.get(&format!("/api/v1/polls/bands?at={second}")).await.expect(200).json();
    assert_eq!(open["status"], "open");
}

#[tokio::test]
async fn a_moment_that_is_none_says_why() {
    let gateway = Gateway::start().await;
    gateway.open_room().await;
    let opened = gateway.open_poll().await.position();
    let tally = "/api/v1/polls/bands/tally";
    for (at, detail) in [
        ("yesterday", "use begin, end, a position"),
        ("0-999", "is past the last event, which is at 0-2"),
        ("2999-01-01T00:00:00Z", "is still to come"),
        ("", "is no place in the journal"),
    ] {
        for path in
            [tally, "/api/v1/polls/bands", "/api/v1/rooms", "/api/v1/rooms/lobby", "/api/v1/rooms/lobby/messages"]
        {
            let body = gateway.get(&format!("{path}?at={at}")).await.problem(422, "bad-value", detail);
            assert_eq!(body["field"], "at");
        }
    }
    gateway.get(&format!("{tally}?at=0-1")).await.problem(404, "not-found", &format!("it is there since {opened}"));
    gateway.get("/api/v1/polls/films/tally?at=0-1").await.problem(404, "not-found", "there is no poll `films`");
    let live = gateway.send("GET", &format!("{tally}?at=0-2"), &[("Accept", "text/event-stream")], None).await;
    live.problem(422, "bad-value", "a live stream shows what is");
}

#[tokio::test]
async fn what_an_event_changed_is_shown_for_every_kind_of_aggregate() {
    let gateway = Gateway::start().await;
    let state = async |at: &str| gateway.get(&format!("/api/v1/events/{at}/state")).await.expect(200).json();
    let opened = gateway.open_poll().await.position();
    let cast = gateway.cast("ana", "Malacates").await.expect(200).position();
    assert_eq!(state(&opened).await["before"], Value::Null);
    let changed = state(&cast).await;
    assert_eq!((&changed["kind"], votes(&changed["before"]).1, votes(&changed["after"]).1), (&json!("poll"), 0, 1));

    let journal = &*gateway.stores.journal;
    let read = |text: &str| {
        let (envelope, _) = cabildo_events::wire::from_json(text).unwrap();
        envelope
    };
    let mut last: HashMap<Aggregate, u64> = HashMap::new();
    let mut write = async |kind: &str, subject: &str, data: Value| {
        let line = json!({"specversion": "1.0", "id": Uuid::now_v7(), "type": kind, "subject": subject,
            "time": "2026-11-21T10:00:00Z", "schemaversion": 1, "data": data});
        let envelope = read(&line.to_string());
        let expect = Expect::Last(last.get(&envelope.aggregate).copied().unwrap_or(0));
        let aggregate = envelope.aggregate.clone();
        let position = journal.append(vec![Append { envelope, expect }]).await.remove(0).unwrap().position;
        last.insert(aggregate, position.seq);
        position.to_string()
    };
    let task = Uuid::now_v7();
    let list = write("task.list.opened", "task/sound", json!({"title": "Sound"})).await;
    write("task.added", "task/sound", json!({"task": task, "title": "Cables"})).await;
    let done = write("task.completed", "task/sound", json!({"task": task})).await;
    let user = Uuid::now_v7();
    let person = write("identity.user.registered", "identity/ana", json!({"user": user, "name": "Ana"})).await;
    let empty = json!({"title": "Sound", "visibility": "open", "tasks": {}});
    assert_eq!((&state(&list).await["before"], &state(&list).await["after"]), (&Value::Null, &empty));
    let change = state(&done).await;
    let completed = |side: &str| change[side]["tasks"][task.to_string()]["completed"].clone();
    assert_eq!((completed("before"), completed("after"), &change["kind"]), (json!(false), json!(true), &json!("list")));
    let change = state(&person).await;
    let after = json!({"holder": user, "name": "Ana", "role": "member"});
    assert_eq!((&change["before"], &change["after"]), (&Value::Null, &after));

    let tally = "tally".parse().unwrap();
    let pause = operation::Command::Pause("a look".parse().unwrap());
    let (position, _): (Position, Event) = operate(journal, &tally, &pause, None).await.unwrap();
    let change = state(&position.to_string()).await;
    assert_eq!((&change["kind"], &change["before"]), (&json!("projections"), &Value::Null));
    assert_eq!(change["after"]["tally"]["paused"], "a look");
    gateway.get("/api/v1/events/0-999/state").await.problem(404, "not-found", "0-999");
}

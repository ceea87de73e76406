//! What it says and what it keeps when the journal, a view or the disk fails. Real servers, really killed.

use std::time::Duration;

use cabildo_events::limits::APPEND_QUEUE_EVENTS_MAX;
use cabildo_events::{Command, Facts, poll};
use cabildo_storage::{AppendError, Circumstances, CommandError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;

use super::{Gateway, Stores, until, votes};
use crate::servers::{Nats, Redis};

#[tokio::test]
async fn while_the_journal_is_down_nothing_is_acknowledged_and_then_it_goes_on() {
    let mut nats = Nats::own().await;
    let gateway = Gateway::over(Stores::at(&nats.url(), "file:{}").await).await;
    gateway.open_poll().await;
    let before = gateway.cast("ana", "Malacates").await.expect(200);
    assert_eq!(before.json()["durability"], "accepted");
    gateway.get_from("/api/v1/polls/bands", &before.position()).await.expect(200);
    nats.kill();

    let ballot = |key| {
        let headers = [("Idempotency-Key", key)];
        let body = json!({"choice": "Malacates"});
        let gateway = &gateway;
        // Too long to be anybody's name: nobody has to be asked whose it is.
        let path = format!("/api/v1/polls/bands/ballots/{}", "device-".repeat(15));
        async move { gateway.send("PUT", &path, &headers, Some(body)).await }
    };
    let (refused, unread, ready, seen) = tokio::join!(
        ballot("k"),
        gateway.post("/api/v1/rooms", json!({"name": "a"})),
        gateway.get("/readyz"),
        gateway.get("/api/v1/polls/bands/tally"),
    );
    let refused = refused.problem(503, "journal-unavailable", "send it again with the same Idempotency-Key");
    assert_eq!(refused["may_have_happened"], true);
    unread.problem(503, "journal-unavailable", "");
    let ready = ready.expect(503).json();
    assert_eq!((&ready["status"], &ready["down"]), (&json!("unready"), &json!(["journal"])));
    assert_eq!(votes(&seen.expect(200).json()).1, 1, "what is counted can still be read");

    nats.start_again().await;
    until("it is ready again", || async { gateway.get("/readyz").await.status == 200 }).await;
    let cast = ballot("k").await.expect(200);
    let tally = gateway.get_from("/api/v1/polls/bands/tally", &cast.position()).await.expect(200);
    assert!(!tally.is_stale());
    assert_eq!(votes(&tally.json()), ([("Alux Nahual".to_owned(), 0), ("Malacates".to_owned(), 2)].into(), 2));
}

#[tokio::test]
async fn while_the_counters_are_down_ballots_are_taken_and_counted_later() {
    let mut redis = Redis::own().await;
    let gateway = Gateway::over(Stores::at("file:{}", &redis.url()).await).await;
    gateway.open_poll().await;
    let first = gateway.cast("ana", "Malacates").await.expect(200);
    gateway.get_from("/api/v1/polls/bands/tally", &first.position()).await.expect(200);
    redis.kill();
    for voter in 0..20 {
        let cast = gateway.cast(voter, "Alux Nahual").await.expect(200);
        assert_eq!(cast.json()["durability"], "fsync");
    }
    let (tally, ready, messages) =
        tokio::join!(gateway.get("/api/v1/polls/bands/tally"), gateway.get("/readyz"), gateway.get("/api/v1/rooms"));
    tally.problem(503, "view-unavailable", "try again");
    assert_eq!(ready.expect(503).json()["down"], json!(["counters"]));
    messages.expect(200);

    redis.start_again().await;
    let exact = ([("Alux Nahual".to_owned(), 20), ("Malacates".to_owned(), 1)].into(), 21);
    until("the tally is exact", || async {
        let tally = gateway.get("/api/v1/polls/bands/tally").await;
        tally.status == 200 && votes(&tally.json()) == exact
    })
    .await;
}

#[tokio::test]
async fn on_a_full_disk_what_was_acknowledged_is_there_and_the_rest_is_refused() {
    let gateway = Gateway::over(Stores::at("file:{}?max_mib=1", "file:{}").await).await;
    gateway.open_room().await;
    let mut acknowledged = vec!["0-1".to_owned()];
    let text = "ñ".repeat(8_000);
    let refused = loop {
        let said = gateway.say(&text).await;
        if said.status != 201 {
            break said;
        }
        acknowledged.push(said.position());
        assert!(acknowledged.len() < 200, "the disk does not fill up");
    };
    let refused = refused.problem(503, "disk-full", "free some space");
    assert!(refused["may_have_happened"].is_null(), "{refused}");
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    let last = acknowledged.last().unwrap();
    let export = [("Accept", "application/x-ndjson"), ("Cabildo-Min-Position", last)];
    let found = gateway.send("GET", "/api/v1/events?order=oldest", &export, None).await.expect(200);
    assert!(!found.is_stale());
    let found = found.text.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["position"].as_str().unwrap().to_owned()
    });
    assert_eq!(found.collect::<Vec<_>>(), acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_much_waits_one_more_is_refused_and_what_waits_is_written() {
    let mut nats = Nats::own().await;
    let gateway = Gateway::over(Stores::at(&nats.url(), "file:{}").await).await;
    gateway.open_poll().await;
    gateway.cast("ana", "Malacates").await.expect(200);
    // The journal holds still: what comes now waits.
    nats.pause();
    let mut ballots: FuturesUnordered<_> = (0..APPEND_QUEUE_EVENTS_MAX + 8_000)
        .map(|voter| {
            let voter = voter.to_string().parse().unwrap();
            let choices = vec!["Alux Nahual".parse().unwrap()];
            let ballot = poll::BallotCast { voter, choices, fields: Default::default() };
            let command = Command::Poll("bands".parse().unwrap(), poll::Command::Cast(ballot));
            let commands = gateway.front.commands.clone();
            let at = Circumstances {
                idempotency_key: None,
                time: jiff::Timestamp::now().into(),
                actor: None,
                correlation: None,
                causation: None,
                traceparent: None,
            };
            tokio::spawn(async move { commands.execute(command, Facts::default(), at).await })
        })
        .collect();
    until("the queue is full", || async { gateway.front.commands.waiting() == APPEND_QUEUE_EVENTS_MAX }).await;
    gateway.cast("eva", "Malacates").await.problem(503, "overloaded", "are waiting");
    assert_eq!(gateway.front.commands.waiting(), APPEND_QUEUE_EVENTS_MAX);
    nats.resume();

    let mut acknowledged = 0;
    while let Some(answer) = ballots.next().await {
        match answer.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(CommandError::Append(AppendError::Overloaded { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(acknowledged >= i64::try_from(APPEND_QUEUE_EVENTS_MAX).unwrap());
    until("the ballots are counted", || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        votes(&gateway.get("/api/v1/polls/bands/tally").await.json()).0["Alux Nahual"] == acknowledged
    })
    .await;
    gateway.cast("eva", "Malacates").await.expect(200);
}

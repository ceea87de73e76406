//! One call, one command: granted, refused with details, repeated, too large.

use cabildo_producers::proto::v1::Durability;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use super::super::{Gateway, Stores, votes};
use super::{ballot, message, refused};

#[tokio::test]
async fn a_ballot_is_cast_beside_http_on_the_same_port() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let answer = polls.cast_ballot(ballot("bands", "ana", "Malacates")).await.unwrap();
    let told = answer.metadata().get("cabildo-position").unwrap().to_str().unwrap().to_owned();
    let receipt = answer.into_inner().receipt.unwrap();
    assert_eq!((receipt.position.as_str(), receipt.repeated), (told.as_str(), false));
    assert_eq!(receipt.durability(), Durability::Fsync);
    gateway.cast("ben", "Alux Nahual").await.expect(200);
    let tally = gateway.get_from("/api/v1/polls/bands/tally", "0-3").await.expect(200).json();
    let (votes, voters) = votes(&tally);
    assert_eq!((votes["Malacates"], votes["Alux Nahual"], voters), (1, 1, 2));
}

#[tokio::test]
async fn what_comes_with_a_call_is_on_the_record() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let (cause, conversation) = ("0190f3a0-0000-7000-8000-000000000001", "0190f3a0-0000-7000-8000-000000000002");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = || {
        let mut request = Request::new(ballot("bands", "ana", "Malacates"));
        for (name, value) in [
            ("idempotency-key", "once"),
            ("cabildo-correlation-id", conversation),
            ("cabildo-causation-id", cause),
            ("traceparent", trace),
        ] {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    let mut polls = gateway.polls().await;
    let first = polls.cast_ballot(call()).await.unwrap().into_inner().receipt.unwrap();
    let again = polls.cast_ballot(call()).await.unwrap().into_inner().receipt.unwrap();
    assert_eq!((first.repeated, again.repeated, &again.position), (false, true, &first.position));
    // The same key over HTTP is the same wish.
    let body = serde_json::json!({"choice": "Malacates"});
    let path = "/api/v1/polls/bands/ballots/ana";
    let over_http = gateway.send("PUT", path, &[("Idempotency-Key", "once")], Some(body)).await.expect(200).json();
    assert_eq!((&over_http["repeated"], &over_http["position"]), (&true.into(), &first.position.clone().into()));
    let event = gateway.get(&format!("/api/v1/events/{}", first.position)).await.expect(200).json();
    assert_eq!((&event["correlationid"], &event["causationid"]), (&conversation.into(), &cause.into()));
    assert_eq!((&event["actor"], &event["traceparent"]), (&"ana".into(), &trace.into()));
    // The key of the message goes before that of the metadata.
    let mut other = call();
    other.get_mut().idempotency_key = "twice".to_owned();
    assert!(!polls.cast_ballot(other).await.unwrap().into_inner().receipt.unwrap().repeated);
}

#[tokio::test]
async fn what_is_refused_says_why_by_code_reason_and_field() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let mut rooms = gateway.rooms().await;
    let (status, _) = refused(polls.cast_ballot(ballot("none", "ana", "x")).await, Code::NotFound, "not-found");
    assert_eq!(status.message(), "there is no poll `none`");
    let cases = [
        (ballot("bands", "ana", "Viernes Verde"), "unknown-option", "choice"),
        (ballot("bands", "ana", ""), "bad-value", "choice"),
        (ballot("bands", "", "Malacates"), "bad-value", "voter"),
        (ballot("", "ana", "Malacates"), "bad-value", "poll"),
    ];
    for (wish, reason, field) in cases {
        let (_, blamed) = refused(polls.cast_ballot(wish).await, Code::InvalidArgument, reason);
        assert_eq!(blamed, field);
    }
    let mut wish = ballot("bands", "ana", "Malacates");
    wish.idempotency_key = "k".repeat(201);
    let (_, blamed) = refused(polls.cast_ballot(wish).await, Code::InvalidArgument, "bad-value");
    assert_eq!(blamed, "idempotency_key");
    let mut wish = Request::new(ballot("bands", "ana", "Malacates"));
    wish.metadata_mut().insert("cabildo-causation-id", "yesterday".parse().unwrap());
    let (_, blamed) = refused(polls.cast_ballot(wish).await, Code::InvalidArgument, "bad-value");
    assert_eq!(blamed, "cabildo-causation-id");
    gateway.post("/api/v1/polls/bands/close", serde_json::json!({})).await.expect(200);
    refused(polls.cast_ballot(ballot("bands", "ana", "Malacates")).await, Code::FailedPrecondition, "poll-closed");
    refused(rooms.post_message(message("none", "Ana", "hola")).await, Code::NotFound, "not-found");
    gateway.open_room().await;
    let mut wish = message("lobby", "Ana", "hola");
    wish.id = "mine".to_owned();
    let (_, blamed) = refused(rooms.post_message(wish).await, Code::InvalidArgument, "bad-value");
    assert_eq!(blamed, "id");
    let (_, blamed) =
        refused(rooms.post_message(message("lobby", "Ana", " ")).await, Code::InvalidArgument, "bad-value");
    assert_eq!(blamed, "text");
}

#[tokio::test]
async fn a_message_is_posted_and_a_repeated_one_is_the_first() {
    let gateway = Gateway::start().await;
    gateway.open_room().await;
    let mut rooms = gateway.rooms().await;
    let mut wish = message("lobby", "Ana", "¡Buenas!");
    wish.idempotency_key = "once".to_owned();
    let first = rooms.post_message(wish.clone()).await.unwrap().into_inner();
    let again = rooms.post_message(wish).await.unwrap().into_inner();
    let (first_receipt, again_receipt) = (first.receipt.unwrap(), again.receipt.unwrap());
    assert_eq!((&again.id, again_receipt.repeated), (&first.id, true));
    let listed = gateway.get_from("/api/v1/rooms/lobby/messages", &first_receipt.position).await.expect(200).json();
    let messages = listed["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "{listed}");
    assert_eq!((&messages[0]["id"], &messages[0]["text"]), (&first.id.into(), &"¡Buenas!".into()));
}

#[tokio::test]
async fn a_message_past_the_bound_is_refused_and_the_connection_serves_on() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let mut wish = ballot("bands", "ana", "Malacates");
    wish.fields.insert("album".to_owned(), "x".repeat(70_000));
    refused(polls.cast_ballot(wish).await, Code::ResourceExhausted, "body-too-large");
    polls.cast_ballot(ballot("bands", "ana", "Malacates")).await.unwrap();
    let metrics = gateway.get("/metrics").await.expect(200).text;
    let counted = "route=\"/cabildo.v1.Polls/CastBallot\",method=\"POST\",status=\"4xx\"";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("cabildo_gateway_requests_refused_total{reason=\"body-too-large\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_journal_that_is_down_says_when_to_try_again() {
    let mut nats = crate::servers::Nats::own().await;
    let gateway = Gateway::over(Stores::at(&nats.url(), "file:{}").await).await;
    gateway.open_poll().await;
    let mut polls = gateway.polls().await;
    let receipt = polls.cast_ballot(ballot("bands", "ana", "Malacates")).await.unwrap().into_inner().receipt.unwrap();
    assert_eq!(receipt.durability(), Durability::Accepted);
    nats.kill();
    let answer = polls.cast_ballot(ballot("bands", "ben", "Malacates")).await;
    let (status, _) = refused(answer, Code::Unavailable, "journal-unavailable");
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some_and(|delay| !delay.is_zero()));
}

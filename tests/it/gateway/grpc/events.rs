//! The record as a stream: from a position, by a query, resumed, bounded, ended in order.

use std::time::Duration;

use cabildo_gateway::Patience;
use cabildo_producers::proto::v1::polls_client::PollsClient;
use cabildo_producers::proto::v1::record_client::RecordClient;
use cabildo_producers::proto::v1::{Event, EventsRequest};
use tonic::{Code, Status, Streaming};

use super::super::{Gateway, Stores, in_time, until};
use super::{ballot, refused};

async fn next(events: &mut Streaming<Event>) -> Event {
    in_time("an event", events.message()).await.unwrap().expect("an event")
}

async fn listen(gateway: &Gateway, after: &str, query: &str) -> Result<Streaming<Event>, Status> {
    let request = EventsRequest { after: after.to_owned(), query: query.to_owned(), filter: String::new() };
    Ok(gateway.record().await.events(request).await?.into_inner())
}

#[tokio::test]
async fn the_record_is_for_operators() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut nobody = RecordClient::new(gateway.channel().await);
    refused(nobody.events(EventsRequest::default()).await, Code::Unauthenticated, "sign-in");
    let forged = super::Bearer("Bearer eyJhbGciOiJub25lIn0.e30.".parse().unwrap());
    let mut forger = RecordClient::with_interceptor(gateway.channel().await, forged.clone());
    refused(forger.events(EventsRequest::default()).await, Code::Unauthenticated, "invalid-token");
    // Nor does a bad token pass where none is needed.
    let mut polls = PollsClient::with_interceptor(gateway.channel().await, forged);
    refused(polls.cast_ballot(ballot("bands", "ana", "Malacates")).await, Code::Unauthenticated, "invalid-token");
    assert!(listen(&gateway, "0-0", "").await.is_ok());
}

#[tokio::test]
async fn events_come_from_a_position_on_and_as_they_happen() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    gateway.cast("ana", "Malacates").await.expect(200);
    let mut events = listen(&gateway, "0-0", "").await.unwrap();
    let opened = next(&mut events).await;
    assert_eq!((opened.position.as_str(), opened.r#type.as_str()), ("0-1", "poll.opened"));
    let cast = next(&mut events).await;
    assert_eq!((cast.position.as_str(), cast.aggregate.as_str(), cast.actor.as_str()), ("0-2", "poll/bands", "ana"));
    let whole: serde_json::Value = serde_json::from_str(&cast.cloudevent).unwrap();
    assert_eq!(whole, gateway.get("/api/v1/events/0-2").await.expect(200).json());
    assert_eq!((&whole["id"], &whole["time"]), (&cast.id.into(), &cast.time.into()));
    gateway.cast("ben", "Malacates").await.expect(200);
    assert_eq!(next(&mut events).await.position, "0-3");
    drop(events);
    // Resumed by position: nothing is missed, nothing comes twice.
    gateway.cast("eva", "Malacates").await.expect(200);
    let mut events = listen(&gateway, "0-3", "").await.unwrap();
    assert_eq!(next(&mut events).await.position, "0-4");
}

#[tokio::test]
async fn a_query_and_an_expression_choose_and_a_bad_one_is_told() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    gateway.open_room().await;
    for voter in ["ana", "ben"] {
        gateway.cast(voter, "Malacates").await.expect(200);
    }
    gateway.say("hola").await.expect(201);
    let mut events = listen(&gateway, "0-0", "type:poll.ballot.cast -actor:ana").await.unwrap();
    assert_eq!(next(&mut events).await.actor, "ben");
    let filter = "has(event.data.text) && event.data.text == 'hola'".to_owned();
    let request = EventsRequest { after: "0-0".to_owned(), query: String::new(), filter };
    let mut events = gateway.record().await.events(request).await.unwrap().into_inner();
    assert_eq!(next(&mut events).await.r#type, "chat.message.posted");
    for (after, query, field) in [("x", "", "after"), ("0-0", "lane:99", "query"), ("", "type:(", "query")] {
        let (_, blamed) = refused(listen(&gateway, after, query).await, Code::InvalidArgument, "bad-value");
        assert_eq!(blamed, field);
    }
}

#[tokio::test]
async fn a_listener_counts_as_one_and_is_told_to_resume_when_the_gateway_goes_down() {
    let mut gateway = Gateway::start().await;
    gateway.open_poll().await;
    let listeners = async |count: usize| {
        let line = format!("cabildo_gateway_live_listeners {count}\n");
        until("as many listeners", async || gateway.get("/metrics").await.expect(200).text.contains(&line)).await;
    };
    let first = listen(&gateway, "0-0", "").await.unwrap();
    let mut second = listen(&gateway, "0-0", "").await.unwrap();
    listeners(2).await;
    drop(first);
    listeners(1).await;
    assert_eq!(next(&mut second).await.position, "0-1");
    gateway.front.stop.cancel();
    refused(in_time("the stream ends", second.message()).await, Code::Unavailable, "stopping");
    in_time("the gateway stops", &mut gateway.front.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_and_resumes_without_a_gap() {
    let patience = Patience { write_stall: Duration::from_millis(300), ..Patience::default() };
    let gateway = Gateway::with(Stores::embedded().await, patience).await;
    gateway.open_room().await;
    let text = "¡Buenas! ".repeat(700);
    for _ in 0..40 {
        gateway.say(&text).await.expect(201);
    }
    // A window of this size takes a few events; the rest waits for a reader that does not read.
    let endpoint = tonic::transport::Endpoint::from_shared(gateway.url("")).unwrap().initial_stream_window_size(16_384);
    let channel = endpoint.connect().await.unwrap();
    let mut record = RecordClient::with_interceptor(channel, gateway.bearer().await);
    let request = |after: &str| EventsRequest { after: after.to_owned(), ..EventsRequest::default() };
    let mut last = "0-0".to_owned();
    let mut events = record.events(request(&last)).await.unwrap().into_inner();
    // Enough is said that all of it does not fit on the way.
    for _ in 0..120 {
        gateway.say(&text).await.expect(201);
    }
    let gone = "cabildo_gateway_live_listeners 0\n";
    until("its place is free", async || gateway.get("/metrics").await.expect(200).text.contains(gone)).await;
    let mut seen = 0;
    let ended = loop {
        match in_time("what was on its way", events.message()).await {
            Ok(Some(event)) => {
                seen += 1;
                assert_eq!(event.position, format!("0-{seen}"));
                last = event.position;
            }
            ended => break ended,
        }
    };
    refused(ended, Code::Unavailable, "too-slow");
    assert!(seen < 161, "{seen} events were on the way");
    let mut events = record.events(request(&last)).await.unwrap().into_inner();
    while seen < 161 {
        seen += 1;
        assert_eq!(next(&mut events).await.position, format!("0-{seen}"));
    }
}

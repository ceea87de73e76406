//! Going down in good order.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, DEADLINE, Gateway, Stores, in_time};

#[tokio::test]
async fn while_it_drains_it_says_so_and_finishes_what_is_under_way() {
    let mut gateway = Gateway::start().await;
    gateway.open_poll().await;
    let mut tail = gateway.request("GET", "/api/v1/events/tail").await.send().await.unwrap();
    let body = r#"{"choice": "Malacates"}"#;
    let mut under_way = gateway.connect().await;
    let head = format!(
        "PUT /api/v1/polls/bands/ballots/ana HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    under_way.write_all(head.as_bytes()).await.unwrap();
    // The gateway is at the body now.
    let mut proceed = [0; 25];
    in_time("the gateway asks for the body", under_way.read_exact(&mut proceed)).await.unwrap();
    assert_eq!(&proceed, b"HTTP/1.1 100 Continue\r\n\r\n");

    gateway.front.stop.cancel();
    let end = async { while in_time("the tail ends", tail.chunk()).await.unwrap().is_some() {} };
    end.await;
    // New connections, as the old ones end.
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let ready = gateway.raw(get("/readyz")).await.expect(503);
    assert_eq!((&ready.json()["status"], ready.header("connection")), (&json!("stopping"), "close"));
    gateway.raw(get("/livez")).await.expect(200);
    gateway.raw(get("/api/v1/polls/bands")).await.problem(503, "stopping", "try again");
    assert!(!gateway.front.serving.is_finished(), "it waits for what is under way");

    under_way.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    in_time("the answer and the end", under_way.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(Answer::parse(&answer).expect(200).position(), "0-2");
    in_time("it stops", &mut gateway.front.serving).await.unwrap().unwrap();
    assert_eq!(gateway.stores.journal.head().await.unwrap().seq, 2);
}

#[tokio::test]
async fn what_does_not_finish_within_the_drain_is_cut_off() {
    let patience = cabildo_gateway::Patience { drain: std::time::Duration::from_millis(100), ..Default::default() };
    let mut gateway = Gateway::with(Stores::embedded().await, patience).await;
    let mut stuck = gateway.connect().await;
    stuck.write_all(b"POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    in_time("the gateway asks for the body", stuck.read_exact(&mut [0; 25])).await.unwrap();
    let began = std::time::Instant::now();
    gateway.front.stop.cancel();
    in_time("it stops", &mut gateway.front.serving).await.unwrap().unwrap();
    assert!(began.elapsed() < DEADLINE / 3, "{:?}", began.elapsed());
}

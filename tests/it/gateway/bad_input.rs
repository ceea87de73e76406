//! What cannot be taken: each with its status, its problem, and a word on what to do.

use std::time::{Duration, Instant};

use cabildo_events::limits::{BODY_BYTES_MAX, HEADER_BYTES_MAX, NAME_CHARS_MAX, PAGE_ROWS_MAX};
use cabildo_gateway::Patience;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, DEADLINE, Gateway, Stores, in_time};

/// A request with a JSON body, as it goes over the wire; the connection ends with the answer.
fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused_with_its_place_and_field() {
    let gateway = Gateway::start().await;
    let post = async |body: &str| gateway.raw(request("POST", "/api/v1/rooms", body.as_bytes())).await;
    let broken = post("{\"name\": \"a\",\n \"topic\": }").await.problem(400, "malformed-json", "line 2 column 11");
    assert_eq!((&broken["line"], &broken["column"]), (&json!(2), &json!(11)));
    post("").await.problem(400, "malformed-json", "EOF");
    post("{\"name\": \"a\"} x").await.problem(400, "malformed-json", "trailing");
    let unknown = post(r#"{"name": "a", "colour": "red"}"#).await;
    let unknown = unknown.problem(400, "wrong-shape", "unknown field `colour`, expected one of `id`, `name`, `topic`");
    assert_eq!(unknown["field"], "colour");
    let wrong = post(r#"{"name": 7}"#).await.problem(400, "wrong-shape", "expected a string");
    assert_eq!(wrong["field"], "name");
    post(r#"{"topic": "a"}"#).await.problem(400, "wrong-shape", "missing field `name`");
    post(r#"["a"]"#).await.problem(400, "wrong-shape", "must be a JSON object");
    let utf8 = gateway.raw(request("POST", "/api/v1/rooms", b"{\"name\": \"\xff\"}")).await;
    utf8.problem(400, "invalid-utf8", "not UTF-8 from byte 10");
    let deep = format!("{{\"name\": {}", "[".repeat(20_000));
    post(&deep).await.expect(400);
    assert_eq!(gateway.stores.journal.head().await.unwrap().seq, 0, "nothing was written");
}

#[tokio::test]
async fn values_past_their_bounds_are_refused_by_name() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    gateway.open_room().await;
    let field = |body: serde_json::Value, name: &str| assert_eq!(body["field"], name, "{body}");
    let long = "ñ".repeat(NAME_CHARS_MAX + 1);
    let name = gateway.post("/api/v1/rooms", json!({"name": long})).await;
    field(name.problem(422, "bad-value", "longer than 200 characters"), "name");
    field(gateway.post("/api/v1/rooms", json!({"name": ""})).await.problem(422, "bad-value", "empty"), "name");
    let id = gateway.post("/api/v1/rooms", json!({"name": "a", "id": "x".repeat(129)})).await;
    field(id.problem(422, "bad-value", "longer than 128 bytes"), "id");
    field(gateway.say(&"x".repeat(8_001)).await.problem(422, "bad-value", "longer than 8000"), "text");
    field(gateway.cast("ana", &long).await.problem(422, "bad-value", "longer than"), "choice");
    field(gateway.cast("ana", "Nobody").await.problem(422, "unknown-option", "`Nobody` is not an option"), "choice");
    let cast = async |fields: serde_json::Value| {
        gateway.put("/api/v1/polls/bands/ballots/ana", json!({"choice": "Malacates", "fields": fields})).await
    };
    field(cast(json!({"album": long})).await.problem(422, "bad-value", "longer than"), "fields.album");
    let many: std::collections::BTreeMap<_, _> = (0..17).map(|number| (format!("f{number}"), "a")).collect();
    field(cast(json!(many)).await.problem(422, "field-count", "at most 16 fields"), "fields");
    let poll =
        async |options: &[&str]| gateway.post("/api/v1/polls", json!({"question": "?", "options": options})).await;
    field(poll(&["a"]).await.problem(422, "option-count", "2 to 200 options"), "options");
    field(poll(&["a", "a"]).await.problem(422, "option-twice", "`a` is listed twice"), "options");
    field(poll(&["a", &long]).await.problem(422, "bad-value", "longer than"), "options[1]");
    let message = json!({"id": "seven", "text": "a", "author": "Ana"});
    let message = gateway.post("/api/v1/rooms/lobby/messages", message).await;
    field(message.problem(422, "bad-value", ""), "id");
    let key = "k".repeat(201);
    let key = gateway.send("POST", "/api/v1/rooms", &[("Idempotency-Key", &key)], Some(json!({"name": "a"}))).await;
    field(key.problem(422, "bad-value", "1 to 200 characters"), "idempotency-key");
    assert_eq!(gateway.stores.journal.head().await.unwrap().seq, 2, "nothing more was written");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let gateway = Gateway::start().await;
    let nothing = "0190f3a0-0000-7000-8000-000000000001";
    gateway.cast("ana", "a").await.problem(404, "not-found", "there is no poll `bands`");
    gateway.get("/api/v1/polls/bands").await.problem(404, "not-found", "there is no poll `bands`");
    gateway.get("/api/v1/polls/bands/tally").await.problem(404, "not-found", "there is no poll `bands`");
    gateway.post("/api/v1/polls/bands/close", json!({})).await.problem(404, "not-found", "there is no poll `bands`");
    gateway.get("/api/v1/rooms/lobby").await.problem(404, "not-found", "there is no room `lobby`");
    gateway.get("/api/v1/rooms/lobby/messages").await.problem(404, "not-found", "there is no room `lobby`");
    gateway.say("a").await.problem(404, "not-found", "there is no room `lobby`");
    gateway.open_room().await;
    let message = format!("/api/v1/rooms/lobby/messages/{nothing}");
    gateway.send("DELETE", &message, &[], None).await.problem(404, "not-found", "there is no message");
    for path in ["/nothing", "/api/v1/room", "/api/v2/rooms", "/api/v1/rooms/", "/api/v1/polls/bands/ballots"] {
        gateway.get(path).await.problem(404, "no-such-route", "/api/v1/openapi.json");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let gateway = Gateway::start().await;
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/rooms", "POST, GET, HEAD, OPTIONS"),
        ("POST", "/api/v1/polls/bands/tally", "GET, HEAD, OPTIONS"),
        ("GET", "/api/v1/polls/bands/ballots/ana", "PUT, OPTIONS"),
        ("PUT", "/readyz", "GET, HEAD, OPTIONS"),
    ] {
        let answer = gateway.send(method, path, &[], None).await;
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        answer.problem(405, "method-not-allowed", method);
    }
}

#[tokio::test]
async fn a_body_has_a_size_a_type_and_a_time() {
    let gateway = Gateway::start().await;
    let head =
        |extra: &str| format!("POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{extra}\r\n");
    // Said to be too large: refused before it is sent.
    let length = BODY_BYTES_MAX + 1;
    let said = format!("Content-Type: application/json\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n");
    gateway.raw(head(&said)).await.problem(413, "body-too-large", "at most 65536 bytes");
    // Too large without having said so.
    let mut chunked = head("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n").into_bytes();
    for _ in 0..=(BODY_BYTES_MAX / 0x1000) {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b' '; 0x1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    gateway.raw(chunked).await.problem(413, "body-too-large", "at most 65536 bytes");
    for (media, said) in [("", "missing"), ("Content-Type: text/plain\r\n", "not `text/plain`")] {
        let other = gateway.raw(head(&format!("{media}Content-Length: 2\r\n")) + "{}").await;
        let other = other.problem(415, "unsupported-media-type", said);
        assert_eq!(other["allowed"], json!(["application/json"]));
    }
    let mut large = request("POST", "/api/v1/rooms", b"{}");
    let filler = format!("X-Filler: {}\r\nHost:", "x".repeat(HEADER_BYTES_MAX));
    large = String::from_utf8(large).unwrap().replacen("Host:", &filler, 1).into_bytes();
    gateway.raw(large).await.expect(431);
}

#[tokio::test]
async fn who_does_not_finish_a_request_is_not_waited_for() {
    let soon = Duration::from_millis(200);
    let patience = Patience { header_read: soon, body_read: soon, ..Patience::default() };
    let gateway = Gateway::with(Stores::embedded().await, patience).await;
    let began = Instant::now();
    let half_head = gateway.raw("GET /api/v1/rooms HTTP/1.1\r\nHost: loc");
    let nothing = gateway.raw("");
    let length = "POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    let half_body = gateway.raw(length);
    let chunk = length.replace("Content-Length: 99", "Transfer-Encoding: chunked").replace('{', "99\r\n{");
    let half_chunk = gateway.raw(chunk);
    let (half_head, nothing, half_body, half_chunk) = tokio::join!(half_head, nothing, half_body, half_chunk);
    assert!(began.elapsed() >= soon && began.elapsed() < DEADLINE / 3, "{:?}", began.elapsed());
    assert!([0, 408].contains(&half_head.status), "{half_head:?}");
    assert_eq!(nothing.status, 0);
    for half in [half_body, half_chunk] {
        half.problem(408, "body-timeout", "within 200 ms");
    }
    // One that is silent between two requests is let go of as well.
    let mut idle = gateway.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    in_time("the gateway closes", idle.read_to_end(&mut answer)).await.unwrap();
    Answer::parse(&answer).expect(200);
}

#[tokio::test]
async fn a_body_that_breaks_off_writes_nothing() {
    let gateway = Gateway::start().await;
    let mut stream = gateway.connect().await;
    let whole = request("POST", "/api/v1/rooms", br#"{"name": "a"}"#);
    stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = in_time("the gateway closes", stream.read_to_end(&mut answer)).await;
    assert!([0, 400].contains(&Answer::parse(&answer).status), "{answer:?}");
    assert_eq!(gateway.stores.journal.head().await.unwrap().seq, 0);
}

#[tokio::test]
async fn pages_of_other_sites_are_kept_out() {
    let gateway = Gateway::start().await;
    let host = |host: &str| format!("GET /api/v1/rooms HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    gateway.raw(host("evil.example")).await.problem(421, "misdirected", "localhost");
    gateway.raw(host("localhost:8080")).await.expect(200);
    let foreign = [("Origin", "https://evil.example")];
    let room = || Some(json!({"name": "a"}));
    let written = gateway.send("POST", "/api/v1/rooms", &foreign, room()).await;
    assert!(written.headers.get("access-control-allow-origin").is_none());
    written.problem(403, "foreign-origin", "served from this machine");
    let close = gateway.send("POST", "/api/v1/polls/bands/close", &foreign, None).await;
    close.problem(403, "foreign-origin", "served from this machine");
    let local = [("Origin", "http://localhost:5173")];
    let written = gateway.send("POST", "/api/v1/rooms", &local, room()).await.expect(201);
    assert_eq!(written.header("access-control-allow-origin"), "http://localhost:5173");
    assert!(written.header("access-control-expose-headers").contains("cabildo-position"));
    let asked =
        [local[0], ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "idempotency-key")];
    let preflight = gateway.send("OPTIONS", "/api/v1/polls/bands/ballots/ana", &asked, None).await.expect(200);
    assert!(preflight.header("access-control-allow-methods").contains("PUT"));
    assert_eq!(preflight.header("access-control-allow-headers"), "idempotency-key");
}

#[tokio::test]
async fn an_address_is_read_strictly() {
    let gateway = Gateway::start().await;
    for path in ["/api/v1/rooms/%FF", "/api/v1/polls/%C3%28/tally", "/api/v1/events?q=%FF"] {
        gateway.get(path).await.problem(400, "invalid-utf8", "not UTF-8");
    }
    gateway.raw(request("PUT", "/api/v1/polls/p/ballots/%ff", br#"{"choice": "a"}"#)).await.problem(
        400,
        "invalid-utf8",
        "voter",
    );
    let limit = format!("1 to {PAGE_ROWS_MAX} rows");
    for (path, status, word, detail, field) in [
        ("/api/v1/rooms?limit=0", 422, "bad-value", limit.as_str(), "limit"),
        ("/api/v1/polls?limit=1001", 422, "bad-value", &limit, "limit"),
        ("/api/v1/events?limit=many", 422, "bad-value", "invalid digit", "limit"),
        ("/api/v1/rooms?limit=1&limit=2", 400, "bad-parameter", "given 2 times", "limit"),
        ("/api/v1/rooms?limt=1", 400, "bad-parameter", "no parameter `limt`", "limt"),
        ("/api/v1/rooms?after=7", 422, "bad-value", "0-1234", "after"),
        ("/api/v1/events/seven", 422, "bad-value", "0-1234", "position"),
        ("/api/v1/events/tail?after=now", 422, "bad-value", "0-1234", "after"),
        ("/api/v1/events?since=yesterday", 422, "bad-value", "", "since"),
        ("/api/v1/events?order=up", 422, "bad-value", "`oldest` or `newest`", "order"),
        ("/api/v1/events?aggregate=lobby", 422, "bad-value", "poll/bands-2026", "aggregate"),
        ("/api/v1/events?aggregate=room/lobby", 422, "bad-value", "chat/lobby", "aggregate"),
        ("/api/v1/events/hits?step=2m", 422, "bad-value", "auto, 1s, 5s", "step"),
        (
            "/api/v1/events/hits?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
            422,
            "bad-value",
            "before",
            "until",
        ),
    ] {
        let problem = gateway.get(path).await.problem(status, word, detail);
        assert_eq!(problem["field"], field, "{path}");
    }
    let long = gateway.get("/api/v1/events/hits?step=1h&since=2025-01-01T00:00:00Z&until=2026-01-01T00:00:00Z").await;
    assert_eq!(long.expect(200).json()["total"], 0);
    for (name, value) in [("Cabildo-Min-Position", "seven"), ("Cabildo-Min-Position", "0--1")] {
        let problem =
            gateway.send("GET", "/api/v1/rooms", &[(name, value)], None).await.problem(422, "bad-value", "0-1234");
        assert_eq!(problem["field"], name.to_lowercase());
    }
    let resumed = gateway.send("GET", "/api/v1/events/tail", &[("Last-Event-ID", "x")], None).await;
    resumed.problem(422, "bad-value", "0-1234");
}

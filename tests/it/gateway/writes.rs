//! Writing: what is acknowledged, where it stands, and what a repetition does.

use serde_json::json;

use super::{Gateway, votes};

const KEY: &[(&str, &str)] = &[("Idempotency-Key", "k-1")];

/// How many events the journal holds, by what the record says at the head.
async fn events(gateway: &Gateway) -> u64 {
    gateway.stores.journal.head().await.unwrap().seq
}

#[tokio::test]
async fn a_room_and_its_messages_are_written_changed_and_taken_back() {
    let gateway = Gateway::start().await;
    let room = json!({"name": "Sala José", "topic": "Música"});
    let opened = gateway.post("/api/v1/rooms", room).await.expect(201);
    assert_eq!((opened.header("location"), &opened.json()["room"]), ("/api/v1/rooms/sala-jose", &json!("sala-jose")));
    assert_eq!((&opened.json()["durability"], &opened.json()["repeated"]), (&json!("fsync"), &json!(false)));

    let messages = "/api/v1/rooms/sala-jose/messages";
    let said = gateway.post(messages, json!({"text": "¡hola!", "author": "Ana"})).await.expect(201);
    let address = said.header("location").to_owned();
    assert_eq!(address, format!("{messages}/{}", said.json()["id"].as_str().unwrap()));
    assert_eq!(said.json()["durability"], "fsync");
    // The view may not have it yet: an edit right after is no 404.
    let edited = gateway.send("PATCH", &address, &[], Some(json!({"text": "adiós"}))).await.expect(200);
    let read = gateway.get_from(messages, &edited.position()).await.expect(200).json();
    let message = &read["messages"][0];
    assert_eq!((&message["text"], &message["author"]), (&json!("adiós"), &json!("Ana")));
    assert!(message["edited"].is_string() && message["deleted"].is_null(), "{message}");

    let deleted = gateway.send("DELETE", &address, &[], None).await.expect(200);
    let read = gateway.get_from(messages, &deleted.position()).await.expect(200).json();
    assert!(read["messages"][0]["deleted"].is_string() && read["messages"][0]["text"].is_null(), "{read}");
    // Twice is what the client wanted; an edit of what is gone is not.
    let before = events(&gateway).await;
    gateway.send("DELETE", &address, &[], None).await.expect(200);
    assert_eq!(events(&gateway).await, before);
    let edit = gateway.send("PATCH", &address, &[], Some(json!({"text": "otra vez"}))).await;
    edit.problem(404, "not-found", "there is no message");
}

#[tokio::test]
async fn the_same_key_is_one_event_however_often_it_is_sent() {
    let gateway = Gateway::start().await;
    let poll = || Some(json!({"question": "¿Quién toca?"}));
    let first = gateway.send("POST", "/api/v1/polls", KEY, poll()).await.expect(201);
    let again = gateway.send("POST", "/api/v1/polls", KEY, poll()).await.expect(201);
    assert_eq!((first.position(), first.header("location")), (again.position(), again.header("location")));
    assert_eq!((&first.json()["repeated"], &again.json()["repeated"]), (&json!(false), &json!(true)));
    // Another wish of the same name gets an id of its own.
    let other = gateway.post("/api/v1/polls", poll().unwrap()).await.expect(201);
    assert_ne!(other.json()["poll"], first.json()["poll"]);

    let ballot = format!("{}/ballots/ana", first.header("location"));
    let cast = || gateway.send("PUT", &ballot, KEY, Some(json!({"choice": "Malacates"})));
    let (first, again) = (cast().await.expect(200), cast().await.expect(200));
    assert_eq!((first.position(), &again.json()["repeated"]), (again.position(), &json!(true)));
    // A client that lost the answer asks again after the close: its ballot was granted before.
    let close = format!("{}/close", ballot.trim_end_matches("/ballots/ana"));
    gateway.send("POST", &close, &[], None).await.expect(200);
    let late = cast().await.expect(200);
    assert_eq!((first.position(), &late.json()["repeated"]), (late.position(), &json!(true)));

    gateway.open_room().await;
    let say = || gateway.send("POST", "/api/v1/rooms/lobby/messages", KEY, Some(json!({"text": "a", "author": "Ana"})));
    let (first, again) = (say().await.expect(201), say().await.expect(201));
    assert_eq!((first.position(), &first.json()["id"]), (again.position(), &again.json()["id"]));
    assert_eq!(again.json()["repeated"], true);
    assert_eq!(events(&gateway).await, 6, "two polls, a ballot, a close, a room, a message");
}

#[tokio::test]
async fn the_same_message_id_is_one_message() {
    let gateway = Gateway::start().await;
    gateway.open_room().await;
    let id = "0190f3a0-0000-7000-8000-000000000001";
    let say = || gateway.post("/api/v1/rooms/lobby/messages", json!({"id": id, "text": "una vez", "author": "Ana"}));
    let first = say().await.expect(201);
    let again = say().await.expect(201);
    assert_eq!(
        (first.position(), &again.json()["repeated"], &again.json()["id"]),
        (again.position(), &json!(true), &json!(id))
    );
    let read = gateway.get_from("/api/v1/rooms/lobby/messages", &again.position()).await.json();
    assert_eq!(read["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_voters_last_ballot_counts_and_none_does_after_the_close() {
    let gateway = Gateway::start().await;
    let opened = gateway.open_poll().await;
    assert_eq!(opened.header("location"), "/api/v1/polls/bands");
    let tally = "/api/v1/polls/bands/tally";
    gateway.cast("ana", "Alux Nahual").await.expect(200);
    let last = gateway.cast("ana", "Malacates").await.expect(200);
    assert_eq!((&last.json()["voter"], &last.json()["durability"]), (&json!("ana"), &json!("fsync")));
    let counted = gateway.get_from(tally, &last.position()).await.expect(200).json();
    assert_eq!(votes(&counted), ([("Alux Nahual".to_owned(), 0), ("Malacates".to_owned(), 1)].into(), 1));

    let close = || gateway.send("POST", "/api/v1/polls/bands/close", &[], None);
    let closed = close().await.expect(200);
    gateway.cast("eva", "Malacates").await.problem(409, "poll-closed", "`bands` is closed");
    let before = events(&gateway).await;
    close().await.expect(200);
    assert_eq!(events(&gateway).await, before, "closing twice records once");
    let poll = gateway.get_from("/api/v1/polls/bands", &closed.position()).await.expect(200).json();
    assert_eq!((&poll["status"], &poll["voters"]), (&json!("closed"), &json!(1)));

    gateway.post("/api/v1/polls", json!({"id": "bands", "question": "?"})).await.problem(
        409,
        "already-exists",
        "bands",
    );
}

#[tokio::test]
async fn a_ballot_keeps_its_fields_and_the_event_says_who_and_why() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let id = "0190f3a0-0000-7000-8000-000000000002";
    let headers = [("traceparent", trace), ("x-request-id", id)];
    let ballot = json!({"choice": "Malacates", "fields": {"album": "Sigue", "year": "2010"}});
    let cast =
        gateway.send("PUT", "/api/v1/polls/bands/ballots/Ana%20L%C3%B3pez", &headers, Some(ballot)).await.expect(200);
    assert_eq!(cast.header("x-request-id"), id);
    let event = gateway.get(&format!("/api/v1/events/{}", cast.position())).await.expect(200).json();
    assert_eq!((&event["actor"], &event["traceparent"]), (&json!("Ana López"), &json!(trace)));
    assert_eq!((&event["correlationid"], &event["data"]["fields"]["year"]), (&json!(id), &json!("2010")));
}

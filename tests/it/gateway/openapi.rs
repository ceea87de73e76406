//! The OpenAPI document tells the truth: every operation that it lists is called, and the answer is held to its schema.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, Gateway, in_time};

const MESSAGE: &str = "0190f3a0-0000-7000-8000-000000000001";

/// Holds a value to a schema of the document: what this document uses of JSON Schema, and no more; an unknown keyword fails.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    for (keyword, wanted) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "$ref" => {
                let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                let target = document.pointer(pointer).unwrap_or_else(|| panic!("{at}: there is no {pointer}"));
                check(document, target, value, at);
            }
            "type" => {
                let fits = |wanted: &Value| match wanted.as_str().expect("a type") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{at}: {other}"),
                };
                let types = wanted.as_array().map_or(std::slice::from_ref(wanted), Vec::as_slice);
                assert!(types.iter().any(fits), "{at} is no {wanted}: {value}");
            }
            "required" => {
                for name in wanted.as_array().unwrap() {
                    assert!(!value[name.as_str().unwrap()].is_null(), "{at} lacks {name}: {value}");
                }
            }
            "properties" => {
                // What is answered but not described is a gap of the document.
                for (name, found) in value.as_object().expect("an object") {
                    let property = &wanted[name];
                    assert!(property.is_object(), "{at}.{name} is not in the document");
                    check(document, property, found, &format!("{at}.{name}"));
                }
            }
            "additionalProperties" if wanted.is_object() => {
                for (name, found) in value.as_object().expect("an object") {
                    check(document, wanted, found, &format!("{at}.{name}"));
                }
            }
            "items" => {
                for (number, item) in value.as_array().expect("an array").iter().enumerate() {
                    check(document, wanted, item, &format!("{at}[{number}]"));
                }
            }
            "enum" => assert!(wanted.as_array().unwrap().contains(value), "{at} is none of {wanted}: {value}"),
            "format" => {
                let text = value.as_str().expect("a string");
                let fits = match wanted.as_str().unwrap() {
                    "uuid" => uuid::Uuid::parse_str(text).is_ok(),
                    "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
                    other => panic!("{at}: {other}"),
                };
                assert!(fits, "{at} is no {wanted}: {text}");
            }
            "description" => {}
            other => panic!("{at}: this test does not know {other}"),
        }
    }
}

/// Holds an answer to what the document says of an operation.
fn hold(document: &Value, operation: &Value, answer: &Answer, media: &str) {
    let id = operation["operationId"].as_str().unwrap();
    let described = &operation["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{id}: {} is not in the document: {}", answer.status, answer.text);
    let content = &described["content"][media];
    assert!(content.is_object(), "{id}: {media} is not in the document for {}", answer.status);
    let found = answer.header("content-type");
    assert_eq!(found.split(';').next(), media.split(';').next(), "{id}");
    if let Some(schema) = content.get("schema") {
        check(document, schema, &answer.json(), id);
    }
}

async fn call(
    gateway: &Gateway,
    method: &str,
    path: &str,
    media: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> Answer {
    let mut request = gateway.request(method, path).await.header("Accept", media);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let mut response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // A live stream has no end: its first bytes will do.
    let text = if media == "text/event-stream" {
        let chunk = in_time("something comes", response.chunk()).await.unwrap().expect("a chunk");
        String::from_utf8(chunk.to_vec()).unwrap()
    } else {
        response.text().await.unwrap()
    };
    Answer { path: path.to_owned(), status, headers, text }
}

/// What stands in for the names of an address.
fn address(route: &str) -> String {
    let names = [
        ("{room}", "lobby"),
        ("{poll}", "bands"),
        ("{voter}", "ana"),
        ("{message}", MESSAGE),
        ("{position}", "0-1"),
        ("{list}", "casa"),
        ("{task}", MESSAGE),
        ("{user}", MESSAGE),
    ];
    let path = names.iter().fold(route.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!path.contains('{'), "{path}");
    path
}

#[tokio::test]
async fn every_operation_answers_as_the_document_says() {
    let gateway = Gateway::start().await;
    let document = gateway.get("/api/v1/openapi.json").await.expect(200).json();
    // In an order in which each finds what it needs, with the bodies that it takes.
    let calls = [
        ("open_room", Some(json!({"id": "lobby", "name": "Lobby", "topic": "Todo"}))),
        ("post_message", Some(json!({"id": MESSAGE, "text": "hola", "author": "Ana"}))),
        ("edit_message", Some(json!({"text": "adiós"}))),
        ("open_poll", Some(json!({"id": "bands", "question": "¿Quién toca?", "options": ["a", "b"]}))),
        ("cast_ballot", Some(json!({"choice": "a", "fields": {"album": "x"}}))),
        ("open_list", Some(json!({"id": "casa", "title": "Casa", "visibility": "open"}))),
        ("change_list", Some(json!({"title": "Finca"}))),
        ("share_list", Some(json!({"role": "editor"}))),
        ("get_list", None),
        ("unshare_list", None),
        (
            "add_task",
            Some(
                json!({"id": MESSAGE, "title": "barrer", "description": "todo", "due": "2026-12-24", "labels": ["a"], "assignee": MESSAGE}),
            ),
        ),
        ("change_task", Some(json!({"completed": true, "order": 7}))),
        ("list_lists", None),
        ("get_list", None),
        ("list_tasks", None),
        ("get_task", None),
        ("get_task_history", None),
        ("undo_task", None),
        ("remove_task", None),
        ("empty_list", None),
        ("list_rooms", None),
        ("get_room", None),
        ("list_messages", None),
        ("list_polls", None),
        ("get_poll", None),
        ("get_tally", None),
        ("search_events", None),
        ("tail_events", None),
        ("count_events", None),
        ("list_facets", None),
        ("list_field_values", None),
        ("get_event", None),
        ("get_event_state", None),
        ("list_projections", None),
        ("get_pulse", None),
        ("get_context", None),
        ("get_graph", None),
        ("register", Some(json!({"name": "Berta", "password": "correcto caballo"}))),
        ("get_me", None),
        ("change_password", Some(json!({"current": "correcto caballo", "new": "otro caballo"}))),
        ("refresh_session", Some(json!({"refresh_token": ""}))),
        ("sign_out", None),
        ("sign_in", Some(json!({"name": "Berta", "password": "otro caballo"}))),
        ("sign_out_everywhere", None),
        ("enter_as_guest", Some(json!({"name": "Visita"}))),
        ("get_keys", None),
        ("get_time", None),
        ("get_openapi", None),
        ("get_livez", None),
        ("get_readyz", None),
        ("get_metrics", None),
        ("close_poll", None),
        ("delete_message", None),
        // What is closed and taken back shows fields of its own.
        ("get_poll", None),
        ("list_messages", None),
        ("get_tally", None),
    ];
    let paths = document["paths"].as_object().unwrap();
    let operations: Vec<_> = paths
        .iter()
        .flat_map(|(route, methods)| {
            methods.as_object().unwrap().iter().map(move |(method, operation)| (route.as_str(), method, operation))
        })
        .collect();
    let mut called = BTreeSet::new();
    let mut session = Value::Null;
    for (id, mut body) in calls {
        let (route, method, operation) =
            operations.iter().find(|(_, _, operation)| operation["operationId"] == id).expect(id);
        assert_eq!(operation["requestBody"].is_object(), body.is_some(), "{id}");
        if let Some(body) = &body {
            check_request(&document, operation, body);
        }
        if let Some(refresh) = body.as_mut().and_then(|body| body.get_mut("refresh_token")) {
            *refresh = session["refresh_token"].clone();
        }
        let oneself = ["get_me", "change_password", "sign_out", "sign_out_everywhere"].contains(&id);
        let token = session["access_token"].as_str().filter(|_| oneself).map(str::to_owned);
        let method = method.to_uppercase();
        let (status, success) =
            operation["responses"].as_object().unwrap().iter().find(|(status, _)| status.starts_with('2')).expect(id);
        for media in success["content"].as_object().expect(id).keys() {
            let answer = call(&gateway, &method, &address(route), media, token.as_deref(), body.clone()).await;
            assert_eq!(answer.status.to_string(), *status, "{id}: {}", answer.text);
            hold(&document, operation, &answer, media);
            if answer.text.contains("access_token") {
                session = answer.json();
            }
            if let Some(position) = answer.headers.get("cabildo-position").filter(|_| method != "GET") {
                // The views catch up before they are read.
                let position = position.to_str().unwrap();
                for view in ["/api/v1/rooms", "/api/v1/polls", "/api/v1/lists", "/api/v1/events"] {
                    assert!(!gateway.get_from(view, position).await.expect(200).is_stale());
                }
            }
        }
        called.insert(id.to_owned());
    }
    let listed = operations.iter().map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned());
    assert_eq!(called, listed.collect(), "every operation of the document was called");
}

/// A body that the document would not take is no test of the document.
fn check_request(document: &Value, operation: &Value, body: &Value) {
    let name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    let schema = document.pointer(name.trim_start_matches('#')).unwrap();
    assert_eq!(schema["additionalProperties"], false, "{name}");
    for (field, _) in body.as_object().unwrap() {
        assert!(schema["properties"][field].is_object(), "{name} has no {field}");
    }
    for field in schema["required"].as_array().into_iter().flatten() {
        assert!(!body[field.as_str().unwrap()].is_null(), "{name} needs {field}");
    }
}

#[tokio::test]
async fn problems_are_as_the_document_says() {
    let gateway = Gateway::start().await;
    let document = gateway.get("/api/v1/openapi.json").await.expect(200).json();
    for (route, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // Nothing is there yet, the body is none, and the host is another's.
            let path = address(route);
            let method = method.to_uppercase();
            let plain = gateway.send(&method, &path, &[], None);
            let foreign = gateway.send(&method, &path, &[("Host", "evil.example")], None);
            let answers = if route.ends_with("/tail") { vec![foreign.await] } else { vec![plain.await, foreign.await] };
            for answer in answers.into_iter().filter(|answer| answer.status >= 400) {
                hold(&document, operation, &answer, "application/problem+json");
            }
        }
    }
}

#[tokio::test]
async fn not_ready_is_as_the_document_says() {
    let gateway = Gateway::start().await;
    let document = gateway.get("/api/v1/openapi.json").await.expect(200).json();
    // A request that is under way keeps the gateway from its end.
    let mut under_way = gateway.connect().await;
    let head = "POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    under_way.write_all(head.as_bytes()).await.unwrap();
    in_time("the gateway asks for the body", under_way.read_exact(&mut [0; 25])).await.unwrap();
    gateway.front.stop.cancel();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let ready = gateway.raw(get("/readyz")).await.expect(503);
    hold(&document, &document["paths"]["/readyz"]["get"], &ready, "application/json");
    let refused = gateway.raw(get("/api/v1/polls")).await.expect(503);
    hold(&document, &document["paths"]["/api/v1/polls"]["get"], &refused, "application/problem+json");
}

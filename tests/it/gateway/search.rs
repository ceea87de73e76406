//! The record as its viewer sees it: searched, counted, followed from cause to effect.

use futures::StreamExt;
use serde_json::{Value, json};

use super::{Gateway, Stores, in_time, until};
use crate::servers::{Mongo, Nats, Redis};

/// A poll with ballots, a room with messages: eleven events. Answers the last position.
async fn filled(gateway: &Gateway) -> String {
    gateway.open_poll().await;
    gateway.open_room().await;
    for (voter, choice) in [("ana", "Malacates"), ("luis", "Alux Nahual"), ("eva", "Malacates"), ("ana", "Alux Nahual")]
    {
        gateway.cast(voter, choice).await.expect(200);
    }
    for text in ["¿marimba o rock?", "rock, claro", "Alux Nahual en vivo", "marimba siempre"] {
        gateway.say(text).await.expect(201);
    }
    let last = gateway.post("/api/v1/polls", json!({"id": "otra", "question": "?"})).await.expect(201).position();
    assert_eq!(last, "0-11");
    last
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Where the events stand that a query finds, oldest first; the counts say the same.
async fn found(gateway: &Gateway, last: &str, query: &str) -> Vec<u64> {
    let query = escaped(query);
    let get = async |path: String| {
        let answer = gateway.get_from(&path, last).await.expect(200);
        assert!(!answer.is_stale(), "{path}");
        answer.json()
    };
    let page = get(format!("/api/v1/events?query={query}&order=oldest")).await;
    let seqs: Vec<u64> = page["events"].as_array().unwrap().iter().map(seq).collect();
    assert_eq!(page["searched"], json!({"from": "0-1", "to": "0-11", "complete": true}), "{query}");
    let newest = get(format!("/api/v1/events?query={query}")).await;
    let newest: Vec<u64> = newest["events"].as_array().unwrap().iter().rev().map(seq).collect();
    assert_eq!(newest, seqs, "{query}");
    let hits = get(format!("/api/v1/events/hits?query={query}")).await;
    let facets = get(format!("/api/v1/events/facets?query={query}")).await;
    let lines =
        gateway.send("GET", &format!("/api/v1/events?query={query}&format=ndjson&order=oldest"), &[], None).await;
    assert_eq!(lines.expect(200).text.lines().count(), seqs.len(), "{query}");
    assert_eq!((hits["total"].as_u64(), facets["total"].as_u64()), (Some(seqs.len() as u64), Some(seqs.len() as u64)));
    for counted in [&hits, &facets] {
        assert_eq!(counted["searched"], json!({"from": "0-1", "to": "0-11", "complete": true}), "{query}");
    }
    seqs
}

fn seq(event: &Value) -> u64 {
    event["position"].as_str().unwrap().strip_prefix("0-").unwrap().parse().unwrap()
}

async fn every_query_finds_its_events(gateway: Gateway) {
    let last = filled(&gateway).await;
    let third = gateway.get("/api/v1/events/0-3").await.expect(200).json();
    let id = third["id"].as_str().unwrap();
    let correlation = third["correlationid"].as_str().unwrap();
    let lane = format!("lane:{:02}", third["lane"].as_u64().unwrap());
    let cases: [(&str, &[u64]); 22] = [
        ("", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ("type:poll.ballot.cast", &[3, 4, 5, 6]),
        ("type:(poll.opened OR chat.room.*)", &[1, 2, 11]),
        ("-type:poll.*", &[2, 7, 8, 9, 10]),
        ("room:lobby", &[2, 7, 8, 9, 10]),
        ("poll:bands -type:poll.opened", &[3, 4, 5, 6]),
        ("aggregate:(poll/otra OR chat/lobby) type:*opened", &[]),
        ("context:poll", &[1, 3, 4, 5, 6, 11]),
        ("actor:ana", &[3, 6]),
        ("actor:(luis OR eva)", &[4, 5]),
        ("-actor:ana context:poll", &[1, 4, 5, 11]),
        ("position:>0-8", &[9, 10, 11]),
        ("position:>=0-2 position:<0-4", &[2, 3]),
        ("marimba", &[7, 10]),
        ("alux nah", &[1, 4, 6, 9]),
        ("alux type:chat.*", &[9]),
        ("(siempre OR claro)", &[8, 10]),
        ("room:lobby -marimba", &[2, 8, 9]),
        ("time:-1h type:chat.room.opened", &[2]),
        (&format!("id:{id}"), &[3]),
        (&format!("correlation:{correlation}"), &[3]),
        (&format!("-id:{id} {lane} type:poll.ballot.cast"), &[4, 5, 6]),
    ];
    for (query, expected) in cases {
        // A star stands at the end of a type only.
        if query.contains("*opened") {
            gateway.get(&format!("/api/v1/events?query={}", escaped(query))).await.problem(
                422,
                "bad-value",
                "event type",
            );
            continue;
        }
        assert_eq!(found(&gateway, &last, query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_finds_its_events_embedded() {
    every_query_finds_its_events(Gateway::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_finds_its_events_on_servers() {
    let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
    let stores = Stores::on(&nats.url(), &redis.url(), &mongo.url()).await;
    every_query_finds_its_events(Gateway::over(stores).await).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_told_with_its_place() {
    let gateway = Gateway::start().await;
    for path in ["", "/hits", "/facets", "/field_values", "/tail"] {
        let wrong = gateway.get(&format!("/api/v1/events{path}?field=type&query=a%20romo%3Alobby")).await;
        let problem = wrong.problem(422, "bad-value", "did you mean room?");
        assert_eq!((&problem["field"], &problem["at"]), (&json!("query"), &json!({"offset": 2, "length": 4})));
        assert!(problem["allowed"].as_array().unwrap().contains(&json!("room")));
    }
}

#[tokio::test]
async fn the_histogram_is_stacked_and_the_facets_are_counted() {
    let gateway = Gateway::start().await;
    let last = filled(&gateway).await;
    let hits = gateway.get_from("/api/v1/events/hits?step=1d&field=context", &last).await.expect(200).json();
    assert_eq!((&hits["step"], &hits["field"], &hits["total"]), (&json!("1d"), &json!("context"), &json!(11)));
    let counted = |name: &str| -> u64 {
        hits["buckets"].as_array().unwrap().iter().map(|bucket| bucket["events"][name].as_u64().unwrap_or(0)).sum()
    };
    assert_eq!((counted("poll"), counted("chat"), counted("other")), (6, 5, 0));

    let facets = gateway.get("/api/v1/events/facets?limit=1").await.expect(200).json();
    let facets = facets["facets"].as_array().unwrap();
    let fields: Vec<_> = facets.iter().map(|facet| facet["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["type", "context", "aggregate", "actor", "lane"]);
    // Two types come four times; the one that was seen first comes first.
    assert_eq!(facets[0]["values"], json!([{"value": "poll.ballot.cast", "hits": 4}]));
    assert_eq!((&facets[0]["more"], &facets[1]["values"][0]), (&json!(true), &json!({"value": "poll", "hits": 6})));
    let actors = gateway.get("/api/v1/events/field_values?field=actor&prefix=A").await.expect(200).json();
    assert_eq!(actors["values"], json!([{"value": "Ana", "hits": 4}, {"value": "ana", "hits": 2}]));
    gateway.get("/api/v1/events/field_values?field=colour").await.problem(422, "bad-value", "type, context");
    gateway.get("/api/v1/events/facets?limit=0").await.problem(422, "bad-value", "1 to 1000");
}

#[tokio::test]
async fn an_event_has_neighbours_causes_and_effects() {
    let gateway = Gateway::start().await;
    let last = filled(&gateway).await;
    let around = gateway.get_from("/api/v1/events/0-6/context?before=2&after=3", &last).await.expect(200).json();
    let seqs = |side: &str| around[side].as_array().unwrap().iter().map(seq).collect::<Vec<_>>();
    assert_eq!((seq(&around["event"]), seqs("before"), seqs("after")), (6, vec![4, 5], vec![7, 8, 9]));
    let around = gateway.get("/api/v1/events/0-9/context?within=aggregate&before=2").await.expect(200).json();
    let seqs = |side: &str| around[side].as_array().unwrap().iter().map(seq).collect::<Vec<_>>();
    assert_eq!((seqs("before"), seqs("after")), (vec![7, 8], vec![10]));

    // A message leads to a ballot, which leads to two more.
    let id = async |position: &str| {
        let event = gateway.get(&format!("/api/v1/events/{position}")).await.expect(200).json();
        event["id"].as_str().unwrap().to_owned()
    };
    let cast = async |voter: &str, cause: &str| {
        let path = format!("/api/v1/polls/bands/ballots/{voter}");
        let headers =
            [("Cabildo-Causation-Id", cause), ("Cabildo-Correlation-Id", "019a9f0e-5d5c-7c3a-9d3e-2f1b8c6a4e10")];
        gateway.send("PUT", &path, &headers, Some(json!({"choice": "Malacates"}))).await.expect(200).position()
    };
    let first = cast("v1", &id("0-7").await).await;
    let first_id = id(&first).await;
    let (second, third) = (cast("v2", &first_id).await, cast("v3", &first_id).await);
    for from in ["0-7", &first, &third] {
        let graph = gateway.get_from(&format!("/api/v1/events/{from}/graph"), &third).await.expect(200).json();
        assert_eq!(graph["nodes"].as_array().unwrap().iter().map(seq).collect::<Vec<_>>(), [7, 12, 13, 14], "{from}");
        let edge = |cause: &str, effect: &str| json!({"cause": cause, "effect": effect});
        let edges = json!([edge("0-7", &first), edge(&first, &second), edge(&first, &third)]);
        assert_eq!((&graph["root"], &graph["edges"], &graph["cut_short"]), (&json!("0-7"), &edges, &json!(false)));
    }
    let correlated = "correlation%3A019a9f0e-5d5c-7c3a-9d3e-2f1b8c6a4e10";
    let found = gateway.get_from(&format!("/api/v1/events?query={correlated}"), &third).await.expect(200).json();
    assert_eq!(found["events"].as_array().unwrap().len(), 3);
    let bad = gateway
        .send(
            "PUT",
            "/api/v1/polls/bands/ballots/x",
            &[("Cabildo-Causation-Id", "7")],
            Some(json!({"choice": "Malacates"})),
        )
        .await;
    bad.problem(422, "bad-value", "UUID");
    gateway.get("/api/v1/events/0-99/context").await.problem(404, "not-found", "0-99");
    gateway.get("/api/v1/events/0-99/graph").await.problem(404, "not-found", "0-99");
}

#[tokio::test]
async fn the_record_is_exported_as_rows_and_as_lines() {
    let gateway = Gateway::start().await;
    let last = filled(&gateway).await;
    let rows = gateway.get_from("/api/v1/events?format=csv&download=1&order=oldest", &last).await.expect(200);
    assert!(rows.header("content-type").starts_with("text/csv"));
    assert_eq!(rows.header("content-disposition"), "attachment; filename=\"cabildo-events.csv\"");
    let lines: Vec<_> = rows.text.split("\r\n").collect();
    assert_eq!((lines.len(), lines[12]), (13, ""));
    assert!(lines[0].starts_with("position,time,type,aggregate,actor,lane,id,"));
    assert!(lines[1].starts_with("0-1,2") && lines[11].starts_with("0-11,2"), "{}", rows.text);
    let some = gateway.get_from("/api/v1/events?format=ndjson&limit=2&query=alux", &last).await.expect(200);
    assert_eq!((some.text.lines().count(), some.header("content-type")), (2, "application/x-ndjson"));
    assert!(some.header("link").contains("query=text%3Aalux&order=newest&before=0-6&limit=2"));
    gateway.get("/api/v1/events?format=xls").await.problem(422, "bad-value", "json, ndjson, csv");
}

#[tokio::test]
async fn the_tail_shows_what_is_asked_for_and_counts_what_is_too_much() {
    let gateway = Gateway::start().await;
    filled(&gateway).await;
    let url = "/api/v1/events/tail?after=0-0&rate=1&query=type%3Apoll.ballot.cast%20alux%20OR";
    assert_eq!(gateway.request("GET", url).await.send().await.unwrap().status(), 422);
    let url = "/api/v1/events/tail?after=0-0&rate=1&query=type%3Apoll.ballot.cast%20-actor%3Aana%20(alux%20OR%20mala)";
    let mut body = gateway.request("GET", url).await.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.contains("event: skipped") {
        let chunk = in_time("the rest is counted", body.next()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.contains("id: 0-4\nevent: poll.ballot.cast\ndata: {"), "{text}");
    assert!(text.contains("event: skipped\ndata: {\"skipped\":1,\"position\":\"0-5\"}"), "{text}");
    assert_eq!(text.matches("event: ").count(), 2, "{text}");
    drop(body);
    until("the listener is gone", || async {
        gateway
            .get("/metrics")
            .await
            .text
            .lines()
            .any(|line| line.starts_with("cabildo_gateway_live_listeners") && line.ends_with(" 0"))
    })
    .await;
}

/// Where the events stand for which an expression holds, newest first, and what the answer says of it.
async fn sifted(gateway: &Gateway, last: &str, expression: &str, more: &str) -> (Vec<u64>, Value) {
    let path = format!("/api/v1/events?filter={}{more}", escaped(expression));
    let page = gateway.get_from(&path, last).await.expect(200).json();
    (page["events"].as_array().unwrap().iter().map(seq).collect(), page)
}

async fn an_expression_finds_what_no_query_can(gateway: Gateway) {
    let last = filled(&gateway).await;
    let whole = json!({"from": "0-1", "to": "0-11", "complete": true});
    for (expression, expected) in [
        ("event.type == 'poll.ballot.cast' && event.data.choices[0].startsWith('Alux')", &[6, 4][..]),
        ("has(event.data.text) && event.data.text.matches('[¿?]')", &[7]),
        ("has(event.data.text) && event.data.text.size() > 12", &[10, 9, 7]),
        ("has(event.actor) && event.actor in ['ana', 'eva'] && event.lane >= 0", &[6, 5, 3]),
        ("timestamp(event.time) < timestamp('2026-01-01T00:00:00Z')", &[]),
    ] {
        let (found, page) = sifted(&gateway, &last, expression, "").await;
        assert_eq!(found, expected, "{expression}");
        assert_eq!((&page["searched"], &page["cut_short"]), (&whole, &json!(false)), "{expression}");
        assert_eq!(page["filter"]["examined"], 11, "{expression}");
        let path = format!("/api/v1/events?format=ndjson&filter={}", escaped(expression));
        let lines = gateway.get_from(&path, &last).await;
        assert_eq!(lines.expect(200).text.lines().count(), expected.len(), "{expression}");
    }

    // It goes with a query, which leaves fewer to ask it of, whether the index or the view finds them.
    let with_query = async |query: &str| {
        let query = format!("&query={}", escaped(query));
        let (found, page) = sifted(&gateway, &last, "event.data.text.contains('rock')", &query).await;
        (found, page["filter"].clone())
    };
    assert_eq!(with_query("type:chat.message.posted").await, (vec![8, 7], json!({"examined": 4, "failed": 0})));
    assert_eq!(with_query("marimba").await, (vec![7], json!({"examined": 2, "failed": 0})));

    // Page by page: each says where the next begins, and that takes the expression along.
    let (mut found, mut path) =
        (Vec::new(), format!("/api/v1/events?limit=1&order=oldest&filter={}", escaped("has(event.data.text)")));
    loop {
        let page = gateway.get_from(&path, &last).await.expect(200);
        let events = page.json()["events"].as_array().unwrap().iter().map(seq).collect::<Vec<_>>();
        found.extend(events);
        if page.json().get("next").is_none() {
            break;
        }
        path = page.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
        assert!(path.contains("filter=has%28event.data.text%29"), "{path}");
    }
    assert_eq!(found, [7, 8, 9, 10]);

    // What it does not fit is not found, and counted with the reason.
    let (found, page) = sifted(&gateway, &last, "event.data.text.size() > 15", "").await;
    assert_eq!(found, [9, 7]);
    let reason = "the event has no `text` there: ask has(…) before";
    assert_eq!(page["filter"], json!({"examined": 11, "failed": 7, "reason": reason}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_finds_what_no_query_can_embedded() {
    an_expression_finds_what_no_query_can(Gateway::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_finds_what_no_query_can_on_servers() {
    let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
    let stores = Stores::on(&nats.url(), &redis.url(), &mongo.url()).await;
    an_expression_finds_what_no_query_can(Gateway::over(stores).await).await;
}

#[tokio::test]
async fn what_is_wrong_with_an_expression_is_told_with_its_place() {
    let gateway = Gateway::start().await;
    for path in ["", "/tail"] {
        for (expression, offset, length) in [("event.actor == 'ñ' && acotr == 1", 22, 5), ("lower(event.actor)", 5, 1)]
        {
            let answer = gateway.get(&format!("/api/v1/events{path}?filter={}", escaped(expression))).await;
            let problem = answer.problem(422, "bad-value", "there is no");
            assert_eq!(problem["field"], "filter");
            assert_eq!(problem["at"], json!({"offset": offset, "length": length}), "{problem}");
        }
    }
    // Counts come from the index, which knows no expressions.
    gateway.get("/api/v1/events/hits?filter=true").await.problem(400, "bad-parameter", "filter");
}

#[tokio::test]
async fn an_expression_that_takes_long_ends_and_says_how_far_it_got() {
    let gateway = Gateway::start().await;
    gateway.open_room().await;
    for number in 0..40 {
        gateway.say(&format!("{number} {}", "a b ".repeat(900))).await.expect(201);
    }
    // A pattern made anew for each of many parts of a text: as dear as it gets.
    let dear = "event.data.text.matches('(a|b|ab|ba|c)*(' + event.data.text + ')*(x|y|z){50}(p|q|r){50}$')";
    let began = std::time::Instant::now();
    let page = gateway.get(&format!("/api/v1/events?filter={}&order=oldest", escaped(dear))).await.expect(200).json();
    assert!(began.elapsed() < super::DEADLINE / 2, "{:?}", began.elapsed());
    let examined = page["filter"]["examined"].as_u64().unwrap();
    assert!(examined >= 1, "{page}");
    if examined < 41 {
        assert_eq!((&page["cut_short"], &page["searched"]["complete"]), (&json!(true), &json!(false)), "{page}");
        assert_eq!(page["next"], format!("0-{examined}"));
        assert_eq!(page["searched"]["to"], format!("0-{examined}"));
    }
}

#[tokio::test]
async fn the_tail_takes_an_expression() {
    let gateway = Gateway::start().await;
    filled(&gateway).await;
    let expression = escaped("has(event.data.text) && event.data.text.startsWith('marimba')");
    let url = format!("/api/v1/events/tail?after=0-0&filter={expression}");
    let mut body = gateway.request("GET", &url).await.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.contains("event: ") {
        let chunk = in_time("the event comes", body.next()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.contains("id: 0-10\nevent: chat.message.posted\n"), "{text}");
    assert_eq!(text.matches("event: ").count(), 1, "{text}");
}

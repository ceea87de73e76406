//! A request's trace, from the gateway through the journal to the sinks.

use std::time::Instant;

use serde_json::Value;

use super::collector::{Collector, Span};
use super::{DEADLINE, Role, until};
use crate::servers::{Mongo, Nats, Redis};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const POST: &str = "POST /api/v1/rooms/{room}/messages";

/// Waits for the spans of one message on its way, and holds them together. Returns the request's and the view's.
async fn follow(collector: &Collector, trace: &str) -> (Span, Span) {
    let of = |name: &'static str| move |span: &Span| span.trace == trace && span.name == name;
    let request = collector.wait_for("the request", of(POST)).await;
    let decides = |span: &Span| span.trace == trace && span.name.starts_with("decide ");
    let decide = collector.wait_for("the decision", decides).await;
    let append = collector.wait_for("the append", of("append chat.message.posted")).await;
    let apply = collector.wait_for("the view", of("apply rooms")).await;
    let within = |span: &Span| of("documents apply")(span) && span.parent == apply.id;
    let call = collector.wait_for("the sink", within).await;
    assert_eq!([request.kind, append.kind, apply.kind, call.kind], [SERVER, PRODUCER, CONSUMER, CLIENT]);
    assert_eq!(request.attribute("http.response.status_code"), Some("201"), "{request:?}");
    assert_eq!(request.attribute("http.route"), Some("/api/v1/rooms/{room}/messages"));
    assert_eq!(apply.attribute("cabildo.projection"), Some("rooms"));
    assert_eq!((&decide.parent, &append.parent, &apply.parent), (&request.id, &decide.id, &request.id));
    (request, apply)
}

/// The trace that an event carries: its id, the span, the flags.
async fn carried(role: &Role, position: &str) -> (String, String, String) {
    let event: Value =
        serde_json::from_str(&role.get_as_operator(&format!("/api/v1/events/{position}")).await).unwrap();
    let text = event["traceparent"].as_str().unwrap_or_else(|| panic!("no traceparent in {event}"));
    let parts: Vec<_> = text.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{text}");
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

#[tokio::test]
async fn a_message_is_one_trace_from_the_request_to_the_sink_and_its_log_lines_name_it() {
    let (collector, folder) = (Collector::start().await, tempfile::tempdir().unwrap());
    let log = ["--log", "info,cabildo_gateway=debug", "--log-format", "json"];
    let traces = ["--otlp-endpoint", &collector.url, "--trace-sample", "1"];
    let up = Role::start(folder.path(), &[&["up", "--listen", "127.0.0.1:0"], &log[..], &traces].concat()).await;

    // A request that brings no trace begins one.
    let position = up.say_something(&[]).await;
    let (trace, span, flags) = carried(&up, &position).await;
    let (request, _) = follow(&collector, &trace).await;
    assert_eq!((&request.id, request.parent.as_str(), flags.as_str()), (&span, "", "01"));
    assert_eq!(request.service, "cabildo");

    // One that brings a trace goes on with it.
    let theirs = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let header = format!("00-{}-{}-01", theirs.0, theirs.1);
    let position = up.say_something(&[("traceparent", &header)]).await;
    let (trace, span, _) = carried(&up, &position).await;
    let (request, _) = follow(&collector, &trace).await;
    assert_eq!((trace.as_str(), request.parent.as_str(), &request.id), (theirs.0, theirs.1, &span));

    // What asks whether all is well is no trace; a read is, down to its sink.
    up.get("/livez").await;
    up.get("/api/v1/rooms").await;
    let read = collector.wait_for("the read", |span| span.name == "GET /api/v1/rooms").await;
    collector.wait_for("its call", |span| span.name == "documents find" && span.parent == read.id).await;
    assert!(collector.spans().iter().all(|span| !span.name.contains("livez") && span.name != "call"));

    let exported = up.get("/metrics").await;
    assert!(exported.contains("cabildo_trace_spans_total{outcome=\"dropped\"} 0"), "{exported}");
    let log = up.stop().await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of_the_request = |line: &&Value| line["trace_id"] == theirs.0 && line["span_id"] == span.as_str();
    let line = lines.iter().find(of_the_request).unwrap_or_else(|| panic!("{log}"));
    assert_eq!((&line["message"], &line["status"], &line["method"]), (&"answered".into(), &201.into(), &"POST".into()));
    let outside = lines.iter().find(|line| line["message"] == "stopped").expect("the last line");
    assert!(outside["trace_id"].is_null());
}

#[tokio::test]
async fn a_trace_goes_on_in_another_process() {
    let (nats, redis, mongo) = tokio::join!(Nats::start(), Redis::start(), Mongo::start());
    let (collector, folder) = (Collector::start().await, tempfile::tempdir().unwrap());
    let (journal, counters, documents) = (nats.url(), redis.url(), mongo.url());
    let places = ["--journal", &journal, "--counters", &counters, "--documents", &documents];
    let traces = ["--otlp-endpoint", &collector.url, "--trace-sample", "1"];
    let metrics = ["consumer", "--metrics-listen", "127.0.0.1:0"];
    let listen = ["gateway", "--listen", "127.0.0.1:0", "--log", "info,cabildo_gateway=debug"];
    let consumer = [&metrics[..], &places, &traces].concat();
    let gateway = [&listen[..], &places, &traces].concat();
    let (consumer, gateway) = tokio::join!(Role::start(folder.path(), &consumer), Role::start(folder.path(), &gateway));

    let position = gateway.say_something(&[]).await;
    let (trace, ..) = carried(&gateway, &position).await;
    let (request, apply) = follow(&collector, &trace).await;
    assert_eq!((request.service.as_str(), apply.service.as_str()), ("cabildo-gateway", "cabildo-consumer"));

    // The consumer tells its part by its own metrics.
    let told = consumer.get("/metrics").await;
    for wanted in ["cabildo_projection_end_to_end_seconds_count{projection=\"rooms\"} ", "process_open_fds "] {
        assert!(told.lines().any(|line| line.starts_with(wanted)), "{wanted} is not in {told}");
    }
    for sink in ["journal", "counters", "documents"] {
        assert!(told.contains(&format!("cabildo_sink_up{{sink=\"{sink}\"}} 1")), "{told}");
    }
    let offset = told.lines().find_map(|line| line.strip_prefix("cabildo_clock_offset_seconds{source=\"journal\"} "));
    let offset: f64 = offset.expect("the offset of NATS's clock").parse().unwrap();
    assert!(offset.abs() < 1.0, "it is the same machine's: {offset}");
    let log = gateway.stop().await;
    let line = log.lines().find(|line| line.contains(&format!("trace_id={trace} span_id={}", request.id)));
    assert!(line.is_some_and(|line| line.contains("answered") && line.contains("status=201")), "{log}");
    consumer.stop().await;
}

#[tokio::test]
async fn what_is_not_sampled_is_carried_and_not_exported() {
    let (collector, folder) = (Collector::start().await, tempfile::tempdir().unwrap());
    let traces = ["--otlp-endpoint", &collector.url, "--trace-sample", "0"];
    let up = Role::start(folder.path(), &[&["up", "--listen", "127.0.0.1:0"][..], &traces].concat()).await;
    let position = up.say_something(&[]).await;
    assert_eq!(carried(&up, &position).await.2, "00");
    // A client that samples decides for us.
    let theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    up.say_something(&[("traceparent", theirs)]).await;
    follow(&collector, "4bf92f3577b34da6a3ce929d0e0e4736").await;
    up.stop().await;
    assert!(collector.spans().iter().all(|span| span.trace == "4bf92f3577b34da6a3ce929d0e0e4736"));
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let traces = ["--otlp-endpoint", &gone, "--trace-sample", "1"];
    let up = Role::start(folder.path(), &[&["up", "--listen", "127.0.0.1:0"][..], &traces].concat()).await;
    up.say_something(&[]).await;
    until("the loss is counted", || async {
        let told = up.get("/metrics").await;
        let failed = told.lines().find_map(|line| line.strip_prefix("cabildo_trace_spans_total{outcome=\"failed\"} "));
        failed.expect("the count").parse::<u64>().unwrap() > 0
    })
    .await;
    let began = Instant::now();
    let log = up.stop().await;
    assert!(began.elapsed() < DEADLINE / 2);
    assert_eq!(log.matches("the collector takes no traces").count(), 1, "{log}");
}

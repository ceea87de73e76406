//! Live streams: server-sent events of a tally and of the journal.

use std::cell::Cell;
use std::time::{Duration, Instant};

use cabildo_events::limits::LIVE_TALLY_MS;
use serde_json::Value;

use super::{Gateway, in_time, votes};

/// One event of a stream.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) data: Value,
}

/// A listener.
pub(super) struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    pub(super) async fn open(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = gateway.request("GET", path).await.header("Accept", "text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        let mut stream = Self { response, text: String::new() };
        // The head and a comment come at once, also where nothing happens.
        assert!(stream.block().await.expect("a first block").contains(": listening"));
        stream
    }

    /// The next block of lines; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = in_time("something comes", self.response.chunk()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub(super) async fn next(&mut self) -> Option<Frame> {
        let block = self.block().await?;
        let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).expect(name).to_owned();
        Some(Frame { id: line("id: "), event: line("event: "), data: serde_json::from_str(&line("data: ")).unwrap() })
    }
}

#[tokio::test]
async fn a_live_tally_shows_the_state_at_once_then_the_changes_and_ends_at_the_last() {
    const STATES: u32 = 4;
    let gateway = Gateway::start().await;
    let opened = gateway.open_poll().await;
    gateway.get_from("/api/v1/polls/bands", &opened.position()).await.expect(200);
    let path = "/api/v1/polls/bands/tally";
    let began = Instant::now();
    let mut stream = Stream::open(&gateway, path, &[]).await;
    let first = stream.next().await.expect("the state at once");
    assert_eq!((first.event.as_str(), votes(&first.data).1), ("tally", 0));
    assert_eq!(first.data["position"], first.id.as_str());

    // Ballots keep coming until a few states have, and then one more, of which the last state must tell.
    let (states, ballots) = (Cell::new(1), Cell::new(None));
    let cast = async {
        let mut voter = 0;
        while states.get() < STATES {
            voter += 1;
            gateway.cast(voter, "Malacates").await.expect(200);
        }
        ballots.set(Some(voter + 1));
        gateway.cast(voter + 1, "Malacates").await.expect(200);
    };
    let watch = async {
        let mut voters = 0;
        while ballots.get() != Some(voters) {
            let frame = stream.next().await.expect("the next state");
            assert!(votes(&frame.data).1 > voters, "it grows: {frame:?}");
            voters = votes(&frame.data).1;
            let earliest = Duration::from_millis(LIVE_TALLY_MS) * states.get();
            assert!(began.elapsed() >= earliest, "state {} after {:?}", states.get(), began.elapsed());
            states.set(states.get() + 1);
        }
        voters
    };
    let ((), ballots) = tokio::join!(cast, watch);

    // Who comes later, beside the other, begins with the same last state; a close is a change, too.
    let mut late = Stream::open(&gateway, path, &[]).await;
    assert_eq!(votes(&late.next().await.unwrap().data).0["Malacates"], ballots);
    gateway.send("POST", "/api/v1/polls/bands/close", &[], None).await.expect(200);
    for stream in [&mut stream, &mut late] {
        let last = stream.next().await.expect("the close");
        assert_eq!((&last.data["status"], votes(&last.data).1), (&"closed".into(), ballots));
    }
}

#[tokio::test]
async fn a_listener_that_leaves_is_no_longer_counted() {
    let gateway = Gateway::start().await;
    gateway.open_poll().await;
    let stream = Stream::open(&gateway, "/api/v1/events/tail", &[]).await;
    let listening = async |count: &str| {
        let line = format!("cabildo_gateway_live_listeners {count}");
        gateway.get("/metrics").await.text.lines().any(|found| found == line)
    };
    assert!(listening("1").await);
    drop(stream);
    super::until("the place is given back", || listening("0")).await;
}

#[tokio::test]
async fn a_tail_that_is_resumed_has_no_gap_and_no_repetition_across_a_restart() {
    let mut gateway = Gateway::start().await;
    gateway.open_room().await;
    let mut stream = Stream::open(&gateway, "/api/v1/events/tail?after=0-0", &[]).await;
    let (mut seen, mut texts) = (Vec::new(), Vec::new());
    for number in 0..10 {
        gateway.say(&format!("m{number}")).await.expect(201);
    }
    for _ in 0..5 {
        seen.push(stream.next().await.unwrap());
    }
    gateway.restart().await;
    // The old stream ends: what it still had under way is taken as a client would.
    while let Ok(Some(chunk)) = in_time("the stream ends", stream.response.chunk()).await {
        stream.text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    while stream.text.contains("\n\n") {
        seen.push(stream.next().await.unwrap());
    }
    for number in 10..15 {
        gateway.say(&format!("m{number}")).await.expect(201);
    }
    let last = seen.last().unwrap().id.clone();
    let mut stream = Stream::open(&gateway, "/api/v1/events/tail", &[("Last-Event-ID", &last)]).await;
    for number in 15..20 {
        gateway.say(&format!("m{number}")).await.expect(201);
    }
    while seen.len() < 21 {
        seen.push(stream.next().await.unwrap());
    }
    for (number, frame) in seen.iter().enumerate() {
        assert_eq!((&frame.id, &frame.data["position"]), (&format!("0-{}", number + 1), &frame.id.as_str().into()));
        texts.extend(frame.data["data"]["text"].as_str().map(str::to_owned));
    }
    assert_eq!(texts, (0..20).map(|number| format!("m{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tail_begins_at_the_present_and_keeps_to_what_was_asked_for() {
    let gateway = Gateway::start().await;
    let opened = gateway.open_room().await;
    // The live feed has it: then the present is after it.
    let mut all = Stream::open(&gateway, "/api/v1/events/tail?after=0-0", &[]).await;
    assert_eq!(all.next().await.unwrap().id, opened.position());
    let mut polls = Stream::open(&gateway, "/api/v1/events/tail?type=poll.*&aggregate=poll%2Fbands", &[]).await;
    let mut present = Stream::open(&gateway, "/api/v1/events/tail", &[]).await;
    gateway.say("hola").await.expect(201);
    gateway.post("/api/v1/polls", serde_json::json!({"id": "other", "question": "?"})).await.expect(201);
    gateway.open_poll().await;
    let kinds = |frame: Frame| frame.event;
    assert_eq!(kinds(present.next().await.unwrap()), "chat.message.posted");
    let first = polls.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["subject"]), ("poll.opened", &"poll/bands".into()));
}

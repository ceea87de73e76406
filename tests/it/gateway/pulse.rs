//! The pulse: how the journal moves, and how far each view has got.

use std::collections::BTreeMap;
use std::time::Instant;

use cabildo_events::limits::PULSE_MS;
use cabildo_projections::tally;
use cabildo_storage::lag;
use serde_json::{Value, json};

use super::live::Stream;
use super::{Gateway, Stores, until};
use crate::servers::Redis;

/// What an answer says of one projection.
fn standing(body: &Value, projection: &str) -> Value {
    let standings = body["projections"].as_array().expect("projections");
    standings.iter().find(|standing| standing["projection"] == projection).expect(projection).clone()
}

#[tokio::test]
async fn a_pulse_counts_what_came_by_type_and_shows_every_view_arrive() {
    let gateway = Gateway::start().await;
    let (mut stream, mut beside) =
        (Stream::open(&gateway, "/api/v1/pulse", &[]).await, Stream::open(&gateway, "/api/v1/pulse", &[]).await);
    let first = stream.next().await.expect("a pulse at once");
    assert_eq!((first.event.as_str(), &first.data["events"]), ("pulse", &json!({})));
    assert_eq!(beside.next().await.expect("a pulse at once").data["events"], json!({}));

    let began = Instant::now();
    gateway.open_poll().await;
    let mut last = String::new();
    for voter in 0..20 {
        last = gateway.cast(voter, "Malacates").await.expect(200).position();
    }
    let expected = BTreeMap::from([("poll.opened".to_owned(), 1), ("poll.ballot.cast".to_owned(), 20)]);
    for stream in [&mut stream, &mut beside] {
        let (mut counted, mut beats) = (BTreeMap::<String, u64>::new(), 0);
        let end = loop {
            let beat = stream.next().await.expect("the next pulse");
            beats += 1;
            for (kind, count) in beat.data["events"].as_object().expect("events") {
                *counted.entry(kind.clone()).or_default() += count.as_u64().unwrap();
            }
            let standings = beat.data["projections"].as_array().unwrap();
            let arrived = standings.iter().all(|standing| standing["lag_events"] == 0);
            if counted.values().sum::<u64>() >= 21 && arrived {
                break beat;
            }
        };
        assert_eq!(counted, expected);
        assert_eq!((&end.id, &end.data["position"]), (&last, &json!(last)));
        assert_eq!(end.data["connections"]["live"], 2);
        let most = began.elapsed().as_millis() / u128::from(PULSE_MS) + 2;
        assert!(beats <= most, "{beats} beats in {:?}", began.elapsed());
        let tally = standing(&end.data, "tally");
        let quiet = json!({"projection": "tally", "version": 1, "lag_events": 0, "at_least": false, "lag_seconds": 0.0,
            "parked": 0, "paused": false, "up": true});
        assert_eq!(tally, quiet);
    }
}

#[tokio::test]
async fn a_view_that_nobody_projects_lacks_exactly_what_the_journal_holds_beyond_it() {
    let gateway = Gateway::start().await;
    let opened = gateway.open_poll().await;
    gateway.get_from("/api/v1/polls/bands", &opened.position()).await.expect(200);
    gateway.get_from("/api/v1/events", &opened.position()).await.expect(200);
    gateway.stores.stop.cancel();
    // One that came just before the stop may still be applied.
    gateway.cast(0, "Malacates").await.expect(200);
    for voter in 1..30 {
        gateway.cast(voter, "Malacates").await.expect(200);
    }
    gateway.open_room().await;
    let mut listener = Stream::open(&gateway, "/api/v1/pulse", &[]).await;
    let seen = listener.next().await.expect("a pulse").data;
    let (journal, counters) = (&*gateway.stores.journal, &*gateway.stores.counters);
    let watermarks = counters.watermarks(tally::ID).await.unwrap();
    let counted = lag::behind(journal, &watermarks, &journal.lane_heads().await.unwrap()).await.unwrap();
    assert!(counted.events >= 20, "{counted:?}");
    let beat = standing(&seen, "tally");
    assert_eq!((&beat["lag_events"], &beat["at_least"]), (&json!(counted.events), &json!(false)));
    assert!(beat["lag_seconds"].as_f64().unwrap() > 0.0);

    // What comes now is counted from the feed, and the age of the oldest grows.
    gateway.cast("late", "Malacates").await.expect(200);
    let later = loop {
        let later = standing(&listener.next().await.expect("the next pulse").data, "tally");
        if later["lag_events"] == counted.events + 1 {
            break later;
        }
        assert_eq!(later["lag_events"], counted.events);
    };
    assert!(later["lag_seconds"].as_f64() > beat["lag_seconds"].as_f64());
    let asked = gateway.get("/api/v1/projections").await.expect(200).json();
    assert_eq!(standing(&asked, "tally")["lag_events"], counted.events + 1);
}

#[tokio::test]
async fn a_sink_that_is_down_is_shown_as_it_stood_and_its_lag_grows() {
    let mut redis = Redis::own().await;
    let gateway = Gateway::over(Stores::at("file:{}", &redis.url()).await).await;
    let opened = gateway.open_poll().await;
    gateway.get_from("/api/v1/polls/bands/tally", &opened.position()).await.expect(200);
    let mut stream = Stream::open(&gateway, "/api/v1/pulse", &[]).await;
    assert_eq!(standing(&stream.next().await.expect("a pulse").data, "tally")["up"], true);
    redis.kill();
    for voter in 0..10 {
        gateway.cast(voter, "Malacates").await.expect(200);
    }
    loop {
        let beat = stream.next().await.expect("the next pulse").data;
        let (tally, rooms) = (standing(&beat, "tally"), standing(&beat, "rooms"));
        assert_eq!(rooms["up"], true, "the other sink is not concerned");
        if tally["up"] == false && tally["lag_events"] == 10 {
            break;
        }
    }
    redis.start_again().await;
    until("the view has arrived", || async {
        let tally = standing(&gateway.get("/api/v1/projections").await.expect(200).json(), "tally");
        tally["up"] == true && tally["lag_events"] == 0
    })
    .await;
}

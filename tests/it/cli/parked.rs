//! `cabildo parked`: an event that cannot be folded is seen, tried again, and left out on the record.

use std::path::Path;

use cabildo_events::poll::{BallotCast, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, Timestamp};
use cabildo_storage::{Append, Expect, open_journal};
use serde_json::Value;
use uuid::Uuid;

use super::{Up, run};

fn ballot(voter: &str) -> Event {
    let choices = vec!["Alux".parse().unwrap()];
    Event::BallotCast(BallotCast { voter: voter.parse().unwrap(), choices, fields: Default::default() })
}

/// A poll with a vote, an event that no build knows, and another vote.
async fn given_a_poll_with_a_stranger(folder: &Path) {
    let journal = open_journal(&format!("file:{}", folder.join("data").display())).await.unwrap();
    let aggregate = Aggregate::poll(&"bands".parse().unwrap());
    let opened = Event::PollOpened(PollOpened { question: "¿Quién toca?".parse().unwrap(), options: None, by: None });
    let now = Timestamp::from(jiff::Timestamp::now());
    for (index, event) in [opened, ballot("ana"), ballot("nobody"), ballot("luis")].iter().enumerate() {
        let mut envelope = Envelope::new(EventId(Uuid::now_v7()), aggregate.clone(), now, event);
        if index == 2 {
            envelope.kind = "poll.melted".into();
        }
        let expect = if envelope.is_ruled() { Expect::Last(0) } else { Expect::Nothing };
        journal.append(vec![Append { envelope, expect }]).await.remove(0).unwrap();
    }
}

async fn votes(up: &Up) -> i64 {
    let client = crate::http_client().build().unwrap();
    let tally = client.get(format!("{}/api/v1/polls/bands/tally", up.address)).send().await.unwrap();
    let tally: Value = tally.json().await.unwrap();
    tally["options"][0]["votes"].as_i64().unwrap_or(0)
}

async fn until_votes(up: &Up, wanted: i64) {
    let deadline = tokio::time::Instant::now() + super::PATIENCE;
    while votes(up).await != wanted {
        assert!(tokio::time::Instant::now() < deadline, "the tally never says {wanted}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_folded_is_left_out_on_the_record_and_what_waited_for_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    given_a_poll_with_a_stranger(folder.path()).await;
    let up = Up::start(folder.path()).await;
    until_votes(&up, 1).await;

    let listed = run(folder.path(), &["parked", "list", "-o", "json"]).await.expect(4);
    let tally = listed.out.lines().find(|line| line.contains(r#""projection":"tally""#)).expect("tally parked it");
    let tally: Value = serde_json::from_str(tally).unwrap();
    assert_eq!((tally["position"].as_str(), tally["waiting"].as_i64()), (Some("0-3"), Some(1)), "{tally}");
    assert_eq!(tally["aggregate"], "poll/bands");
    run(folder.path(), &["parked", "list", "tally"]).await.expect(4).says("cabildo parked retry");
    run(folder.path(), &["parked", "list", "talli"]).await.expect(2).says("tally");
    let shown = run(folder.path(), &["parked", "show", "tally", "0-3"]).await.expect(0);
    assert!(shown.out.contains("unknown event type `poll.melted`") && shown.out.contains("\"subject\""), "{shown:?}");
    run(folder.path(), &["parked", "show", "tally", "0-2"]).await.expect(1).says("0-2 is not parked by tally");

    let retried = run(folder.path(), &["parked", "retry", "tally"]).await.expect(4);
    assert!(retried.out.contains("0-3 still cannot be folded"), "{retried:?}");
    assert_eq!(votes(&up).await, 1);

    let discard = ["parked", "discard", "tally", "0-3", "--reason", "written by a broken client"];
    run(folder.path(), &discard).await.expect(2).says("--yes");
    let discarded = run(folder.path(), &[&discard[..], &["--yes"]].concat()).await.expect(0);
    assert!(discarded.out.contains("on record at"), "{discarded:?}");
    until_votes(&up, 2).await;
    let record = run(folder.path(), &["events", "tail", "--type", "operation.*", "-o", "json"]).await.expect(0);
    assert!(record.out.contains("operation.event.discarded") && record.out.contains("broken client"), "{record:?}");
    let left = run(folder.path(), &["parked", "list", "tally"]).await.expect(0);
    left.says("nothing is parked");

    // Consumers have let go of the poll: the next ballot counts.
    let ballot = crate::http_client().build().unwrap().put(format!("{}/api/v1/polls/bands/ballots/eva", up.address));
    let answer = ballot.json(&serde_json::json!({ "choice": "Alux" })).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    until_votes(&up, 3).await;
    // And a consumer that starts anew leaves it out as well.
    up.stop().await.expect(0);
    let up = Up::start(folder.path()).await;
    until_votes(&up, 3).await;
    up.stop().await.expect(0);
}

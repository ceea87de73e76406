//! A projection with a bug is live. The fixed one is replayed beside it, compared, promoted and rolled back, while people vote
//! and read at every gateway: each answer is the old one or the new one, whole and up to date.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::buggy::TWICE;
use super::footing::{Footing, PATIENCE};

/// The option that people vote for all the time.
const OTHER: &str = "Alux Nahual";
/// Ballots for the option that counts twice; nobody votes for it later.
const BALLOTS: i64 = 3;

struct Town {
    client: reqwest::Client,
    gateways: Vec<String>,
    /// Ballots that were acknowledged, and the position of the last one.
    cast: AtomicU64,
    position: AtomicU64,
}

impl Town {
    async fn vote(&self, poll: &str, voter: &str, option: &str) {
        let gateway = &self.gateways[0];
        let url = format!("{gateway}/api/v1/polls/{poll}/ballots/{voter}");
        let answer = self.client.put(url).json(&json!({ "choice": option })).send().await.unwrap();
        let answer = answer.error_for_status().unwrap();
        let position = answer.headers()["cabildo-position"].to_str().unwrap().to_owned();
        self.position.store(position.strip_prefix("0-").unwrap().parse().unwrap(), Ordering::SeqCst);
    }

    async fn open(&self, poll: &str) {
        let url = format!("{}/api/v1/polls", self.gateways[0]);
        let poll = json!({ "id": poll, "question": "¿Quién toca?" });
        self.client.post(url).json(&poll).send().await.unwrap().error_for_status().unwrap();
    }

    /// The tally at a gateway, with everything that was acknowledged before.
    async fn tally(&self, gateway: &str, poll: &str) -> Value {
        let position = format!("0-{}", self.position.load(Ordering::SeqCst));
        let url = format!("{gateway}/api/v1/polls/{poll}/tally");
        let answer = self.client.get(url).header("cabildo-min-position", position).send().await.unwrap();
        assert_eq!(answer.status(), 200, "an answer is missing");
        assert!(!answer.headers().contains_key("cabildo-stale"), "an answer is out of date");
        answer.json().await.unwrap()
    }
}

fn votes(tally: &Value, option: &str) -> i64 {
    let options = tally["options"].as_array().unwrap();
    options.iter().find(|found| found["option"] == option).map_or(0, |found| found["votes"].as_i64().unwrap())
}

/// Votes for as long as it is let.
async fn go_on_voting(town: Arc<Town>, stop: CancellationToken) {
    let mut number = 0;
    while !stop.is_cancelled() {
        town.vote("bands", &format!("voter-{number}"), OTHER).await;
        town.cast.fetch_add(1, Ordering::SeqCst);
        number += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads one gateway for as long as it is let, and checks each answer. What was seen, as runs of the same state: a gateway
/// changes from one view to the other and does not waver.
async fn go_on_reading(town: Arc<Town>, gateway: String, stop: CancellationToken) -> Vec<i64> {
    let mut seen = Vec::new();
    while !stop.is_cancelled() {
        let before = i64::try_from(town.cast.load(Ordering::SeqCst)).unwrap();
        let tally = town.tally(&gateway, "bands").await;
        let (twice, other) = (votes(&tally, TWICE), votes(&tally, OTHER));
        assert!([BALLOTS, 2 * BALLOTS].contains(&twice), "neither the old state nor the new one: {tally}");
        assert!(other >= before, "a ballot that was acknowledged is missing: {other} of {before}");
        assert_eq!(tally["voters"].as_i64().unwrap(), other + BALLOTS, "a mixture: {tally}");
        if seen.last() != Some(&twice) {
            seen.push(twice);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    seen
}

/// Waits until every gateway answers so.
async fn all_answer(town: &Town, poll: &str, option: &str, expected: i64) {
    let began = Instant::now();
    for gateway in &town.gateways {
        loop {
            let found = votes(&town.tally(gateway, poll).await, option);
            if found == expected {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{gateway} answers {found} for {option}, not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn play(footing: Footing) {
    let stop = CancellationToken::new();
    footing.with_bug(&stop).await;
    let town = Arc::new(Town {
        client: crate::http_client().build().unwrap(),
        gateways: footing.gateways.clone(),
        cast: AtomicU64::new(0),
        position: AtomicU64::new(0),
    });
    town.open("bands").await;
    town.open("mayor").await;
    for number in 0..BALLOTS {
        town.vote("bands", &format!("early-{number}"), TWICE).await;
    }
    town.vote("mayor", "ana", OTHER).await;
    all_answer(&town, "bands", TWICE, 2 * BALLOTS).await;

    let (voting, mut readers) = (stop.child_token(), JoinSet::new());
    let voter = tokio::spawn(go_on_voting(town.clone(), voting.clone()));
    for gateway in town.gateways.clone() {
        readers.spawn(go_on_reading(town.clone(), gateway, voting.clone()));
    }

    // What differs is exactly what the bug made wrong.
    let (code, out, err) = footing.run(&["replay", "tally", "--diff", "-o", "json"]).await;
    assert_eq!(code, 3, "{out} {err}");
    let rows: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let differing: Vec<&Value> = rows.iter().filter(|row| row.get("old").is_some()).collect();
    assert_eq!(differing.len(), 1, "{out} {err}");
    let [table, row, old, new] = ["table", "row", "old", "new"].map(|field| differing[0][field].as_str().unwrap());
    assert_eq!((table, row, old, new), ("votes", &*format!("bands {TWICE}"), "6", "3"), "{out} {err}");
    assert_eq!(votes(&town.tally(&town.gateways[0], "bands").await, TWICE), 2 * BALLOTS, "nothing is promoted yet");

    let (code, out, err) = footing.run(&["replay", "tally", "--promote"]).await;
    assert_eq!(code, 0, "{out} {err}");
    assert!(err.contains("tally.v3 is read from") && err.contains("is kept up by the consumers"), "{err}");
    all_answer(&town, "bands", TWICE, BALLOTS).await;
    all_answer(&town, "mayor", OTHER, 1).await;

    let (code, out, err) = footing.run(&["replay", "tally", "--rollback"]).await;
    assert_eq!(code, 0, "{out} {err}");
    assert!(err.contains("tally.v2 is read again"), "{err}");
    all_answer(&town, "bands", TWICE, 2 * BALLOTS).await;

    voting.cancel();
    voter.await.unwrap();
    while let Some(seen) = readers.join_next().await {
        assert_eq!(seen.unwrap(), [2 * BALLOTS, BALLOTS, 2 * BALLOTS], "the bug, its cure, and the bug again");
    }

    // The view that was given up can be promoted again as it is, and the others be removed.
    let (code, out, err) = footing.run(&["replay", "tally", "--promote", "--view", "3"]).await;
    assert_eq!(code, 0, "{out} {err}");
    all_answer(&town, "bands", TWICE, BALLOTS).await;
    let (code, out, err) = footing.run(&["replay", "tally", "--collect", "--yes"]).await;
    assert_eq!(code, 0, "{out} {err}");
    assert_eq!(footing.ports.counters.versions("tally").await.unwrap(), [3]);
    all_answer(&town, "bands", TWICE, BALLOTS).await;

    // Operators are told of the view that is read, not of the first.
    for what in ["list", "lag"] {
        let (code, out, err) = footing.run(&["projections", what, "-o", "json"]).await;
        assert_eq!(code, 0, "{out} {err}");
        let told: Value = serde_json::from_str(&out).unwrap();
        let tally = told.as_array().unwrap().iter().find(|view| view["name"] == "tally").unwrap();
        assert_eq!(tally["version"], 3, "{out}");
        assert!(tally["watermark"] != "0-0", "{out}");
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_is_mended_under_way_and_brought_back_at_two_gateways_over_servers() {
    play(Footing::distributed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_is_mended_under_way_and_brought_back_beside_a_running_up() {
    play(Footing::embedded().await).await;
}

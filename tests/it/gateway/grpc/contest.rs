//! The Band Contest, line by line: its HTTP addresses, its log, its hash. Its gRPC is called by a client in another language.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Gateway, Stores, until, votes};
use crate::servers::Redis;

fn vote(name: &str) -> Value {
    json!({"name": name, "album": "Conquista", "year": "1982", "rank": "1"})
}

#[tokio::test]
async fn a_vote_by_http_goes_in_by_grpc_and_is_on_the_log() {
    let gateway = Gateway::start().await;
    let inserted = gateway.post("/grpc/insert", vote("Alux Nahual")).await.expect(200);
    // The poll opened by itself.
    assert_eq!(inserted.header("cabildo-position"), "0-2");
    assert_eq!(inserted.json(), json!({"info": "the vote for Alux Nahual is on the record at 0-2 (fsync)"}));
    let cast = gateway.get("/api/v1/events/0-2").await.expect(200).json();
    assert_eq!((&cast["type"], &cast["data"]["choices"]), (&"poll.ballot.cast".into(), &json!(["Alux Nahual"])));
    assert_eq!(cast["data"]["fields"], json!({"album": "Conquista", "rank": "1", "year": "1982"}));
    // The contest knew no voters: each vote has one of its own, unless it is the same vote again.
    let key = [("Idempotency-Key", "once")];
    for _ in 0..2 {
        let again = gateway.send("POST", "/grpc/insert", &key, Some(vote("Malacates"))).await.expect(200);
        assert_eq!(again.header("cabildo-position"), "0-3");
    }
    let last = gateway.post("/grpc/insert", vote("Alux Nahual")).await.expect(200);
    let position = last.header("cabildo-position");
    let tally = gateway.get_from("/api/v1/polls/bands/tally", position).await.expect(200).json();
    let (votes, voters) = votes(&tally);
    assert_eq!((votes["Alux Nahual"], votes["Malacates"], voters), (2, 1, 3));
}

#[tokio::test]
async fn many_who_vote_at_once_open_one_poll() {
    let gateway = Gateway::start().await;
    let all = (0..20).map(|_| gateway.post("/grpc/insert", vote("Alux Nahual")));
    let mut last = 0;
    for answer in futures::future::join_all(all).await {
        let position = answer.expect(200).header("cabildo-position").to_owned();
        last = last.max(position.strip_prefix("0-").unwrap().parse::<u64>().unwrap());
    }
    assert_eq!(last, 21);
}

#[tokio::test]
async fn a_bad_vote_is_a_problem_of_the_client() {
    let gateway = Gateway::start().await;
    let nameless = json!({"album": "Conquista", "year": "1982", "rank": "1"});
    gateway.post("/grpc/insert", nameless).await.problem(400, "wrong-shape", "name");
    let mut numbers = vote("Alux Nahual");
    numbers["year"] = 1982.into();
    let problem = gateway.post("/grpc/insert", numbers).await.problem(400, "wrong-shape", "string");
    assert_eq!(problem["field"], "year");
    let problem = gateway.post("/grpc/insert", vote("")).await.problem(422, "bad-value", "empty");
    assert_eq!(problem["field"], "name");
    let mut long = vote("Alux Nahual");
    long["album"] = "x".repeat(201).into();
    let problem = gateway.post("/grpc/insert", long).await.problem(422, "bad-value", "longer");
    assert_eq!(problem["field"], "album");
    gateway.get("/grpc/insert").await.problem(405, "method-not-allowed", "/grpc/insert");
    gateway.post("/grpc/insert", vote("Alux Nahual")).await.expect(200);
    gateway.post("/api/v1/polls/bands/close", json!({})).await.expect(200);
    gateway.post("/grpc/insert", vote("Alux Nahual")).await.problem(409, "poll-closed", "closed");
}

#[tokio::test]
async fn the_way_by_a_transform_says_that_it_is_not_built() {
    let gateway = Gateway::start().await;
    gateway.post("/rust/insert", vote("Alux Nahual")).await.problem(501, "not-built", "/grpc/insert");
}

#[tokio::test]
async fn the_log_shows_the_last_twenty_votes_newest_first() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/data").await.expect(200).json(), json!([]));
    let mut position = String::new();
    for number in 0..23 {
        let answer = gateway.post("/grpc/insert", vote(&format!("Band {number}"))).await.expect(200);
        position = answer.header("cabildo-position").to_owned();
    }
    // What is no vote of the contest is not on its log.
    gateway.post("/api/v1/polls", json!({"id": "other", "question": "?"})).await.expect(201);
    gateway.put("/api/v1/polls/other/ballots/ana", json!({"choice": "x"})).await.expect(200);
    let answer = gateway.get_from("/data", &position).await.expect(200);
    assert!(!answer.is_stale());
    let log = answer.json();
    let votes = log.as_array().unwrap();
    let names: Vec<_> = votes.iter().map(|vote| vote["data"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, (3..23).rev().map(|number| format!("Band {number}")).collect::<Vec<_>>());
    let newest = gateway.get(&format!("/api/v1/events/{position}")).await.expect(200).json();
    assert_eq!(
        votes[0],
        json!({
            "_id": newest["id"],
            "message": "vote for Band 22",
            "data": {"name": "Band 22", "album": "Conquista", "year": "1982", "rank": "1"},
            "timestamp": newest["time"],
        })
    );
}

/// The hash that the panels read.
async fn data(redis: &Redis) -> BTreeMap<String, String> {
    let client = ::redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    ::redis::cmd("HGETALL").arg("data").query_async(&mut connection).await.unwrap()
}

async fn run(redis: &Redis, command: &str) {
    let client = ::redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut words = command.split(' ');
    let mut line = ::redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        line.arg(word);
    });
    line.exec_async(&mut connection).await.unwrap();
}

fn hash(votes: &[(&str, &str)]) -> BTreeMap<String, String> {
    votes.iter().map(|(band, votes)| ((*band).to_owned(), (*votes).to_owned())).collect()
}

#[tokio::test]
async fn the_panels_hash_holds_the_votes_and_comes_back_when_it_is_lost() {
    let redis = Redis::own().await;
    let gateway = Gateway::over(Stores::at("file:{}", &redis.url()).await).await;
    for (band, times) in [("Alux Nahual", 3), ("Malacates", 2)] {
        for _ in 0..times {
            gateway.post("/grpc/insert", vote(band)).await.expect(200);
        }
    }
    let expected = hash(&[("Alux Nahual", "3"), ("Malacates", "2")]);
    until("the hash has every vote", async || data(&redis).await == expected).await;
    // Another poll in the same sink is none of its business, nor is a band that lost its only vote.
    gateway.cast("ana", "Viernes Verde").await.expect(200);
    gateway.cast("ana", "Malacates").await.expect(200);
    let expected = hash(&[("Alux Nahual", "3"), ("Malacates", "3")]);
    until("the voter's last ballot counts", async || data(&redis).await == expected).await;
    // Removed, written into, or gone with everything else: it is what the tally says again.
    run(&redis, "DEL data").await;
    until("it is back", async || data(&redis).await == expected).await;
    run(&redis, "HINCRBY data Malacates 7").await;
    until("it is right again", async || data(&redis).await == expected).await;
    redis.flush();
    until("it is counted again", async || data(&redis).await == expected).await;
}

#[tokio::test]
async fn a_hash_of_somebody_else_is_left_alone() {
    let redis = Redis::own().await;
    run(&redis, "HSET data Malacates 1000").await;
    let gateway = Gateway::over(Stores::at("file:{}", &redis.url()).await).await;
    let inserted = gateway.post("/grpc/insert", vote("Alux Nahual")).await.expect(200);
    gateway.get_from("/api/v1/polls/bands/tally", inserted.header("cabildo-position")).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(data(&redis).await, hash(&[("Malacates", "1000")]));
    run(&redis, "DEL data").await;
    until("now it may be written", async || data(&redis).await == hash(&[("Alux Nahual", "1")])).await;
}

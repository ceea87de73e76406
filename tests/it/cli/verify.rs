//! `cabildo verify`: what was changed by hand is found, named, and nothing else is.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cabildo_events::{Aggregate, Envelope, Event, EventId, Timestamp, poll::BallotCast};
use cabildo_storage::{Append, Expect, open_journal_shared};
use serde_json::{Value, json};

use super::{PATIENCE, Ran, Up, cabildo, finish, run};
use crate::servers::{Mongo, Redis};

const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/seed/votes-gt.json");

/// A poll with 300 ballots, some of them changed; a room with 40 messages, some edited, one deleted.
async fn filled(up: &Up) {
    let client = crate::http_client().build().unwrap();
    let send = async |method: &str, path: String, body: Value| {
        let request = client.request(method.parse().unwrap(), format!("{}/api/v1{path}", up.address));
        let answer = request.json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json::<Value>().await.unwrap()
    };
    let options = ["Alux Nahual", "Malacates"];
    send("POST", "/polls".into(), json!({"id": "bands", "question": "¿Quién toca?", "options": options})).await;
    for ballot in 0..300 {
        let choice = options[usize::from(ballot % 3 == 0)];
        send("PUT", format!("/polls/bands/ballots/voter-{}", ballot % 270), json!({"choice": choice})).await;
    }
    send("POST", "/rooms".into(), json!({"id": "lobby", "name": "Lobby"})).await;
    let mut ids = Vec::new();
    for message in 0..40 {
        let said = json!({"text": format!("hola {message}"), "author": "Ana"});
        let said = send("POST", "/rooms/lobby/messages".into(), said).await;
        ids.push(said["id"].as_str().unwrap().to_owned());
    }
    for id in &ids[..10] {
        send("PATCH", format!("/rooms/lobby/messages/{id}"), json!({"text": "adiós"})).await;
    }
    send("DELETE", format!("/rooms/lobby/messages/{}", ids[11]), json!({})).await;
}

/// Runs `cabildo verify` until the views have what the journal has: what is not there yet cannot be changed by hand.
async fn caught_up(folder: &Path, places: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    let arguments = [&["projections", "lag", "-o", "json"], places].concat();
    loop {
        let lags: Vec<Value> = serde_json::from_str(&run(folder, &arguments).await.expect(0).out).unwrap();
        if lags.iter().all(|lag| lag["events"] == 0) {
            return;
        }
        assert!(Instant::now() < deadline, "{lags:?}");
    }
}

/// The rows that differ, and the summaries.
fn report(ran: &Ran) -> (Vec<Value>, Vec<Value>) {
    ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).partition(|line| line.get("key").is_some())
}

async fn verified(folder: &Path, arguments: &[&str], places: &[&str]) -> Ran {
    run(folder, &[&["verify", "-o", "json"], arguments, places].concat()).await
}

/// One row differs, and this is it.
#[track_caller]
fn only(ran: &Ran, table: &str, key: &str, expected: &Value, found: &Value) {
    assert_eq!(ran.code, 3, "{ran:?}");
    let (rows, _) = report(ran);
    assert_eq!(rows.len(), 1, "{ran:?}");
    let row = &rows[0];
    assert_eq!((&row["table"], &row["key"]), (&json!(table), &json!(key)), "{ran:?}");
    for (told, wanted) in [(&row["expected"], expected), (&row["found"], found)] {
        match (told.as_str(), wanted.as_str()) {
            (Some(told), Some(wanted)) => assert!(told.contains(wanted), "{wanted} is not in {told}"),
            _ => assert_eq!(told, wanted),
        }
    }
}

fn database(folder: &Path, name: &str) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(folder.join("data").join(name)).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
}

#[tokio::test]
async fn rows_changed_by_hand_in_sqlite_are_found_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start(folder).await;
    filled(&up).await;
    caught_up(folder, &[]).await;
    let fine = run(folder, &["verify"]).await.expect(0);
    assert_eq!(fine.out.matches("as the journal makes it").count(), cabildo_projections::ALL.len(), "{fine:?}");

    let counters = database(folder, "counters.db");
    let vote = |more: i64| {
        let sql = "UPDATE cells SET value = value + ? WHERE field = 'Malacates'
                   AND hash IN (SELECT hash FROM hashes WHERE projection = 'tally' AND tbl = 'votes')";
        assert_eq!(counters.execute(sql, [more]).unwrap(), 1);
    };
    vote(1);
    let ran = verified(folder, &["tally"], &[]).await;
    let votes = report(&ran).0[0]["expected"].as_str().unwrap().parse::<u64>().unwrap();
    only(&ran, "votes", "bands Malacates", &json!(votes.to_string()), &json!((votes + 1).to_string()));
    verified(folder, &["activity", "rooms", "record"], &[]).await.expect(0);
    // As people read it.
    let told = run(folder, &["verify", "tally"]).await.expect(3);
    assert!(told.out.contains("bands Malacates") && told.out.contains("1 row differs"), "{told:?}");
    vote(-1);
    let ghost = "INSERT INTO cells SELECT hash, 'Nobody', 7 FROM hashes WHERE projection = 'tally' AND tbl = 'votes'";
    assert_eq!(counters.execute(ghost, []).unwrap(), 1);
    only(&verified(folder, &["tally"], &[]).await, "votes", "bands Nobody", &Value::Null, &json!("7"));
    counters.execute("DELETE FROM cells WHERE field = 'Nobody'", []).unwrap();
    verified(folder, &["tally"], &[]).await.expect(0);

    let documents = database(folder, "documents.db");
    let edit = "UPDATE rooms_v1_messages SET body = replace(body, 'hola 20', 'hola 21') WHERE body LIKE '%hola 20%'";
    assert_eq!(documents.execute(edit, []).unwrap(), 1);
    let ran = verified(folder, &["rooms"], &[]).await;
    let key = report(&ran).0[0]["key"].as_str().unwrap().to_owned();
    only(&ran, "messages", &key, &json!("hola 20"), &json!("hola 21"));
    let taken: String = documents
        .query_row("DELETE FROM record_v1_events WHERE kind = 'chat.room.opened' RETURNING id", [], |row| row.get(0))
        .unwrap();
    only(&verified(folder, &["record"], &[]).await, "events", &taken, &json!("Lobby"), &Value::Null);
    let both = verified(folder, &["--limit", "1"], &[]).await.expect(3);
    assert_eq!(report(&both).1.iter().map(|one| one["divergent_rows"].as_u64().unwrap()).sum::<u64>(), 2);
    up.stop().await.expect(0);
}

#[tokio::test]
async fn a_counter_changed_in_redis_and_a_document_changed_in_mongodb_are_found() {
    let (redis, mongo) = tokio::join!(Redis::start(), Mongo::start());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (counters, documents) = (redis.url(), mongo.url());
    let places = ["--counters", &*counters, "--documents", &*documents];
    let up = Up::start_with(folder, &places).await;
    filled(&up).await;
    caught_up(folder, &places).await;
    verified(folder, &[], &places).await.expect(0);

    let client = ::redis::Client::open(counters.split('?').next().unwrap()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let prefix = counters.split_once("prefix=").map_or("cabildo", |(_, prefix)| prefix);
    let lane = "poll/bands".parse::<Aggregate>().unwrap().lane();
    let key = format!("{prefix}:{{{lane}}}:tally:1:votes:bands");
    let votes: u64 = ::redis::cmd("HGET").arg(&key).arg("Malacates").query_async(&mut connection).await.unwrap();
    ::redis::cmd("HINCRBY").arg(&key).arg("Malacates").arg(1).exec_async(&mut connection).await.unwrap();
    let ran = verified(folder, &[], &places).await;
    only(&ran, "votes", "bands Malacates", &json!(votes.to_string()), &json!((votes + 1).to_string()));
    ::redis::cmd("HINCRBY").arg(&key).arg("Malacates").arg(-1).exec_async(&mut connection).await.unwrap();
    verified(folder, &["tally", "--sample", "100%"], &places).await.expect(0);

    let database = mongodb::Client::with_uri_str(&documents).await.unwrap().default_database().unwrap();
    let messages = database.collection::<mongodb::bson::Document>("rooms_v1_messages");
    let (which, change) =
        (mongodb::bson::doc! {"body.text": "hola 20"}, mongodb::bson::doc! {"$set": {"body.text": "hola 21"}});
    assert_eq!(messages.update_one(which, change).await.unwrap().modified_count, 1);
    let ran = verified(folder, &[], &places).await;
    let key = report(&ran).0[0]["key"].as_str().unwrap().to_owned();
    only(&ran, "messages", &key, &json!("hola 20"), &json!("hola 21"));
    let record = database.collection::<mongodb::bson::Document>("record_v1_events");
    let gone = record.delete_one(mongodb::bson::doc! {"kind": "chat.room.opened"}).await.unwrap();
    assert_eq!(gone.deleted_count, 1);
    verified(folder, &["record"], &places).await.expect(3);
    // The journal's second copy lacks it too: one of the two was changed.
    let ran = run(folder, &[&["verify", "--journal", "-o", "json"], &places[..]].concat()).await.expect(3);
    assert!(ran.out.contains("inserted"), "{ran:?}");
    up.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_under_load_with_tools_writing_beside() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start(folder).await;
    filled(&up).await;
    let load =
        ["produce", "votes", "--poll", "load", "--count", "6000", "--rate", "1000/s", "--users", "8", "-o", "json"];
    let mut produce = cabildo(folder, &[&load[..], &["--file", SEED, "--server", &up.address]].concat());
    let produce = produce.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Another process appends to the same file meanwhile.
    let place = format!("file:{}", folder.join("data").display());
    let beside = tokio::spawn(async move {
        let journal = open_journal_shared(&place).await.unwrap();
        for ballot in 0..200 {
            let answers = journal.append(vec![ballot_of(&format!("beside-{ballot}"))]).await;
            assert!(answers[0].is_ok(), "{answers:?}");
        }
    });
    for _ in 0..3 {
        verified(folder, &[], &[]).await.expect(0);
        run(folder, &["verify", "--journal"]).await.expect(0);
    }
    beside.await.unwrap();
    let produced =
        Ran::from(tokio::time::timeout(PATIENCE, produce.wait_with_output()).await.unwrap().unwrap()).expect(0);
    assert_eq!(serde_json::from_str::<Value>(&produced.out).unwrap()["exact"], json!(true));
    caught_up(folder, &[]).await;
    verified(folder, &[], &[]).await.expect(0);
    let client = crate::http_client().build().unwrap();
    let tally = client.get(format!("{}/api/v1/polls/bands/tally", up.address)).send().await.unwrap();
    let tally = tally.json::<Value>().await.unwrap();
    assert_eq!(tally["voters"], json!(270 + 200), "{tally}");
    up.stop().await.expect(0);
}

fn ballot_of(voter: &str) -> Append {
    let event = Event::BallotCast(BallotCast {
        voter: voter.parse().unwrap(),
        choices: vec!["Malacates".parse().unwrap()],
        fields: Default::default(),
    });
    let aggregate = "poll/bands".parse().unwrap();
    let now = Timestamp::from(jiff::Timestamp::now());
    let envelope = Envelope::new(EventId(uuid::Uuid::now_v7()), aggregate, now, &event);
    Append { envelope, expect: Expect::Nothing }
}

/// A data folder at rest, and copies of it to change.
struct AtRest(tempfile::TempDir);

impl AtRest {
    async fn filled() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let up = Up::start(folder.path()).await;
        filled(&up).await;
        caught_up(folder.path(), &[]).await;
        up.stop().await.expect(0);
        Self(folder)
    }

    fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("data")).unwrap();
        for entry in std::fs::read_dir(self.0.path().join("data")).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join("data").join(entry.file_name())).unwrap();
        }
        copy
    }
}

/// One event is wrong, and this is it.
#[track_caller]
fn one_event(ran: &Ran, kind: &str, seq: i64) {
    assert_eq!(ran.code, 3, "{ran:?}");
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [finding, summary] = &lines[..] else { panic!("one finding and a summary: {ran:?}") };
    assert_eq!((&finding["kind"], &finding["position"]), (&json!(kind), &json!(format!("0-{seq}"))), "{ran:?}");
    assert_eq!(summary["lanes_differing"], json!(1));
}

#[tokio::test]
async fn an_event_changed_taken_out_or_put_in_is_found_with_its_position() {
    let rest = AtRest::filled().await;
    let check = async |folder: &Path, more: &[&str]| {
        let arguments = [&["verify", "--journal", "-o", "json"], more].concat();
        run(folder, &arguments).await
    };
    let anchor = rest.0.path().join("anchor.json");
    let anchor = anchor.to_str().unwrap();
    check(rest.0.path(), &["--save", anchor]).await.expect(0);
    check(rest.0.path(), &["--against", anchor]).await.expect(0);
    let export = run(rest.0.path(), &["events", "export"]).await.expect(0).out;
    let exported = rest.0.path().join("export.ndjson");
    std::fs::write(&exported, &export).unwrap();
    let exported = exported.to_str().unwrap();
    check(rest.0.path(), &["--against", exported]).await.expect(0);

    let ballot: i64 = database(rest.0.path(), "journal.db")
        .query_row("SELECT seq FROM events WHERE kind = 'poll.ballot.cast' LIMIT 1 OFFSET 100", [], |row| row.get(0))
        .unwrap();
    let copy = rest.copy();
    database(copy.path(), "journal.db")
        .execute(
            "UPDATE events SET data = CAST(replace(CAST(data AS TEXT), '\"voter-', '\"Voter-') AS BLOB) WHERE seq = ?",
            [ballot],
        )
        .unwrap();
    one_event(&check(copy.path(), &[]).await, "changed", ballot);
    one_event(&check(copy.path(), &["--against", exported]).await, "changed", ballot);

    // Whoever changes both copies is found by what was saved elsewhere.
    let sql = "UPDATE record_v1_events SET body = replace(body, '\"voter\":\"voter-', '\"voter\":\"Voter-') WHERE created = ?";
    database(copy.path(), "documents.db").execute(sql, [ballot]).unwrap();
    check(copy.path(), &[]).await.expect(0);
    one_event(&check(copy.path(), &["--against", exported]).await, "changed", ballot);
    let told = check(copy.path(), &["--against", anchor]).await.expect(3);
    assert!(told.out.contains("\"changed\"") && told.out.contains("is not what it was"), "{told:?}");

    let copy = rest.copy();
    database(copy.path(), "journal.db").execute("DELETE FROM events WHERE seq = ?", [ballot]).unwrap();
    one_event(&check(copy.path(), &[]).await, "missing", ballot);
    one_event(&check(copy.path(), &["--against", exported]).await, "missing", ballot);
    check(copy.path(), &["--against", anchor]).await.expect(3);

    let copy = rest.copy();
    let forged = "INSERT INTO events SELECT (SELECT max(seq) + 1 FROM events), randomblob(16), lane, aggregate, ruled, kind, version,
                  time, recorded, actor, correlation, causation, traceparent, data FROM events WHERE seq = ?";
    let journal = database(copy.path(), "journal.db");
    journal.execute(forged, [ballot]).unwrap();
    let last: i64 = journal.query_row("SELECT max(seq) FROM events", [], |row| row.get(0)).unwrap();
    // Beyond what the record has seen it might just be new; its place in the middle of what an export has gives it away.
    let before = ballot - 1;
    journal.execute("DELETE FROM events WHERE seq = ?", [before]).unwrap();
    journal.execute("UPDATE events SET seq = ? WHERE seq = ?", [before, last]).unwrap();
    drop(journal);
    one_event(&check(copy.path(), &[]).await, "changed", before);

    let copy = rest.copy();
    database(copy.path(), "documents.db").execute("DELETE FROM record_v1_events WHERE created = ?", [ballot]).unwrap();
    one_event(&check(copy.path(), &[]).await, "inserted", ballot);
    let lines: Vec<&str> = export.lines().collect();
    let without = [&lines[..usize::try_from(ballot).unwrap() - 1], &lines[usize::try_from(ballot).unwrap()..]].concat();
    std::fs::write(exported, without.join("\n")).unwrap();
    one_event(&check(rest.0.path(), &["--against", exported]).await, "inserted", ballot);

    let copy = rest.copy();
    database(copy.path(), "journal.db")
        .execute("UPDATE events SET lane = (lane + 1) % 64 WHERE seq = ?", [ballot])
        .unwrap();
    check(copy.path(), &[]).await.expect(3);
}

#[tokio::test]
async fn a_byte_changed_in_an_exported_file_is_found_by_its_links() {
    let rest = AtRest::filled().await;
    let export = run(rest.0.path(), &["events", "export"]).await.expect(0).out;
    let mut lines: Vec<String> = export.split_inclusive('\n').map(str::to_owned).collect();
    let last = lines.len() - 2;
    let file = rest.0.path().join("linked.ndjson");
    let check = async |lines: &[String]| {
        std::fs::write(&file, lines.concat()).unwrap();
        run(rest.0.path(), &["verify", "--journal", "-o", "json", "--file", file.to_str().unwrap()]).await
    };
    check(&lines).await.expect(0);
    for line in [0, 1, 150, last] {
        let mut changed = lines.clone();
        // A letter or digit within the data: the line stays JSON.
        let at = changed[line].find("\"data\":{\"").unwrap() + 12;
        let byte = if changed[line].as_bytes()[at] == b'a' { "b" } else { "a" };
        changed[line].replace_range(at..=at, byte);
        let told: Value = serde_json::from_str(&check(&changed).await.expect(3).out).unwrap();
        assert_eq!(
            (told["wrong"][0]["line"].as_u64(), told["wrong"].as_array().unwrap().len()),
            (Some(line as u64 + 1), 1)
        );
    }
    let mut shorter = lines.clone();
    shorter.remove(100);
    check(&shorter).await.expect(3);
    lines.swap(100, 101);
    check(&lines).await.expect(3);
}

#[tokio::test]
async fn what_cannot_be_verified_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, &["verify", "votes"]).await.expect(2).says("there are tally, activity, rooms, lists, record");
    run(folder, &["verify", "--sample", "0%"]).await.expect(2).says("1% to 100%");
    run(folder, &["verify", "--save", "x"]).await.expect(2).says("add --journal");
    run(folder, &["verify", "--journal", "tally"]).await.expect(2).says("is no address");
    run(folder, &["verify", "tally", "--journal"]).await.expect(2).says("checks all of the journal");
    run(folder, &["verify"]).await.expect(1).says("there is no journal in");
    run(folder, &["verify", "--journal", "--file", "none"]).await.expect(2).says("--file none");
    let refused = folder.join("cabildo.toml");
    std::fs::write(&refused, "verify_every = \"often\"").unwrap();
    finish(cabildo(folder, &["up"])).await.expect(2).says("use 90s, 30m, 1h");
}

#[tokio::test]
async fn the_background_check_tells_of_a_divergent_row() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start_with(folder, &["--verify-every", "1s", "--verify-rate", "1000000", "--log", "off"]).await;
    filled(&up).await;
    caught_up(folder, &[]).await;
    let sql = "UPDATE cells SET value = value + 1 WHERE field = 'Malacates'
               AND hash IN (SELECT hash FROM hashes WHERE projection = 'tally' AND tbl = 'votes')";
    assert_eq!(database(folder, "counters.db").execute(sql, []).unwrap(), 1);
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        let client = crate::http_client().build().unwrap();
        let metrics = client.get(format!("{}/metrics", up.address)).send().await.unwrap().text().await.unwrap();
        if metrics.contains("cabildo_verify_divergent_rows{projection=\"tally\"} 1") {
            assert!(metrics.contains("cabildo_verify_rows_total{projection=\"rooms\"}"), "{metrics}");
            assert!(metrics.contains("cabildo_verify_timestamp_seconds{projection=\"record\"}"), "{metrics}");
            assert!(metrics.contains("cabildo_verify_divergent_rows{projection=\"rooms\"} 0"), "{metrics}");
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    up.stop().await.expect(0);
}

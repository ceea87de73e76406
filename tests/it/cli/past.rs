//! Looking back from the command line: show, diff, and an event with its causes and effects.

use serde_json::Value;

use super::{Up, run};
use crate::servers::Nats;

fn id(number: u32) -> String {
    format!("01989c00-0000-7000-8000-{number:012}")
}

fn event(number: u32, kind: &str, version: u32, subject: &str, more: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{}","type":"{kind}","subject":"{subject}","time":"2026-11-21T10:00:{number:02}Z",{more}"schemaversion":{version},"data":{data}}}"#,
        id(number)
    )
}

/// A poll and a room, in turns.
fn events() -> Vec<String> {
    let ballot = |number, voter: &str, choice: &str| {
        let data = format!(r#"{{"voter":"{voter}","choices":["{choice}"]}}"#);
        event(number, "poll.ballot.cast", 2, "poll/bands", "", &data)
    };
    let message = id(99);
    let cause = |number| format!(r#""causationid":"{}","correlationid":"{}","#, id(number), id(50));
    vec![
        event(1, "poll.opened", 1, "poll/bands", "", r#"{"question":"¿Quién toca?","options":["Alux","Malacates"]}"#),
        event(2, "chat.room.opened", 1, "chat/lobby", "", r#"{"name":"Lobby"}"#),
        ballot(3, "ana", "Alux"),
        event(
            4,
            "chat.message.posted",
            1,
            "chat/lobby",
            &cause(3),
            &format!(r#"{{"message":"{message}","text":"hola","author":"Ana"}}"#),
        ),
        ballot(5, "luis", "Alux"),
        event(
            6,
            "chat.message.edited",
            1,
            "chat/lobby",
            &cause(4),
            &format!(r#"{{"message":"{message}","text":"¡hola!"}}"#),
        ),
        ballot(7, "ana", "Malacates"),
        event(8, "poll.closed", 1, "poll/bands", &cause(7), "{}"),
        event(9, "chat.message.deleted", 1, "chat/lobby", &cause(6), &format!(r#"{{"message":"{message}"}}"#)),
    ]
}

async fn imported(place: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.ndjson"), events().join("\n") + "\n").unwrap();
    run(folder.path(), &[&["events", "import", "events.ndjson"], place].concat()).await.expect(0);
    folder
}

async fn json(folder: &std::path::Path, arguments: &[&str], code: i32) -> Value {
    let ran = run(folder, &[arguments, &["-o", "json"]].concat()).await.expect(code);
    serde_json::from_str(&ran.out).unwrap()
}

async fn shows_what_was(place: &[&str]) {
    let folder = imported(place).await;
    let path = folder.path();
    let show = async |what: &[&str]| json(path, &[&["show"], what, place].concat(), 0).await;
    let votes = |shown: &Value| {
        let options = shown["options"].as_array().unwrap().iter();
        options
            .map(|option| (option["option"].as_str().unwrap().to_owned(), option["votes"].as_i64().unwrap()))
            .collect::<Vec<_>>()
    };
    let then = show(&["poll", "bands", "--at", "0-6"]).await;
    assert_eq!((&then["as_of"], &then["voters"], &then["status"]), (&"0-6".into(), &2.into(), &"open".into()));
    assert_eq!(votes(&then), [("Alux".to_owned(), 2), ("Malacates".to_owned(), 0)]);
    let now = show(&["poll", "bands"]).await;
    assert_eq!((&now["as_of"], &now["status"]), (&"0-9".into(), &"closed".into()));
    assert_eq!(votes(&now), [("Alux".to_owned(), 1), ("Malacates".to_owned(), 1)]);
    let texts = async |at: &str| show(&["room", "lobby", "--at", at]).await["messages"].clone();
    assert_eq!(texts("0-3").await, Value::Array(vec![]));
    assert_eq!(texts("0-4").await[0]["text"], "hola");
    assert_eq!(texts("0-8").await[0]["text"], "¡hola!");
    assert!(texts("end").await[0]["deleted"].is_string());

    let diff = async |what: &[&str], code| json(path, &[&["diff"], what, place].concat(), code).await;
    let change = diff(&["poll", "bands", "--from", "0-6", "--to", "0-8"], 3).await;
    assert_eq!(change["fields"], serde_json::json!({"status": ["open", "closed"]}));
    let options = serde_json::json!([{"option": "Malacates", "before": 0, "after": 1}, {"option": "Alux", "before": 2, "after": 1}]);
    assert_eq!(change["options"], options);
    diff(&["poll", "bands", "--from", "0-5", "--to", "0-6"], 0).await;
    let change = diff(&["room", "lobby", "--from", "0-4", "--to", "0-8"], 3).await;
    let sides = &change["messages"][0];
    assert_eq!((&sides["before"]["text"], &sides["after"]["text"]), (&"hola".into(), &"¡hola!".into()));
    diff(&["room", "lobby", "--from", "0-4", "--to", "0-5"], 0).await;
    assert_eq!(diff(&["room", "lobby", "--from", "begin"], 3).await["opened"], true);
}

#[tokio::test]
async fn a_poll_and_a_room_of_the_past_from_the_embedded_journal() {
    shows_what_was(&[]).await;
}

#[tokio::test]
async fn a_poll_and_a_room_of_the_past_from_jetstream() {
    let nats = Nats::start().await;
    shows_what_was(&["--journal", &nats.url()]).await;
}

#[tokio::test]
async fn what_is_not_there_yet_says_so_and_people_can_read_the_rest() {
    let folder = imported(&[]).await;
    let path = folder.path();
    // Beside the process that the journal belongs to.
    let up = Up::start(path).await;
    let shown = run(path, &["show", "poll", "bands", "--at", "0-5"]).await.expect(0).out;
    assert!(
        shown.contains("bands — ¿Quién toca?") && shown.contains("open as of 0-5") && shown.contains("Alux"),
        "{shown}"
    );
    let shown = run(path, &["show", "room", "lobby", "--at", "0-6"]).await.expect(0).out;
    assert!(shown.contains("Ana: ¡hola! (edited)"), "{shown}");
    let changed = run(path, &["diff", "room", "lobby", "--from", "0-5", "--to", "0-6"]).await.expect(3).out;
    assert!(changed.contains("- 0-4") && changed.contains("+ 0-4"), "{changed}");
    let same = run(path, &["diff", "poll", "bands", "--from", "0-1", "--to", "0-2"]).await.expect(0).out;
    assert!(same.contains("nothing changed"), "{same}");
    run(path, &["show", "room", "lobby", "--at", "0-1"]).await.expect(1).says("at 0-1 there was no room `lobby`");
    run(path, &["show", "poll", "films"]).await.expect(1).says("there was no poll `films`");
    run(path, &["show", "poll", "bands", "--at", "0-99"])
        .await
        .expect(2)
        .says("is past the last event, which is at 0-9");
    run(path, &["show", "poll", "bands", "--at", "soon"]).await.expect(2).says("is no place in the journal");
    run(path, &["diff", "poll", "bands", "--from", "0-5", "--to", "0-2"]).await.expect(2).says("is later than --to");
    up.stop().await.expect(0);
}

#[tokio::test]
async fn events_are_found_by_what_they_hold_and_belong_to() {
    let folder = imported(&[]).await;
    let tail = async |arguments: &[&str]| {
        let ran = run(folder.path(), &[&["events", "tail", "-o", "json"], arguments].concat()).await.expect(0);
        let position =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["position"].as_str().unwrap().to_owned();
        ran.out.lines().map(position).collect::<Vec<_>>()
    };
    assert_eq!(tail(&["--text", "MALACATES"]).await, ["0-1", "0-7"]);
    assert_eq!(tail(&["--correlation", &id(50), "--type", "chat.*"]).await, ["0-4", "0-6", "0-9"]);
    let lane =
        serde_json::from_str::<Value>(&run(folder.path(), &["events", "get", "0-1", "-o", "json"]).await.out).unwrap();
    assert_eq!(
        tail(&["--lane", &lane["lane"].to_string(), "--aggregate", "poll/bands", "-n", "2"]).await,
        ["0-7", "0-8"]
    );
    assert_eq!(tail(&["--from", "0-2", "--to", "0-6", "--aggregate", "chat/lobby"]).await, ["0-2", "0-4", "0-6"]);
    run(folder.path(), &["events", "tail", "--lane", "64"]).await.expect(2).says("they go from 0 to 63");
}

async fn causes_and_effects(place: &[&str]) {
    let folder = imported(place).await;
    let get = |arguments: &[&str]| {
        let arguments: Vec<String> =
            [&["events", "get"], arguments, place].concat().into_iter().map(str::to_owned).collect();
        let path = folder.path().to_owned();
        async move { run(&path, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let tree = get(&["0-6", "--tree"]).await.expect(0).out;
    let lines: Vec<&str> = tree.lines().collect();
    assert!(lines[0].starts_with("0-3 ") && lines[1].starts_with("└─ 0-4 "), "{tree}");
    assert!(lines[2].starts_with("   └─ ▶ 0-6 ") && lines[3].starts_with("      └─ 0-9 "), "{tree}");
    assert_eq!(lines.len(), 4);
    let by_id = get(&[&id(6), "--tree", "-o", "json"]).await.expect(0).out;
    let by_id: Value = serde_json::from_str(&by_id).unwrap();
    assert_eq!((&by_id["root"], by_id["nodes"].as_array().unwrap().len()), (&"0-6".into(), 4));
    assert_eq!(by_id["edges"][2], serde_json::json!({"cause": "0-6", "effect": "0-9"}));
    assert_eq!(by_id["searched"], serde_json::json!({"after": "0-6", "until": "0-9", "complete": true}));
    get(&[&id(77)]).await.expect(1).says("there is no event with the id");
    get(&["seven"]).await.expect(2).says("neither a position");
}

#[tokio::test]
async fn an_event_with_its_causes_and_effects_embedded() {
    causes_and_effects(&[]).await;
}

#[tokio::test]
async fn an_event_with_its_causes_and_effects_on_jetstream() {
    let nats = Nats::start().await;
    causes_and_effects(&["--journal", &nats.url()]).await;
}

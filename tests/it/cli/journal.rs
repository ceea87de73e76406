//! The journal from the command line: tail, get, export, import.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::{PATIENCE, cabildo, run};

/// One event of each kind that is written: a poll with two ballots, a room with a message, a list with a task done.
const EVENTS: &[&str] = &[
    r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000001","type":"poll.opened","subject":"poll/bands","time":"2026-11-21T10:00:00Z","schemaversion":1,"data":{"question":"¿Quién toca?"}}"#,
    r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000002","type":"poll.ballot.cast","subject":"poll/bands","time":"2026-11-21T10:00:01Z","actor":"ana","schemaversion":2,"data":{"voter":"ana","choices":["Alux Nahual"]}}"#,
    r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000003","type":"chat.room.opened","subject":"chat/lobby","time":"2026-11-21T10:00:02Z","schemaversion":1,"data":{"name":"Lobby"}}"#,
    r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000004","type":"poll.ballot.cast","subject":"poll/bands","time":"2026-11-21T10:00:03Z","actor":"luis","schemaversion":2,"data":{"voter":"luis","choices":["La Tona"]}}"#,
    r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000005","type":"task.list.opened","subject":"task/sound","time":"2026-11-21T10:00:04Z","schemaversion":1,"data":{"title":"Sound"}}"#,
    r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000006","type":"task.added","subject":"task/sound","time":"2026-11-21T10:00:05Z","schemaversion":1,"data":{"task":"01989c00-0000-7000-8000-0000000000aa","title":"Cables"}}"#,
    r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000007","type":"poll.closed","subject":"poll/bands","time":"2026-11-21T10:00:06Z","schemaversion":1,"data":{}}"#,
];

fn write_events(folder: &Path) {
    std::fs::write(folder.join("events.ndjson"), EVENTS.join("\n") + "\n").unwrap();
}

async fn imported() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_events(folder.path());
    let ran = run(folder.path(), &["events", "import", "events.ndjson"]).await.expect(0);
    assert_eq!(ran.out, "7 lines: 7 events imported, 0 there already; the last event is at 0-7\n");
    folder
}

#[tokio::test]
async fn an_export_of_an_import_is_the_same_byte_for_byte() {
    let folder = imported().await;
    let path = folder.path();
    let first = run(path, &["events", "export"]).await.expect(0).out;
    assert_eq!(first.lines().count(), EVENTS.len() + 1, "a line for each event, and one to check them by");
    std::fs::write(path.join("first.ndjson"), &first).unwrap();
    run(path, &["events", "import", "first.ndjson", "--data", "other"]).await.expect(0);
    let second = run(path, &["events", "export", "--data", "other"]).await.expect(0).out;
    assert_eq!(first, second);

    run(path, &["events", "import", "first.ndjson"]).await.expect(2).says("--append");
    let again = run(path, &["events", "import", "first.ndjson", "--append", "-o", "json"]).await.expect(0).out;
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["imported"], &again["already_there"], &again["head"]), (&0.into(), &7.into(), &"0-7".into()));
    let part = run(path, &["events", "export", "--from", "0-2", "--to", "0-3"]).await.expect(0).out;
    let without_links = |lines: &str, skip: usize| {
        let lines = lines.lines().skip(skip).take(2).map(|line| line.split(",\"link\"").next().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_links(&part, 0), without_links(&first, 1));
}

#[tokio::test]
async fn a_bad_line_stops_an_import_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let bad = format!("{}\n\n{}\n{}\n", EVENTS[0], EVENTS[1], r#"{"specversion":"1.0"}"#);
    std::fs::write(path.join("bad.ndjson"), bad).unwrap();
    run(path, &["events", "import", "bad.ndjson"]).await.expect(1).says("line 4: ").says("missing field `id`");
    let kept = run(path, &["events", "export"]).await.expect(0).out;
    assert_eq!(kept.lines().count(), 2 + 1, "what stood before the bad line stays");

    let unordered = format!("{}\n", EVENTS[6].replace("0000000007", "0000000099"));
    std::fs::write(path.join("late.ndjson"), unordered).unwrap();
    let appended = run(path, &["events", "import", "late.ndjson", "--append"]).await.expect(0);
    assert!(appended.out.contains("the last event is at 0-3"), "{appended:?}");
}

#[tokio::test]
async fn tail_filters_and_bounds() {
    let folder = imported().await;
    let positions = async |arguments: &[&str]| {
        let arguments: Vec<_> = ["events", "tail", "-o", "json"].iter().chain(arguments).copied().collect();
        let ran = run(folder.path(), &arguments).await.expect(0);
        let seq = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["position"].as_str().unwrap().strip_prefix("0-").unwrap().parse::<u64>().unwrap()
        };
        ran.out.lines().map(seq).collect::<Vec<_>>()
    };
    assert_eq!(positions(&[]).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(positions(&["-n", "2"]).await, [6, 7]);
    assert_eq!(positions(&["-n", "0"]).await, [0_u64; 0]);
    assert_eq!(positions(&["--from", "0-3"]).await, [3, 4, 5, 6, 7]);
    assert_eq!(positions(&["--from", "begin", "-n", "2"]).await, [1, 2]);
    assert_eq!(positions(&["--from", "0-2", "--to", "0-4"]).await, [2, 3, 4]);
    assert_eq!(positions(&["--to", "0-4", "-n", "1"]).await, [4]);
    assert_eq!(positions(&["--type", "poll.ballot.cast"]).await, [2, 4]);
    assert_eq!(positions(&["--type", "task.*", "--type", "poll.closed", "-n", "2"]).await, [6, 7]);
    assert_eq!(positions(&["--aggregate", "chat/lobby"]).await, [3]);
    assert_eq!(positions(&["--actor", "luis"]).await, [4]);
    assert_eq!(positions(&["--from", "-1h"]).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(positions(&["--from", "-0s"]).await, [0_u64; 0]);
    assert_eq!(positions(&["--from", "begin", "--to", "2001-01-01T00:00Z"]).await, [0_u64; 0]);

    let raw = run(folder.path(), &["events", "get", "0-1", "-o", "raw"]).await.expect(0);
    assert_eq!(raw.out, "{\"question\":\"¿Quién toca?\"}\n");
    run(folder.path(), &["events", "get", "0-8"]).await.expect(1).says("the last one is at 0-7");
}

#[tokio::test]
async fn a_follower_prints_what_another_process_appends() {
    let folder = imported().await;
    let mut command = cabildo(folder.path(), &["events", "tail", "-f", "--type", "poll.*", "-n", "1", "-o", "raw"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line in time").unwrap();
    assert_eq!(next().await.as_deref(), Some("{}"), "the last one that is there: the poll was closed");
    let room = EVENTS[2].replace("000000000003", "000000000013").replace("chat/lobby", "chat/backstage");
    let late = EVENTS[1].replace("000000000002", "000000000012");
    std::fs::write(folder.path().join("more.ndjson"), format!("{room}\n{late}\n")).unwrap();
    run(folder.path(), &["events", "import", "more.ndjson", "--append"]).await.expect(0);
    assert!(next().await.is_some_and(|line| line.contains("Alux Nahual")), "what was appended and matches");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_an_export_quietly() {
    let folder = tempfile::tempdir().unwrap();
    // More than a pipe holds.
    let ballot = |n: u32| EVENTS[1].replace("000000000002", &format!("{n:012}"));
    let text: String = (1..2_000).map(|n| ballot(n) + "\n").collect();
    std::fs::write(folder.path().join("many.ndjson"), text).unwrap();
    run(folder.path(), &["events", "import", "many.ndjson"]).await.expect(0);
    let mut command = cabildo(folder.path(), &["events", "export"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().is_some());
    drop(lines);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

#[tokio::test]
async fn a_journal_written_by_a_newer_version_is_refused() {
    let folder = imported().await;
    let file = folder.path().join("data/journal.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // The user version of an SQLite file: four bytes from 60 on, big-endian (https://sqlite.org/fileformat.html#the_database_header).
    bytes[60..64].copy_from_slice(&9_u32.to_be_bytes());
    std::fs::write(&file, bytes).unwrap();
    for arguments in [&["up", "--listen", "127.0.0.1:0"][..], &["events", "tail"]] {
        run(folder.path(), arguments).await.expect(1).says("newer cabildo (schema 9").says("upgrade cabildo");
    }
}

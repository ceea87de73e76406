//! A journal moved from one place to another: export, import, and what may go wrong with either.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::{PATIENCE, cabildo, run};
use crate::servers::Nats;

/// A line of an import: an event of a poll (ruled if it opens it), with a number of its own.
fn line(number: u32) -> String {
    let (kind, version, data) = match number % 7 {
        1 => ("task.list.opened", 1, r#"{"title":"Sound"}"#.to_owned()),
        _ => ("poll.ballot.cast", 2, format!(r#"{{"voter":"voter-{number}","choices":["Alux Nahual"]}}"#)),
    };
    let subject = if number % 7 == 1 { format!("task/list-{number}") } else { format!("poll/p{}", number % 3) };
    format!(
        r#"{{"specversion":"1.0","id":"01989c00-0000-7000-8000-{number:012}","type":"{kind}","subject":"{subject}","time":"2026-11-21T10:00:00Z","schemaversion":{version},"data":{data}}}"#
    )
}

/// What an operator decided.
fn decision(number: u32, kind: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"01989c00-0000-7000-9000-{number:012}","type":"operation.{kind}","subject":"operation/projections","time":"2026-11-21T10:00:00Z","schemaversion":1,"data":{data}}}"#
    )
}

/// A folder with a journal of so many events, ruled and free, and some decisions.
async fn filled(events: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = (1..=events).map(line).collect();
    lines.push(decision(1, "event.discarded", r#"{"projection":"tally","position":"0-2","reason":"a test"}"#));
    lines.push(decision(2, "projection.paused", r#"{"projection":"rooms","reason":"a look"}"#));
    lines.push(decision(3, "projection.resumed", r#"{"projection":"rooms"}"#));
    std::fs::write(folder.path().join("plain.ndjson"), lines.join("\n") + "\n").unwrap();
    run(folder.path(), &["events", "import", "plain.ndjson"]).await.expect(0);
    folder
}

async fn export(folder: &Path, file: &str, journal: &[&str]) -> Vec<u8> {
    run(folder, &[&["events", "export", file], journal].concat()).await.expect(0);
    std::fs::read(folder.join(file)).unwrap()
}

#[tokio::test]
async fn embedded_to_jetstream_and_back_is_the_same_byte_for_byte() {
    let folder = filled(3_000).await;
    let path = folder.path();
    let nats = Nats::start().await;
    let server = nats.url();
    let first = export(path, "first.ndjson", &[]).await;
    assert_eq!(first.iter().filter(|byte| **byte == b'\n').count(), 3_004);
    let told = run(path, &["events", "import", "first.ndjson", "--journal", &server, "-o", "json"]).await.expect(0).out;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["imported"], &told["verified"], &told["head"]), (&3_003.into(), &true.into(), &"0-3003".into()));
    assert!(first == export(path, "second.ndjson", &["--journal", &server]).await, "exported from JetStream");
    // And back, packed on the way.
    export(path, "third.ndjson.zst", &["--journal", &server]).await;
    run(path, &["events", "import", "third.ndjson.zst", "--data", "back"]).await.expect(0);
    assert!(first == export(path, "fourth.ndjson", &["--data", "back"]).await, "exported from the copy");
    let packed = std::fs::metadata(path.join("third.ndjson.zst")).unwrap().len();
    assert!(packed * 3 < first.len() as u64, "{packed} of {}", first.len());
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on_also_where_the_server_forgot_the_ids() {
    let folder = filled(2_500).await;
    let path = folder.path();
    let whole = String::from_utf8(export(path, "whole.ndjson", &[]).await).unwrap();
    // What an interruption leaves: a part of the events.
    let part: Vec<&str> = whole.lines().take(1_234).collect();
    std::fs::write(path.join("part.ndjson"), part.join("\n") + "\n").unwrap();
    run(path, &["events", "export", "other.ndjson", "--from", "0-6"]).await.expect(0);
    let nats = Nats::start().await;
    for place in [["--data", "other"], ["--journal", &nats.url()]] {
        let import =
            async |arguments: &[&str]| run(path, &[&["events", "import"], arguments, &place[..]].concat()).await;
        let cut = import(&["part.ndjson"]).await.expect(1);
        assert!(cut.err.contains("line 1235: the last line, by which the whole is checked, is missing"), "{cut:?}");
        import(&["whole.ndjson"]).await.expect(2).says("--resume");
        let ran = import(&["whole.ndjson", "--resume", "-o", "json"]).await.expect(0);
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        let counts = (&told["already_there"], &told["imported"], &told["head"]);
        assert_eq!(counts, (&1_234.into(), &1_269.into(), &"0-2503".into()));
        import(&["whole.ndjson", "--resume"]).await.expect(0);
        let again = run(path, &[&["events", "export"], &place[..]].concat()).await.expect(0).out;
        assert!(again == whole);
        // Another journal's export is none that could be gone on with.
        let refused = import(&["other.ndjson", "--resume"]).await.expect(1);
        assert!(refused.err.contains("line 1: ") && refused.err.contains("another event at 0-1"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_line_that_was_changed_stops_the_import_and_what_stands_before_it_stays() {
    let folder = filled(40).await;
    let path = folder.path();
    let whole = String::from_utf8(export(path, "whole.ndjson", &[]).await).unwrap();
    let import = async |name: &str, text: String, code: i32| {
        std::fs::write(path.join(name), text).unwrap();
        let dry = run(path, &["events", "import", name, "--dry-run"]).await.expect(code);
        let data = format!("{name}.data");
        let ran = run(path, &["events", "import", name, "--data", &data]).await.expect(code);
        assert_eq!(dry.err, ran.err, "a dry run says the same");
        let head = run(path, &["events", "export", "--data", &data]).await.expect(0).out.lines().count();
        (ran.err, head - 1)
    };
    let changed = whole.replacen("voter-20", "voter-21", 1);
    let (error, kept) = import("changed", changed, 1).await;
    assert!(error.contains("line 20: the link does not follow") && kept == 19, "{kept}: {error}");
    let moved = |from: usize, to: usize| {
        let mut lines: Vec<&str> = whole.lines().collect();
        let line = lines.remove(from);
        lines.insert(to, line);
        lines.join("\n") + "\n"
    };
    let (error, _) = import("moved", moved(9, 6), 1).await;
    assert!(error.contains("the link does not follow") || error.contains("the last line says otherwise"), "{error}");
    let manifest = whole.lines().last().unwrap();
    let (error, kept) = import("short", whole.replace(manifest, &manifest.replace("43", "42")), 1).await;
    assert!(error.contains("line 44: the last line says otherwise of the number of events") && kept == 43, "{error}");
    let (error, kept) = import("good", whole.clone(), 0).await;
    assert_eq!((error.as_str(), kept), ("", 43));
}

#[tokio::test]
async fn a_decision_that_names_a_position_is_not_imported_where_positions_are_others() {
    let folder = filled(20).await;
    let path = folder.path();
    run(path, &["events", "export", "part.ndjson", "--from", "0-11"]).await.expect(0);
    let refused = run(path, &["events", "import", "part.ndjson", "--data", "part"]).await.expect(1);
    assert!(refused.err.contains("operation.event.discarded names an event by its position"), "{refused:?}");
    let told =
        run(path, &["events", "import", "part.ndjson", "--data", "without", "--without-decisions"]).await.expect(0);
    assert!(
        told.out.contains("10 events imported, 0 there already, 3 left out; the last event is at 0-10"),
        "{told:?}"
    );
    // A whole export keeps its decisions: what was left out there is left out here.
    run(path, &["events", "export", "whole.ndjson"]).await.expect(0);
    run(path, &["events", "import", "whole.ndjson", "--data", "copy"]).await.expect(0);
    let decided = run(path, &["events", "tail", "--aggregate", "operation/projections", "--data", "copy", "-o", "raw"]);
    assert!(decided.await.expect(0).out.contains(r#""position":"0-2""#));
}

#[tokio::test]
async fn an_export_that_was_interrupted_goes_on_after_its_last_whole_event() {
    let folder = filled(5_000).await;
    let path = folder.path();
    let whole = export(path, "whole.ndjson", &[]).await;
    let packed = export(path, "whole.ndjson.zst", &[]).await;
    for (name, bytes) in [("cut.ndjson", &whole), ("cut.ndjson.zst", &packed)] {
        for cut in [0, bytes.len() / 2, bytes.len() - 1, bytes.len()] {
            std::fs::write(path.join(name), &bytes[..cut]).unwrap();
            run(path, &["events", "export", name]).await.expect(1).says("--resume");
            run(path, &["events", "export", name, "--resume"]).await.expect(0);
            if name.ends_with("zst") {
                run(path, &["events", "import", name, "--dry-run"]).await.expect(0);
                let data = format!("copy-{cut}");
                run(path, &["events", "import", name, "--data", &data]).await.expect(0);
                let copy = run(path, &["events", "export", "--data", &data]).await.expect(0).out;
                assert!(copy.as_bytes() == whole, "cut at {cut}");
            } else {
                assert!(std::fs::read(path.join(name)).unwrap() == whole, "cut at {cut}");
            }
        }
    }
    run(path, &["events", "export", "whole.ndjson", "--resume"]).await.expect(0).says("complete already");
    // A file of another journal is not gone on with.
    let other = filled(30).await;
    std::fs::write(other.path().join("whole.ndjson"), &whole[..whole.len() / 2]).unwrap();
    let refused = run(other.path(), &["events", "export", "whole.ndjson", "--resume"]).await.expect(1);
    assert!(refused.err.contains("is no export of this journal"), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_event_is_exported_and_left_out_of_an_import_when_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("plain.ndjson"), format!("{}\n{}\n", line(2), line(3))).unwrap();
    let nats = Nats::start().await;
    let server = nats.url();
    run(path, &["events", "import", "plain.ndjson", "--journal", &server]).await.expect(0);
    crate::servers::Wire::connect(&server).publish("ev.17.poll.p1", &[], b"\xff nothing of ours");
    export(path, "with.ndjson", &["--journal", &server]).await;
    let refused = run(path, &["events", "import", "with.ndjson"]).await.expect(1);
    assert!(refused.err.contains("line 3: what stands there is no event"), "{refused:?}");
    let told = run(path, &["events", "import", "with.ndjson", "--skip-unreadable", "--data", "b"]).await.expect(0);
    assert!(told.out.contains("2 events imported, 0 there already, 1 left out"), "{told:?}");
}

#[tokio::test]
async fn stdout_and_stdin_will_do() {
    let folder = filled(50).await;
    let path = folder.path();
    let mut export = cabildo(path, &["events", "export", "--zstd"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut packed = Vec::new();
    let read = export.stdout.take().unwrap().read_to_end(&mut packed).await;
    read.unwrap();
    assert!(tokio::time::timeout(PATIENCE, export.wait()).await.unwrap().unwrap().success());
    let mut import = cabildo(path, &["events", "import", "-", "--data", "copy"]);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = import.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, &packed).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, import.wait_with_output()).await.unwrap().unwrap();
    assert!(
        String::from_utf8(output.stdout).unwrap().starts_with("53 lines, as they were exported: 53 events imported")
    );
}

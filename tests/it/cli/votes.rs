//! `cabildo produce votes`: what was acknowledged is what the tally shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Ran, Up, run};

fn seed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/seed/votes-gt.json")
}

fn report(ran: Ran) -> Value {
    serde_json::from_str(&ran.expect(0).out).unwrap()
}

#[test]
fn the_seed_has_a_thousand_ballots_over_thirty_bands() {
    let text = std::fs::read_to_string(seed()).unwrap();
    let ballots: Vec<BTreeMap<String, String>> = serde_json::from_str(&text).unwrap();
    let mut bands = BTreeMap::<&str, u32>::new();
    for ballot in &ballots {
        assert_eq!(ballot.keys().collect::<Vec<_>>(), ["album", "name", "rank", "year"]);
        assert!(matches!(ballot["rank"].as_str(), "1" | "2" | "3" | "4" | "5"), "{ballot:?}");
        assert!(ballot["year"].len() == 4 && ballot["year"].parse::<u16>().is_ok(), "{ballot:?}");
        *bands.entry(&ballot["name"]).or_default() += 1;
    }
    assert!(ballots.len() >= 1_000 && bands.len() >= 30, "{} ballots, {} bands", ballots.len(), bands.len());
}

#[tokio::test]
async fn a_thousand_votes_into_the_journal_equal_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = seed();
    let arguments = ["produce", "votes", "--transport", "journal", "--count", "1000", "-o", "json", "--file"];
    let arguments: Vec<_> = arguments.into_iter().chain([file.to_str().unwrap()]).collect();
    let first = report(run(folder.path(), &arguments).await);
    assert_eq!((&first["acknowledged"], &first["failed"], &first["exact"]), (&1_000.into(), &0.into(), &true.into()));
    assert_eq!(first["highest"], "0-1001", "one poll opened, a thousand ballots");
    // Again into the same poll: other voters, so the votes add up.
    let second = report(run(folder.path(), &arguments).await);
    assert_eq!((&second["exact"], &second["highest"]), (&true.into(), &"0-2001".into()));

    // The record is the judge of both reports.
    let exported = run(folder.path(), &["events", "export", "--to", "0-1001"]).await.expect(0).out;
    let mut recorded = BTreeMap::<String, u32>::new();
    // The first line opens the poll, the last one is there to check the others by.
    for line in exported.lines().skip(1).take(1_000) {
        let event: Value = serde_json::from_str(line).unwrap();
        *recorded.entry(event["data"]["choices"][0].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let ballots: Vec<BTreeMap<String, String>> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut expected = BTreeMap::<String, u32>::new();
    for ballot in ballots.iter().take(1_000) {
        *expected.entry(ballot["name"].clone()).or_default() += 1;
    }
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn voters_who_vote_again_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = seed();
    let ran = run(
        folder.path(),
        &[
            "produce",
            "votes",
            "--transport",
            "journal",
            "--count",
            "900",
            "--voters",
            "70",
            "--users",
            "8",
            "--random",
            "--seed",
            "7",
            "--poll",
            "again",
            "-o",
            "json",
            "--file",
            file.to_str().unwrap(),
        ],
    )
    .await;
    let report = report(ran);
    assert_eq!((&report["acknowledged"], &report["exact"]), (&900.into(), &true.into()));
}

#[tokio::test]
async fn votes_over_http_equal_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let file = seed();
    let ran = run(
        folder.path(),
        &[
            "produce",
            "votes",
            "--server",
            &up.address,
            "--count",
            "2000",
            "--users",
            "16",
            "-o",
            "json",
            "--file",
            file.to_str().unwrap(),
        ],
    )
    .await;
    let report = report(ran);
    assert_eq!((&report["acknowledged"], &report["exact"]), (&2_000.into(), &true.into()));
    assert!(report["latency_ms"]["p50"].as_f64().unwrap() > 0.0);
    run(folder.path(), &["projections", "lag"]).await.expect(0);

    // A closed poll takes no more: that is told, and nothing is counted as cast.
    let again = ["produce", "votes", "--server", &up.address, "--poll", "gone", "--file", file.to_str().unwrap()];
    run(folder.path(), &again).await.expect(0);
    close_poll(&up.address, "gone").await;
    let refused = run(folder.path(), &again).await.expect(1);
    assert!(refused.out.contains("is closed") && refused.out.contains("INCOMPLETE"), "{refused:?}");
    up.stop().await.expect(0);
}

/// Closes a poll by the plainest HTTP there is.
async fn close_poll(address: &str, poll: &str) {
    let host = address.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!(
        "POST /api/v1/polls/{poll}/close HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_bad_row_is_refused_before_anything_is_cast() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.csv"), "name,album,year,rank\nAlux,Conquista,1982,5\n,x,1,1\n").unwrap();
    let ran = run(folder.path(), &["produce", "votes", "--transport", "journal", "--file", "bad.csv"]).await;
    ran.expect(1).says("bad.csv: row 2: name: the option is empty");
    assert!(!folder.path().join("data").exists());
}

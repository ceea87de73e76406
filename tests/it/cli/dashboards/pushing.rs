//! `cabildo dashboards push`: from a running gateway to the stand-in.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;
use tokio::time::{Duration, Instant};

use super::super::{PATIENCE, Up};
use super::{GRAFANAS, StandIn, cabildo, dashboards, folder, grafana};

/// Shortest time between two pushes, by the times that they carry.
const EVERY_NS: u128 = 500_000_000;

#[tokio::test]
async fn a_tally_is_pushed_at_most_twice_a_second_and_to_its_end() {
    let folder = folder();
    let stand_in = StandIn::start(grafana(GRAFANAS[2])).await;
    let up = Up::start(folder.path()).await;
    dashboards(folder.path(), &stand_in, &["push", "none", "--server", &up.address])
        .await
        .expect(1)
        .says("no poll `none`");

    let client = crate::http_client().build().unwrap();
    let poll = json!({"id": "bands", "question": "¿La mejor banda?"});
    let opened = client.post(format!("{}/api/v1/polls", up.address)).json(&poll).send().await.unwrap();
    assert!(opened.status().is_success());
    let arguments = [
        "dashboards",
        "push",
        "bands",
        "--server",
        &up.address,
        "--grafana",
        &stand_in.address,
        "--token-file",
        "token",
    ];
    let mut pushing = cabildo(folder.path(), &arguments);
    let pushing = pushing.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    let deadline = Instant::now() + PATIENCE;
    // As soon as one state has been pushed, the next is there.
    for voters in 1..=20 {
        let ballot = format!("{}/api/v1/polls/bands/ballots/v{voters}", up.address);
        let cast = client.put(ballot).json(&json!({"choice": "Bohemia Suburbana"})).send().await.unwrap();
        assert!(cast.status().is_success());
        let shows_it = format!("Bohemia\\ Suburbana={voters}i ");
        // All come in a burst, but that some are waited for.
        while voters % 5 == 0 && !stand_in.held().pushed.last().is_some_and(|(_, lines)| lines.contains(&shows_it)) {
            assert!(Instant::now() < deadline, "{voters} ballots are not pushed: {:?}", stand_in.held().pushed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let id = pushing.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let ran = tokio::time::timeout(PATIENCE, pushing.wait_with_output()).await.expect("it stops in time").unwrap();
    let ran = super::Ran::from(ran).expect(0).says("stream/cabildo/bands");
    assert!(!ran.err.contains("s3cret"));

    let pushed = stand_in.held().pushed.clone();
    assert!(pushed.len() >= 4, "{pushed:?}");
    let mut times = Vec::new();
    for (stream, lines) in &pushed {
        assert_eq!(stream, "cabildo");
        let line = lines.strip_suffix('\n').unwrap();
        assert!(line.starts_with("bands ") && !line.contains('\n'), "{line}");
        times.push(line.rsplit_once(' ').unwrap().1.parse::<u128>().unwrap());
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    assert!(times.iter().all(|time| now - time < PATIENCE.as_nanos()), "the times are nanoseconds");
    assert!(times.windows(2).all(|two| two[1] - two[0] >= EVERY_NS), "{times:?}");
    up.stop().await.expect(0);
}

//! `cabildo dashboards`, against a stand-in for Grafana.

mod pushing;
mod stand_in;

use std::path::Path;

use serde_json::{Value, json};
use stand_in::{Held, StandIn, TOKEN};
use tempfile::TempDir;

use super::{Ran, cabildo, finish, run};

/// Grafana 11, 12 and 13, as far as they differ here.
const GRAFANAS: [(&str, Option<&str>); 3] = [("11.6.0", None), ("12.1.0", Some("v1beta1")), ("13.0.1", Some("v1"))];
/// Folder, two data sources, six dashboards, one group of alerts.
const THINGS: usize = 10;

fn grafana((version, new_api): (&'static str, Option<&'static str>)) -> Held {
    Held { version, new_api, has_infinity: true, ..Held::default() }
}

/// A folder with the token in a file.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
    folder
}

/// Runs a command of `dashboards` against the stand-in. The token is told nowhere, whatever happens.
async fn dashboards(folder: &Path, stand_in: &StandIn, arguments: &[&str]) -> Ran {
    let mut all = vec!["dashboards"];
    all.extend(arguments);
    all.extend(["--grafana", &stand_in.address, "--token-file", "token"]);
    let ran = run(folder, &all).await;
    assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{ran:?}");
    ran
}

fn written(stand_in: &StandIn) -> Vec<String> {
    std::mem::take(&mut stand_in.held().writes)
}

/// The dashboard that a stand-in holds, to be changed by hand.
fn board<'a>(held: &'a mut Held, uid: &str) -> &'a mut Value {
    let object = held.dashboards.get_mut(uid).unwrap();
    if held.new_api.is_some() { &mut object["spec"] } else { &mut object["dashboard"] }
}

#[tokio::test]
async fn the_second_apply_changes_nothing_in_grafana_11_to_13() {
    for version in GRAFANAS {
        let folder = folder();
        let stand_in = StandIn::start(grafana(version)).await;
        let path = folder.path();

        let diff = dashboards(path, &stand_in, &["diff"]).await.expect(3);
        assert_eq!(diff.out.lines().filter(|line| line.ends_with(": missing")).count(), THINGS, "{diff:?}");
        let dry = dashboards(path, &stand_in, &["apply", "--dry-run"]).await.expect(0).says("nothing was done");
        assert_eq!(dry.out.lines().filter(|line| line.ends_with(": would be made")).count(), THINGS);
        assert_eq!(written(&stand_in), Vec::<String>::new(), "looking writes nothing");

        let first = dashboards(path, &stand_in, &["apply"]).await.expect(0).says(version.0).says("10 of 10 made");
        assert_eq!(first.out.lines().filter(|line| line.ends_with(": made")).count(), THINGS, "{first:?}");
        let writes = written(&stand_in);
        assert_eq!(writes.len(), THINGS, "{writes:?}");
        let by_new_api = writes.iter().filter(|write| write.contains("/apis/dashboard.grafana.app/")).count();
        assert_eq!(by_new_api, if version.1.is_some() { 6 } else { 0 }, "{writes:?}");

        let second =
            dashboards(path, &stand_in, &["apply"]).await.expect(0).says("unchanged: Grafana is as it should be");
        assert_eq!(second.out.lines().filter(|line| line.ends_with(": unchanged")).count(), THINGS, "{second:?}");
        assert_eq!(written(&stand_in), Vec::<String>::new(), "the second apply writes nothing");
        assert!(dashboards(path, &stand_in, &["diff"]).await.expect(0).out.contains("alerts cabildo: unchanged"));
    }
}

#[tokio::test]
async fn what_somebody_changed_is_shown_and_put_right() {
    for version in GRAFANAS {
        let folder = folder();
        let stand_in = StandIn::start(grafana(version)).await;
        let path = folder.path();
        dashboards(path, &stand_in, &["apply"]).await.expect(0);
        {
            let mut held = stand_in.held();
            board(&mut held, "cabildo-overview")["panels"][1]["title"] = "Mine".into();
            board(&mut held, "cabildo-votes")["panels"].as_array_mut().unwrap().pop();
            held.data_sources.get_mut("cabildo-prometheus").unwrap()["url"] = "http://elsewhere:9090".into();
            held.data_sources.get_mut("cabildo-prometheus").unwrap()["jsonData"]["theirs"] = "kept".into();
            let rules = held.groups.get_mut("cabildo").unwrap()["rules"].as_array_mut().unwrap();
            rules[0]["for"] = "1h".into();
            rules[1]["isPaused"] = true.into();
            held.writes.clear();
        }
        let diff = dashboards(path, &stand_in, &["diff"]).await.expect(3);
        for shown in [
            "dashboard cabildo-overview: differs",
            "panels[id=2].title: Grafana has \"Mine\", wanted \"Processes\"",
            "dashboard cabildo-votes: differs",
            "url: Grafana has \"http://elsewhere:9090\"",
            "rules[uid=cabildo-clock-offset].for: Grafana has \"1h\", wanted \"5m\"",
            "dashboard cabildo-gateway: unchanged",
        ] {
            assert!(diff.out.contains(shown), "{shown} is not in {}", diff.out);
        }
        let json = dashboards(path, &stand_in, &["diff", "-o", "json"]).await.expect(3);
        let steps: Vec<Value> = serde_json::from_str(&json.out).unwrap();
        let overview = steps.iter().find(|step| step["name"] == "cabildo-overview").unwrap();
        assert_eq!(overview["differences"][0]["path"], "panels[id=2].title");

        dashboards(path, &stand_in, &["apply"]).await.expect(0).says("4 of 10 made or changed");
        assert_eq!(written(&stand_in).len(), 4);
        dashboards(path, &stand_in, &["diff"]).await.expect(0);
        let held = stand_in.held();
        let prometheus = &held.data_sources["cabildo-prometheus"];
        assert_eq!(
            (&prometheus["url"], &prometheus["jsonData"]["theirs"]),
            (&json!("http://127.0.0.1:9090"), &json!("kept"))
        );
        let paused = held.groups["cabildo"]["rules"].as_array().unwrap().iter().filter(|rule| rule["isPaused"] == true);
        assert_eq!(paused.count(), 1, "what somebody paused stays paused");
        assert!(!held.groups["cabildo"].to_string().contains("provenance"), "the rules can be changed in the browser");
    }
}

#[tokio::test]
async fn a_rivals_change_is_read_again_before_it_is_overwritten() {
    for version in GRAFANAS {
        let folder = folder();
        let stand_in = StandIn::start(grafana(version)).await;
        dashboards(folder.path(), &stand_in, &["apply"]).await.expect(0);
        let spoil = |rivals| {
            let mut held = stand_in.held();
            board(&mut held, "cabildo-overview")["panels"][1]["title"] = "Mine".into();
            held.rivals = rivals;
        };
        spoil(1);
        dashboards(folder.path(), &stand_in, &["apply"]).await.expect(0).says("1 of 10");
        dashboards(folder.path(), &stand_in, &["diff"]).await.expect(0);
        // Who never stops is a matter for people.
        spoil(100);
        dashboards(folder.path(), &stand_in, &["apply"]).await.expect(1).says("run this again");
    }
}

#[tokio::test]
async fn an_export_is_what_grafana_holds_or_what_ships() {
    let folder = folder();
    let path = folder.path();
    let stand_in = StandIn::start(grafana(GRAFANAS[2])).await;
    dashboards(path, &stand_in, &["apply"]).await.expect(0);
    board(&mut stand_in.held(), "cabildo-votes")["title"] = "Mine".into();
    let exported = dashboards(path, &stand_in, &["export", "held"]).await.expect(0);
    assert!(exported.out.lines().any(|line| line == "held/grafana/cabildo-votes.json"), "{exported:?}");
    let read = |file: &str| serde_json::from_slice::<Value>(&std::fs::read(path.join(file)).unwrap()).unwrap();
    assert_eq!(read("held/grafana/cabildo-votes.json")["title"], "Mine");
    assert_eq!(read("held/alerts.json")["title"], "cabildo");

    let arguments =
        ["dashboards", "export", "ships", "--prometheus", "http://prometheus:9090", "--api", "http://gateway:8080"];
    run(path, &arguments).await.expect(0);
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    for file in ["grafana/cabildo-votes.json", "prometheus/alerts.yaml", "provisioning/alerting/cabildo.yaml"] {
        let shipped = std::fs::read_to_string(path.join("ships").join(file)).unwrap();
        assert!(shipped == std::fs::read_to_string(ours.join(file)).unwrap(), "{file}");
    }
}

#[tokio::test]
async fn without_the_plugin_everything_else_is_done() {
    let folder = folder();
    let stand_in = StandIn::start(Held { has_infinity: false, ..grafana(GRAFANAS[1]) }).await;
    let first = dashboards(folder.path(), &stand_in, &["apply"])
        .await
        .expect(0)
        .says("plugins install yesoreyeram-infinity-datasource");
    assert!(
        first.out.contains("data source cabildo-api: left out") && stand_in.held().dashboards.len() == 6,
        "{first:?}"
    );
    assert_eq!(stand_in.held().data_sources.len(), 1);
    dashboards(folder.path(), &stand_in, &["apply"]).await.expect(0).says("unchanged");
    stand_in.held().has_infinity = true;
    dashboards(folder.path(), &stand_in, &["apply"]).await.expect(0).says("1 of 10 made");
}

#[tokio::test]
async fn every_refusal_says_what_to_do() {
    let folder = folder();
    let path = folder.path();
    let stand_in = StandIn::start(Held { viewer: true, ..grafana(GRAFANAS[0]) }).await;
    dashboards(path, &stand_in, &["apply"]).await.expect(1).says("folders:create").says("role Admin");
    stand_in.held().viewer = false;
    // Grafana is starting: it is asked again, and then no more.
    stand_in.held().starting = 2;
    dashboards(path, &stand_in, &["apply"]).await.expect(0);
    stand_in.held().starting = 100;
    dashboards(path, &stand_in, &["apply"]).await.expect(1);
    stand_in.held().starting = 0;
    // What Grafana read from files of its own.
    {
        let mut held = stand_in.held();
        held.from_files = true;
        board(&mut held, "cabildo-overview")["title"] = "Mine".into();
    }
    dashboards(path, &stand_in, &["apply"]).await.expect(1).says("provisioning files");
    stand_in.held().data_sources.get_mut("cabildo-prometheus").unwrap()["url"] = "http://elsewhere".into();
    stand_in.held().data_sources.get_mut("cabildo-prometheus").unwrap()["readOnly"] = true.into();
    dashboards(path, &stand_in, &["apply"]).await.expect(1).says("provisioning files");
    // Something else has the name.
    stand_in.held().data_sources.remove("cabildo-prometheus");
    stand_in.held().data_sources.insert("theirs".to_owned(), json!({"uid": "theirs", "name": "Cabildo Prometheus"}));
    dashboards(path, &stand_in, &["apply"]).await.expect(1).says("rename or remove it");

    std::fs::write(path.join("token"), "glsa_s3cretbutwrong").unwrap();
    dashboards(path, &stand_in, &["diff"]).await.expect(1).says("Service accounts");
    std::fs::write(path.join("token"), "two s3cret words").unwrap();
    dashboards(path, &stand_in, &["diff"]).await.expect(2).says("the token alone");
    std::fs::write(path.join("token"), "\n").unwrap();
    dashboards(path, &stand_in, &["diff"]).await.expect(2).says("it is empty");
}

#[tokio::test]
async fn a_wrong_address_is_told_from_a_grafana_that_is_down() {
    let folder = folder();
    let path = folder.path();
    let stand_in = StandIn::start(Held { sub_path: "/grafana", ..grafana(GRAFANAS[2]) }).await;
    dashboards(path, &stand_in, &["apply"]).await.expect(0);
    let at =
        async |address: &str| run(path, &["dashboards", "diff", "--grafana", address, "--token-file", "token"]).await;
    let root = stand_in.address.trim_end_matches("/grafana").to_owned();
    at(&root).await.expect(1).says("is not Grafana's address").says("sub-path");
    at(&format!("{}/", stand_in.address)).await.expect(0);
    at("localhost:3000").await.expect(2).says("http://HOST:3000");
    let secret = at("http://ana:s3cret@localhost:3000").await.expect(2).says("--token-file");
    assert!(!secret.err.contains("s3cret"));
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    at(&format!("http://127.0.0.1:{port}")).await.expect(5).says("does not answer");

    run(path, &["dashboards", "diff", "--token-file", "token"]).await.expect(2).says("--grafana URL");
    run(path, &["dashboards", "diff", "--grafana", &stand_in.address]).await.expect(2).says("--token-file");
    let mut command = cabildo(path, &["dashboards", "diff"]);
    command.env("CABILDO_GRAFANA", &stand_in.address).env("CABILDO_GRAFANA_TOKEN_FILE", "token");
    finish(command).await.expect(0);
}

//! The dashboards and alerts as files, in `dashboards/`: they are what the program writes, and they keep the rules of the house.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cabildo_dashboards::{Addresses, ROWS};
use serde_json::Value;

/// Units of Grafana's list that are in use here.
const UNITS: &[&str] = &["none", "short", "string", "s", "bytes", "Bps", "percentunit", "ops", "eps", "reqps", "wps"];
/// The data source that every Grafana has under this name: its own.
const GRAFANA_UID: &str = "-- Grafana --";
const GRID_COLUMNS: u64 = 24;
/// Longest uid that Grafana takes, in characters.
const UID_CHARS_MAX: usize = 40;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

/// The dashboards by their file.
fn dashboards() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(root().join("grafana")).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Every query to Prometheus, of every dashboard.
pub(crate) fn queries() -> BTreeSet<String> {
    let dashboards = dashboards();
    let targets =
        dashboards.values().flat_map(|board| list(&board["panels"])).flat_map(|panel| list(&panel["targets"]));
    targets.filter_map(|target| target["expr"].as_str().map(str::to_owned)).collect()
}

/// The query of every alert.
pub(crate) fn alert_queries() -> BTreeSet<String> {
    let rules = yaml("prometheus/alerts.yaml");
    list(&rules["groups"][0]["rules"]).iter().map(|rule| text(&rule["expr"]).to_owned()).collect()
}

/// Everything that is wrong with a dashboard.
fn faults(board: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut demand = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let uid = text(&board["uid"]);
    demand(!uid.is_empty() && uid.len() <= UID_CHARS_MAX, format!("uid `{uid}`"));
    for member in ["title", "description", "refresh"] {
        demand(!text(&board[member]).is_empty(), format!("no {member}"));
    }
    demand(board["id"].is_null() && board["version"].is_null(), "holds what Grafana gives: id or version".to_owned());

    let variables = list(&board["templating"]["list"]);
    for (name, kind) in [("datasource", "datasource"), ("job", "query"), ("instance", "query")] {
        let found = variables.iter().any(|variable| variable["name"] == name && variable["type"] == kind);
        demand(found, format!("no variable `{name}` of type {kind}"));
    }
    for variable in variables {
        let source = &variable["datasource"]["uid"];
        demand(source.is_null() || source == "${datasource}", format!("variable {} asks {source}", variable["name"]));
    }

    let panels = list(&board["panels"]);
    let rows: Vec<_> = panels.iter().filter(|panel| panel["type"] == "row").map(|row| text(&row["title"])).collect();
    demand(rows == ROWS, format!("its rows are {rows:?}"));
    demand(
        panels.first().is_some_and(|panel| panel["type"] == "row"),
        "a panel stands before the first row".to_owned(),
    );
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let name = format!("panel `{}`", text(&panel["title"]));
        demand(
            ids.insert(panel["id"].as_u64()) && panel["id"].as_u64().is_some(),
            format!("{name}: id {}", panel["id"]),
        );
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap_or(u64::MAX);
        let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
        demand(w > 0 && h > 0 && x.saturating_add(w) <= GRID_COLUMNS, format!("{name} does not fit the grid"));
        for cell in
            (x..x.saturating_add(w).min(99)).flat_map(|x| (y..y.saturating_add(h).min(y + 99)).map(move |y| (x, y)))
        {
            demand(taken.insert(cell), format!("{name} overlaps another at {cell:?}"));
        }
        if panel["type"] != "row" {
            panel_faults(panel, &mut |holds, what| demand(holds, format!("{name}: {what}")));
        }
    }
    faults
}

fn panel_faults(panel: &Value, demand: &mut dyn FnMut(bool, String)) {
    demand(!text(&panel["title"]).is_empty(), "no title".to_owned());
    demand(text(&panel["description"]).ends_with('.'), "no description that is a sentence".to_owned());
    let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
    demand(UNITS.contains(&unit), format!("unit `{unit}`"));
    let targets = list(&panel["targets"]);
    demand(!targets.is_empty(), "asks nothing".to_owned());
    let mut references = BTreeSet::new();
    for target in targets {
        demand(references.insert(text(&target["refId"])), format!("refId {} twice", target["refId"]));
        demand(target["datasource"] == panel["datasource"], "a query asks elsewhere than its panel".to_owned());
        let uid = text(&target["datasource"]["uid"]);
        match text(&target["datasource"]["type"]) {
            "prometheus" => {
                demand(uid == "${datasource}", format!("the data source `{uid}` is fixed"));
                query_faults(text(&target["expr"]), demand);
            }
            "yesoreyeram-infinity-datasource" => {
                demand(uid == "${api}", format!("the data source `{uid}` is fixed"));
                demand(target["parser"] == "backend", "Infinity does not parse in the backend".to_owned());
                demand(text(&target["url"]).starts_with("/api/v1/"), format!("address {}", target["url"]));
            }
            "datasource" => demand(
                uid == GRAFANA_UID && text(&target["channel"]).starts_with("stream/"),
                "no Live stream".to_owned(),
            ),
            other => demand(false, format!("data source of type `{other}`")),
        }
    }
}

fn query_faults(query: &str, demand: &mut dyn FnMut(bool, String)) {
    demand(
        query.contains(r#"job=~"$job",instance=~"$instance""#),
        format!("`{query}` does not select job and instance"),
    );
    for function in ["rate(", "increase(", "irate(", "delta("] {
        // Whatever follows, up to the first range, is the function's argument.
        for argument in query.split(function).skip(1) {
            let range = argument.split_once('[').map(|(_, rest)| rest.split(']').next().unwrap_or_default());
            demand(
                range == Some("$__rate_interval"),
                format!("`{query}`: {function}…[{}]", range.unwrap_or("nothing")),
            );
        }
    }
    let opened = query.matches(['(', '{', '[']).count();
    demand(opened == query.matches([')', '}', ']']).count(), format!("`{query}` does not close what it opens"));
}

#[test]
fn the_files_are_what_the_program_writes() {
    let addresses =
        Addresses { prometheus: "http://prometheus:9090".to_owned(), api: "http://gateway:8080".to_owned() };
    let shipped = cabildo_dashboards::shipped(&addresses).unwrap();
    for file in &shipped {
        let there = std::fs::read_to_string(root().join(&file.path)).unwrap_or_default();
        assert!(there == file.text, "{} is not what the program writes: run `make dashboards`", file.path);
    }
    let written: BTreeSet<_> = shipped.iter().filter_map(|file| file.path.strip_prefix("grafana/")).collect();
    assert_eq!(dashboards().keys().map(String::as_str).collect::<BTreeSet<_>>(), written, "a file that nothing writes");
}

#[test]
fn every_dashboard_keeps_the_rules() {
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 6);
    let mut uids = BTreeSet::new();
    for (file, board) in &dashboards {
        assert_eq!(faults(board), Vec::<String>::new(), "{file}");
        assert_eq!(*file, format!("{}.json", text(&board["uid"])));
        assert!(uids.insert(text(&board["uid"])), "{file}: its uid is taken");
    }
}

#[test]
fn the_rules_find_what_breaks_them() {
    let (_, sound) = dashboards().into_iter().next().unwrap();
    type Break = (&'static str, fn(&mut Value));
    let breaks: [Break; 11] = [
        ("no variable `datasource`", |board| board["templating"]["list"] = Value::Null),
        ("no description", |board| board["panels"][1]["description"] = Value::Null),
        ("no title", |board| board["panels"][1]["title"] = Value::Null),
        ("unit", |board| board["panels"][1]["fieldConfig"]["defaults"]["unit"] = Value::Null),
        ("is fixed", |board| {
            board["panels"][1]["datasource"]["uid"] = "P1".into();
            board["panels"][1]["targets"][0]["datasource"]["uid"] = "P1".into();
        }),
        ("its rows are", |board| board["panels"][0]["title"] = "Else".into()),
        ("overlaps", |board| board["panels"][2]["gridPos"] = board["panels"][1]["gridPos"].clone()),
        ("fit the grid", |board| board["panels"][1]["gridPos"]["x"] = 23.into()),
        ("id 1", |board| board["panels"][1]["id"] = 1.into()),
        (r#"rate(…[5m]"#, |board| {
            let query = r#"rate(a_total{job=~"$job",instance=~"$instance"}[5m])"#;
            board["panels"][1]["targets"][0]["expr"] = query.into();
        }),
        ("does not select", |board| board["panels"][1]["targets"][0]["expr"] = "up".into()),
    ];
    for (said, break_it) in breaks {
        let mut board = sound.clone();
        break_it(&mut board);
        let found = faults(&board);
        assert!(found.iter().any(|fault| fault.contains(said)), "{said}: {found:?}");
    }
}

#[test]
fn every_alert_has_a_runbook_in_both_forms() {
    let prometheus = yaml("prometheus/alerts.yaml");
    let grafana = yaml("provisioning/alerting/cabildo.yaml");
    let rules = list(&prometheus["groups"][0]["rules"]);
    let managed = list(&grafana["groups"][0]["rules"]);
    assert_eq!(rules.len(), managed.len());
    for (rule, managed) in rules.iter().zip(managed) {
        let name = text(&rule["alert"]);
        assert_eq!(name, text(&managed["title"]));
        assert!(
            !text(&rule["annotations"]["summary"]).is_empty() && !text(&rule["labels"]["severity"]).is_empty(),
            "{name}"
        );
        let runbook = text(&rule["annotations"]["runbook_url"]);
        assert_eq!(runbook, text(&managed["annotations"]["runbook_url"]));
        let page = runbook.rsplit_once('/').unwrap().1;
        let path = root().join("../docs/operations").join(page);
        let page =
            std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{name} has no runbook {}", path.display()));
        assert!(page.contains(name), "the runbook does not name {name}");
        for heading in ["## What it means", "## How to look", "## What to do"] {
            assert!(page.contains(heading), "{}: no `{heading}`", path.display());
        }
        // A provisioning file takes `$` for the start of a variable of the environment.
        assert!(!managed.to_string().replace("$$", "").contains('$'), "{name}: a single `$`");
    }
}

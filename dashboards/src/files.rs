//! Everything as files: the dashboards, the rules for Prometheus, and what a Grafana in a container reads at its start.

use serde::Serialize;
use serde_json::{Value, json};

use crate::alerts::{self, FOLDER};
use crate::sources::{self, Addresses};
use crate::{Provision, boards};

/// Where a Grafana in a container finds the dashboards, by the provisioning file.
const DASHBOARDS_IN_CONTAINER: &str = "/etc/cabildo/dashboards";
/// How often Grafana looks for changed files, in seconds.
const RELOAD_S: u64 = 30;

/// A file: where it goes, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path in the folder of the export.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Something could not be written down. It is a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written: {reason}")]
pub struct Unwritable {
    path: String,
    reason: String,
}

/// What ships with Cabildo, as files: `grafana/` (dashboards), `prometheus/` (rules), `provisioning/` (what Grafana reads at
/// its start: data sources, where the dashboards are, alerts).
///
/// # Errors
/// Only by a fault of this program.
pub fn shipped(addresses: &Addresses) -> Result<Vec<File>, Unwritable> {
    let mut files = Vec::new();
    for board in boards::all() {
        files.push(json_file(format!("grafana/{}.json", board.uid), &board.json())?);
    }
    files.push(yaml_file("prometheus/alerts.yaml", &alerts::prometheus_rules())?);
    let datasources = json!({"apiVersion": 1, "datasources": sources::all(addresses)});
    files.push(yaml_file("provisioning/datasources/cabildo.yaml", &datasources)?);
    files.push(yaml_file("provisioning/dashboards/cabildo.yaml", &provider())?);
    files.push(yaml_file("provisioning/alerting/cabildo.yaml", &alerts::grafana_file())?);
    Ok(files)
}

/// What a Grafana holds, as files: `grafana/` (dashboards), and as they came `folder.json`, `datasources.json` and
/// `alerts.json`.
///
/// # Errors
/// Only by a fault of this program.
pub fn found(held: &Provision) -> Result<Vec<File>, Unwritable> {
    let mut files = Vec::new();
    for dashboard in &held.dashboards {
        let uid = dashboard["uid"].as_str().unwrap_or("dashboard");
        files.push(json_file(format!("grafana/{uid}.json"), dashboard)?);
    }
    files.push(json_file("datasources.json".to_owned(), &json!(held.data_sources))?);
    if !held.alerts.is_null() {
        files.push(json_file("alerts.json".to_owned(), &held.alerts)?);
    }
    Ok(files)
}

/// Tells Grafana where the dashboards are. They may be changed in the browser, until the next change of a file.
fn provider() -> Value {
    json!({
        "apiVersion": 1,
        "providers": [{
            "name": "cabildo",
            "type": "file",
            "folder": FOLDER.1,
            "folderUid": FOLDER.0,
            "allowUiUpdates": true,
            "updateIntervalSeconds": RELOAD_S,
            "options": {"path": DASHBOARDS_IN_CONTAINER},
        }],
    })
}

fn json_file(path: String, value: &Value) -> Result<File, Unwritable> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Ok(File { path, text: text + "\n" }),
        Err(error) => Err(Unwritable { path, reason: error.to_string() }),
    }
}

fn yaml_file(path: &str, value: &impl Serialize) -> Result<File, Unwritable> {
    match serde_saphyr::to_string(value) {
        Ok(text) => {
            let text = format!("# Written by `cabildo dashboards export`; change dashboards/src instead.\n{text}");
            Ok(File { path: path.to_owned(), text })
        }
        Err(error) => Err(Unwritable { path: path.to_owned(), reason: error.to_string() }),
    }
}

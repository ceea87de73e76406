//! Dashboards, as classic JSON.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{Api, Doing, Grafana, GrafanaError, resource};

/// Where the new API keeps the folder of a dashboard.
const FOLDER: &str = "grafana.app/folder";
/// Where the new API takes the words for the history of a dashboard.
const MESSAGE: &str = "grafana.app/message";
/// What stands in the history of a dashboard.
const SAID: &str = "cabildo dashboards apply";

/// A dashboard that Grafana holds.
pub(crate) struct Held {
    /// Its classic JSON, with its uid.
    pub(crate) board: Value,
    /// Uid of the folder that it is in.
    pub(crate) folder: String,
    /// As it came: the new API wants it back changed.
    object: Value,
}

impl Grafana {
    /// A dashboard as it is.
    pub(crate) async fn dashboard(&self, uid: &str) -> Result<Option<Held>, GrafanaError> {
        let doing = Doing::new(format!("read the dashboard `{uid}`"), "dashboards:read");
        let path = match &self.dashboards {
            Api::Old => format!("/api/dashboards/uid/{uid}"),
            Api::New { .. } => self.dashboards.address("dashboards", Some(uid)),
        };
        let Some(object) = self.client.read(&doing, &path).await? else { return Ok(None) };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (board, folder) = match &self.dashboards {
            Api::Old => (object["dashboard"].clone(), text(&object["meta"]["folderUid"])),
            Api::New { .. } => {
                let mut board = object["spec"].clone();
                board["uid"] = uid.into();
                (board, text(&object["metadata"]["annotations"][FOLDER]))
            }
        };
        Ok(Some(Held { board, folder, object }))
    }

    /// Stores a dashboard in a folder, on top of the one that was read: if somebody has changed that one meanwhile, it is a
    /// conflict.
    pub(crate) async fn put_dashboard(
        &self,
        board: &Value,
        folder: &str,
        held: Option<&Held>,
    ) -> Result<(), GrafanaError> {
        let uid = board["uid"].as_str().unwrap_or_default();
        let doing = match held {
            Some(_) => Doing::new(format!("change the dashboard `{uid}`"), "dashboards:write"),
            None => Doing::new(format!("make the dashboard `{uid}`"), "dashboards:create"),
        };
        let (method, path, body) = match &self.dashboards {
            Api::Old => {
                let mut board = board.clone();
                if let Some(held) = held {
                    board["version"] = held.board["version"].clone();
                }
                let body = json!({"dashboard": board, "folderUid": folder, "overwrite": false, "message": SAID});
                (Method::POST, "/api/dashboards/db".to_owned(), body)
            }
            Api::New { version, .. } => {
                let mut spec = board.clone();
                if let Some(members) = spec.as_object_mut() {
                    // The name of the object.
                    members.remove("uid");
                }
                let mut object = resource(version, "Dashboard", uid, held.map(|held| &held.object), &spec);
                object["metadata"]["annotations"][FOLDER] = folder.into();
                object["metadata"]["annotations"][MESSAGE] = SAID.into();
                let (method, name) = if held.is_some() { (Method::PUT, Some(uid)) } else { (Method::POST, None) };
                // Grafana's own front end does so: the strict check refuses classic JSON of an older schema.
                let path = format!("{}?fieldValidation=Ignore", self.dashboards.address("dashboards", name));
                (method, path, object)
            }
        };
        self.client.put_json(&doing, (method, &path), &HeaderMap::new(), &body).await.map(drop)
    }
}

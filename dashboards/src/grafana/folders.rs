//! The folder that holds everything.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{Api, Doing, Grafana, GrafanaError, resource};

/// Gives a new folder the permissions that one has which is made in the browser: editors may edit, viewers view.
const GRANT: &str = "grafana.app/grant-permissions";

impl Grafana {
    /// The folder as it is: `{"title": …}` among other things.
    pub(crate) async fn folder(&self, uid: &str) -> Result<Option<Value>, GrafanaError> {
        let doing = Doing::new(format!("read the folder `{uid}`"), "folders:read");
        Ok(match &self.folders {
            Api::Old => self.client.read(&doing, &format!("/api/folders/{uid}")).await?,
            Api::New { .. } => self.client.read(&doing, &self.folders.address("folders", Some(uid))).await?,
        })
    }

    /// What a folder is called.
    pub(crate) fn folder_title(&self, held: &Value) -> Value {
        match self.folders {
            Api::Old => held["title"].clone(),
            Api::New { .. } => held["spec"]["title"].clone(),
        }
    }

    /// Makes the folder, or changes what it is called.
    pub(crate) async fn put_folder(&self, uid: &str, title: &str, held: Option<&Value>) -> Result<(), GrafanaError> {
        let doing = match held {
            Some(_) => Doing::new(format!("change the folder `{uid}`"), "folders:write"),
            None => Doing::new(format!("make the folder `{uid}`"), "folders:create"),
        };
        let (method, path, body) = match (&self.folders, held) {
            (Api::Old, None) => (Method::POST, "/api/folders".to_owned(), json!({"uid": uid, "title": title})),
            (Api::Old, Some(held)) => {
                (Method::PUT, format!("/api/folders/{uid}"), json!({"title": title, "version": held["version"]}))
            }
            (Api::New { version, .. }, held) => {
                let mut spec = held.map(|held| held["spec"].clone()).unwrap_or_default();
                spec["title"] = title.into();
                let mut folder = resource(version, "Folder", uid, held, &spec);
                let (method, name) = if held.is_some() {
                    (Method::PUT, Some(uid))
                } else {
                    folder["metadata"]["annotations"][GRANT] = "default".into();
                    (Method::POST, None)
                };
                (method, self.folders.address("folders", name), folder)
            }
        };
        self.client.put_json(&doing, (method, &path), &HeaderMap::new(), &body).await.map(drop)
    }
}

impl Api {
    /// Where the new API keeps a kind of thing, or one of them.
    pub(super) fn address(&self, kind: &str, name: Option<&str>) -> String {
        match self {
            Self::Old => format!("/api/{kind}"),
            Self::New { version, namespace } => {
                let name = name.map(|name| format!("/{name}")).unwrap_or_default();
                format!("/apis/{version}/namespaces/{namespace}/{kind}{name}")
            }
        }
    }
}

//! The client of Grafana's HTTP API.
//!
//! Shapes and statuses are those of Grafana's OpenAPI document (`public/openapi3.json`) for `/api`, and of its pages "New API
//! structure", "Dashboard API" and "Folder API" for `/apis`, which works as that of Kubernetes does. Dashboards and folders have both;
//! data sources, alert rules and Live have `/api` alone, in Grafana 11 to 13.

mod alerts;
mod dashboards;
mod data_sources;
mod error;
mod folders;
mod http;
mod live;

use std::fmt;

use serde_json::Value;

pub use error::GrafanaError;
pub(crate) use http::builder;
pub use http::{Access, Bounds};

use http::{Client, Doing};

/// The first Grafana whose new API keeps dashboards.
const NEW_API_SINCE: u32 = 12;
/// Versions of the new API that hold classic JSON, the best first.
const CLASSIC: [&str; 2] = ["v1", "v1beta1"];
const DASHBOARDS: &str = "dashboard.grafana.app";
const FOLDERS: &str = "folder.grafana.app";

/// Which API keeps a kind of thing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Api {
    /// `/api/…`.
    Old,
    /// `/apis/GROUP/VERSION/namespaces/NAMESPACE/…`.
    New {
        /// `GROUP/VERSION`.
        version: String,
        /// `default`, or that of the organisation.
        namespace: String,
    },
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Old => f.write_str("/api"),
            Self::New { version, .. } => write!(f, "/apis/{version}"),
        }
    }
}

/// A Grafana that answers.
pub struct Grafana {
    client: Client,
    /// What it says it is; it may be set up to tell nobody.
    version: Option<String>,
    dashboards: Api,
    folders: Api,
}

impl Grafana {
    /// Asks a Grafana who it is, and chooses the APIs by that.
    ///
    /// # Errors
    /// If it does not answer, if that is no Grafana, or if it does not take the credentials.
    pub async fn connect(address: &str, access: Access, bounds: Bounds) -> Result<Self, GrafanaError> {
        let client = Client::new(address, access, bounds)?;
        let version = health(&client).await?;
        let major = version.as_deref().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        let mut grafana = Self { client, version, dashboards: Api::Old, folders: Api::Old };
        // One that does not say which it is, is asked what it serves.
        if major.is_none_or(|major| major >= NEW_API_SINCE) {
            let dashboards = grafana.served(DASHBOARDS).await?;
            let folders = grafana.served(FOLDERS).await?;
            if dashboards.is_some() || folders.is_some() {
                let namespace = grafana.namespace().await?;
                let api = |version: Option<String>| match version {
                    Some(version) => Api::New { version, namespace: namespace.clone() },
                    None => Api::Old,
                };
                (grafana.dashboards, grafana.folders) = (api(dashboards), api(folders));
            }
        }
        Ok(grafana)
    }

    /// Its address, version and the APIs in use, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let version = self.version.as_deref().unwrap_or("of a version that it does not tell");
        format!("Grafana {version} at {}, dashboards by {}", self.client.address(), self.dashboards)
    }

    /// Which version of a group it serves, if any that holds classic JSON.
    async fn served(&self, group: &str) -> Result<Option<String>, GrafanaError> {
        let answer = self.client.get(&format!("/apis/{group}")).await?;
        let found = answer.json().filter(|_| answer.status == 200).unwrap_or_default();
        let versions = found["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_served = |version: &&str| versions.iter().any(|served| served["version"] == *version);
        Ok(CLASSIC.into_iter().find(is_served).map(|version| format!("{group}/{version}")))
    }

    /// The namespace of the credentials' organisation: `default` for the first, else by its number.
    async fn namespace(&self) -> Result<String, GrafanaError> {
        let answer = self.client.get("/api/org").await?;
        // Who may not read the organisation is most likely in the first one: most Grafanas have no other.
        let organisation = answer.json().filter(|_| answer.status == 200).and_then(|found| found["id"].as_u64());
        Ok(match organisation {
            None | Some(1) => "default".to_owned(),
            Some(id) => format!("org-{id}"),
        })
    }

    /// Whether it has a plug-in. Who may not ask is told that it has.
    pub(crate) async fn has_plugin(&self, plugin: &str) -> Result<bool, GrafanaError> {
        Ok(self.client.get(&format!("/api/plugins/{plugin}/settings")).await?.status != 404)
    }

    pub(crate) const fn conflict_tries_max(&self) -> u32 {
        self.client.bounds.conflict_tries_max
    }
}

/// The version of a Grafana that is well. `/api/health` needs no credentials and tells the version unless it is set up not to.
async fn health(client: &Client) -> Result<Option<String>, GrafanaError> {
    let answer = client.get("/api/health").await?;
    let health = answer.json().filter(|health| health["database"].is_string());
    let Some(health) = health else { return Err(client.not_grafana(&answer)) };
    client.success(&Doing::new("serve: its database is down", "none"), &answer)?;
    Ok(health["version"].as_str().filter(|version| !version.is_empty()).map(str::to_owned))
}

/// An object of the new API with what is to be in it; what Grafana keeps beside (`metadata`) stays as it is.
fn resource(version: &str, kind: &str, name: &str, held: Option<&Value>, spec: &Value) -> Value {
    let mut metadata = held.map(|held| held["metadata"].clone()).unwrap_or_default();
    metadata["name"] = name.into();
    serde_json::json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

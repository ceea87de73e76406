//! Data sources, by their uid.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use super::{Doing, Grafana, GrafanaError};

/// What Grafana takes of a data source when one is changed (`UpdateDataSourceCommand`), as far as it tells it. Secrets that are
/// not sent stay.
const TAKEN: [&str; 12] = [
    "uid",
    "name",
    "type",
    "access",
    "url",
    "user",
    "database",
    "basicAuth",
    "basicAuthUser",
    "withCredentials",
    "isDefault",
    "version",
];

impl Grafana {
    /// A data source as it is.
    pub(crate) async fn data_source(&self, uid: &str) -> Result<Option<Value>, GrafanaError> {
        let doing = Doing::new(format!("read the data source `{uid}`"), "datasources:read");
        self.client.read(&doing, &format!("/api/datasources/uid/{uid}")).await
    }

    /// Makes a data source, or changes those members that are wanted.
    pub(crate) async fn put_data_source(&self, wanted: &Value, held: Option<&Value>) -> Result<(), GrafanaError> {
        let uid = wanted["uid"].as_str().unwrap_or_default();
        let (doing, method, path, body) = match held {
            None => {
                let doing = Doing::new(format!("make the data source `{uid}`"), "datasources:create");
                (doing, Method::POST, "/api/datasources".to_owned(), wanted.clone())
            }
            Some(held) => {
                let doing = Doing::new(format!("change the data source `{uid}`"), "datasources:write");
                (doing, Method::PUT, format!("/api/datasources/uid/{uid}"), merged(wanted, held))
            }
        };
        self.client.put_json(&doing, (method, &path), &HeaderMap::new(), &body).await.map(drop)
    }
}

/// A changed data source replaces the one that was there: what is not ours to say is said as it was.
fn merged(wanted: &Value, held: &Value) -> Value {
    let mut body = Map::new();
    for name in TAKEN {
        if let Some(value) = held.get(name) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    let mut json_data = held["jsonData"].as_object().cloned().unwrap_or_default();
    for (name, value) in wanted.as_object().into_iter().flatten() {
        body.insert(name.clone(), value.clone());
    }
    for (name, value) in wanted["jsonData"].as_object().into_iter().flatten() {
        json_data.insert(name.clone(), value.clone());
    }
    body.insert("jsonData".to_owned(), json_data.into());
    body.into()
}

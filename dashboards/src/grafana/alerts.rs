//! Alert rules that Grafana evaluates, by the provisioning API of its alerting.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Doing, Grafana, GrafanaError};

/// Leaves the rules open to changes in the browser; without it Grafana locks them.
const DISABLE_PROVENANCE: HeaderName = HeaderName::from_static("x-disable-provenance");

fn address(group: &Value) -> String {
    let text = |member: &str| group[member].as_str().unwrap_or_default();
    format!("/api/v1/provisioning/folder/{}/rule-groups/{}", text("folderUid"), text("title"))
}

impl Grafana {
    /// A group of rules as it is.
    pub(crate) async fn alerts(&self, wanted: &Value) -> Result<Option<Value>, GrafanaError> {
        let doing = Doing::new(format!("read the alert rules `{}`", name(wanted)), "alert.provisioning:read");
        self.client.read(&doing, &address(wanted)).await
    }

    /// Stores a group of rules whole: what is not among them is removed. A rule that somebody has paused stays so.
    pub(crate) async fn put_alerts(&self, wanted: &Value, held: Option<&Value>) -> Result<(), GrafanaError> {
        let doing = Doing::new(format!("store the alert rules `{}`", name(wanted)), "alert.provisioning:write");
        let mut group = wanted.clone();
        let rules_held = held.and_then(|held| held["rules"].as_array()).map(Vec::as_slice).unwrap_or_default();
        for rule in group["rules"].as_array_mut().into_iter().flatten() {
            if let Some(held) = rules_held.iter().find(|held| held["uid"] == rule["uid"]) {
                rule["isPaused"] = held["isPaused"].clone();
            }
        }
        let headers = HeaderMap::from_iter([(DISABLE_PROVENANCE, HeaderValue::from_static("true"))]);
        self.client.put_json(&doing, (Method::PUT, &address(wanted)), &headers, &group).await.map(drop)
    }
}

fn name(group: &Value) -> &str {
    group["title"].as_str().unwrap_or_default()
}

//! Grafana Live: values that a panel shows as they come, kept nowhere.

use reqwest::Method;
use reqwest::header::HeaderMap;

use super::{Doing, Grafana, GrafanaError};

impl Grafana {
    /// Pushes lines of the Influx line protocol, with times in nanoseconds, to a stream. A panel reads them on the channel
    /// `stream/STREAM/MEASUREMENT`.
    ///
    /// # Errors
    /// If Grafana cannot be reached, or does not take them.
    pub async fn push(&self, stream: &str, lines: String) -> Result<(), GrafanaError> {
        let doing = Doing::new(
            format!("push to the Live stream `{stream}`"),
            "of a signed-in user with the role Editor or Admin",
        );
        let path = format!("/api/live/push/{stream}");
        let body = Some(("text/plain", lines.into_bytes()));
        let answer = self.client.send(&Method::POST, &path, &HeaderMap::new(), body).await?;
        self.client.success(&doing, &answer).map(drop)
    }
}

//! The data sources that the dashboards read: Prometheus, which everything needs, and Cabildo's own JSON API.

use serde_json::{Value, json};

use crate::panel::INFINITY;

/// Uid and name of the Prometheus data source.
pub(crate) const PROMETHEUS: (&str, &str) = ("cabildo-prometheus", "Cabildo Prometheus");
/// Uid and name of the data source that reads the JSON API.
pub(crate) const API: (&str, &str) = ("cabildo-api", "Cabildo API");
/// How often the shipped Prometheus scrapes; Grafana makes its rate interval of it.
pub(crate) const SCRAPE_INTERVAL: &str = "5s";

/// Where the data comes from, as Grafana's server reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Prometheus.
    pub prometheus: String,
    /// A gateway.
    pub api: String,
}

/// Both data sources, the needed one first, in the form of Grafana's HTTP API and of its provisioning files.
pub(crate) fn all(addresses: &Addresses) -> [Value; 2] {
    [
        json!({
            "uid": PROMETHEUS.0,
            "name": PROMETHEUS.1,
            "type": "prometheus",
            "access": "proxy",
            "url": addresses.prometheus,
            "jsonData": {"httpMethod": "POST", "timeInterval": SCRAPE_INTERVAL},
        }),
        json!({
            "uid": API.0,
            "name": API.1,
            "type": INFINITY,
            "access": "proxy",
            "url": addresses.api,
            "jsonData": {"allowedHosts": [addresses.api]},
        }),
    ]
}

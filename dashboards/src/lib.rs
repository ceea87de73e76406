//! Grafana dashboards and alert rules, and the client that puts them there.
//!
//! The dashboards are described in `boards`, the alerts in `alerts`; everything else is made of them: the classic JSON in
//! `dashboards/grafana`, the rules for Prometheus, the files that a Grafana in a container reads at its start, and what
//! [`Grafana`] sends by HTTP. Only Prometheus is needed; where the Infinity plug-in is missing, the panels that read the JSON
//! API stay empty.

mod alerts;
mod apply;
mod board;
mod boards;
mod compare;
mod files;
mod grafana;
mod panel;
mod push;
mod sources;

use serde_json::Value;

pub use apply::{Change, Mode, Step, apply, held};
pub use board::ROWS;
pub use compare::Difference;
pub use files::{File, Unwritable, found, shipped};
pub use grafana::{Access, Bounds, Grafana, GrafanaError};
pub use push::{Push, PushError};
pub use sources::Addresses;

/// What is in a Grafana, or what is to be there, in the form of Grafana's HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub struct Provision {
    /// Uid and title of the folder that holds the rest.
    pub folder: (String, String),
    /// Data sources, the needed one first.
    pub data_sources: Vec<Value>,
    /// Dashboards as classic JSON, with their uid.
    pub dashboards: Vec<Value>,
    /// The group of alert rules.
    pub alerts: Value,
}

/// What ships with Cabildo.
#[must_use]
pub fn provision(addresses: &Addresses) -> Provision {
    Provision {
        folder: (alerts::FOLDER.0.to_owned(), alerts::FOLDER.1.to_owned()),
        data_sources: sources::all(addresses).into(),
        dashboards: boards::all().map(board::Board::json).into(),
        alerts: alerts::grafana_group(),
    }
}

/// Names of the runbooks, one for each alert.
pub fn runbooks() -> impl Iterator<Item = &'static str> {
    alerts::ALL.iter().map(|alert| alert.runbook)
}

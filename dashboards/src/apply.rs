//! Brings a Grafana to what is wanted, or says what that would change.

use std::fmt;

use serde_json::{Value, json};

use crate::Provision;
use crate::compare::{Difference, differences};
use crate::grafana::{Grafana, GrafanaError};
use crate::panel::INFINITY;

/// What becomes of one thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is as it is wanted.
    Unchanged,
    /// There is none yet.
    Create,
    /// It differs in these places.
    Update(Vec<Difference>),
    /// It is left out, because this Grafana lacks what it takes; what that is and how to get it.
    LeftOut(String),
}

/// One thing, and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it is: `folder`, `data source`, `dashboard`, `alerts`.
    pub kind: &'static str,
    /// Its uid, or its name.
    pub name: String,
    /// What becomes of it.
    pub change: Change,
}

impl Step {
    /// Whether Grafana differs from what is wanted.
    #[must_use]
    pub const fn is_difference(&self) -> bool {
        matches!(self.change, Change::Create | Change::Update(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// Whether to change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only look.
    Compare,
    /// Make it so.
    Apply,
}

/// Compares everything that is wanted with what Grafana holds and, if asked to, changes what differs; what is as it is wanted is
/// not written. Tells each step when it is done, in the order in which one needs the other: folder, data sources,
/// dashboards, alerts. A step that somebody else's change gets in the way of is compared and done again, a bounded number of times.
///
/// # Errors
/// The first that cannot be helped; the steps told before it are done.
pub async fn apply(
    grafana: &Grafana,
    wanted: &Provision,
    mode: Mode,
    mut told: impl FnMut(&Step),
) -> Result<Vec<Step>, GrafanaError> {
    let mut steps = Vec::new();
    let mut done = |kind: &'static str, name: &str, change: Change| {
        let step = Step { kind, name: name.to_owned(), change };
        told(&step);
        steps.push(step);
    };
    let (folder, title) = (wanted.folder.0.as_str(), wanted.folder.1.as_str());
    let change = settle(grafana, mode, async || put_folder(grafana, folder, title, mode).await).await?;
    let has_folder = mode == Mode::Apply || change != Change::Create;
    done("folder", folder, change);

    for data_source in &wanted.data_sources {
        let uid = data_source["uid"].as_str().unwrap_or_default();
        let change = if data_source["type"] == INFINITY && !grafana.has_plugin(INFINITY).await? {
            Change::LeftOut(format!(
                "Grafana lacks the plug-in {INFINITY}, so the panels that read Cabildo's own API stay empty. Install it (`grafana cli \
                 plugins install {INFINITY}`, or GF_PLUGINS_PREINSTALL={INFINITY} for a container), restart Grafana, and run this again"
            ))
        } else {
            settle(grafana, mode, async || put_data_source(grafana, data_source, mode).await).await?
        };
        done("data source", uid, change);
    }
    for board in &wanted.dashboards {
        let uid = board["uid"].as_str().unwrap_or_default();
        let change = settle(grafana, mode, async || put_dashboard(grafana, board, folder, mode).await).await?;
        done("dashboard", uid, change);
    }
    // In a folder that is not there yet, there is no group of rules to ask for.
    let change = if has_folder {
        settle(grafana, mode, async || put_alerts(grafana, &wanted.alerts, mode).await).await?
    } else {
        Change::Create
    };
    done("alerts", wanted.alerts["title"].as_str().unwrap_or_default(), change);
    Ok(steps)
}

/// What Grafana holds of what is wanted.
///
/// # Errors
/// If it cannot be read.
pub async fn held(grafana: &Grafana, wanted: &Provision) -> Result<Provision, GrafanaError> {
    let mut found = Provision {
        folder: wanted.folder.clone(),
        data_sources: Vec::new(),
        dashboards: Vec::new(),
        alerts: Value::Null,
    };
    for data_source in &wanted.data_sources {
        found.data_sources.extend(grafana.data_source(data_source["uid"].as_str().unwrap_or_default()).await?);
    }
    for board in &wanted.dashboards {
        let held = grafana.dashboard(board["uid"].as_str().unwrap_or_default()).await?;
        found.dashboards.extend(held.map(|held| held.board));
    }
    if grafana.folder(&wanted.folder.0).await?.is_some() {
        found.alerts = grafana.alerts(&wanted.alerts).await?.unwrap_or_default();
    }
    Ok(found)
}

/// Tries until nobody else's change stands against it, within the bound.
async fn settle(
    grafana: &Grafana,
    mode: Mode,
    attempt: impl AsyncFn() -> Result<Change, GrafanaError>,
) -> Result<Change, GrafanaError> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(GrafanaError::Conflict { .. }) if mode == Mode::Apply && tries < grafana.conflict_tries_max() => {
                tries += 1;
            }
            done => return done,
        }
    }
}

fn change(wanted: &Value, held: Option<&Value>) -> Change {
    let Some(held) = held else { return Change::Create };
    let differences = differences(wanted, held);
    if differences.is_empty() { Change::Unchanged } else { Change::Update(differences) }
}

fn writes(change: &Change, mode: Mode) -> bool {
    mode == Mode::Apply && *change != Change::Unchanged
}

async fn put_folder(grafana: &Grafana, uid: &str, title: &str, mode: Mode) -> Result<Change, GrafanaError> {
    let held = grafana.folder(uid).await?;
    let found = held.as_ref().map(|held| json!({"title": grafana.folder_title(held)}));
    let change = change(&json!({"title": title}), found.as_ref());
    if writes(&change, mode) {
        grafana.put_folder(uid, title, held.as_ref()).await?;
    }
    Ok(change)
}

async fn put_data_source(grafana: &Grafana, wanted: &Value, mode: Mode) -> Result<Change, GrafanaError> {
    let held = grafana.data_source(wanted["uid"].as_str().unwrap_or_default()).await?;
    let change = change(wanted, held.as_ref());
    if writes(&change, mode) {
        grafana.put_data_source(wanted, held.as_ref()).await?;
    }
    Ok(change)
}

async fn put_dashboard(grafana: &Grafana, wanted: &Value, folder: &str, mode: Mode) -> Result<Change, GrafanaError> {
    let held = grafana.dashboard(wanted["uid"].as_str().unwrap_or_default()).await?;
    let mut change = change(wanted, held.as_ref().map(|held| &held.board));
    if let Some(held) = held.as_ref().filter(|held| held.folder != folder) {
        let moved = Difference { path: "folder".to_owned(), wanted: folder.into(), found: held.folder.clone().into() };
        change = match change {
            Change::Update(mut differences) => {
                differences.push(moved);
                Change::Update(differences)
            }
            _ => Change::Update(vec![moved]),
        };
    }
    if writes(&change, mode) {
        grafana.put_dashboard(wanted, folder, held.as_ref()).await?;
    }
    Ok(change)
}

async fn put_alerts(grafana: &Grafana, wanted: &Value, mode: Mode) -> Result<Change, GrafanaError> {
    let held = grafana.alerts(wanted).await?;
    let change = change(wanted, held.as_ref());
    if writes(&change, mode) {
        grafana.put_alerts(wanted, held.as_ref()).await?;
    }
    Ok(change)
}

//! `cabildo dashboards …`: Grafana shows what happens.

mod apply;
mod export;
mod push;

use std::time::Duration;

use cabildo_dashboards::{Bounds, Grafana, GrafanaError};
use cabildo_events::limits::{
    CLIENT_ANSWER_BYTES_MAX, CLIENT_REQUEST_MS, GRAFANA_CONFLICT_TRIES_MAX, GRAFANA_RETRY_FIRST_MS, GRAFANA_TRIES_MAX,
    RETRY_LONGEST_MS, TOOL_CONNECT_MS,
};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Unreachable, Usage};
use crate::output;
use crate::settings::{GrafanaOptions, Settings};

/// Put the dashboards and alerts into Grafana, compare them, or write them as files
///
/// Works with Grafana 11 to 13. The role Admin is needed, because data sources are an administrator's matter.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Dashboards {
    /// Put folder, data sources, dashboards and alerts into Grafana; what is as it should be is left alone
    Apply(apply::Apply),
    /// Show in what Grafana differs, and change nothing
    ///
    /// Exits with 3 if it differs.
    Diff(apply::Diff),
    /// Write the dashboards, alerts and provisioning files to a folder; with --grafana, what that Grafana holds
    Export(export::Export),
    /// Follow the live tally of a poll and push it to Grafana Live, at most twice a second, until Ctrl-C
    Push(push::Push),
}

/// Runs one of them.
pub(crate) async fn run(settings: &Settings, dashboards: &Dashboards, stop: CancellationToken) -> anyhow::Result<Exit> {
    let ran = match dashboards {
        Dashboards::Apply(apply) => stop.run_until_cancelled(apply::apply(settings, apply)).await,
        Dashboards::Diff(diff) => stop.run_until_cancelled(apply::diff(settings, diff)).await,
        Dashboards::Export(export) => stop.run_until_cancelled(export::run(settings, export)).await,
        Dashboards::Push(push) => return push::run(settings, push, stop).await,
    };
    ran.unwrap_or_else(|| {
        output::note("stopped; run it again to do the rest");
        Ok(Exit::Failed)
    })
}

const fn bounds() -> Bounds {
    Bounds {
        connect: Duration::from_millis(TOOL_CONNECT_MS),
        request: Duration::from_millis(CLIENT_REQUEST_MS),
        answer_bytes_max: CLIENT_ANSWER_BYTES_MAX,
        tries_max: GRAFANA_TRIES_MAX,
        retry_first: Duration::from_millis(GRAFANA_RETRY_FIRST_MS),
        retry_longest: Duration::from_millis(RETRY_LONGEST_MS),
        conflict_tries_max: GRAFANA_CONFLICT_TRIES_MAX,
    }
}

/// Finds the Grafana that the options name, and says which it is.
async fn connect(settings: &Settings, options: &GrafanaOptions) -> anyhow::Result<Grafana> {
    let grafana = settings.grafana(options)?;
    let grafana = Grafana::connect(&grafana.address, grafana.access, bounds()).await.map_err(failed)?;
    output::note(&grafana.describe());
    Ok(grafana)
}

/// With the exit code that it ends with.
fn failed(error: GrafanaError) -> anyhow::Error {
    match error {
        GrafanaError::Usage(said) => Usage(said).into(),
        error @ GrafanaError::Unreachable { .. } => Unreachable(error.to_string()).into(),
        error => error.into(),
    }
}

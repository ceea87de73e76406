//! `cabildo dashboards push`.

use std::time::Duration;

use cabildo_dashboards::PushError;
use cabildo_events::limits::{FOLLOWED_SILENCE_MS, GRAFANA_PUSH_MS, GRAFANA_PUSH_OPTIONS_MAX};
use tokio_util::sync::CancellationToken;

use super::{bounds, connect, failed};
use crate::exit::{Exit, Unreachable, Usage};
use crate::output;
use crate::settings::{GrafanaOptions, ServerOptions, Settings};

/// `cabildo dashboards push`.
#[derive(clap::Args, Debug)]
pub(crate) struct Push {
    /// The poll
    #[arg(value_name = "POLL")]
    poll: String,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    grafana: GrafanaOptions,
}

/// Pushes until `stop`.
pub(crate) async fn run(settings: &Settings, push: &Push, stop: CancellationToken) -> anyhow::Result<Exit> {
    let Some(grafana) = stop.run_until_cancelled(connect(settings, &push.grafana)).await else {
        return Ok(Exit::Ok);
    };
    let grafana = grafana?;
    let following = cabildo_dashboards::Push {
        server: settings.server(&push.server),
        poll: push.poll.clone(),
        every: Duration::from_millis(GRAFANA_PUSH_MS),
        silence_max: Duration::from_millis(FOLLOWED_SILENCE_MS),
        options_max: GRAFANA_PUSH_OPTIONS_MAX,
    };
    let mut pushed = 0_u64;
    let told = |channel: &str| {
        if pushed == 0 {
            output::note(&format!("pushing; panels read the channel {channel}"));
        }
        pushed += 1;
    };
    let ran = stop.run_until_cancelled(following.run(&grafana, &bounds(), told)).await;
    output::note(&format!("{pushed} states pushed"));
    match ran {
        None | Some(Ok(())) => Ok(Exit::Ok),
        Some(Err(PushError::Grafana(error))) => Err(failed(error)),
        Some(Err(error @ PushError::Unreachable { .. })) => Err(Unreachable(error.to_string()).into()),
        Some(Err(error @ PushError::Server(_))) => Err(Usage(error.to_string()).into()),
        Some(Err(error)) => Err(error.into()),
    }
}

//! `cabildo gateway`.

use tokio_util::sync::CancellationToken;

use super::roles::{Front, Link, bind, refuse_embedded};
use crate::connect::{credentials_for_role, open_for_role};
use crate::exit::Exit;
use crate::export::Export;
use crate::settings::{ListenOptions, PlaceOptions, Settings, TraceOptions};

/// Run the gateway alone: HTTP, and the append side
///
/// Any number of gateways may run. A server that is down at the start is waited for.
#[derive(clap::Args, Debug)]
pub(crate) struct Gateway {
    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    places: PlaceOptions,
    #[command(flatten)]
    pub(crate) traces: TraceOptions,
}

/// Runs until `stop`.
pub(crate) async fn run(
    settings: &Settings,
    gateway: &Gateway,
    export: Option<Export>,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let places = settings.places(&gateway.places)?;
    refuse_embedded(&places)?;
    let listener = bind(settings.listen(&gateway.listen)?).await?;
    let Some(opened) = open_for_role(&places, &stop).await? else { return Ok(Exit::Ok) };
    let Some(credentials) = credentials_for_role(&places, &stop).await? else { return Ok(Exit::Ok) };
    let mut registry = crate::registry::new();
    let opened = opened.measured(&mut registry, stop.clone());
    let exporting = export.map(|export| export.begin(&mut registry));
    let front = Front::start(&opened, credentials, &mut registry).await?;
    front.serve(listener, &places, Link::Hidden, crate::registry::renderer(registry), stop).await?;
    if let Some(exporting) = exporting {
        exporting.flush().await;
    }
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

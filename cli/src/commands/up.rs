//! `cabildo up`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::roles::{Front, Link, bind, check_views};
use crate::connect::{credentials_for_role, open_for_role};
use crate::exit::Exit;
use crate::export::Export;
use crate::settings::{ListenOptions, PlaceOptions, Settings, TraceOptions, VerifyOptions, WorkerOptions};

/// Run everything in one process: gateway and consumers
///
/// Prints the address when it is ready, and on a loopback address a link that signs an operator in. SIGTERM and Ctrl-C stop it in order: the gateway finishes what is under way,
/// then the journal and the views are brought to rest.
#[derive(clap::Args, Debug)]
pub(crate) struct Up {
    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    places: PlaceOptions,
    #[command(flatten)]
    pub(crate) traces: TraceOptions,
    #[command(flatten)]
    workers: WorkerOptions,
    #[command(flatten)]
    verify: VerifyOptions,
}

/// Runs until `stop`.
pub(crate) async fn run(
    settings: &Settings,
    up: &Up,
    export: Option<Export>,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let places = settings.places(&up.places)?;
    let config = cabildo_consumers::Config {
        workers: settings.workers(&up.workers)?,
        projections: cabildo_projections::ALL.to_vec(),
    };
    let background = settings.verify(&up.verify)?;
    let listener = bind(settings.listen(&up.listen)?).await?;
    let Some(opened) = open_for_role(&places, &stop).await? else { return Ok(Exit::Ok) };
    let Some(credentials) = credentials_for_role(&places, &stop).await? else { return Ok(Exit::Ok) };

    let mut registry = crate::registry::new();
    let opened = opened.measured(&mut registry, stop.clone());
    let exporting = export.map(|export| export.begin(&mut registry));
    let front = Front::start(&opened, credentials, &mut registry).await?;
    let metrics = Arc::new(cabildo_consumers::Metrics::register(&mut registry));
    let ports =
        cabildo_consumers::Ports { journal: opened.journal, counters: opened.counters, documents: opened.documents };
    let stop_consumers = CancellationToken::new();
    let checking = check_views(background, &ports, &metrics, &stop_consumers);
    let consumers = tokio::spawn(cabildo_consumers::run(config, ports, metrics, stop_consumers.clone()));

    let served = front.serve(listener, &places, Link::Shown, crate::registry::renderer(registry), stop).await;
    stop_consumers.cancel();
    consumers.await?;
    checking.await;
    served?;
    if let Some(exporting) = exporting {
        exporting.flush().await;
    }
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

//! `cabildo consumer`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::roles::{bind, check_views, refuse_embedded};
use crate::connect::open_for_role;
use crate::exit::Exit;
use crate::operation;
use crate::settings::{MetricsOptions, PlaceOptions, Settings, VerifyOptions, WorkerOptions};

/// Run the consumers alone: they project events into the views
///
/// Any number of consumers may run. A server that is down is waited for, at the start and later.
#[derive(clap::Args, Debug)]
pub(crate) struct Consumer {
    #[command(flatten)]
    places: PlaceOptions,
    #[command(flatten)]
    workers: WorkerOptions,
    #[command(flatten)]
    metrics: MetricsOptions,
    #[command(flatten)]
    verify: VerifyOptions,
}

/// Runs until `stop`.
pub(crate) async fn run(settings: &Settings, consumer: &Consumer, stop: CancellationToken) -> anyhow::Result<Exit> {
    let places = settings.places(&consumer.places)?;
    refuse_embedded(&places)?;
    let config = cabildo_consumers::Config::all(settings.workers(&consumer.workers)?);
    let background = settings.verify(&consumer.verify)?;
    let listener = match settings.metrics_listen(&consumer.metrics)? {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let Some(opened) = open_for_role(&places, &stop).await? else { return Ok(Exit::Ok) };

    let mut registry = crate::registry::new();
    let metrics = Arc::new(cabildo_consumers::Metrics::register(&mut registry));
    let stop_operation = CancellationToken::new();
    let mut ready = "cabildo consumer is ready".to_owned();
    let operation = match listener {
        Some(listener) => {
            ready = format!("{ready}: http://{}", listener.local_addr()?);
            let render = crate::registry::renderer(registry);
            Some(tokio::spawn(operation::serve(listener, opened.clone(), render, stop_operation.clone())))
        }
        None => None,
    };
    tracing::info!(workers = config.workers, "{places}");
    crate::output::line(&ready)?;

    let ports =
        cabildo_consumers::Ports { journal: opened.journal, counters: opened.counters, documents: opened.documents };
    let checking = check_views(background, &ports, &metrics, &stop);
    cabildo_consumers::run(config, ports, metrics, stop).await;
    checking.await;
    stop_operation.cancel();
    if let Some(operation) = operation {
        operation.await?;
    }
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

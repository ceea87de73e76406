//! The metrics of the process, in one registry.

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::process::Process;

/// A registry that tells which build this is, and what the process uses.
pub(crate) fn new() -> Registry {
    let mut registry = Registry::default();
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("cabildo_build", "The build of cabildo", build);
    registry.register_collector(Box::new(Process::begin()));
    registry
}

/// Renders every metric of the process.
pub(crate) fn renderer(registry: Registry) -> Arc<dyn Fn() -> String + Send + Sync> {
    Arc::new(move || {
        let mut text = String::new();
        match text::encode(&mut text, &registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be written");
                String::new()
            }
        }
    })
}

//! The tests that need more than one crate, or a real server. One binary, so that they are linked once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also in the functions that tests share"
)]

mod architecture;
mod chaos;
mod cli;
mod conformance;
mod conformance_sinks;
mod dashboards;
mod embedded;
mod emptied;
mod gateway;
mod jetstream;
mod replay;
mod servers;
mod simulation;
mod telemetry;
mod views;

/// A client for HTTP without TLS. The binary installs a provider when it starts; a test that is its own client does so here, as no
/// client is built without one.
fn http_client() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([])
}

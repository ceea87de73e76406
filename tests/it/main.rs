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
mod embedded;
mod emptied;
mod gateway;
mod jetstream;
mod replay;
mod servers;
mod simulation;
mod views;

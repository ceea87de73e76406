//! One suite per port; every adapter passes it.

pub mod counters;
pub mod credentials;
pub mod documents;
pub mod journal;
mod sink;

pub use sink::SinkFixture;

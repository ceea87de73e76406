//! The append side: the batching appender, the desk where commands are decided, and the doors that are not HTTP.

mod appender;
mod desk;
mod metrics;
pub mod proto;
mod states;
pub mod votes;

pub use appender::Appender;
pub use desk::Desk;
pub use metrics::Metrics;

//! The persisted form of an event: CloudEvents 1.0, in binary mode (headers and body, on JetStream) and in structured
//! mode (one JSON object, in exports and in the API).
//!
//! What is written once is read for ever: every type and version has a golden file in `events/golden/`.

mod binary;
mod chain;
mod export;
mod exported;
#[cfg(test)]
mod golden;
mod structured;
pub(crate) mod upgrade;

pub use binary::{from_headers, to_headers};
pub use chain::{BadLink, ChainHead, Chains, Link};
pub use export::{BadLine, Ledger, Line, Manifest};
pub use exported::{Exported, exported};
pub use structured::{from_json, to_json, to_portable_json};

/// Version of the journal's layout (subjects, headers, metadata), recorded in the journal itself. A journal with a
/// higher one was written by a newer build and is refused.
pub const JOURNAL_SCHEMA: u32 = 1;

/// `ce-specversion`.
pub const SPEC_VERSION: &str = "1.0";
/// `ce-source` of what Cabildo writes.
pub const SOURCE: &str = "/cabildo";

/// Why something is no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A required attribute is not there.
    #[error("the attribute `{0}` is missing")]
    Missing(&'static str),
    /// An attribute does not read.
    #[error("the attribute `{name}` is wrong: {reason}")]
    Bad {
        /// Which attribute.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Not JSON, or not an object of the expected shape.
    #[error("not a CloudEvents object: {0}")]
    Json(String),
}

fn bad(name: &'static str, reason: impl std::fmt::Display) -> WireError {
    WireError::Bad { name, reason: reason.to_string() }
}

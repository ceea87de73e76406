//! The ports and their adapters. Only this crate names a database or a broker.
//!
//! | port | what it holds | embedded | distributed |
//! |---|---|---|---|
//! | [`Journal`] | the events | SQLite | NATS JetStream |
//! | [`Counters`] | hashes of counts | SQLite | Redis |
//! | [`Documents`] | documents | SQLite | MongoDB |
//!
//! Every adapter of a port passes the same suite, [`conformance`].

mod clause;
mod commands;
pub mod conformance;
mod connect;
pub mod embedded;
mod jetstream;
mod journal;
pub mod lag;
mod live;
mod measured;
mod metrics;
mod moment;
mod mongo;
mod redis;
mod sink;
pub mod trace;
mod views;

pub use clause::{Clause, Compare, Condition, KindPattern, words};
pub use commands::{Circumstances, CommandError, Commands, Receipt};
pub use connect::{
    OpenError, open_counters, open_counters_read_only, open_counters_shared, open_documents, open_documents_read_only,
    open_documents_shared, open_journal, open_journal_read_only, open_journal_shared,
};
pub use journal::{
    Append, AppendError, Appended, Durability, Expect, Journal, LaneHeads, Page, Pages, Parked, ReadError,
};
pub use live::Live;
pub use measured::{measured_counters, measured_documents, measured_journal, probe};
pub use metrics::Metrics;
pub use moment::{BadMoment, MOMENTS, Moment, NotYet};
pub use sink::{
    Applied, Counters, Cursor, Documents, Found, Hashes, LaneBatch, Loaded, Matches, Order, Query, RowPage, Shown,
    Sink, SinkError, Watermarks,
};
pub use views::{OperateError, Views, operate};

//! The ports and their adapters. Only this crate names a database or a broker.
//!
//! | port | what it holds | embedded | distributed |
//! |---|---|---|---|
//! | [`Journal`] | the events | SQLite | NATS JetStream |
//! | [`Counters`] | hashes of counts | SQLite | Redis |
//! | [`Documents`] | documents | SQLite | MongoDB |
//! | [`Credentials`] | what is secret, and on no record | SQLite | MongoDB |
//!
//! Every adapter of a port passes the same suite, [`conformance`].

mod alone;
mod callers;
mod clause;
mod commands;
pub mod conformance;
mod connect;
mod credentials;
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

pub use alone::{OperateError, decide_alone, read_state};
pub use callers::{Caller, Callers, Denied, NoCaller, Right};
pub use clause::{Clause, Compare, Condition, KindPattern, lower_words, words};
pub use commands::{Circumstances, CommandError, Commands, Receipt};
pub use connect::{
    OpenError, open_counters, open_counters_read_only, open_counters_shared, open_credentials, open_credentials_shared,
    open_documents, open_documents_read_only, open_documents_shared, open_journal, open_journal_read_only,
    open_journal_shared,
};
pub use credentials::{Credentials, CredentialsError, PasswordHash, Rotated, Session, SigningKey, TokenHash};
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
pub use views::{Views, operate};

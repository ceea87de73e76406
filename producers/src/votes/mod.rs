//! `cabildo produce votes`: casts the ballots of a file, over HTTP, over gRPC or straight into the journal, and checks that the tally
//! shows what was acknowledged.
//!
//! [`read`] takes a file in, a [`Plan`] says who casts which ballot when, [`cast_all`] casts them through a [`Door`], and
//! [`compare`] holds the tally against the acknowledgements.

mod check;
mod door;
mod file;
mod grpc;
mod http;
mod journal;
mod plan;
mod send;

pub use check::{Difference, compare};
pub use door::{Door, DoorError, Tally};
pub use file::{ReadVotesError, Row, Votes, read};
pub use http::Server;
pub use journal::JournalDoor;
pub use plan::Plan;
pub use send::{Outcome, Progress, cast_all};

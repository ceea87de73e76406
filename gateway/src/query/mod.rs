//! The language of the search box: words separated by blanks, all of which must hold.
//!
//! ```text
//! type:poll.ballot.cast room:lobby actor:(alice OR bob) -type:chat.* "free text" position:>0-1000 time:-15m
//! ```
//!
//! `field:value` asks a field, a word or `"quoted text"` the text; `field:(a OR b)` and `(a OR b)` are alternatives; a leading
//! `-` negates. A query is a list of [`Clause`]s, which a view turns into its own language and [`matches`] asks of an event
//! as it comes. Reading one needs the present, for `time:-15m`.

mod field;
mod matching;
mod parse;
mod print;
#[cfg(test)]
mod tests;
mod token;

use cabildo_storage::Clause;

pub(crate) use field::{kind, relative};
pub(crate) use matching::matches;
pub(crate) use parse::parse;
pub(crate) use print::print;

/// What is wrong with a query, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadQuery {
    /// In characters of the query.
    pub(crate) offset: usize,
    /// In characters; 0 at the end of the query.
    pub(crate) length: usize,
    /// What is wrong, and what would be right.
    pub(crate) reason: String,
    /// What may stand there, where that is a list.
    pub(crate) allowed: Vec<String>,
}

/// All of these must hold.
pub(crate) type Clauses = Vec<Clause>;

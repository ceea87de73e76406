//! The newest events of the record as columns in memory: what histograms, facets and searches look through.
//!
//! A view finds a page by an index, but counts a million rows in seconds. A column of a million numbers is counted in
//! milliseconds. So the gateway keeps, of each of the newest [`INDEX_EVENTS_MAX`](cabildo_events::limits::INDEX_EVENTS_MAX)
//! events, its position, time, type, aggregate, actor and lane, and the words of its text: 29 bytes and 4 for each word, and every
//! name and word once. Nothing depends on it: it is made
//! from the journal the first time that somebody asks, newest chunks first, so that it answers long before it is complete; it
//! is kept up by the live feed, and dropped when nobody asks for a while. A gateway that is never asked has none.
//!
//! What is not in a column (ids, correlations, causations) is asked of the view, which answers with positions; they are
//! intersected here. Every answer says from where to where it looked.

mod keeper;
mod names;
mod scan;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use keeper::{Held, Keeper};
pub(crate) use scan::{Ask, Matching, Set};
pub(crate) use store::{Columns, Field};

//! What every place for counters keeps: one function per rule, named after it.
//! [`counters_conformance!`](crate::counters_conformance) makes a test of each for an adapter.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a suite fails by panicking")]

mod applying;
mod faults;
mod folding;
mod reading;
mod views;

use std::collections::BTreeMap;

use cabildo_events::Lane;
use cabildo_projections::{Cell, CellChange, ProjectionId};

pub use applying::*;
pub use faults::*;
pub use folding::*;
pub use reading::*;
pub use views::*;

use super::sink::lane;
use crate::{Applied, Counters, LaneBatch};

/// Makes a test of every rule: `counters_conformance!(everyday: Shared::new().await, faults: Own::new().await)`. The
/// fixtures of the first kind are never stopped nor emptied, so they may be several places on one server.
#[macro_export]
macro_rules! counters_conformance {
    (everyday: $shared:expr, faults: $own:expr) => {
        $crate::counters_conformance! { @cases $shared;
            a_batch_moves_the_watermark
            a_batch_without_changes_moves_the_watermark
            a_batch_applied_twice_counts_once
            a_zombie_with_an_old_batch_changes_nothing
            of_sixteen_writers_from_the_same_place_one_is_done
            lanes_projections_and_versions_are_apart
            a_watermark_is_compared_to_the_last_digit
            adding_nothing_makes_a_cell
            a_count_goes_below_zero_and_up_to_the_bound
            a_text_is_written_over
            any_text_is_a_key_a_field_or_a_value
            twenty_thousand_changes_are_one_batch
            a_load_tells_rows_and_watermark
            a_load_of_many_cells_tells_each
            whole_hashes_are_read_at_one_watermark
            a_hash_is_read_across_lanes_in_their_order
            a_reader_never_sees_a_torn_batch
            it_tells_what_it_is
            every_cell_of_a_lane_is_on_some_page
            the_versions_of_a_projection_are_told
            a_view_is_removed_whole
            a_removal_that_was_interrupted_leaves_no_view_that_looks_whole
            a_view_is_mended_where_it_stands
            thousands_of_cells_are_removed_at_once
            events_folded_in_any_cuts_give_the_same_tally
        }
        $crate::counters_conformance! { @cases $own;
            an_emptied_sink_says_where_it_stands_and_is_filled_again
            a_sink_set_back_is_brought_up_again
            what_was_acknowledged_survives_a_restart
            what_was_acknowledged_survives_a_crash_in_the_middle
        }
    };
    (@cases $fixture:expr; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::counters::$case(&$fixture).await;
            }
        )*
    };
}

fn add(table: &'static str, key: &str, field: &str, more: i64) -> CellChange {
    CellChange::Add(Cell::new(table, key, field), more)
}

fn put(table: &'static str, key: &str, field: &str, text: &str) -> CellChange {
    CellChange::Put(Cell::new(table, key, field), text.into())
}

fn batch(projection: ProjectionId, prev: u64, next: u64, changes: Vec<CellChange>) -> LaneBatch<CellChange> {
    LaneBatch { projection, lane: lane(7), prev, next, changes }
}

/// Applies what must go through.
async fn done(counters: &dyn Counters, batch: LaneBatch<CellChange>) {
    assert_eq!(counters.apply(batch).await.unwrap(), Applied::Done);
}

/// One hash of a lane, and the watermark.
async fn hash(
    counters: &dyn Counters,
    projection: ProjectionId,
    on: Lane,
    table: &'static str,
    key: &str,
) -> (u64, BTreeMap<String, String>) {
    let mut read = counters.hashes(projection, on, &[(table, key)]).await.unwrap();
    assert_eq!(read.hashes.len(), 1);
    (read.watermark, read.hashes.remove(0))
}

fn map(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect()
}

//! *Pipeline*: from the journal into the views: publishing, lanes, lag, sinks, what is parked, replays and checks.

use crate::board::{Board, Rows};
use crate::panel::{series, stat, table};

pub(super) fn board() -> Board {
    Board {
        uid: "cabildo-pipeline",
        title: "Cabildo / Pipeline",
        description: "From the journal into the views: publishing, lanes, lag, sinks, what is parked, replays and checks.",
        texts: &[],
        rows: Rows {
            summary: vec![
                stat("Published", "Events that the journal acknowledges, a second.", "eps")
                    .query("sum(rate(cabildo_append_events_total{@}[~]))", "events"),
                stat("Events behind", "Most events that a live view lacks.", "short")
                    .query("max(cabildo_projection_lag_events{@})", "events")
                    .bad_from(1_000.0, 100_000.0),
                stat("Parked", "Events set aside because a projection cannot fold them.", "none")
                    .query("sum(max by (projection) (cabildo_projection_parked_events{@}))", "parked")
                    .bad_from(1.0, 100.0),
                stat("Held", "Projections that the circuit breaker holds, because too much of theirs is parked.", "none")
                    .query("sum(max by (projection) (cabildo_projection_circuit_open{@}))", "held")
                    .bad_from(1.0, 1.0),
                stat("Paused", "Projections that an operator has paused.", "none")
                    .query("sum(max by (projection) (cabildo_projection_paused{@}))", "paused")
                    .bad_from(1.0, 10.0),
                stat("Divergence", "Rows in which a view differed from a fresh fold, in the last background check.", "none")
                    .query("sum(max by (projection) (cabildo_verify_divergent_rows{@}))", "rows")
                    .bad_from(1.0, 1.0),
            ],
            rate: vec![
                series("Published", "Events that the journal acknowledges, a second; repetitions that it had already.", "eps")
                    .query("sum(rate(cabildo_append_events_total{@}[~]))", "new")
                    .query("sum(rate(cabildo_append_repeated_events_total{@}[~]))", "repeated"),
                series("Applied", "Events applied to each view, a second.", "eps")
                    .query("sum by (projection) (rate(cabildo_projection_applied_events_total{@}[~]))", "{{projection}}"),
                series("Events in a batch", "Events that one write to a lane of a view carries, on average.", "short").query(
                    "sum by (projection) (rate(cabildo_projection_applied_events_total{@}[~])) / sum by (projection) (rate(cabildo_projection_batches_total{@}[~]))",
                    "{{projection}}",
                ),
            ],
            errors: vec![
                series("Failed calls", "Failed calls of each projection to the journal or its sink, a second.", "ops").query(
                    "sum by (projection, what) (rate(cabildo_projection_failures_total{@}[~]))",
                    "{{projection}} {{what}}",
                ),
                series("Lanes that stood elsewhere", "Batches refused because another process had moved the lane, and views that were set back, a second.", "ops")
                    .query("sum by (projection) (rate(cabildo_projection_conflicts_total{@}[~]))", "{{projection}} moved")
                    .query("sum by (projection) (rate(cabildo_projection_rewinds_total{@}[~]))", "{{projection}} set back"),
                series("Refused by the append side", "Events that were not acknowledged, and writes tried again, a second.", "eps")
                    .query("sum by (reason) (rate(cabildo_append_refused_events_total{@}[~]))", "{{reason}}")
                    .query("sum(rate(cabildo_append_retries_total{@}[~]))", "tried again"),
            ],
            duration: vec![
                series("End to end", "From the journal's time of an event to its being in the view.", "s")
                    .quantiles("cabildo_projection_end_to_end_seconds", "projection"),
                series("Applying a batch", "Loading, folding and writing one batch.", "s")
                    .quantiles("cabildo_projection_apply_duration_seconds", "projection"),
                series("Oldest of a batch", "From the journal's storing of a batch's oldest event to its being in the view.", "s")
                    .quantiles("cabildo_projection_latency_seconds", "projection"),
            ],
            saturation: vec![
                series("Lag in events", "Events of the journal that each live view lacks.", "short")
                    .query("max by (projection) (cabildo_projection_lag_events{@})", "{{projection}}"),
                series("Lag in seconds", "Age of the oldest event that each live view lacks.", "s")
                    .query("max by (projection) (cabildo_projection_lag_seconds{@})", "{{projection}}"),
                series("Queued", "Events dispatched to the lanes' workers that wait for the sink.", "short")
                    .query("sum by (projection) (cabildo_projection_queued_events{@})", "{{projection}}"),
                series("Oldest parked", "Age of the oldest parked event.", "s")
                    .query("max by (projection) (cabildo_projection_parked_oldest_seconds{@})", "{{projection}}"),
                series("Replays", "Events still to fold into views that are built beside the live ones.", "short").query(
                    "max by (projection, version) (cabildo_projection_building_events{@})",
                    "{{projection}} {{version}}",
                ),
                series("Since the last progress", "Time since each projection applied something, or had nothing to apply.", "s")
                    .query("time() - max by (projection) (cabildo_projection_progress_timestamp_seconds{@})", "{{projection}}"),
            ],
            details: vec![
                table("Live views", "Which version of each projection is read.", "none")
                    .query("max by (projection) (cabildo_projection_view_version{@})", "")
                    .without(&["Time"])
                    .wide(8),
                table("Last check", "Age of the last background check of each view.", "s")
                    .query("time() - max by (projection) (cabildo_verify_timestamp_seconds{@})", "")
                    .without(&["Time"])
                    .wide(8),
                series("Rows checked", "Rows that the background check compared, a second.", "ops")
                    .query("sum by (projection) (rate(cabildo_verify_rows_total{@}[~]))", "{{projection}}")
                    .high(9),
            ],
        },
    }
}

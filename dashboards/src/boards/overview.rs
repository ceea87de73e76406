//! *Overview*: is all well, and if not, where to look.

use super::latest_events;
use crate::board::{Board, Rows};
use crate::panel::{series, stat, table};

pub(super) fn board() -> Board {
    Board {
        uid: "cabildo-overview",
        title: "Cabildo / Overview",
        description: "Whether all is well: what comes in, what is derived from it, and what stands in the way.",
        texts: &[],
        rows: Rows {
            summary: vec![
                stat("Processes", "Processes of Cabildo that Prometheus reaches.", "none")
                    .query("count(cabildo_build_info{@})", "processes"),
                stat("Events", "Events that the journal acknowledges, a second.", "eps")
                    .query("sum(rate(cabildo_append_events_total{@}[~]))", "events"),
                stat("Lag", "Age of the oldest event that any live view lacks.", "s")
                    .query("max(cabildo_projection_lag_seconds{@})", "lag")
                    .bad_from(5.0, 60.0),
                stat("Parked", "Events set aside because a projection cannot fold them.", "none")
                    .query("sum(max by (projection) (cabildo_projection_parked_events{@}))", "parked")
                    .bad_from(1.0, 100.0),
                stat("Sinks up", "Share of the journal, the counters and the documents that answer.", "percentunit")
                    .query("avg(min by (sink) (cabildo_sink_up{@}))", "up")
                    .at_most(1.0)
                    .good_from(1.0),
                stat("Divergence", "Rows in which a view differed from a fresh fold, in the last background check.", "none")
                    .query("sum(max by (projection) (cabildo_verify_divergent_rows{@}))", "rows")
                    .bad_from(1.0, 1.0),
            ],
            rate: vec![
                series("Commands", "Commands decided, a second, by context.", "ops")
                    .query("sum by (context) (rate(cabildo_append_commands_total{@}[~]))", "{{context}}")
                    .stacked(),
                series("Applied", "Events applied to each view, a second.", "eps")
                    .query("sum by (projection) (rate(cabildo_projection_applied_events_total{@}[~]))", "{{projection}}"),
                series("Requests", "Requests answered, a second, by class of status.", "reqps")
                    .query("sum by (status) (rate(cabildo_gateway_requests_total{@}[~]))", "{{status}}")
                    .stacked(),
            ],
            errors: vec![
                series("Refused by the append side", "Events that were not acknowledged, a second, by reason.", "eps")
                    .query("sum by (reason) (rate(cabildo_append_refused_events_total{@}[~]))", "{{reason}}"),
                series("Failed calls", "Failed calls to the journal and the sinks, a second.", "ops")
                    .query("sum by (sink, call) (rate(cabildo_sink_failures_total{@}[~]))", "{{sink}} {{call}}"),
                series("Server errors", "Share of requests answered with a 5xx.", "percentunit").query(
                    r#"sum(rate(cabildo_gateway_requests_total{@,status="5xx"}[~])) / sum(rate(cabildo_gateway_requests_total{@}[~]))"#,
                    "5xx",
                ),
            ],
            duration: vec![
                series("Append", "From an event's arrival at the appender to its acknowledgement.", "s")
                    .quantiles("cabildo_append_duration_seconds", ""),
                series("End to end", "From the journal's time of an event to its being in the view.", "s")
                    .quantiles("cabildo_projection_end_to_end_seconds", "projection"),
                series("Requests", "From a request's head to its answer's head.", "s")
                    .quantiles("cabildo_gateway_request_duration_seconds", ""),
            ],
            saturation: vec![
                series("Queues", "Events that wait for the journal, and for a sink.", "short")
                    .query("sum(cabildo_append_waiting_events{@})", "for the journal")
                    .query("sum by (projection) (cabildo_projection_queued_events{@})", "for {{projection}}"),
                series("Processor", "Processor time used, in cores, by process.", "short")
                    .query("rate(process_cpu_seconds_total{@}[~])", "{{job}} {{instance}}"),
                series("Memory", "Resident memory, by process.", "bytes")
                    .query("process_resident_memory_bytes{@}", "{{job}} {{instance}}"),
            ],
            details: vec![
                table("Builds", "What runs where, and since when.", "none")
                    .query("max by (job, instance, version) (cabildo_build_info{@})", "")
                    .without(&["Time", "Value"]),
                latest_events("Latest events", "The end of the record, newest first.", ""),
            ],
        },
    }
}

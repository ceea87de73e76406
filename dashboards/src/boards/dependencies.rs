//! *Dependencies*: the journal, the counters, the documents, the clock, and the processes themselves.

use crate::board::{Board, Rows};
use crate::panel::{series, stat, table};

pub(super) fn board() -> Board {
    Board {
        uid: "cabildo-dependencies",
        title: "Cabildo / Dependencies",
        description: "The journal, the counters and the documents as Cabildo sees them, the clock, and the processes themselves.",
        texts: &[],
        rows: Rows {
            summary: vec![
                stat("Answering", "Whether the journal and each sink answered the last probe, everywhere.", "none")
                    .query("min by (sink) (cabildo_sink_up{@})", "{{sink}}")
                    .words(&[("0", "down"), ("1", "up")])
                    .good_from(1.0)
                    .wide(12),
                stat("Clock", "Largest offset of the journal's clock from a process's own, either way.", "s")
                    .query("max(abs(cabildo_clock_offset_seconds{@}))", "offset")
                    .bad_from(0.1, 1.0)
                    .wide(6),
                stat("Failed calls", "Failed calls to the journal and the sinks, a second.", "ops")
                    .query("sum(rate(cabildo_sink_failures_total{@}[~]))", "failed")
                    .bad_from(0.1, 1.0)
                    .wide(6),
            ],
            rate: vec![
                series("Calls", "Calls to the journal and the sinks, a second.", "ops")
                    .query("sum by (sink, call) (rate(cabildo_sink_call_seconds_count{@}[~]))", "{{sink}} {{call}}")
                    .wide(12),
                series("Writes to the journal", "Writes to the journal, a second.", "wps")
                    .query("sum by (instance) (rate(cabildo_append_batch_events_count{@}[~]))", "{{instance}}")
                    .wide(12),
            ],
            errors: vec![
                series("Failed calls", "Failed calls, a second, by sink and call.", "ops")
                    .query("sum by (sink, call) (rate(cabildo_sink_failures_total{@}[~]))", "{{sink}} {{call}}")
                    .wide(12),
                series("Writes tried again", "Writes to the journal tried again because it was down, a second.", "ops")
                    .query("sum by (instance) (rate(cabildo_append_retries_total{@}[~]))", "{{instance}}")
                    .wide(12),
            ],
            duration: vec![
                series("Calls to the sinks", "99th percentile of the duration of calls.", "s")
                    .query(
                        "histogram_quantile(0.99, sum by (le, sink, call) (rate(cabildo_sink_call_seconds_bucket{@}[~])))",
                        "{{sink}} {{call}}",
                    )
                    .wide(12),
                series("Append", "From an event's arrival at the appender to its acknowledgement.", "s")
                    .quantiles("cabildo_append_duration_seconds", "instance")
                    .wide(12),
            ],
            saturation: vec![
                series("Events in a write", "Events in one write to the journal: the more wait, the larger.", "short")
                    .quantiles("cabildo_append_batch_events", ""),
                series("Processor", "Processor time used, in cores, by process.", "short")
                    .query("rate(process_cpu_seconds_total{@}[~])", "{{job}} {{instance}}"),
                series("Memory", "Resident memory, by process.", "bytes")
                    .query("process_resident_memory_bytes{@}", "{{job}} {{instance}}"),
            ],
            details: vec![
                series("Clock offset", "The journal's clock minus the process's own.", "s")
                    .query("cabildo_clock_offset_seconds{@}", "{{instance}} {{source}}")
                    .high(9),
                series("Open files", "Open file descriptors, by process.", "short")
                    .query("process_open_fds{@}", "{{job}} {{instance}}")
                    .high(9),
                table("Running for", "Time since each process started.", "s")
                    .query("time() - process_start_time_seconds{@}", "")
                    .without(&["Time", "__name__"])
                    .wide(8),
            ],
        },
    }
}

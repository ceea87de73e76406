//! *Votes live*: one poll, as it is voted on.

use super::latest_events;
use crate::board::{Board, Rows};
use crate::panel::{bars, series, stat, table};

const TALLY: &str = "/api/v1/polls/${poll}/tally";

pub(super) fn board() -> Board {
    Board {
        uid: "cabildo-votes",
        title: "Cabildo / Votes live",
        description: "One poll as it is voted on: the tally within half a second by Grafana Live (needs `cabildo dashboards \
                      push POLL`), and from the JSON API at each refresh.",
        texts: &[("poll", "Poll", "bands")],
        rows: Rows {
            summary: vec![
                stat("Voters", "Voters whose ballot counts.", "none").api(TALLY, "", &[("voters", "Voters", "number")]),
                stat("Spoilt", "Ballots on record that do not count.", "none")
                    .api(TALLY, "", &[("spoilt", "Spoilt", "number")]),
                stat("Votes", "Ballots and other commands on polls that are granted, a second, all polls.", "ops")
                    .query(r#"sum(rate(cabildo_append_commands_total{@,context="poll",outcome="granted"}[~]))"#, "votes"),
                stat("Lag of the tally", "Age of the oldest event that the tally lacks.", "s")
                    .query(r#"max(cabildo_projection_lag_seconds{@,projection="tally"})"#, "lag")
                    .bad_from(1.0, 10.0),
                stat("Watching", "Live streams open at the gateways.", "none")
                    .query("sum(cabildo_gateway_live_listeners{@})", "listeners"),
                stat("Status", "Whether the poll takes ballots.", "string").api(TALLY, "", &[("status", "Status", "string")]),
            ],
            rate: vec![
                bars("Tally, live", "Votes by option, pushed by `cabildo dashboards push`, at most twice a second.", "short")
                    .live("stream/cabildo/${poll}"),
                series("Votes", "Ballots and other commands on polls, a second, by outcome, all polls.", "ops")
                    .query(r#"sum by (outcome) (rate(cabildo_append_commands_total{@,context="poll"}[~]))"#, "{{outcome}}")
                    .wide(12)
                    .high(10),
            ],
            errors: vec![
                series("Refused", "Commands on polls that were not granted, a second, by what stood against them.", "ops")
                    .query(
                        r#"sum by (outcome) (rate(cabildo_append_commands_total{@,context="poll",outcome!~"granted|repeated|unchanged"}[~]))"#,
                        "{{outcome}}",
                    )
                    .wide(12),
                series("Failures of the tally", "Failed calls of the projection, a second.", "ops")
                    .query(
                        r#"sum by (what) (rate(cabildo_projection_failures_total{@,projection="tally"}[~]))"#,
                        "{{what}}",
                    )
                    .wide(12),
            ],
            duration: vec![
                series("From ballot to tally", "From the journal's time of an event to its being in the tally.", "s")
                    .quantiles(r#"cabildo_projection_end_to_end_seconds{@,projection="tally"}"#, "")
                    .wide(12),
                series("Casting", "A ballot's way through the gateway.", "s")
                    .quantiles(
                        r#"cabildo_gateway_request_duration_seconds{@,route="/api/v1/polls/{poll}/ballots/{voter}"}"#,
                        "",
                    )
                    .wide(12),
            ],
            saturation: vec![
                series("Events behind", "Events that the tally lacks.", "short")
                    .query(r#"max(cabildo_projection_lag_events{@,projection="tally"})"#, "events")
                    .wide(12),
                series("Waiting", "Events that wait for the journal, and for the tally's sink.", "short")
                    .query("sum(cabildo_append_waiting_events{@})", "for the journal")
                    .query(r#"sum(cabildo_projection_queued_events{@,projection="tally"})"#, "for the tally")
                    .wide(12),
            ],
            details: vec![
                table("Tally", "Votes by option, most first, from the JSON API.", "short").api(
                    TALLY,
                    "options",
                    &[("option", "Option", "string"), ("votes", "Votes", "number")],
                ),
                latest_events(
                    "Latest ballots",
                    "The newest events of this poll.",
                    "aggregate=poll%2F${poll:percentencode}&",
                ),
            ],
        },
    }
}

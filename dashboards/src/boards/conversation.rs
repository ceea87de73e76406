//! *Conversation*: what is said, and how fast it reaches the others.

use super::latest_events;
use crate::board::{Board, Rows};
use crate::panel::{series, stat, table};

pub(super) fn board() -> Board {
    Board {
        uid: "cabildo-conversation",
        title: "Cabildo / Conversation",
        description: "What is said in the rooms, how fast it reaches the others, and what is refused.",
        texts: &[("room", "Room", "lobby")],
        rows: Rows {
            summary: vec![
                stat("Messages", "Messages and other commands on rooms that are granted, a second.", "ops")
                    .query(r#"sum(rate(cabildo_append_commands_total{@,context="chat",outcome="granted"}[~]))"#, "granted")
                    .wide(6),
                stat("Lag of the rooms", "Age of the oldest event that the rooms' view lacks.", "s")
                    .query(r#"max(cabildo_projection_lag_seconds{@,projection="rooms"})"#, "lag")
                    .bad_from(1.0, 10.0)
                    .wide(6),
                stat("Listening", "Live streams open at the gateways.", "none")
                    .query("sum(cabildo_gateway_live_listeners{@})", "listeners")
                    .wide(6),
                stat("Room", "What the room below is called.", "string")
                    .api("/api/v1/rooms/${room}", "", &[("name", "Name", "string")])
                    .wide(6),
            ],
            rate: vec![
                series("Commands on rooms", "Messages and other commands on rooms, a second, by outcome.", "ops")
                    .query(r#"sum by (outcome) (rate(cabildo_append_commands_total{@,context="chat"}[~]))"#, "{{outcome}}")
                    .wide(12),
                series("Sent live", "Bytes sent on live streams, a second.", "Bps")
                    .query("sum by (instance) (rate(cabildo_gateway_live_sent_bytes_total{@}[~]))", "{{instance}}")
                    .wide(12),
            ],
            errors: vec![
                series("Refused", "Commands on rooms that were not granted, a second, by what stood against them.", "ops")
                    .query(
                        r#"sum by (outcome) (rate(cabildo_append_commands_total{@,context="chat",outcome!~"granted|repeated|unchanged"}[~]))"#,
                        "{{outcome}}",
                    )
                    .wide(12),
                series("Failures of the rooms", "Failed calls of the projection, a second.", "ops")
                    .query(
                        r#"sum by (what) (rate(cabildo_projection_failures_total{@,projection="rooms"}[~]))"#,
                        "{{what}}",
                    )
                    .wide(12),
            ],
            duration: vec![
                series("From message to room", "From the journal's time of an event to its being in the rooms' view.", "s")
                    .quantiles(r#"cabildo_projection_end_to_end_seconds{@,projection="rooms"}"#, "")
                    .wide(12),
                series("Posting", "A message's way through the gateway.", "s")
                    .quantiles(
                        r#"cabildo_gateway_request_duration_seconds{@,route="/api/v1/rooms/{room}/messages"}"#,
                        "",
                    )
                    .wide(12),
            ],
            saturation: vec![
                series("Events behind", "Events that the rooms' view lacks.", "short")
                    .query(r#"max(cabildo_projection_lag_events{@,projection="rooms"})"#, "events")
                    .wide(12),
                series("Live streams", "Live streams open, by gateway.", "short")
                    .query("cabildo_gateway_live_listeners{@}", "{{instance}}")
                    .wide(12),
            ],
            details: vec![
                table("Latest messages", "What the room says, by the JSON API.", "none").api(
                    "/api/v1/rooms/${room}/messages?limit=20",
                    "messages",
                    &[("posted", "Posted", "timestamp"), ("author", "Author", "string"), ("text", "Text", "string")],
                ),
                latest_events("Latest events", "The newest events of rooms.", "type=chat.*&"),
            ],
        },
    }
}

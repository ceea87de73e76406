//! The dashboards, one per file.

mod conversation;
mod dependencies;
mod gateway;
mod overview;
mod pipeline;
mod votes;

use crate::board::Board;
use crate::panel::{Panel, table};

/// Every dashboard, as they are listed.
pub(crate) fn all() -> [Board; 6] {
    [
        overview::board(),
        votes::board(),
        conversation::board(),
        pipeline::board(),
        gateway::board(),
        dependencies::board(),
    ]
}

/// The latest events that match some filters of the API (`type=…&`, or nothing).
fn latest_events(title: &'static str, description: &'static str, filters: &str) -> Panel {
    let columns = [
        ("recordedtime", "Recorded", "timestamp"),
        ("type", "Type", "string"),
        ("subject", "Aggregate", "string"),
        ("actor", "Actor", "string"),
        ("position", "Position", "string"),
    ];
    table(title, description, "none").api(&format!("/api/v1/events?{filters}limit=20"), "events", &columns)
}

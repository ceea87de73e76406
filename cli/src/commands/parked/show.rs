//! `cabildo parked show`.

use anyhow::Context;
use cabildo_events::{Position, wire};
use serde_json::{Value, json};

use super::{not_parked, of_all};
use crate::commands::events::open;
use crate::commands::replay::projection;
use crate::exit::Exit;
use crate::output::{self, Form};
use crate::settings::{JournalOptions, Settings};

/// Show a parked event: why it is parked, and the event itself
#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    /// Which projection parked it
    projection: String,
    /// Its position, for example 0-12
    position: Position,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Shows it.
pub(crate) async fn run(settings: &Settings, show: &Show) -> anyhow::Result<Exit> {
    let id = projection(&show.projection)?;
    let journal = open(settings, &show.journal).await?;
    let found = of_all(&*journal, Some(id)).await?;
    let one = found.iter().flat_map(|(_, parked)| parked).find(|one| one.position == show.position);
    let one = one.ok_or_else(|| not_parked(id.name, show.position))?;
    let event = journal.get(show.position).await?.context("the journal does not have the event any more")?;
    let event: Value = serde_json::from_str(&wire::to_json(&event))?;
    if show.output == Form::Json {
        output::json(&json!({ "parked": one, "event": event }))?;
        return Ok(Exit::Ok);
    }
    output::line(&format!(
        "{}.v{} parked {} on {}: {}",
        one.projection, one.version, one.position, one.parked, one.reason
    ))?;
    output::line(&serde_json::to_string_pretty(&event)?)?;
    Ok(Exit::Ok)
}

//! `cabildo events get`.

use cabildo_events::{Position, wire};
use serde_json::Value;
use std::io::Write;

use super::print::{self, EventForm};
use crate::exit::Exit;
use crate::output;
use crate::settings::{JournalOptions, Settings};

/// Print one event
#[derive(clap::Args, Debug)]
pub(crate) struct Get {
    /// Its position, for example 0-12
    position: Position,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: EventForm,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Prints it, or says how far the journal goes.
pub(crate) async fn run(settings: &Settings, get: &Get) -> anyhow::Result<Exit> {
    let journal = super::open(settings, &get.journal).await?;
    let Some(event) = journal.get(get.position).await? else {
        let head = journal.head().await?;
        anyhow::bail!("there is no event at {}; the last one is at {head}", get.position);
    };
    if get.output == EventForm::Pretty {
        let value: Value = serde_json::from_str(&wire::to_json(&event))?;
        output::line(&serde_json::to_string_pretty(&value)?)?;
    } else {
        let mut out = std::io::stdout().lock();
        print::write(&mut out, &event, get.output, false)?;
        out.flush()?;
    }
    Ok(Exit::Ok)
}

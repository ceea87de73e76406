//! `cabildo projections pause` and `resume`.

use cabildo_events::Reason;
use cabildo_events::operation::Command;
use cabildo_storage::operate;

use super::mend::operator;
use super::replay::projection;
use crate::connect::promptly;
use crate::exit::Exit;
use crate::output;
use crate::settings::{JournalOptions, Settings};

/// Make a projection stand still, in every process, until it is resumed
///
/// Its views are read as they are; nothing is lost, they catch up later.
#[derive(clap::Args, Debug)]
pub(crate) struct Pause {
    /// Which one: tally, activity, rooms, lists or record
    projection: String,
    /// Why: it goes on the record
    #[arg(long, value_name = "TEXT", default_value = "paused by an operator")]
    reason: Reason,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Let a projection that was paused go on
#[derive(clap::Args, Debug)]
pub(crate) struct Resume {
    /// Which one: tally, activity, rooms, lists or record
    projection: String,
    #[command(flatten)]
    journal: JournalOptions,
}

/// Puts it on the record that a projection stands still.
pub(crate) async fn pause(settings: &Settings, pause: &Pause) -> anyhow::Result<Exit> {
    tell(settings, &pause.journal, &pause.projection, &Command::Pause(pause.reason.clone()), "stands still").await
}

/// Puts it on the record that it goes on.
pub(crate) async fn resume(settings: &Settings, resume: &Resume) -> anyhow::Result<Exit> {
    tell(settings, &resume.journal, &resume.projection, &Command::Resume, "goes on").await
}

async fn tell(
    settings: &Settings,
    options: &JournalOptions,
    name: &str,
    command: &Command,
    what: &str,
) -> anyhow::Result<Exit> {
    let id = projection(name)?;
    let address = settings.journal(options)?;
    let journal = promptly(&address, cabildo_storage::open_journal_shared(address.expose())).await?;
    let (position, _) = operate(&*journal, &id.name.parse()?, command, Some(operator()?)).await?;
    output::line(&format!("{} {what}; on record at {position}", id.name))?;
    Ok(Exit::Ok)
}

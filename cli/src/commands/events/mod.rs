//! `cabildo events …`: the journal, read and written as events.

pub(crate) mod export;
pub(super) mod file;
mod filter;
mod find;
pub(crate) mod get;
pub(crate) mod import;
mod print;
pub(crate) mod tail;

use std::sync::Arc;

use cabildo_storage::Journal;

use crate::connect::promptly;
use crate::settings::{JournalOptions, Settings};

/// Read the journal, copy it out, and in again
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Events {
    Tail(tail::Tail),
    Get(get::Get),
    Export(export::Export),
    Import(import::Import),
}

/// Opens the journal for reading: an embedded one may be in use by `cabildo up` meanwhile.
pub(crate) async fn open(settings: &Settings, options: &JournalOptions) -> anyhow::Result<Arc<dyn Journal>> {
    let address = settings.journal(options)?;
    promptly(&address, cabildo_storage::open_journal_read_only(address.expose())).await
}

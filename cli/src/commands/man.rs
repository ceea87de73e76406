//! `cabildo man`.

use std::io::Write;

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::exit::Exit;

/// Prints the pages of the command and of each of its commands, one after another.
pub(crate) fn run() -> anyhow::Result<Exit> {
    let mut command = Arguments::command();
    command.build();
    let mut pages = Vec::new();
    write_pages(command, &mut pages)?;
    std::io::stdout().lock().write_all(&pages)?;
    Ok(Exit::Ok)
}

fn write_pages(command: clap::Command, pages: &mut Vec<u8>) -> std::io::Result<()> {
    let inner: Vec<_> = command.get_subcommands().cloned().collect();
    clap_mangen::Man::new(command).render(pages)?;
    inner.into_iter().try_for_each(|command| write_pages(command, pages))
}

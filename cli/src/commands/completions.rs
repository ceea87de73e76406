//! `cabildo completions SHELL`.

use std::io::Write;

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::exit::Exit;

/// Print the completions of a shell
#[derive(clap::Args, Debug)]
pub(crate) struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

/// Prints them. They are made in memory first: the generator panics when a pipe closes.
pub(crate) fn run(completions: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "cabildo", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Ok)
}

//! The command line.

use crate::commands;
use crate::settings::{General, TraceOptions};

/// Chat, polls and tasks as events: everything that is said, voted and done goes on the record
///
/// `cabildo up` runs all of it in one process, with its data in ./data. Every option is also CABILDO_… in the
/// environment and a key in cabildo.toml; a flag wins over the environment, the environment over the file.
///
/// Exit codes: 0 ok, 1 failed, 2 usage, 3 difference found, 4 something is parked, 5 cannot connect.
#[derive(clap::Parser, Debug)]
#[command(name = "cabildo", version, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) general: General,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    Up(commands::up::Up),
    Gateway(commands::gateway::Gateway),
    Consumer(commands::consumer::Consumer),
    #[command(subcommand)]
    Produce(commands::produce::Produce),
    #[command(subcommand)]
    Events(commands::events::Events),
    #[command(subcommand)]
    Show(commands::show::Show),
    #[command(subcommand)]
    Diff(commands::diff::Diff),
    #[command(subcommand)]
    Projections(commands::projections::Projections),
    Replay(commands::replay::Replay),
    Verify(commands::verify::Verify),
    #[command(subcommand)]
    Dashboards(commands::dashboards::Dashboards),
    #[command(subcommand)]
    Parked(commands::parked::ParkedCommand),
    #[command(subcommand)]
    Users(commands::users::Users),
    Doctor(commands::doctor::Doctor),
    Completions(commands::completions::Completions),
    /// Print the manual page
    Man,
}

impl Command {
    /// Whether it runs until it is told to stop.
    pub(crate) const fn is_role(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Gateway(_) | Self::Consumer(_))
    }

    /// Where a role's traces go, and as what it tells them.
    pub(crate) const fn traces(&self) -> Option<(&TraceOptions, &'static str)> {
        match self {
            Self::Up(up) => Some((&up.traces, "cabildo")),
            Self::Gateway(gateway) => Some((&gateway.traces, "cabildo-gateway")),
            Self::Consumer(consumer) => Some((&consumer.traces, "cabildo-consumer")),
            _ => None,
        }
    }

    /// Whether it is a long piece of work that gives way to whatever else the machine does.
    pub(crate) const fn gives_way(&self) -> bool {
        matches!(self, Self::Replay(_))
    }
}

//! The one binary: roles, tools, configuration. Each role is a library; this crate opens what it needs, starts it, and
//! stops it in order.

mod address;
mod arguments;
mod commands;
mod connect;
mod exit;
mod export;
mod logging;
mod operation;
mod output;
mod process;
mod registry;
mod settings;
mod signals;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use arguments::{Arguments, Command};
use commands::events::Events;
use commands::parked::ParkedCommand;
use commands::projections::Projections;
use exit::Exit;

/// How far work that gives way stands behind the roles for the processor: it gets about a tenth of what they ask for, and
/// all of what they leave. Threads take it on from the one that starts them.
const NICENESS: i32 = 10;
/// How long tasks that read a file or a pipe may hold up the end of the process.
const RUNTIME_STOP_MS: u64 = 1_000;

fn main() -> ExitCode {
    let exit = match Arguments::try_parse() {
        Ok(arguments) => run(arguments).unwrap_or_else(|error| {
            let exit = Exit::of(&error);
            if exit != Exit::Ok {
                output::note(&format!("error: {error:#}"));
            }
            exit
        }),
        // Help and version come this way too, to stdout.
        Err(told) => match (told.print(), told.use_stderr()) {
            (Err(_), _) | (_, false) => Exit::Ok,
            (_, true) => Exit::Usage,
        },
    };
    exit.into()
}

fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    match arguments.command {
        Command::Completions(completions) => return commands::completions::run(&completions),
        Command::Man => return commands::man::run(),
        _ => {}
    }
    // One for the whole process; whoever speaks TLS finds it. It fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = settings::Settings::read(&arguments.general)?;
    let traces = match arguments.command.traces() {
        Some((options, service)) => settings.traces(options, service)?,
        None => None,
    };
    let level = if arguments.command.is_role() { "info,async_nats=warn" } else { "warn,async_nats=error" };
    let export = logging::start(&settings, level, traces.as_ref())?;
    if arguments.command.gives_way()
        && let Err(error) = rustix::process::nice(NICENESS)
    {
        tracing::debug!(%error, "this process keeps its priority");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(dispatch(arguments.command, &settings, export));
    runtime.shutdown_timeout(Duration::from_millis(RUNTIME_STOP_MS));
    exit
}

async fn dispatch(
    command: Command,
    settings: &settings::Settings,
    export: Option<export::Export>,
) -> anyhow::Result<Exit> {
    let stop = signals::stop_token()?;
    match command {
        Command::Up(up) => commands::up::run(settings, &up, export, stop).await,
        Command::Gateway(gateway) => commands::gateway::run(settings, &gateway, export, stop).await,
        Command::Consumer(consumer) => commands::consumer::run(settings, &consumer, export, stop).await,
        Command::Produce(commands::produce::Produce::Votes(votes)) => {
            commands::produce::votes(settings, votes, stop).await
        }
        Command::Events(Events::Tail(tail)) => commands::events::tail::run(settings, &tail, stop).await,
        Command::Events(Events::Get(get)) => commands::events::get::run(settings, &get).await,
        Command::Events(Events::Export(export)) => commands::events::export::run(settings, &export, stop).await,
        Command::Events(Events::Import(import)) => commands::events::import::run(settings, &import, stop).await,
        Command::Show(show) => commands::show::run(settings, &show).await,
        Command::Diff(diff) => commands::diff::run(settings, &diff).await,
        Command::Projections(Projections::List(options)) => commands::projections::list(settings, &options).await,
        Command::Projections(Projections::Rows(rows)) => commands::rows::run(settings, &rows, stop).await,
        Command::Projections(Projections::Lag(options)) => commands::projections::lag(settings, &options).await,
        Command::Replay(replay) => commands::replay::run(settings, &replay, stop).await,
        Command::Verify(verify) => commands::verify::run(settings, &verify, stop).await,
        Command::Dashboards(dashboards) => commands::dashboards::run(settings, &dashboards, stop).await,
        Command::Projections(Projections::Pause(pause)) => commands::pause::pause(settings, &pause).await,
        Command::Projections(Projections::Resume(resume)) => commands::pause::resume(settings, &resume).await,
        Command::Parked(ParkedCommand::List(list)) => commands::parked::list::run(settings, &list).await,
        Command::Parked(ParkedCommand::Show(show)) => commands::parked::show::run(settings, &show).await,
        Command::Parked(ParkedCommand::Retry(retry)) => commands::parked::retry::run(settings, &retry, stop).await,
        Command::Parked(ParkedCommand::Discard(discard)) => {
            commands::parked::discard::run(settings, &discard, stop).await
        }
        Command::Users(users) => commands::users::run(settings, &users).await,
        Command::Doctor(doctor) => commands::doctor::run(settings, &doctor).await,
        Command::Completions(_) | Command::Man => Ok(Exit::Ok),
    }
}

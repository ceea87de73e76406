//! Data goes to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// For people.
    #[default]
    Pretty,
    /// For programs.
    Json,
}

/// Writes a line to stdout and lets it out at once. The error of a reader that has gone ends the command quietly.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes a line to stderr. There is nowhere to say that this failed.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a value to stdout as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(&serde_json::to_string(value)?)?)
}

/// Asks whether to go on. Where nobody can be asked, `yes` must have been said.
pub(crate) fn confirmed(question: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(crate::exit::Usage(format!("{question} Nobody can be asked here: say --yes")).into());
    }
    let _ = write!(io::stderr().lock(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "s" | "sí" | "si"))
}

/// Whether stderr is a terminal: only then is there a progress bar.
pub(crate) fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// Whether stdout takes colours.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && !crate::settings::no_color()
}

/// A bar on stderr, hidden when that is no terminal. `length` of `None`: it is not known how much there is.
pub(crate) fn bar(length: Option<u64>, what: &str) -> indicatif::ProgressBar {
    let target = if shows_progress() {
        indicatif::ProgressDrawTarget::stderr_with_hz(10)
    } else {
        indicatif::ProgressDrawTarget::hidden()
    };
    let bar = indicatif::ProgressBar::with_draw_target(length, target);
    let template = if length.is_some() {
        "{msg} [{bar:24}] {human_pos}/{human_len} {rate} ETA {eta}"
    } else {
        "{msg} {spinner} {human_pos} {rate} {elapsed}"
    };
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        let rate = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            // Where this fails there is no terminal to show it on.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
    }
    bar.with_message(what.to_owned())
}

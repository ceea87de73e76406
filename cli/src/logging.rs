//! The log, on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::exit::Usage;
use crate::settings::{LogFormat, Settings, no_color};

/// Starts logging. `default` holds where neither flag nor environment nor file say otherwise.
pub(crate) fn start(settings: &Settings, default: &str) -> Result<(), Usage> {
    let wanted = settings.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::builder().parse(wanted).map_err(|error| Usage(format!("log: `{wanted}`: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal() && !no_color()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
    };
    started.map_err(|error| Usage(format!("log: {error}")))
}

//! The log, on stderr: lines of key-values, or of JSON. A line that is written within a request carries its trace.

use std::fmt;
use std::io::{self, IsTerminal};

use cabildo_storage::trace;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::Usage;
use crate::export::{self, Export, Traces};
use crate::settings::{LogFormat, Settings, no_color};

/// Starts logging, and sets up the export of traces if there is to be one. `default` holds where neither flag nor environment
/// nor file say otherwise.
pub(crate) fn start(settings: &Settings, default: &str, traces: Option<&Traces>) -> anyhow::Result<Option<Export>> {
    let wanted = settings.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::builder().parse(wanted).map_err(|error| Usage(format!("log: `{wanted}`: {error}")))?;
    let ansi = settings.log_format == LogFormat::Text && io::stderr().is_terminal() && !no_color();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi);
    let lines = match settings.log_format {
        LogFormat::Text => lines.map_event_format(Traced::text).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).map_event_format(Traced::json).with_filter(filter).boxed(),
    };
    let (spans, export) = match traces.map(export::set_up).transpose()? {
        Some((tracer, export)) => {
            let spans = tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .with_level(false)
                .with_target(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == trace::TARGET));
            (Some(spans), Some(export))
        }
        None => (None, None),
    };
    let started = tracing_subscriber::registry().with(spans).with(lines).try_init();
    started.map_err(|error| Usage(format!("log: {error}")))?;
    Ok(export)
}

/// A form of lines, with the trace at the end.
struct Traced<F> {
    line: F,
    json: bool,
}

impl<F> Traced<F> {
    const fn text(line: F) -> Self {
        Self { line, json: false }
    }

    const fn json(line: F) -> Self {
        Self { line, json: true }
    }
}

impl<F, S, N> FormatEvent<S, N> for Traced<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(trace) = trace::current() else { return self.line.format_event(context, to, event) };
        let mut line = String::new();
        self.line.format_event(context, Writer::new(&mut line), event)?;
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        let line = line.trim_end();
        match line.strip_suffix('}').filter(|_| self.json) {
            Some(fields) => {
                let comma = if fields.ends_with('{') { "" } else { "," };
                writeln!(to, "{fields}{comma}\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\"}}")
            }
            None => writeln!(to, "{line} trace_id={trace_id} span_id={span_id}"),
        }
    }
}

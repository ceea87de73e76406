//! Traces: where a request's path through the journal to the sinks is told (W3C trace context, OpenTelemetry spans).
//!
//! A request has a [`TraceContext`], taken from its `traceparent` header or begun with its span. It is stored in the events
//! that the request makes, and whoever projects them goes on from there. Spans are made only while they are exported
//! ([`turn_on`]); they stand below every level of the log, so that a process that exports none pays for none.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use cabildo_events::limits::TRACE_LINKS_MAX;
use cabildo_events::{Command, Envelope, Lane};
use cabildo_projections::ProjectionId;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of every span that is exported, and of nothing else.
pub const TARGET: &str = "cabildo::trace";

static ON: AtomicBool = AtomicBool::new(false);

tokio::task_local! {
    static CURRENT: Option<TraceContext>;
}

/// Says that spans are exported from now on.
pub fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

/// Whether spans are exported.
#[must_use]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Where something stands in a trace: W3C trace context, version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

/// The text is no trace context that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no W3C trace context of version 00")]
pub struct NoTraceContext;

impl FromStr for TraceContext {
    type Err = NoTraceContext;
    fn from_str(text: &str) -> Result<Self, NoTraceContext> {
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            parts.next().filter(|part| part.len() == length && part.bytes().all(is_hex)).ok_or(NoTraceContext)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let trace = u128::from_str_radix(trace, 16).map_err(|_| NoTraceContext)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| NoTraceContext)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTraceContext)?;
        let sound = version == "00" && parts.next().is_none() && trace != 0 && span != 0;
        if sound { Ok(Self { trace, span, flags }) } else { Err(NoTraceContext) }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl TraceContext {
    /// The id of its trace, as logs write it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The id of its span, as logs write it.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }

    /// Where a span stands; `None` if it is not exported.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context();
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| Self {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
        })
    }

    fn remote(self) -> SpanContext {
        let (trace, span) = (TraceId::from(self.trace), SpanId::from(self.span));
        SpanContext::new(trace, span, TraceFlags::new(self.flags), true, TraceState::NONE)
    }
}

/// Runs a request at its place in a trace: [`current`] tells it.
pub async fn within<F: Future>(context: Option<TraceContext>, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

/// Where the request under way stands, if there is one and it is part of a trace.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok().flatten()
}

fn child_of(span: Span, parent: Option<TraceContext>) -> Span {
    if let Some(parent) = parent.filter(|_| !span.is_disabled()) {
        // A span that is not exported has no need of a parent.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent.remote()));
    }
    span
}

/// A request, as the gateway serves it. [`answered`] tells how it ended.
#[must_use]
pub fn request(parent: Option<TraceContext>, method: &str, route: &'static str, path: &str) -> Span {
    let span = tracing::trace_span!(
        target: "cabildo::trace", "request",
        otel.name = format!("{method} {route}"), otel.kind = "server", otel.status_code = Empty,
        http.request.method = method, http.route = route, url.path = path, http.response.status_code = Empty,
    );
    child_of(span, parent)
}

/// Tells a request's span the status of its answer.
pub fn answered(span: &Span, status: u16) {
    if !span.is_disabled() {
        span.record("http.response.status_code", status);
        if status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// A command at the desk, from the aggregate's state to the journal's answer.
#[must_use]
pub fn decide(command: &Command) -> Span {
    tracing::trace_span!(
        target: "cabildo::trace", "decide",
        otel.name = format!("decide {}", command.name()), cabildo.aggregate = %command.aggregate(),
    )
}

/// One event at the appender, from its arrival to the journal's answer.
#[must_use]
pub fn append(event: &Envelope) -> Span {
    tracing::trace_span!(
        target: "cabildo::trace", "append",
        otel.name = format!("append {}", event.kind), otel.kind = "producer", otel.status_code = Empty,
        cabildo.aggregate = %event.aggregate,
    )
}

/// A batch of one lane on its way to a view. It goes on with the trace of its first event that has one which is exported, and
/// links to those of at most [`TRACE_LINKS_MAX`] others; a batch without any has no span.
#[must_use]
pub fn batch<'a>(view: ProjectionId, lane: Lane, events: usize, traces: impl Iterator<Item = &'a str>) -> Span {
    // Most are not exported, which their last letters tell.
    let sampled = traces.filter(|trace| !trace.ends_with("-00")).filter_map(|trace| trace.parse().ok());
    let mut sampled = sampled.filter(|trace: &TraceContext| trace.is_sampled());
    let Some(first) = sampled.next() else { return Span::none() };
    let span = tracing::trace_span!(
        target: "cabildo::trace", "apply",
        otel.name = format!("apply {}", view.name), otel.kind = "consumer",
        cabildo.projection = view.name, cabildo.version = view.version, cabildo.lane = %lane, cabildo.events = events,
    );
    let mut linked = vec![first];
    for trace in sampled {
        if linked.len() > TRACE_LINKS_MAX {
            break;
        }
        if linked.iter().all(|other| other.trace != trace.trace) {
            linked.push(trace);
            span.add_link(trace.remote());
        }
    }
    child_of(span, Some(first))
}

/// A call through a port, if it is made on behalf of something that has a span.
#[must_use]
pub fn call(sink: &'static str, call: &'static str) -> Span {
    if !is_on() || Span::current().is_none() {
        return Span::none();
    }
    tracing::trace_span!(
        target: "cabildo::trace", "call",
        otel.name = format!("{sink} {call}"), otel.kind = "client", otel.status_code = Empty, cabildo.sink = sink,
    )
}

/// Tells a span that what it stands for has failed.
pub fn failed(span: &Span) {
    if !span.is_disabled() {
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_trace_context_is_kept() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(good.parse::<TraceContext>().map(|context| context.to_string()).as_deref(), Ok(good));
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(NoTraceContext), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_request_knows_where_it_stands_and_nobody_else_does() {
        let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        assert_eq!(current(), None);
        let seen = within(Some(context), async {
            tokio::task::yield_now().await;
            (current(), within(None, async { current() }).await)
        });
        assert_eq!(seen.await, (Some(context), None));
        assert_eq!(
            (context.trace_id().as_str(), context.span_id().as_str()),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
        );
    }
}

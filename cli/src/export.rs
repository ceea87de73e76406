//! Traces on their way out: a bounded queue, one export at a time, OTLP over HTTP.
//!
//! Whoever ends a span never waits: a full queue drops it, and counts that. What the collector does not take is lost and
//! counted, too; traces are samples, and no process of ours holds still for them.

use std::time::Duration;

use bytes::Bytes;
use cabildo_events::limits::{
    TRACE_BATCH_SPANS_MAX, TRACE_EXPORT_MS, TRACE_FLUSH_MS, TRACE_GATHER_MS, TRACE_QUEUE_SPANS_MAX,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor,
};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Largest answer of a collector that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where traces go, and how many.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Traces {
    /// The collector's address of traces.
    pub(crate) endpoint: String,
    /// Share of the traces begun here that are exported, 0 to 1.
    pub(crate) sample: f64,
    /// Which service it is that tells, for example `cabildo-gateway`.
    pub(crate) service: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What became of the spans.
#[derive(Clone, Debug, Default)]
struct Metrics(Family<Outcome, Counter>);

impl Metrics {
    fn count(&self, outcome: &'static str, spans: usize) {
        self.0.get_or_create(&Outcome { outcome }).inc_by(spans as u64);
    }
}

/// The queue, as the tracer sees it.
#[derive(Debug)]
struct Queue {
    spans: mpsc::Sender<SpanData>,
    metrics: Metrics,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.metrics.count("dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        // The exporter flushes when the role ends: nobody else asks.
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Export that is set up and has not begun.
#[derive(Debug)]
pub(crate) struct Export {
    exporter: SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    metrics: Metrics,
    endpoint: String,
}

/// Sets export up: a tracer for the log's layers, and what has to be begun once the role runs.
pub(crate) fn set_up(traces: &Traces) -> anyhow::Result<(SdkTracer, Export)> {
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Post(Client::builder(TokioExecutor::new()).build_http()))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&traces.endpoint)
        .with_timeout(Duration::from_millis(TRACE_EXPORT_MS))
        .build()?;
    let resource = Resource::builder_empty()
        .with_service_name(traces.service)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
        ])
        .build();
    exporter.set_resource(&resource);
    let (sender, spans) = mpsc::channel(TRACE_QUEUE_SPANS_MAX);
    let metrics = Metrics::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(traces.sample))))
        .with_resource(resource)
        .with_span_processor(Queue { spans: sender, metrics: metrics.clone() })
        .build();
    let tracer = provider.tracer("cabildo");
    Ok((tracer, Export { exporter, spans, metrics, endpoint: traces.endpoint.clone() }))
}

/// Export under way. [`flush`](Self::flush) before the process ends.
#[derive(Debug)]
pub(crate) struct Exporting {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Export {
    /// Registers the metrics and begins.
    pub(crate) fn begin(self, registry: &mut Registry) -> Exporting {
        let help = "Spans by what became of them: exported, dropped (the queue was full), failed (the collector did not take them)";
        for outcome in ["exported", "dropped", "failed"] {
            self.metrics.count(outcome, 0);
        }
        registry.register("cabildo_trace_spans", help, self.metrics.0.clone());
        cabildo_storage::trace::turn_on();
        let stop = CancellationToken::new();
        let (done, ended) = oneshot::channel();
        let stopped = stop.clone();
        tokio::spawn(async move {
            self.run(stopped).await;
            // Whoever waits for the end may be gone.
            let _ = done.send(());
        });
        Exporting { stop, ended }
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut reported = false;
        loop {
            let mut batch = Vec::new();
            let first = tokio::select! {
                count = self.spans.recv_many(&mut batch, TRACE_BATCH_SPANS_MAX) => count,
                () = stop.cancelled() => 0,
            };
            if first > 0 {
                // A trace's spans end one after the other: a moment brings them together.
                let gather = tokio::time::sleep(Duration::from_millis(TRACE_GATHER_MS));
                let _ = stop.run_until_cancelled(gather).await;
            }
            while batch.len() < TRACE_BATCH_SPANS_MAX
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                // Told to stop, and nothing is left.
                return;
            }
            let spans = batch.len();
            match self.exporter.export(batch).await {
                Ok(()) => {
                    self.metrics.count("exported", spans);
                    reported = false;
                }
                Err(error) => {
                    self.metrics.count("failed", spans);
                    if !reported {
                        tracing::warn!(endpoint = self.endpoint, error = %brief(&error), spans, "the collector takes no traces; they are lost until it does");
                        reported = true;
                    }
                }
            }
        }
    }
}

fn brief(error: &OTelSdkError) -> String {
    match error {
        OTelSdkError::InternalFailure(reason) => reason.clone(),
        other => other.to_string(),
    }
}

impl Exporting {
    /// Exports what is in the queue, for at most [`TRACE_FLUSH_MS`].
    pub(crate) async fn flush(self) {
        self.stop.cancel();
        if tokio::time::timeout(Duration::from_millis(TRACE_FLUSH_MS), self.ended).await.is_err() {
            tracing::warn!("the collector did not take the last traces in time");
        }
    }
}

/// The HTTP client of the exporter.
#[derive(Debug)]
struct Post(Client<HttpConnector, Full<Bytes>>);

#[async_trait::async_trait]
impl opentelemetry_http::HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, opentelemetry_http::HttpError> {
        let exchange = async {
            let (head, body) = self.0.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(Duration::from_millis(TRACE_EXPORT_MS), exchange).await?
    }
}

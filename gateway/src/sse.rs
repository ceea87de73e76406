//! Server-sent events (the WHATWG format): frames, silence, the end.

use std::convert::Infallible;
use std::fmt::{Display, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cabildo_events::limits::{LISTENERS_MAX, LIVE_COMMENT_MS};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http::{HeaderValue, header};
use tokio::sync::OwnedSemaphorePermit;
use warp::reply::{Reply, Response};

use crate::Gateway;
use crate::metrics::Counted;
use crate::problem::{self, Problem};

/// The media type of live streams.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";

/// One event: `data` must hold no line break (JSON as we write it holds none).
pub(crate) fn frame(id: impl Display, event: &str, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + event.len() + 48);
    let _ = write!(text, "id: {id}\nevent: {event}\ndata: {data}\n\n");
    text.into()
}

/// A listener's place among at most [`LISTENERS_MAX`]; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

/// Takes a place.
///
/// # Errors
/// When all are taken: 503.
pub(crate) fn take_place(gateway: &Gateway) -> Result<Place, Problem> {
    let permit = gateway.listeners.clone().try_acquire_owned().map_err(|_| {
        Problem::new(&problem::TOO_MANY_LISTENERS, format!("{LISTENERS_MAX} live streams are open already"))
    })?;
    Ok(Place { _permit: permit, _counted: gateway.metrics.listener() })
}

/// Streams frames until they end or the gateway stops, with a comment when it has been quiet. The client gets the head and
/// a first comment at once.
pub(crate) fn respond(gateway: &Arc<Gateway>, place: Place, frames: BoxStream<'static, Bytes>) -> Response {
    let stopping = gateway.stopping.clone().cancelled_owned();
    let metrics = gateway.metrics.clone();
    let quiet = Duration::from_millis(LIVE_COMMENT_MS);
    let frames = futures::stream::unfold((frames, place), move |(mut frames, place)| async move {
        let frame = match tokio::time::timeout(quiet, frames.next()).await {
            Ok(frame) => frame?,
            Err(_) => Bytes::from_static(b": still here\n\n"),
        };
        Some((frame, (frames, place)))
    });
    let opening = futures::stream::iter([Bytes::from_static(b"retry: 1000\n: listening\n\n")]);
    let frames = opening.chain(frames).inspect(move |frame| metrics.sent_live(frame.len())).take_until(stopping);
    let body = frames.map(Ok::<_, Infallible>).boxed();
    let mut response = stream_body(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    // Proxies that buffer answers (nginx) are asked not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A response whose body is a stream.
pub(crate) fn stream_body<E>(stream: BoxStream<'static, Result<Bytes, E>>) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    warp::reply::stream(Exclusive(Mutex::new(stream))).into_response()
}

/// warp asks for `Sync` of a stream that only one task polls. The mutex grants it, and is never locked.
struct Exclusive<S>(Mutex<S>);

impl<S: Stream + Unpin> Stream for Exclusive<S> {
    type Item = S::Item;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let stream = self.get_mut().0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        stream.poll_next_unpin(cx)
    }
}

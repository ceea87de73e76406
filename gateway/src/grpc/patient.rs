//! A request's body that must come in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tonic::Status;

/// A body that fails with `DEADLINE_EXCEEDED` when it does not come in time: all of it, or each part of it.
pub(super) struct Patient {
    body: Incoming,
    timer: Pin<Box<Sleep>>,
    patience: Duration,
    each: bool,
}

impl Patient {
    /// All of it must come in this time.
    pub(super) fn whole(body: Incoming, patience: Duration) -> Self {
        Self { body, timer: Box::pin(tokio::time::sleep(patience)), patience, each: false }
    }

    /// It must not be silent for this long.
    pub(super) fn each(body: Incoming, patience: Duration) -> Self {
        Self { each: true, ..Self::whole(body, patience) }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if this.each {
                this.timer.as_mut().reset(Instant::now() + this.patience);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| Status::cancelled(error.to_string()))));
        }
        match this.timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                let patience = this.patience.as_millis();
                let what = if this.each { "the next message must come" } else { "a request must be here" };
                Poll::Ready(Some(Err(Status::deadline_exceeded(format!("{what} within {patience} ms")))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! Following: the events there are, then those to come.
//!
//! New events arrive over the subject that the stream republishes to, which is fast and may lose some. Each
//! carries its sequence, so a loss shows with the next one, or within [`FOLLOW_CHECK_MS`] when nothing else comes; what
//! was lost is read from the stream.

use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use async_nats::{Message, Subscriber};
use cabildo_events::limits::{FOLLOW_CHECK_MS, READ_PAGE_EVENTS};
use cabildo_events::{Position, Recorded, Timestamp};
use futures::{FutureExt, StreamExt, stream};
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::convert::recorded;
use super::link::{Link, Loss};
use super::lookup::{head, unavailable};
use super::pull::Pull;
use super::read::{ALL, page_of};
use crate::{Page, Pages, ReadError};

/// What the stream puts before the subject of an event that it republishes.
pub(super) const LIVE_PREFIX: &str = "live.";

pub(super) async fn follow(link: Link, stream: String, after: Position) -> Result<Pages, ReadError> {
    let follower = Follower::begin(link, stream, after.seq).await?;
    Ok(stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(page) => Some((Ok(page), Some(follower))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed())
}

struct Follower {
    link: Link,
    loss: Loss,
    name: String,
    stream: Stream<()>,
    live: Subscriber,
    /// The read that catches up, while one is needed.
    catching_up: Option<Pull>,
    after: u64,
}

impl Follower {
    async fn begin(link: Link, name: String, after: u64) -> Result<Self, ReadError> {
        let loss = link.watch();
        // Listen first: what comes while the past is read waits here.
        let live = link.client.subscribe(format!("{LIVE_PREFIX}{ALL}")).await.map_err(unavailable)?;
        let stream = link.context.get_stream_no_info(&name).await.map_err(unavailable)?;
        let mut follower = Self { link, loss, name, stream, live, catching_up: None, after };
        // The answer to this question comes after the subscription has reached the server.
        follower.catch_up().await?;
        Ok(follower)
    }

    /// Begins a read of what is on the stream and has not been given out.
    async fn catch_up(&mut self) -> Result<(), ReadError> {
        let head = head(&self.stream).await?;
        if head > self.after {
            self.catching_up = Some(Pull::begin(self.link.clone(), &self.name, &[ALL], self.after, head).await?);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Page, ReadError> {
        loop {
            let page = match &mut self.catching_up {
                Some(pull) => {
                    let delivered = pull.next().await?;
                    if delivered.is_empty() {
                        self.catching_up = None;
                    }
                    page_of(delivered)
                }
                None => self.listen().await?,
            };
            if let Some(last) = page.last() {
                self.after = last.position.seq;
                return Ok(page);
            }
        }
    }

    /// Waits for live events. Begins a read where something is missing; gives what there is before that, if anything.
    async fn listen(&mut self) -> Result<Page, ReadError> {
        let lost = || ReadError::Unavailable("the connection was lost while following".to_owned());
        let first = tokio::select! {
            message = timeout(Duration::from_millis(FOLLOW_CHECK_MS), self.live.next()) => message,
            () = self.loss.happens() => return Err(lost()),
        };
        let mut page = Page::new();
        let mut message = match first {
            Ok(message) => Some(message.ok_or_else(lost)?),
            Err(_) => {
                self.catch_up().await?;
                return Ok(page);
            }
        };
        let mut last = self.after;
        while let Some(next) = message.take() {
            let Some((seq, event)) = live_event(next) else { continue };
            if seq > last + 1 {
                self.after = last;
                self.catch_up().await?;
                return Ok(page);
            }
            if seq == last + 1 {
                last = seq;
                page.push(event);
            }
            if page.len() < READ_PAGE_EVENTS {
                message = unconstrained(self.live.next()).now_or_never().flatten();
            }
        }
        Ok(page)
    }
}

/// Reads an event that the stream republished, with its sequence; nothing if somebody else published it there.
fn live_event(message: Message) -> Option<(u64, Recorded)> {
    let headers = message.headers.as_ref()?;
    let text = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
    let seq = text("Nats-Sequence")?.parse().ok()?;
    let time: Timestamp = text("Nats-Time-Stamp")?.parse().ok()?;
    let subject = text("Nats-Subject")?.to_owned();
    Some((seq, recorded(seq, time, &subject, Some(headers), message.payload)))
}

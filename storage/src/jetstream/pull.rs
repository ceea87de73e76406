//! Ordered reads with a wide window.
//!
//! An ephemeral consumer without acknowledgements, in the server's memory: it delivers each message once, in order, as long
//! as it is asked. Twice half a window is asked for, so that one half is under way while the other is used.
//! Whatever breaks the order (a lost connection, a restarted server) ends the read with an error.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::{Message, StatusCode, Subscriber};
use cabildo_events::Timestamp;
use cabildo_events::limits::{
    READ_ABANDONED_S, READ_IDLE_MS, READ_PAGE_EVENTS, READ_STALLED_MS, READ_WINDOW_BYTES, READ_WINDOW_EVENTS,
    RETRY_FIRST_MS,
};
use futures::{FutureExt, StreamExt};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout_at};

use super::link::{Link, Loss};
use super::lookup::{next_sequence, unavailable};
use crate::ReadError;

/// A message and where it stands.
pub(super) struct Delivered {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) message: Message,
}

/// A read under way.
pub(super) struct Pull {
    link: Link,
    loss: Loss,
    subscriber: Subscriber,
    inbox: String,
    /// Where it is asked for more.
    ask: String,
    stream: String,
    filters: Vec<String>,
    consumer: String,
    /// Asked for and not delivered yet.
    outstanding: usize,
    /// Whether the server sent nothing at all for the last question because of the window in bytes.
    starved: bool,
    /// Whether the last question reached nobody.
    unheard: bool,
    /// How many the consumer delivered: a leap means a loss.
    delivered: u64,
    after: u64,
    until: u64,
}

/// How often a read looks for more before it hands out a small page.
const READ_LOOKS: usize = 4;
const HALF_WINDOW_EVENTS: usize = READ_WINDOW_EVENTS / 2;

impl Pull {
    /// Begins to read what matches one of the filters after a sequence up to and including another, which must be there (or gone).
    pub(super) async fn begin(
        link: Link,
        stream: &str,
        filters: &[&str],
        after: u64,
        until: u64,
    ) -> Result<Self, ReadError> {
        let loss = link.watch();
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            ack_policy: AckPolicy::None,
            // A list is for two and more: servers differ in what they make of a list of one.
            filter_subject: if let [filter] = filters { (*filter).to_owned() } else { String::new() },
            filter_subjects: if filters.len() > 1 { filters.iter().map(ToString::to_string).collect() } else { vec![] },
            inactive_threshold: Duration::from_secs(READ_ABANDONED_S),
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = link.context.create_consumer_on_stream(config, stream).await.map_err(unavailable)?;
        let consumer = consumer.cached_info().name.clone();
        let inbox = link.client.new_inbox();
        let subscriber = link.client.subscribe(inbox.clone()).await.map_err(unavailable)?;
        let ask = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let (stream, filters) = (stream.to_owned(), filters.iter().map(ToString::to_string).collect());
        let mut pull = Self {
            link,
            loss,
            subscriber,
            inbox,
            ask,
            stream,
            filters,
            consumer,
            outstanding: 0,
            starved: false,
            unheard: false,
            delivered: 0,
            after,
            until,
        };
        pull.ask_for_more().await?;
        Ok(pull)
    }

    /// The next messages, as many as are there; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Delivered>, ReadError> {
        let mut page = Vec::new();
        let stalled_at = Instant::now() + Duration::from_millis(READ_STALLED_MS);
        while page.is_empty() && self.after < self.until {
            let idle_at = Instant::now() + Duration::from_millis(READ_IDLE_MS);
            let message = tokio::select! {
                message = timeout_at(idle_at, self.subscriber.next()) => message,
                () = self.loss.happens() => return Err(lost()),
            };
            match message {
                Ok(message) => self.take(message.ok_or_else(lost)?, &mut page)?,
                Err(_) if Instant::now() >= stalled_at => {
                    return Err(ReadError::Unavailable("an ordered read got nothing for too long".to_owned()));
                }
                // Not there any more, if somebody removed it against the stream's rules: then this is the end.
                Err(_) => match next_sequence(&self.link.context, &self.stream, &self.filters, self.after + 1).await? {
                    Some(next) if next <= self.until => {}
                    _ => self.after = self.until,
                },
            }
            for _ in 0..READ_LOOKS {
                while page.len() < READ_PAGE_EVENTS
                    && self.after < self.until
                    && let Some(message) = unconstrained(self.subscriber.next()).now_or_never()
                {
                    self.take(message.ok_or_else(lost)?, &mut page)?;
                }
                if page.len() >= READ_PAGE_EVENTS / 8 || self.after >= self.until {
                    break;
                }
                // More is certainly under way: let the connection read it, for a page of four costs as much as one of four hundred.
                tokio::task::yield_now().await;
            }
            if std::mem::take(&mut self.unheard) {
                if Instant::now() >= stalled_at {
                    return Err(ReadError::Unavailable("nobody answers an ordered read".to_owned()));
                }
                tokio::time::sleep(Duration::from_millis(RETRY_FIRST_MS)).await;
            }
            self.ask_for_more().await?;
        }
        Ok(page)
    }

    fn take(&mut self, message: Message, page: &mut Vec<Delivered>) -> Result<(), ReadError> {
        if let Some(status) = message.status {
            return self.take_status(status, &message);
        }
        let Some(place) = message.reply.as_deref().and_then(Place::parse) else {
            return Err(ReadError::Unavailable("the server delivered a message without its place".to_owned()));
        };
        if place.delivered != self.delivered + 1 {
            return Err(ReadError::Unavailable("the server's deliveries have a gap".to_owned()));
        }
        self.delivered = place.delivered;
        self.outstanding = self.outstanding.saturating_sub(1);
        self.starved = false;
        self.after = place.seq;
        if place.seq <= self.until {
            page.push(Delivered { seq: place.seq, time: place.time, message });
        }
        Ok(())
    }

    /// The end of a question before its full count: its rest is not outstanding any more.
    fn take_status(&mut self, status: StatusCode, message: &Message) -> Result<(), ReadError> {
        let description = message.description.as_deref().unwrap_or_default();
        let lower = description.to_lowercase();
        let window_full = lower.contains("maxbytes");
        match status.as_u16() {
            // A sign of life.
            100 => Ok(()),
            // In a cluster the consumer may be on another server, and word of it not here yet.
            503 if self.delivered == 0 => {
                self.outstanding = self.outstanding.saturating_sub(HALF_WINDOW_EVENTS);
                self.unheard = true;
                Ok(())
            }
            409 if !window_full && lower != "batch completed" => {
                Err(ReadError::Unavailable(format!("the server ended a read: {description}")))
            }
            408 | 409 => {
                let rest = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
                let rest = rest.and_then(|rest| rest.as_str().parse().ok()).unwrap_or(self.outstanding);
                self.starved = window_full && rest >= HALF_WINDOW_EVENTS;
                self.outstanding = self.outstanding.saturating_sub(rest);
                Ok(())
            }
            code => Err(ReadError::Unavailable(format!("the server ended a read: {code} {description}"))),
        }
    }

    async fn ask_for_more(&mut self) -> Result<(), ReadError> {
        while self.outstanding <= HALF_WINDOW_EVENTS && self.after < self.until {
            // One message larger than half the window would never come: then the count alone is the bound.
            let bytes = if self.starved { String::new() } else { format!(",\"max_bytes\":{}", READ_WINDOW_BYTES / 2) };
            let expires = Duration::from_secs(READ_ABANDONED_S).as_nanos();
            let question = format!("{{\"batch\":{HALF_WINDOW_EVENTS},\"expires\":{expires}{bytes}}}");
            let asked = self.link.client.publish_with_reply(self.ask.clone(), self.inbox.clone(), question.into());
            asked.await.map_err(unavailable)?;
            self.outstanding += HALF_WINDOW_EVENTS;
        }
        Ok(())
    }
}

impl Drop for Pull {
    /// Takes the consumer off the server, if there is still a way to; else the server does, after a while.
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.stream, self.consumer);
            let client = self.link.client.clone();
            runtime.spawn(async move { client.publish(subject, bytes::Bytes::new()).await });
        }
    }
}

fn lost() -> ReadError {
    ReadError::Unavailable("the connection was lost during a read".to_owned())
}

/// What the reply subject of a delivery says: `$JS.ACK.[domain.account.]stream.consumer.deliveries.seq.delivered.nanos.pending`.
struct Place {
    seq: u64,
    delivered: u64,
    time: Timestamp,
}

impl Place {
    fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        // The short form has seven tokens after the prefix, the long one at least nine.
        let skip = if rest.bytes().filter(|byte| *byte == b'.').count() == 6 { 3 } else { 5 };
        let mut tokens = rest.split('.').skip(skip);
        let mut number = || tokens.next()?.parse::<u64>().ok();
        let (seq, delivered, nanos) = (number()?, number()?, number()?);
        Some(Self { seq, delivered, time: Timestamp::from_micros(i64::try_from(nanos / 1_000).ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_read_from_both_forms() {
        for reply in [
            "$JS.ACK.CABILDO.c1.1.42.7.1795255200000001999.3",
            "$JS.ACK.hub.acc.CABILDO.c1.1.42.7.1795255200000001999.3",
            "$JS.ACK.hub.acc.CABILDO.c1.1.42.7.1795255200000001999.3.random",
        ] {
            let place = Place::parse(reply).unwrap();
            assert_eq!((place.seq, place.delivered, place.time.micros()), (42, 7, 1_795_255_200_000_001), "{reply}");
        }
        assert!(Place::parse("$JS.ACK.CABILDO.c1.1.x.7.1.3").is_none());
        assert!(Place::parse("_INBOX.a").is_none());
    }
}

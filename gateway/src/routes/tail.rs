//! The live tail: events as they come, resumed by position.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cabildo_events::limits::TAIL_RATE_MAX;
use cabildo_events::{Position, Recorded, wire};
use cabildo_projections::activity::UNREADABLE;
use cabildo_storage::{Page, ReadError};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use crate::call::{Call, call};
use crate::filter::FILTER;
use crate::problem::Problem;
use crate::search::{ASKED, Asked};
use crate::{Gateway, answer, query, sse};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "events" / "tail")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(tail(&call)) })
        .boxed()
}

/// Streams events after a position: the one that a reconnecting client names (`Last-Event-ID`, which a browser sends by
/// itself), else `after`, else the present. A reader that is slower than the events is fed from the journal at its own pace;
/// one that takes nothing is cut off by its connection (`limits::WRITE_STALL_MS`) and resumes by position.
fn tail(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let asked = Asked::take_with_filter(&mut params)?;
    let rate = match params.value::<u32>("rate")? {
        Some(rate) if !(1..=TAIL_RATE_MAX).contains(&rate) => {
            return Err(Problem::bad_value("rate", format_args!("1 to {TAIL_RATE_MAX} events a second, not {rate}")));
        }
        rate => rate,
    };
    params.finish(&[&ASKED[..], &[FILTER, "rate"]].concat())?;
    let live = &call.gateway.ports.live;
    let after = call.last_event_id()?.or(asked.after).unwrap_or_else(|| *live.head().borrow());
    let place = sse::take_place(&call.gateway)?;
    let pages = live.stream(after).boxed();
    let filters = call.gateway.filters.clone();
    let tail = Tail { pages, asked, filters, pace: rate.map(Pace::new) };
    let frames = futures::stream::unfold(tail, |mut tail| async move { tail.next().await.map(|frame| (frame, tail)) });
    Ok(sse::respond(&call.gateway, place, frames.boxed()))
}

struct Tail {
    pages: BoxStream<'static, Result<Arc<Page>, ReadError>>,
    asked: Asked,
    /// Turns at asking filter expressions.
    filters: Arc<Semaphore>,
    pace: Option<Pace>,
}

impl Tail {
    /// The next frames, as one run.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let due = self.pace.as_ref().and_then(Pace::due);
            let page = match due {
                None => self.pages.next().await,
                Some(due) => match tokio::time::timeout_at(due, self.pages.next()).await {
                    Ok(page) => page,
                    // It is quiet: what was counted is told.
                    Err(_) => Some(Ok(Arc::default())),
                },
            };
            let frames = match page? {
                Ok(page) => {
                    let wanted = self.wanted(page).await?;
                    self.frames(&wanted)
                }
                Err(error) => {
                    tracing::warn!(%error, "a live tail ends: the client resumes by position");
                    return None;
                }
            };
            if !frames.is_empty() {
                return Some(frames);
            }
        }
    }

    /// The events of a page that the listener wants.
    async fn wanted(&mut self, page: Arc<Page>) -> Option<Vec<Recorded>> {
        let ended = |position: Position| self.asked.before.is_some_and(|before| position >= before);
        let clauses = &self.asked.clauses;
        let fits = |event: &&Recorded| !ended(event.position) && query::matches(clauses, event);
        let mut wanted: Vec<Recorded> = page.iter().filter(fits).cloned().collect();
        if let Some(filter) = self.asked.filter.clone().filter(|_| !wanted.is_empty()) {
            let turn = self.filters.clone().acquire_owned().await;
            let sift = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                wanted.retain(|event| filter.holds(&wire::to_json(event)) == Ok(true));
                wanted
            });
            match sift.await {
                Ok(kept) => wanted = kept,
                Err(error) => {
                    tracing::error!(%error, "a filter expression could not be asked: a live tail ends");
                    return None;
                }
            }
        }
        Some(wanted)
    }

    /// The events that are wanted, and what was left out of them.
    fn frames(&mut self, page: &[Recorded]) -> Bytes {
        let mut bytes = BytesMut::new();
        if let Some(skipped) = self.pace.as_mut().and_then(|pace| pace.turn(Instant::now())) {
            bytes.extend_from_slice(&skipped);
        }
        for event in page {
            if let Some(pace) = &mut self.pace
                && !pace.takes(event.position)
            {
                continue;
            }
            let kind = event.envelope.as_ref().map_or(UNREADABLE, |envelope| &envelope.kind);
            bytes.extend_from_slice(&sse::frame(event.position, kind, &wire::to_json(event)));
        }
        bytes.freeze()
    }
}

/// At most so many events a second; the rest is counted.
struct Pace {
    rate: u32,
    began: Instant,
    sent: u32,
    skipped: Option<(u64, Position)>,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { rate, began: Instant::now(), sent: 0, skipped: None }
    }

    /// When what was counted is to be told.
    fn due(&self) -> Option<Instant> {
        self.skipped.map(|_| self.began + Duration::from_secs(1))
    }

    /// Begins another second, once the last one is over; tells what was left out in it.
    fn turn(&mut self, now: Instant) -> Option<Bytes> {
        if now < self.began + Duration::from_secs(1) {
            return None;
        }
        (self.began, self.sent) = (now, 0);
        let (skipped, position) = self.skipped.take()?;
        let data = format!("{{\"skipped\":{skipped},\"position\":\"{position}\"}}");
        Some(sse::frame(position, "skipped", &data))
    }

    /// Whether one more may be sent in this second; if not, it is counted.
    fn takes(&mut self, position: Position) -> bool {
        if self.sent < self.rate {
            self.sent += 1;
            return true;
        }
        self.skipped = Some((self.skipped.map_or(1, |(skipped, _)| skipped + 1), position));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_a_second_is_counted() {
        let mut pace = Pace::new(2);
        let taken: Vec<_> = (1..=5).map(|seq| pace.takes(Position::at(seq))).collect();
        assert_eq!(taken, [true, true, false, false, false]);
        let due = pace.due().unwrap();
        assert_eq!(pace.turn(due - Duration::from_millis(1)), None);
        let told = pace.turn(due).unwrap();
        let told = std::str::from_utf8(&told).unwrap();
        assert_eq!(told, "id: 0-5\nevent: skipped\ndata: {\"skipped\":3,\"position\":\"0-5\"}\n\n");
        assert!(pace.takes(Position::at(6)));
        assert_eq!(pace.due(), None);
    }
}

//! The pulse: how the journal moves, and how far each view has got. One computation, however many look at it, and none
//! while nobody does.
//!
//! A beat asks each sink where its view stands and counts what the journal holds beyond that ([`Window`]); a sink that does
//! not answer is shown as it stood last. Listeners get a beat when something has changed, and one in [`PULSE_LONGEST_MS`].

mod look;
mod window;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cabildo_events::limits::{PULSE_KINDS_MAX, PULSE_LONGEST_MS, PULSE_LOOK_MS, PULSE_MS, PULSE_QUEUE_MAX};
use cabildo_events::{Position, Timestamp};
use cabildo_projections::activity::UNREADABLE;
use cabildo_storage::Page;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::call::now;
use crate::{Metrics, Ports, sse};
use look::Look;
use window::Window;

/// Event types past the bound are counted together.
const OTHER: &str = "other";

/// Where a projection's live view stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    projection: &'static str,
    version: u32,
    /// Events of the journal that the view lacks; left out while the sink has not said where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_events: Option<u64>,
    /// Whether it lacks more than were counted.
    at_least: bool,
    /// Age of the oldest of them, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// Events set aside.
    parked: usize,
    /// Whether an operator told it to stand still.
    paused: bool,
    /// Whether its sink answers.
    up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Connections {
    open: i64,
    live: i64,
}

type Counts = BTreeMap<String, u64>;

/// What is seen at one beat.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Beat {
    time: Timestamp,
    /// The newest event of the live feed.
    pub(crate) position: Position,
    /// What `events` spans.
    interval_ms: u64,
    /// Events since the pulse before, by type.
    events: Counts,
    pub(crate) projections: Vec<Standing>,
    connections: Connections,
}

impl Beat {
    /// Whether a listener has seen all of it.
    fn is_same(&self, other: &Self) -> bool {
        (self.position, &self.projections, self.connections) == (other.position, &other.projections, other.connections)
    }

    fn frame(&self) -> Bytes {
        sse::frame(self.position, "pulse", &serde_json::to_string(self).unwrap_or_default())
    }
}

/// The one who counts, while somebody looks.
pub(crate) struct Pulse {
    ports: Ports,
    metrics: Arc<Metrics>,
    heart: Mutex<Weak<Heart>>,
}

/// Beats until it is dropped.
struct Heart {
    beats: watch::Receiver<Option<Arc<Beat>>>,
    frames: broadcast::Sender<Bytes>,
    _running: DropGuard,
}

impl Pulse {
    pub(crate) fn new(ports: Ports, metrics: Arc<Metrics>) -> Self {
        Self { ports, metrics, heart: Mutex::default() }
    }

    /// The newest beat; if nobody is looking, the first one. `None` when the gateway stops meanwhile.
    pub(crate) async fn newest(&self) -> Option<Arc<Beat>> {
        newest(&self.heart()).await
    }

    /// Beats as frames: the newest at once, then each that differs; a listener that is slow skips some.
    pub(crate) fn listen(&self) -> BoxStream<'static, Bytes> {
        let heart = self.heart();
        let later = BroadcastStream::new(heart.frames.subscribe());
        let first = heart.clone();
        let first = async move {
            let beat = newest(&first).await?;
            // What came before this listener did is nothing that it missed.
            Some(Beat { events: Counts::new(), ..(*beat).clone() }.frame())
        };
        let first = futures::stream::once(first).filter_map(std::future::ready);
        // The heart beats as long as somebody listens.
        let later = later.filter_map(move |frame| {
            let _ = &heart;
            std::future::ready(frame.ok())
        });
        first.chain(later).boxed()
    }

    fn heart(&self) -> Arc<Heart> {
        let mut running = self.heart.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(heart) = running.upgrade() {
            return heart;
        }
        let (sender, beats) = watch::channel(None);
        let (frames, _) = broadcast::channel(PULSE_QUEUE_MAX);
        let stop = CancellationToken::new();
        let beating = Beating {
            // Listening begins before anything is read, so no event falls between the two.
            pages: self.ports.live.subscribe(),
            ports: self.ports.clone(),
            metrics: self.metrics.clone(),
            beats: sender,
            frames: frames.clone(),
            looks: cabildo_projections::ALL.map(Look::new).into(),
            window: Window::default(),
            events: Counts::new(),
        };
        let stopped = stop.clone();
        tokio::spawn(async move {
            let _ = stopped.run_until_cancelled(beating.run()).await;
        });
        let heart = Arc::new(Heart { beats, frames, _running: stop.drop_guard() });
        *running = Arc::downgrade(&heart);
        heart
    }
}

async fn newest(heart: &Heart) -> Option<Arc<Beat>> {
    let mut beats = heart.beats.clone();
    let beat = beats.wait_for(Option::is_some).await.ok()?;
    beat.clone()
}

struct Beating {
    ports: Ports,
    metrics: Arc<Metrics>,
    pages: broadcast::Receiver<Arc<Page>>,
    beats: watch::Sender<Option<Arc<Beat>>>,
    frames: broadcast::Sender<Bytes>,
    looks: Vec<Look>,
    window: Window,
    /// Events since the last beat that was sent.
    events: Counts,
}

impl Beating {
    async fn run(mut self) {
        let mut every = tokio::time::interval(Duration::from_millis(PULSE_MS));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent: Option<(Beat, Instant)> = None;
        loop {
            tokio::select! {
                page = self.pages.recv() => match page {
                    Ok(page) => self.take_in(&page),
                    // What was missed is in the journal: it is missing from the counts by type alone.
                    Err(broadcast::error::RecvError::Lagged(_)) => self.window.missed(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                () = self.window.read_on() => {}
                _ = every.tick() => {
                    let mut beat = self.beat().await;
                    let since = sent.as_ref().map_or(Duration::ZERO, |(_, at)| at.elapsed());
                    beat.interval_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(PULSE_MS);
                    let due = since >= Duration::from_millis(PULSE_LONGEST_MS);
                    self.beats.send_replace(Some(Arc::new(beat.clone())));
                    if due || sent.as_ref().is_none_or(|(last, _)| !last.is_same(&beat)) {
                        // Nobody listening is no failure: somebody asked once.
                        let _ = self.frames.send(beat.frame());
                        self.events.clear();
                        sent = Some((beat, Instant::now()));
                    }
                }
            }
        }
    }

    fn take_in(&mut self, page: &Page) {
        for event in page {
            let kind = event.envelope.as_ref().map_or(UNREADABLE, |envelope| &envelope.kind);
            let known = self.events.contains_key(kind) || self.events.len() < PULSE_KINDS_MAX;
            let kind = if known { kind } else { OTHER };
            match self.events.get_mut(kind) {
                Some(count) => *count += 1,
                None => drop(self.events.insert(kind.to_owned(), 1)),
            }
        }
        self.window.take_in(page);
    }

    async fn beat(&mut self) -> Beat {
        // What is on the feed by now is looked at before the sinks are: what they apply meanwhile does not count as lacking.
        while let Ok(page) = self.pages.try_recv() {
            self.take_in(&page);
        }
        let position = *self.ports.live.head().borrow();
        let deadline = tokio::time::Instant::now() + Duration::from_millis(PULSE_LOOK_MS);
        for look in &mut self.looks {
            look.ask(&self.ports);
        }
        for look in &mut self.looks {
            look.hear(deadline).await;
        }
        let stands: Vec<_> = self.looks.iter().filter_map(Look::stands).collect();
        let deadline = tokio::time::Instant::now() + Duration::from_millis(PULSE_LOOK_MS);
        self.window.settle(&*self.ports.journal, &stands, deadline).await;
        if self.beats.borrow().is_none() {
            // The first beat waits a moment for what it counts.
            self.window.catch_up(deadline).await;
        }
        let time = now();
        let projections = self.looks.iter().map(|look| self.standing(look, time)).collect();
        let connections = Connections { open: self.metrics.connections(), live: self.metrics.listeners() };
        Beat { time, position, interval_ms: PULSE_MS, events: self.events.clone(), projections, connections }
    }

    fn standing(&self, look: &Look, now: Timestamp) -> Standing {
        let behind = look.stands().map(|stands| self.window.behind(&stands));
        let age = |oldest: Timestamp| seconds((now.micros() - oldest.micros()).max(0));
        Standing {
            projection: look.view().name,
            version: look.view().version,
            lag_events: behind.map(|behind| behind.events),
            at_least: behind.is_some_and(|behind| behind.at_least),
            lag_seconds: behind.map(|behind| behind.oldest.map_or(0.0, age)),
            parked: look.parked(),
            paused: self.ports.views.of(look.view().name).paused().is_some(),
            up: look.is_up(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds to the microsecond for the next two centuries")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

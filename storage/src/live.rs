//! Live fan-out: one follower of the journal per process, any number of listeners.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::Position;
use cabildo_events::limits::{LIVE_QUEUE_PAGES_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{Journal, Page, ReadError};

/// Follows the journal from where it stood at the start, and hands each page to whoever listens. A listener that falls
/// behind loses nothing: it is resumed from the journal.
#[derive(Clone)]
pub struct Live {
    journal: Arc<dyn Journal>,
    pages: broadcast::Sender<Arc<Page>>,
    head: watch::Receiver<Position>,
}

impl Live {
    /// Starts following. Runs until `shutdown`, through any failure of the journal.
    ///
    /// # Errors
    /// When the journal cannot be read at the start.
    pub async fn start(journal: Arc<dyn Journal>, shutdown: CancellationToken) -> Result<Self, ReadError> {
        let (pages, _) = broadcast::channel(LIVE_QUEUE_PAGES_MAX);
        let (head_sender, head) = watch::channel(journal.head().await?);
        let live = Self { journal: journal.clone(), pages: pages.clone(), head };
        tokio::spawn(async move {
            let follow = follow(&*journal, &pages, &head_sender);
            let _ = shutdown.run_until_cancelled(follow).await;
        });
        Ok(live)
    }

    /// The position of the newest event that listeners have been given; changes wake whoever waits on it.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    /// Events as they come, from now on. A receiver that lags is told so and must look at the journal.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Page>> {
        self.pages.subscribe()
    }

    /// The events after a position and then those to come, without a gap and each once. Ends after an error of the journal.
    #[must_use]
    pub fn stream(&self, after: Position) -> BoxStream<'static, Result<Arc<Page>, ReadError>> {
        let live = self.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let mut after = after;
            loop {
                // Listen first, then catch up: what comes meanwhile waits in the receiver.
                let mut pages = live.subscribe();
                if let Err(error) = catch_up(&live, &mut after, &sender).await {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
                loop {
                    let page = tokio::select! {
                        page = pages.recv() => page,
                        () = sender.closed() => return,
                    };
                    match page {
                        Ok(page) => {
                            let Some(last) = page.last().map(|event| event.position) else { continue };
                            if last <= after {
                                continue;
                            }
                            let page = if page.first().is_some_and(|first| first.position > after) {
                                page
                            } else {
                                Arc::new(page.iter().filter(|event| event.position > after).cloned().collect())
                            };
                            after = last;
                            if sender.send(Ok(page)).await.is_err() {
                                return;
                            }
                        }
                        Err(broadcast::error::RecvError::Lagged(_)) => break,
                        Err(broadcast::error::RecvError::Closed) => return,
                    }
                }
            }
        });
        tokio_stream::wrappers::ReceiverStream::new(receiver).boxed()
    }
}

type PageSender = tokio::sync::mpsc::Sender<Result<Arc<Page>, ReadError>>;

async fn catch_up(live: &Live, after: &mut Position, sender: &PageSender) -> Result<(), ReadError> {
    let seen = *live.head.borrow();
    let until = live.journal.head().await?.max(seen);
    if until <= *after {
        return Ok(());
    }
    let mut pages = live.journal.read(*after, until).await?;
    while let Some(page) = pages.next().await {
        let page = page?;
        if let Some(last) = page.last() {
            *after = last.position;
        }
        if sender.send(Ok(Arc::new(page))).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn follow(journal: &dyn Journal, pages: &broadcast::Sender<Arc<Page>>, head: &watch::Sender<Position>) {
    let mut wait_ms = RETRY_FIRST_MS;
    loop {
        let after = *head.borrow();
        let outcome = async {
            let mut stream = journal.follow(after).await?;
            while let Some(page) = stream.next().await {
                let page = page?;
                wait_ms = RETRY_FIRST_MS;
                if let Some(last) = page.last().map(|event| event.position) {
                    // Nobody listening is no failure.
                    let _ = pages.send(Arc::new(page));
                    head.send_replace(last);
                }
            }
            Ok::<(), ReadError>(())
        };
        if let Err(error) = outcome.await {
            tracing::warn!(%error, wait_ms, "the live feed lost the journal, trying again");
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
    }
}

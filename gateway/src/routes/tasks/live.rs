//! A list, watched: its tasks, and then every change with its position.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use cabildo_events::limits::LIST_RESUMED_EVENTS_MAX;
use cabildo_events::task::{Access, List, may, tasks_of};
use cabildo_events::{Actor, Aggregate, ListId, Position, Recorded, TaskId, Timestamp, UserId};
use cabildo_storage::{Page, ReadError};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use warp::reply::Response;

use super::seen;
use super::shown::{TaskShown, base, shown};
use crate::call::Call;
use crate::problem::Problem;
use crate::routes::lists::{self, ListShown};
use crate::{answer, sse};

/// Name of the frame that says how a list is.
const SNAPSHOT: &str = "snapshot";

#[derive(Serialize)]
struct Snapshot<'a> {
    position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<ListShown<'a>>,
    tasks: Vec<TaskShown<'a>>,
}

/// What an event changed: the tasks as they are after it, those that are not on the list any more, or the list itself.
#[derive(Serialize)]
struct Change<'a> {
    position: Position,
    r#type: &'a str,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<ListShown<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<TaskShown<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<TaskId>,
}

/// A listener.
struct Watch {
    id: ListId,
    aggregate: Aggregate,
    who: Option<UserId>,
    base: String,
    list: List,
    /// Changes up to here the listener has.
    known: Position,
    /// Where the listener's own reading of the list ended, and the live feed begins.
    head: Position,
    waiting: VecDeque<Bytes>,
    pages: Option<BoxStream<'static, Result<Arc<Page>, ReadError>>>,
}

/// Streams a list: with `after`, every change after that position (how it is, after very many); without, first how it is. What happened until now is read
/// from the list's own events, so that it costs what the list has seen and not what the journal has.
pub(super) async fn watch(call: &Call, id: ListId, after: Option<Position>) -> Result<Response, Problem> {
    let who = call.caller().clone();
    let ports = &call.gateway.ports;
    seen(&*call.gateway.lists.now(&id).await?, &id, &who)?;
    let place = sse::take_place(&call.gateway)?;
    let head = ports.journal.head().await?;
    let mut watch = Watch {
        aggregate: Aggregate::list(&id),
        who: who.user,
        base: base(call, &id),
        list: List::default(),
        known: after.unwrap_or(head),
        head,
        waiting: VecDeque::new(),
        pages: None,
        id,
    };
    let mut past = ports.journal.of(&watch.aggregate, Position::START, head).await?;
    let mut anew = after.is_none();
    while let Some(page) = past.next().await {
        for recorded in page? {
            let frame = watch.take(&recorded);
            watch.waiting.extend(frame);
        }
        if watch.waiting.len() > LIST_RESUMED_EVENTS_MAX {
            watch.waiting.clear();
            (anew, watch.known) = (true, head);
        }
    }
    // Whoever may not see it any more gets nothing of what came before either.
    seen(&watch.list, &watch.id, &who)?;
    if anew {
        let snapshot = watch.snapshot()?;
        watch.waiting.push_back(snapshot);
    }
    watch.pages = Some(ports.live.stream(head).boxed());
    let frames =
        futures::stream::unfold(watch, |mut watch| async move { watch.next().await.map(|frame| (frame, watch)) });
    let mut response = sse::respond(&call.gateway, place, frames.boxed());
    answer::mark(&mut response, Some(head.seq), true);
    Ok(response)
}

impl Watch {
    /// Takes in an event of the list; a frame, if the listener does not have it yet.
    fn take(&mut self, recorded: &Recorded) -> Option<Bytes> {
        self.list.take(recorded);
        if recorded.position <= self.known {
            return None;
        }
        let envelope = recorded.envelope.as_ref().ok()?;
        let event = envelope.event().ok()?;
        let mut change = Change {
            position: recorded.position,
            r#type: &envelope.kind,
            time: envelope.time,
            actor: envelope.actor.as_ref(),
            list: None,
            tasks: Vec::new(),
            removed: Vec::new(),
        };
        match tasks_of(&event) {
            [] => change.list = lists::shown(&self.id, &self.list),
            tasks => {
                for task in tasks {
                    match self.list.entry(*task).and_then(|entry| Some((entry.now.as_ref()?, entry.version))) {
                        Some((now, version)) => change.tasks.push(shown(&self.base, &self.id, *task, now, version)),
                        None => change.removed.push(*task),
                    }
                }
            }
        }
        let data = serde_json::to_string(&change).ok()?;
        Some(sse::frame(recorded.position, &envelope.kind, &data))
    }

    fn snapshot(&self) -> Result<Bytes, Problem> {
        let tasks = self.list.tasks().into_iter();
        let tasks = tasks.map(|(id, task, version)| shown(&self.base, &self.id, id, task, version)).collect();
        let list = lists::shown(&self.id, &self.list);
        let data = answer::text(&Snapshot { position: self.head, list, tasks })?;
        Ok(sse::frame(self.head, SNAPSHOT, &data))
    }

    /// The next frame. The stream ends when the journal fails, and when the listener may not see the list any more.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Some(frame);
            }
            let page = match self.pages.as_mut()?.next().await? {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "a watched list ends: the client resumes by position");
                    return None;
                }
            };
            for recorded in page.iter() {
                if recorded.aggregate() != Some(&self.aggregate) {
                    continue;
                }
                let frame = self.take(recorded);
                if may(&self.list, self.who, Access::See).is_err() {
                    self.pages = None;
                    break;
                }
                self.waiting.extend(frame);
            }
        }
    }
}

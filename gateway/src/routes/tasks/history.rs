//! The history of a task: each of its changes, straight from the journal.

use std::sync::Arc;

use cabildo_events::task::{List, Task, tasks_of};
use cabildo_events::{Actor, Aggregate, ListId, Position, Recorded, TaskId, Timestamp};
use serde::Serialize;
use warp::Filter;
use warp::reply::Response;

use super::shown::{TaskShown, base, shown};
use super::{Routes, name, seen};
use crate::call::{Call, call};
use crate::params::escape;
use crate::problem::Problem;
use crate::{Gateway, answer};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "lists" / String / "tasks" / String / "history")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|list: String, task: String, call| async move { answer::finish(history(&list, &task, call).await) })
        .boxed()
}

/// One change.
struct Change<'e> {
    event: &'e Recorded,
    after: Option<Task>,
}

#[derive(Serialize)]
struct ChangeShown<'a> {
    position: Position,
    r#type: &'a str,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
    /// Right after it; null: not on the list.
    task: Option<TaskShown<'a>>,
}

#[derive(Serialize)]
struct History<'a> {
    list: &'a str,
    id: TaskId,
    changes: Vec<ChangeShown<'a>>,
}

async fn history(list: &str, task: &str, call: Call) -> Result<Response, Problem> {
    let (list, task) = name(list, task)?;
    let mut params = call.params()?;
    let limit = params.limit()?;
    let (after, before): (Option<Position>, Option<Position>) = (params.value("after")?, params.value("before")?);
    params.finish(&["after", "before", "limit"])?;
    let events = call.gateway.ports.journal.ruled(&Aggregate::list(&list)).await?;
    let (now, mut changes) = changes(&events, task);
    seen(&now, &list, call.caller())?;
    if changes.is_empty() {
        return Err(Problem::not_found("task", task));
    }
    changes.retain(|change| {
        let position = change.event.position;
        after.is_none_or(|after| position > after) && before.is_none_or(|before| position < before)
    });
    let surplus = changes.len().saturating_sub(limit);
    if after.is_some() {
        changes.truncate(limit);
    } else {
        drop(changes.drain(..surplus));
    }
    let mut response = answer::json(&History {
        list: list.as_str(),
        id: task,
        changes: changes.iter().filter_map(|change| told(change, &base(&call, &list), &list, task)).collect(),
    })?;
    answer::link(&mut response, &links(&list, task, &changes, limit, after.is_some() || surplus > 0));
    answer::mark(&mut response, Some(now.last().seq), true);
    Ok(response)
}

/// What happened to a task, in order, and the list as it is.
fn changes(events: &[Recorded], task: TaskId) -> (List, Vec<Change<'_>>) {
    let mut list = List::default();
    let mut changes = Vec::new();
    for recorded in events {
        list.take(recorded);
        let event = recorded.envelope.as_ref().ok().and_then(|envelope| envelope.event().ok());
        if event.is_some_and(|event| tasks_of(&event).contains(&task))
            && let Some(entry) = list.entry(task)
            && entry.version == recorded.position
        {
            changes.push(Change { event: recorded, after: entry.now.clone() });
        }
    }
    (list, changes)
}

fn told<'a>(change: &'a Change<'_>, base: &str, list: &'a ListId, id: TaskId) -> Option<ChangeShown<'a>> {
    let envelope = change.event.envelope.as_ref().ok()?;
    let position = change.event.position;
    Some(ChangeShown {
        position,
        r#type: &envelope.kind,
        time: envelope.time,
        actor: envelope.actor.as_ref(),
        task: change.after.as_ref().map(|task| shown(base, list, id, task, position)),
    })
}

/// `next`: what is newer, offered also where there is none yet. `prev`: what is older.
fn links(list: &ListId, task: TaskId, page: &[Change<'_>], limit: usize, older: bool) -> Vec<(&'static str, String)> {
    let address = format!("/api/v1/lists/{}/tasks/{task}/history", escape(list.as_str()));
    let mut links = Vec::new();
    if let (Some(first), Some(last)) = (page.first(), page.last()) {
        if older {
            links.push(("prev", format!("{address}?before={}&limit={limit}", first.event.position)));
        }
        links.push(("next", format!("{address}?after={}&limit={limit}", last.event.position)));
    }
    links
}

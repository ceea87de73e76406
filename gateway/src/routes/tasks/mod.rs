//! Tasks of a list: added, read, changed, moved, removed, brought back. On an open list this is the contract of the
//! Todo-Backend project (<https://www.todobackend.com/specs>).

mod history;
mod live;
mod shown;

use std::collections::BTreeSet;
use std::sync::Arc;

use cabildo_events::task::{ListOpened, TaskAdded, TaskChanged, Visibility, Wish};
use cabildo_events::{EventId, ListId, ListTitle, Position, Rejection, TaskId, TaskOrder, UserId};
use cabildo_storage::{CommandError, Receipt};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::lists::{Outcome, attempt, execute, seen, then};
use super::rooms::value;
use crate::call::{Call, call};
use crate::params::{escape, segment};
use crate::problem::Problem;
use crate::{Gateway, answer, body, lookback, sse};
use shown::{TaskShown, all, one};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    let tasks = warp::path!("api" / "v1" / "lists" / String / "tasks");
    let task = warp::path!("api" / "v1" / "lists" / String / "tasks" / String);
    let add = tasks
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|list: String, call, input| async move { answer::finish(add(&list, call, input).await) });
    let list = tasks
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|list: String, call| async move { answer::finish(read_all(&list, call).await) });
    let empty = tasks
        .and(warp::delete())
        .and(call(gateway.clone()))
        .then(|list: String, call| async move { answer::finish(empty(&list, call).await) });
    let get = task
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|list: String, task: String, call| async move { answer::finish(get(&list, &task, call).await) });
    let change = task.and(warp::patch()).and(call(gateway.clone())).and(body::json(read)).then(
        |list: String, task: String, call, input| async move { answer::finish(change(&list, &task, call, input).await) },
    );
    let remove = task
        .and(warp::delete())
        .and(call(gateway.clone()))
        .then(|list: String, task: String, call| async move { answer::finish(remove(&list, &task, call).await) });
    let undo = warp::path!("api" / "v1" / "lists" / String / "tasks" / String / "undo")
        .and(warp::post())
        .and(call(gateway.clone()))
        .then(|list: String, task: String, call| async move { answer::finish(undo(&list, &task, call).await) });
    let of_list = add.or(list).unify().or(empty).unify().boxed();
    let of_task = get.or(change).unify().or(remove).unify().boxed();
    of_list.or(of_task).unify().or(undo).unify().or(history::routes(gateway)).unify().boxed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddTask {
    id: Option<String>,
    title: String,
    description: Option<String>,
    #[serde(default)]
    completed: bool,
    order: Option<i64>,
    due: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    assignee: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeTask {
    title: Option<String>,
    #[serde(default, deserialize_with = "named")]
    description: Option<Option<String>>,
    completed: Option<bool>,
    order: Option<i64>,
    #[serde(default, deserialize_with = "named")]
    due: Option<Option<String>>,
    labels: Option<Vec<String>>,
    #[serde(default, deserialize_with = "named")]
    assignee: Option<Option<String>>,
}

/// A value that is there, be it null: null takes away what was there, absence leaves it.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// An optional text; an empty one is none.
fn filled<T: TryFrom<String, Error: std::fmt::Display>>(
    field: &str,
    text: Option<String>,
) -> Result<Option<T>, Problem> {
    value(field, text.filter(|text| !text.is_empty()))
}

fn user(text: Option<String>) -> Result<Option<UserId>, Problem> {
    text.map(|text| text.parse()).transpose().map_err(|error| Problem::bad_value("assignee", error))
}

fn place(order: Option<i64>) -> Result<Option<TaskOrder>, Problem> {
    order.map(TaskOrder::try_from).transpose().map_err(|error| Problem::bad_value("order", error))
}

fn labels<T: TryFrom<String, Error: std::fmt::Display> + Ord>(labels: Vec<String>) -> Result<BTreeSet<T>, Problem> {
    let label =
        |(index, label)| T::try_from(label).map_err(|error| Problem::bad_value(&format!("labels[{index}]"), error));
    labels.into_iter().enumerate().map(label).collect()
}

async fn add(list: &str, call: Call, input: Result<AddTask, Problem>) -> Result<Response, Problem> {
    let list: ListId = segment("list", list)?;
    let input = input?;
    let task = match (&input.id, call.idempotency_key()?) {
        (Some(id), _) => id.parse().map_err(|error| Problem::bad_value("id", error))?,
        // A repeated request must name the task that the first one made.
        (None, Some(key)) => TaskId(EventId::from_key(&format!("task of {list}"), &key).0),
        (None, None) => TaskId(Uuid::now_v7()),
    };
    let added = TaskAdded {
        task,
        title: cabildo_events::TaskTitle::try_from(input.title).map_err(|error| Problem::bad_value("title", error))?,
        description: filled("description", input.description)?,
        completed: input.completed,
        order: place(input.order)?,
        due: value("due", input.due)?,
        labels: labels(input.labels)?,
        assignee: user(input.assignee)?,
    };
    let wish = Wish::Add(added);
    let mut outcome = attempt(&call, &list, wish.clone()).await?;
    if matches!(outcome, Err(CommandError::Rejected(Rejection::NotFound { what: "list", .. })))
        && call.gateway.lists.now(&list).await?.title().is_none()
    {
        open(&call, &list).await?;
        outcome = attempt(&call, &list, wish).await?;
    }
    match outcome {
        Ok(receipt) => written(&call, &list, task, &receipt, true).await,
        Err(CommandError::Rejected(rejection @ Rejection::Changed(_))) => changed_list(&call, &list, rejection).await,
        Err(error) => Err(error.into()),
    }
}

/// Opens the list that somebody puts the first task on: it is nobody's in particular, and goes by its id.
async fn open(call: &Call, list: &ListId) -> Result<(), Problem> {
    let title = ListTitle::try_from(list.to_string()).map_err(|error| Problem::bad_value("list", error))?;
    let opened = ListOpened { title, owner: None, visibility: Visibility::Open };
    match attempt(call, list, Wish::Open(opened)).await? {
        // Somebody else was faster: it is open.
        Ok(_) | Err(CommandError::Rejected(Rejection::AlreadyExists { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn change(list: &str, task: &str, call: Call, input: Result<ChangeTask, Problem>) -> Result<Response, Problem> {
    let (list, task) = name(list, task)?;
    let input = input?;
    let changed = TaskChanged {
        task,
        title: value("title", input.title)?,
        description: input.description.map(|text| filled("description", text)).transpose()?,
        completed: input.completed,
        order: place(input.order)?,
        due: input.due.map(|due| filled("due", due)).transpose()?,
        labels: input.labels.map(labels).transpose()?,
        assignee: input.assignee.map(user).transpose()?,
    };
    match execute(&call, &list, Wish::Change(changed)).await? {
        Outcome::Done(receipt) => written(&call, &list, task, &receipt, false).await,
        Outcome::Changed(rejection) => changed_task(&call, &list, task, rejection).await,
    }
}

#[derive(Serialize)]
struct TaskNamed<'a> {
    list: &'a str,
    id: TaskId,
}

async fn remove(list: &str, task: &str, call: Call) -> Result<Response, Problem> {
    let (list, task) = name(list, task)?;
    match execute(&call, &list, Wish::Remove(task)).await? {
        Outcome::Done(receipt) => answer::written(&receipt, TaskNamed { list: list.as_str(), id: task }, None),
        Outcome::Changed(rejection) => changed_task(&call, &list, task, rejection).await,
    }
}

#[derive(Serialize)]
struct TaskUndone<'a> {
    list: &'a str,
    id: TaskId,
    /// As it is now; null if that is: not on the list.
    task: Option<TaskShown<'a>>,
}

async fn undo(list: &str, task: &str, call: Call) -> Result<Response, Problem> {
    let (list, task) = name(list, task)?;
    match execute(&call, &list, Wish::Undo(task)).await? {
        Outcome::Done(receipt) => {
            let now = call.gateway.lists.now(&list).await?;
            let entry = now.entry(task);
            let shown = entry.and_then(|entry| Some(one(&call, &list, task, entry.now.as_ref()?, entry.version)));
            let mut response =
                answer::written(&receipt, TaskUndone { list: list.as_str(), id: task, task: shown }, None)?;
            answer::etag(&mut response, entry.map_or(receipt.position, |entry| entry.version));
            Ok(response)
        }
        Outcome::Changed(rejection) => changed_task(&call, &list, task, rejection).await,
    }
}

#[derive(Serialize)]
struct ListNamed<'a> {
    list: &'a str,
}

async fn empty(list: &str, call: Call) -> Result<Response, Problem> {
    let list: ListId = segment("list", list)?;
    match execute(&call, &list, Wish::Empty).await? {
        Outcome::Done(receipt) => answer::written(&receipt, ListNamed { list: list.as_str() }, None),
        Outcome::Changed(rejection) => changed_list(&call, &list, rejection).await,
    }
}

fn name(list: &str, task: &str) -> Result<(ListId, TaskId), Problem> {
    Ok((segment("list", list)?, segment("task", task)?))
}

/// The whole task as a write left it; as it was last, if somebody took it off the list in the same moment.
async fn written(
    call: &Call,
    list: &ListId,
    task: TaskId,
    receipt: &Receipt,
    added: bool,
) -> Result<Response, Problem> {
    let now = call.gateway.lists.now(list).await?;
    let entry = now.entry(task).ok_or_else(|| Problem::not_found("task", task))?;
    let last = entry.now.as_ref().or(entry.before.as_ref()).ok_or_else(|| Problem::not_found("task", task))?;
    let location = added.then(|| format!("/api/v1/lists/{}/tasks/{task}", escape(list.as_str())));
    let shown = one(call, list, task, last, entry.version);
    let mut response = answer::written(receipt, shown, location.as_deref())?;
    answer::etag(&mut response, entry.version);
    Ok(response)
}

/// What the client knows of the task is not what it is: 412 with the task as it is.
async fn changed_task(call: &Call, list: &ListId, task: TaskId, rejection: Rejection) -> Result<Response, Problem> {
    let now = call.gateway.lists.now(list).await?;
    match now.entry(task).map(|entry| (entry, entry.now.as_ref())) {
        Some((entry, Some(task_now))) => {
            answer::changed(&one(call, list, task, task_now, entry.version), entry.version)
        }
        _ => Err(rejection.into()),
    }
}

/// What the client knows of the list's tasks is not what they are: 412 with the tasks as they are.
async fn changed_list(call: &Call, list: &ListId, rejection: Rejection) -> Result<Response, Problem> {
    let now = call.gateway.lists.now(list).await?;
    match now.title() {
        Some(_) => answer::changed(&all(call, list, &now), now.last()),
        None => Err(rejection.into()),
    }
}

async fn get(list: &str, task: &str, call: Call) -> Result<Response, Problem> {
    let (list, task) = name(list, task)?;
    let mut params = call.params()?;
    let at = lookback::asked(&mut params)?;
    params.finish(&["at"])?;
    let now = call.gateway.lists.now(&list).await?;
    seen(&now, &list, call.caller())?;
    let missing = || Problem::not_found("task", task);
    let Some(moment) = at else {
        let entry = now.entry(task).ok_or_else(missing)?;
        let shown = one(&call, &list, task, entry.now.as_ref().ok_or_else(missing)?, entry.version);
        let mut response = answer::json(&shown)?;
        answer::mark(&mut response, Some(now.last().seq), true);
        answer::etag(&mut response, entry.version);
        return Ok(response);
    };
    let at = lookback::as_of(&call, moment).await?;
    let then = then(&call, &list, &now, at).await?;
    let Some((version, task_then)) = then.entry(task).and_then(|entry| Some((entry.version, entry.now.as_ref()?)))
    else {
        return Err(match now.entry(task) {
            Some(entry) if entry.added > at => lookback::not_yet("task", task, at, entry.added),
            _ => missing(),
        });
    };
    let mut response = answer::json(&one(&call, &list, task, task_then, version))?;
    answer::mark_as_of(&mut response, at);
    Ok(response)
}

/// All tasks of a list, in their order. A list that is not there yet has none: whoever posts the first one opens it.
async fn read_all(list: &str, call: Call) -> Result<Response, Problem> {
    let list: ListId = segment("list", list)?;
    let mut params = call.params()?;
    let at = lookback::asked(&mut params)?;
    let after: Option<Position> = params.value("after")?;
    params.finish(&["at", "after"])?;
    if call.asks_for(sse::MEDIA_TYPE) {
        if at.is_some() {
            return Err(Problem::bad_value("at", "a live stream shows what is: leave `at` out, or ask for JSON"));
        }
        return live::watch(&call, list, call.last_event_id()?.or(after)).await;
    }
    if after.is_some() {
        return Err(Problem::bad_value(
            "after",
            "JSON is all of the tasks: `after` is for `Accept: text/event-stream`",
        ));
    }
    let now = call.gateway.lists.now(&list).await?;
    seen(&now, &list, call.caller())?;
    let Some(moment) = at else {
        let mut response = answer::json(&all(&call, &list, &now))?;
        answer::mark(&mut response, Some(now.last().seq), true);
        answer::etag(&mut response, now.last());
        return Ok(response);
    };
    let at = lookback::as_of(&call, moment).await?;
    let then = then(&call, &list, &now, at).await?;
    let mut response = answer::json(&all(&call, &list, &then))?;
    answer::mark_as_of(&mut response, at);
    Ok(response)
}

//! Tasks as they are shown: with an address of their own.

use cabildo_events::task::{List, Task};
use cabildo_events::{ListId, Position, TaskId};
use serde::Serialize;

use crate::call::Call;
use crate::params::escape;

/// A task.
#[derive(Serialize)]
pub(super) struct TaskShown<'a> {
    id: TaskId,
    list: &'a str,
    /// Absolute, so that a page of another place can go there.
    url: String,
    #[serde(flatten)]
    task: &'a Task,
    version: Position,
}

/// A task, as it is shown to the caller.
pub(super) fn one<'a>(call: &Call, list: &'a ListId, id: TaskId, task: &'a Task, version: Position) -> TaskShown<'a> {
    shown(&base(call, list), list, id, task, version)
}

/// All tasks of a list, as they are shown to the caller.
pub(super) fn all<'a>(call: &Call, id: &'a ListId, list: &'a List) -> Vec<TaskShown<'a>> {
    let base = base(call, id);
    list.tasks().into_iter().map(|(task_id, task, version)| shown(&base, id, task_id, task, version)).collect()
}

/// What the addresses of a list's tasks begin with.
pub(super) fn base(call: &Call, list: &ListId) -> String {
    call.absolute(&format!("/api/v1/lists/{}/tasks", escape(list.as_str())))
}

pub(super) fn shown<'a>(base: &str, list: &'a ListId, id: TaskId, task: &'a Task, version: Position) -> TaskShown<'a> {
    TaskShown { id, list: list.as_str(), url: format!("{base}/{id}"), task, version }
}

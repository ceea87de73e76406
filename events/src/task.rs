//! Task lists and tasks: what happens to them. The rules are in `rules`, the state in `list`, who may what in `access`.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Description, DueDate, Label, ListTitle, Position, TaskId, TaskOrder, TaskTitle, UserId};

mod access;
mod list;
mod rules;
#[cfg(test)]
mod tests;

pub use access::{Access, Denied, Role, Visibility, may};
pub use list::{Entry, List, Task, tasks_of};
pub(crate) use rules::decide;
pub use rules::{Command, Matching, Wish};

/// A task list was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOpened {
    /// What it is called.
    pub title: ListTitle,
    /// Whose it is. `None`: nobody's in particular, so everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// Who finds it.
    #[serde(default, skip_serializing_if = "Visibility::is_open")]
    pub visibility: Visibility,
}

/// A list got another title or visibility; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChanged {
    /// What it is called now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<ListTitle>,
    /// Who finds it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
}

/// Somebody became a member of a list, or a member got another role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListShared {
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
}

/// Somebody is no member of a list any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUnshared {
    /// Who.
    pub user: UserId,
}

/// All tasks were taken off a list at once. They are named, so that each of them can be followed and brought back alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEmptied {
    /// Those that were on it.
    pub tasks: Vec<TaskId>,
}

/// A task was put on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAdded {
    /// The task.
    pub task: TaskId,
    /// What there is to do.
    pub title: TaskTitle,
    /// What else there is to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Whether it was done already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completed: bool,
    /// Its place among the others. `None`, in events from before tasks had one: its place in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<TaskOrder>,
    /// The day by which it is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DueDate>,
    /// What it is filed under.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<Label>,
    /// Who is to do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<UserId>,
}

/// A task was changed; what is not named stays. Version 1 knew the title alone and always named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskChanged {
    /// The task.
    pub task: TaskId,
    /// What there is to do now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<TaskTitle>,
    /// What else there is to say now; `Some(None)`: nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    pub description: Option<Option<Description>>,
    /// Whether it is done now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<bool>,
    /// Its place now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<TaskOrder>,
    /// Its day now; `Some(None)`: none any more.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    pub due: Option<Option<DueDate>>,
    /// All that it is filed under now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeSet<Label>>,
    /// Who is to do it now; `Some(None)`: nobody any more.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    pub assignee: Option<Option<UserId>>,
}

/// A value that is there, be it null.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A task was put in another place of its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMoved {
    /// The task.
    pub task: TaskId,
    /// Its place now.
    pub order: TaskOrder,
}

/// A task was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCompleted {
    /// The task.
    pub task: TaskId,
}

/// A task turned out not to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReopened {
    /// The task.
    pub task: TaskId,
}

/// A task was taken off its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRemoved {
    /// The task.
    pub task: TaskId,
}

/// The last change of a task was taken back: it is as it was before. All of it is named, so that nobody has to look further
/// back to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRestored {
    /// The task.
    pub task: TaskId,
    /// Where the change stands that was taken back.
    pub undone: Position,
    /// How it was.
    #[serde(flatten)]
    pub as_it_was: Task,
}

//! Task lists and tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::LIST_TASKS_MAX;
use crate::{Event, ListId, ListTitle, Rejection, TaskId, TaskTitle};

/// A task list was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOpened {
    /// What it is called.
    pub title: ListTitle,
}

/// A task was put on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAdded {
    /// The task.
    pub task: TaskId,
    /// What there is to do.
    pub title: TaskTitle,
}

/// A task got another title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskChanged {
    /// The task.
    pub task: TaskId,
    /// What there is to do now.
    pub title: TaskTitle,
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

/// A wish for a list or a task on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open the list.
    Open(ListOpened),
    /// Put a task on it.
    Add(TaskAdded),
    /// Give a task another title.
    Change(TaskChanged),
    /// Say that a task is done.
    Complete(TaskId),
    /// Say that a task is not done after all.
    Reopen(TaskId),
    /// Take a task off the list.
    Remove(TaskId),
}

/// A task as its events left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// What there is to do.
    pub title: TaskTitle,
    /// Whether it is done.
    pub completed: bool,
}

/// A list, as its events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct List {
    #[serde(skip)]
    opened: bool,
    tasks: BTreeMap<TaskId, Task>,
}

impl List {
    pub(crate) const fn is_opened(&self) -> bool {
        self.opened
    }

    pub(crate) fn evolve(&mut self, event: &Event) {
        match event {
            Event::ListOpened(_) => self.opened = true,
            Event::TaskAdded(TaskAdded { task, title }) => {
                self.tasks.insert(*task, Task { title: title.clone(), completed: false });
            }
            Event::TaskChanged(TaskChanged { task, title }) => {
                if let Some(found) = self.tasks.get_mut(task) {
                    found.title = title.clone();
                }
            }
            Event::TaskCompleted(TaskCompleted { task }) => self.set_completed(*task, true),
            Event::TaskReopened(TaskReopened { task }) => self.set_completed(*task, false),
            Event::TaskRemoved(TaskRemoved { task }) => {
                self.tasks.remove(task);
            }
            _ => {}
        }
    }

    fn set_completed(&mut self, task: TaskId, completed: bool) {
        if let Some(found) = self.tasks.get_mut(&task) {
            found.completed = completed;
        }
    }

    fn task(&self, id: TaskId) -> Result<&Task, Rejection> {
        self.tasks.get(&id).ok_or_else(|| Rejection::NotFound { what: "task", id: id.to_string() })
    }
}

pub(crate) fn decide(list: &List, id: &ListId, command: &Command) -> Result<Vec<Event>, Rejection> {
    if !list.opened && !matches!(command, Command::Open(_)) {
        return Err(Rejection::NotFound { what: "list", id: id.to_string() });
    }
    let taken = |what, id: String| Err(Rejection::AlreadyExists { what, id });
    Ok(match command {
        Command::Open(_) if list.opened => return taken("list", id.to_string()),
        Command::Open(opened) => vec![Event::ListOpened(opened.clone())],
        Command::Add(added) if list.tasks.contains_key(&added.task) => return taken("task", added.task.to_string()),
        Command::Add(_) if list.tasks.len() >= LIST_TASKS_MAX => return Err(Rejection::ListFull),
        Command::Add(added) => vec![Event::TaskAdded(added.clone())],
        // What is so already is not recorded again.
        Command::Change(changed) if list.task(changed.task)?.title == changed.title => vec![],
        Command::Change(changed) => vec![Event::TaskChanged(changed.clone())],
        Command::Complete(task) if list.task(*task)?.completed => vec![],
        Command::Complete(task) => vec![Event::TaskCompleted(TaskCompleted { task: *task })],
        Command::Reopen(task) if !list.task(*task)?.completed => vec![],
        Command::Reopen(task) => vec![Event::TaskReopened(TaskReopened { task: *task })],
        Command::Remove(task) => {
            list.task(*task)?;
            vec![Event::TaskRemoved(TaskRemoved { task: *task })]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, State, decide};
    use uuid::Uuid;

    fn id(number: u128) -> TaskId {
        TaskId(Uuid::from_u128(number))
    }
    fn opened() -> Event {
        Event::ListOpened(ListOpened { title: "Casa".parse().unwrap() })
    }
    fn added(number: u128) -> TaskAdded {
        TaskAdded { task: id(number), title: "barrer".parse().unwrap() }
    }
    fn when(given: &[Event], command: Command) -> Result<Vec<Event>, Rejection> {
        let mut state = State::default();
        given.iter().for_each(|event| state.evolve(event));
        decide(&state, &crate::Command::Task("casa".parse().unwrap(), command), &Facts::default())
    }

    #[test]
    fn a_task_lives_on_a_list_that_is_open() {
        assert!(when(&[], Command::Add(added(1))).is_err());
        assert_eq!(when(&[opened()], Command::Add(added(1))), Ok(vec![Event::TaskAdded(added(1))]));
        let twice = when(&[opened(), Event::TaskAdded(added(1))], Command::Add(added(1)));
        assert_eq!(twice.map_err(|rejection| rejection.code()), Err("already-exists"));
    }

    #[test]
    fn completing_twice_records_once_and_reopening_takes_it_back() {
        let done = Event::TaskCompleted(TaskCompleted { task: id(1) });
        let given = [opened(), Event::TaskAdded(added(1))];
        assert_eq!(when(&given, Command::Complete(id(1))), Ok(vec![done.clone()]));
        let given = [opened(), Event::TaskAdded(added(1)), done];
        assert_eq!(when(&given, Command::Complete(id(1))), Ok(vec![]));
        assert_eq!(when(&given, Command::Reopen(id(1))).map(|events| events.len()), Ok(1));
    }

    #[test]
    fn a_removed_task_is_gone() {
        let given = [opened(), Event::TaskAdded(added(1)), Event::TaskRemoved(TaskRemoved { task: id(1) })];
        for command in [Command::Complete(id(1)), Command::Remove(id(1)), Command::Reopen(id(1))] {
            assert_eq!(when(&given, command).map_err(|rejection| rejection.code()), Err("not-found"));
        }
    }

    #[test]
    fn a_list_has_a_bound() {
        let given: Vec<_> = std::iter::once(opened())
            .chain((0..LIST_TASKS_MAX as u128).map(|number| Event::TaskAdded(added(number))))
            .collect();
        assert_eq!(when(&given, Command::Add(added(u128::MAX))), Err(Rejection::ListFull));
    }
}

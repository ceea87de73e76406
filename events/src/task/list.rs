//! A list as its events left it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ListChanged, ListEmptied, ListOpened, ListShared, ListUnshared, Role, TaskAdded, TaskChanged, Visibility};
use super::{TaskCompleted, TaskMoved, TaskRemoved, TaskReopened, TaskRestored};
use crate::limits::LIST_REMOVED_MAX;
use crate::{Description, DueDate, Event, Label, ListTitle, Position, Recorded, TaskId, TaskOrder, TaskTitle, UserId};

/// A task as its events left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What there is to do.
    pub title: TaskTitle,
    /// What else there is to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Whether it is done.
    pub completed: bool,
    /// Its place among the others, the smallest first; of two with the same place the older one.
    pub order: TaskOrder,
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

impl TaskAdded {
    fn content(&self, at: Position) -> Task {
        Task {
            title: self.title.clone(),
            description: self.description.clone(),
            completed: self.completed,
            order: self.order.unwrap_or_else(|| TaskOrder::nearest(i64::try_from(at.seq).unwrap_or(i64::MAX))),
            due: self.due.clone(),
            labels: self.labels.clone(),
            assignee: self.assignee,
        }
    }
}

impl TaskChanged {
    /// A change of nothing.
    #[must_use]
    pub const fn nothing(task: TaskId) -> Self {
        Self {
            task,
            title: None,
            description: None,
            completed: None,
            order: None,
            due: None,
            labels: None,
            assignee: None,
        }
    }

    /// A task with this change.
    #[must_use]
    pub fn over(&self, task: &Task) -> Task {
        Task {
            title: self.title.clone().unwrap_or_else(|| task.title.clone()),
            description: self.description.clone().unwrap_or_else(|| task.description.clone()),
            completed: self.completed.unwrap_or(task.completed),
            order: self.order.unwrap_or(task.order),
            due: self.due.clone().unwrap_or_else(|| task.due.clone()),
            labels: self.labels.clone().unwrap_or_else(|| task.labels.clone()),
            assignee: self.assignee.unwrap_or(task.assignee),
        }
    }

    /// What it changes in a task, without what it names and leaves as it is.
    #[must_use]
    pub fn in_effect(self, task: &Task) -> Self {
        Self {
            task: self.task,
            title: self.title.filter(|title| *title != task.title),
            description: self.description.filter(|description| *description != task.description),
            completed: self.completed.filter(|completed| *completed != task.completed),
            order: self.order.filter(|order| *order != task.order),
            due: self.due.filter(|due| *due != task.due),
            labels: self.labels.filter(|labels| *labels != task.labels),
            assignee: self.assignee.filter(|assignee| *assignee != task.assignee),
        }
    }
}

/// The tasks that an event is about.
#[must_use]
pub fn tasks_of(event: &Event) -> &[TaskId] {
    match event {
        Event::TaskAdded(TaskAdded { task, .. })
        | Event::TaskChanged(TaskChanged { task, .. })
        | Event::TaskMoved(TaskMoved { task, .. })
        | Event::TaskCompleted(TaskCompleted { task })
        | Event::TaskReopened(TaskReopened { task })
        | Event::TaskRemoved(TaskRemoved { task })
        | Event::TaskRestored(TaskRestored { task, .. }) => std::slice::from_ref(task),
        Event::ListEmptied(ListEmptied { tasks }) => tasks,
        _ => &[],
    }
}

impl Task {
    /// A task as an event about it leaves it, given as it was (`None`: not on the list).
    #[must_use]
    pub fn after(before: Option<&Self>, event: &Event, at: Position) -> Option<Self> {
        match (event, before) {
            (Event::TaskAdded(added), None) => Some(added.content(at)),
            (Event::TaskChanged(changed), Some(task)) => Some(changed.over(task)),
            (Event::TaskMoved(TaskMoved { order, .. }), Some(task)) => Some(Self { order: *order, ..task.clone() }),
            (Event::TaskCompleted(_), Some(task)) => Some(Self { completed: true, ..task.clone() }),
            (Event::TaskReopened(_), Some(task)) => Some(Self { completed: false, ..task.clone() }),
            (Event::TaskRemoved(_) | Event::ListEmptied(_), _) => None,
            (Event::TaskRestored(restored), _) => Some(restored.as_it_was.clone()),
            // A task added twice, a change to what is not there: it is as it was.
            (_, before) => before.cloned(),
        }
    }
}

/// What is known of a task: how it is, how it was before its last change, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How it is; `None` once it was taken off.
    pub now: Option<Task>,
    /// How it was before its last change; `None`: not on the list.
    pub before: Option<Task>,
    /// Where it was first put on the list.
    pub added: Position,
    /// Where its last change stands.
    pub version: Position,
}

/// A list, as its events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    title: Option<ListTitle>,
    visibility: Visibility,
    members: BTreeMap<UserId, Role>,
    opened: Position,
    version: Position,
    last: Position,
    entries: BTreeMap<TaskId, Entry>,
    /// Those that are not on the list any more, by when they were taken off: the oldest are forgotten past a bound.
    removed: BTreeSet<(Position, TaskId)>,
}

impl List {
    /// A list as these events left it, which are all of its ruled ones up to a moment. One that cannot be read changes nothing.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Self {
        let mut list = Self::default();
        for event in events {
            list.take(event);
        }
        list
    }

    /// Takes in the next of its events.
    pub fn take(&mut self, recorded: &Recorded) {
        if let Some(event) = recorded.envelope.as_ref().ok().and_then(|envelope| envelope.event().ok()) {
            self.evolve(&event, recorded.position);
        }
    }

    /// What it is called; `None` if it was not opened.
    #[must_use]
    pub const fn title(&self) -> Option<&ListTitle> {
        self.title.as_ref()
    }

    /// Who finds it.
    #[must_use]
    pub const fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// Its members and their roles.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<UserId, Role> {
        &self.members
    }

    /// Whether it is somebody's.
    #[must_use]
    pub fn has_owner(&self) -> bool {
        self.members.values().any(|role| *role == Role::Owner)
    }

    /// Where it was opened.
    #[must_use]
    pub const fn opened(&self) -> Position {
        self.opened
    }

    /// Where the list itself (its title, its visibility, its members) was last changed.
    #[must_use]
    pub const fn version(&self) -> Position {
        self.version
    }

    /// Where the list or a task of it was last changed.
    #[must_use]
    pub const fn last(&self) -> Position {
        self.last
    }

    /// How many tasks are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.removed.len()
    }

    /// Whether no task is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of a task, also of one that was taken off not too long ago.
    #[must_use]
    pub fn entry(&self, task: TaskId) -> Option<&Entry> {
        self.entries.get(&task)
    }

    /// The tasks that are on it, in the order in which they are shown.
    #[must_use]
    pub fn tasks(&self) -> Vec<(TaskId, &Task, Position)> {
        let here = self.entries.iter().filter_map(|(id, entry)| Some((*id, entry, entry.now.as_ref()?)));
        let mut here: Vec<_> = here.collect();
        here.sort_by_key(|(id, entry, task)| (task.order, entry.added, *id));
        here.into_iter().map(|(id, entry, task)| (id, task, entry.version)).collect()
    }

    /// Applies one of its events, which stands at a position.
    pub(crate) fn evolve(&mut self, event: &Event, at: Position) {
        match event {
            Event::ListOpened(ListOpened { title, owner, visibility }) if self.title.is_none() => {
                self.title = Some(title.clone());
                self.visibility = *visibility;
                self.members.extend(owner.map(|owner| (owner, Role::Owner)));
                (self.opened, self.version) = (at, at);
            }
            Event::ListChanged(ListChanged { title, visibility }) => {
                self.title = title.clone().or_else(|| self.title.take());
                self.visibility = visibility.unwrap_or(self.visibility);
                self.version = at;
            }
            Event::ListShared(ListShared { user, role }) => {
                self.members.insert(*user, *role);
                self.version = at;
            }
            Event::ListUnshared(ListUnshared { user }) => {
                self.members.remove(user);
                self.version = at;
            }
            event => tasks_of(event).iter().for_each(|task| self.change(*task, event, at)),
        }
        self.last = at;
    }

    fn change(&mut self, id: TaskId, event: &Event, at: Position) {
        let entry = self.entries.remove(&id);
        let (now, added, version) = match &entry {
            Some(entry) => (entry.now.as_ref(), entry.added, entry.version),
            None => (None, at, at),
        };
        let after = Task::after(now, event, at);
        if after.as_ref() == now {
            self.entries.extend(entry.map(|entry| (id, entry)));
            return;
        }
        self.removed.remove(&(version, id));
        if after.is_none() {
            self.removed.insert((at, id));
        }
        let before = entry.and_then(|entry| entry.now);
        self.entries.insert(id, Entry { now: after, before, added, version: at });
        if self.removed.len() > LIST_REMOVED_MAX
            && let Some((_, oldest)) = self.removed.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

/// As it is shown to whoever looks into the record: what is on it.
impl Serialize for List {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            title: Option<&'a ListTitle>,
            visibility: Visibility,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            members: &'a BTreeMap<UserId, Role>,
            tasks: BTreeMap<TaskId, &'a Task>,
        }
        let tasks = self.entries.iter().filter_map(|(id, entry)| Some((*id, entry.now.as_ref()?))).collect();
        let Self { title, visibility, members, .. } = self;
        Shown { title: title.as_ref(), visibility: *visibility, members, tasks }.serialize(serializer)
    }
}

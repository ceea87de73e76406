//! What may be wished of a list, and what follows from it.

use crate::limits::{LIST_MEMBERS_MAX, LIST_TASKS_MAX, TASK_LABELS_MAX, TASK_ORDER_STEP};
use crate::{Event, ListId, Position, Rejection, TaskId, TaskOrder, UserId};

use super::{
    Access, Denied, Entry, List, ListChanged, ListEmptied, ListOpened, ListShared, ListUnshared, Role, Task, TaskAdded,
    TaskChanged, TaskCompleted, TaskMoved, TaskRemoved, TaskReopened, TaskRestored, Visibility, may,
};

/// A wish for a list or a task on it: whose, on which condition, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Who wishes it. `None`: nobody that is known.
    pub by: Option<UserId>,
    /// Only if what is to be changed is still as it was there.
    pub matching: Option<Matching>,
    /// What.
    pub wish: Wish,
}

/// As of which of its changes a client knows what it wishes to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Any: it only has to be there.
    Anything,
    /// As of one of these.
    OneOf(Vec<Position>),
}

impl Matching {
    fn holds(&self, version: Position) -> bool {
        match self {
            Self::Anything => true,
            Self::OneOf(known) => known.contains(&version),
        }
    }
}

/// What is wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Open the list.
    Open(ListOpened),
    /// Give it another title or visibility.
    Alter(ListChanged),
    /// Make somebody a member, or give a member another role.
    Share(ListShared),
    /// Have somebody be no member any more.
    Unshare(UserId),
    /// Put a task on it; without an order, behind all others.
    Add(TaskAdded),
    /// Change a task.
    Change(TaskChanged),
    /// Take a task off it.
    Remove(TaskId),
    /// Take back the last change of a task.
    Undo(TaskId),
    /// Take all tasks off it.
    Empty,
}

impl Wish {
    /// A word for it, unique among them.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Alter(_) => "alter",
            Self::Share(_) => "share",
            Self::Unshare(_) => "unshare",
            Self::Add(_) => "add",
            Self::Change(_) => "change",
            Self::Remove(_) => "remove",
            Self::Undo(_) => "undo",
            Self::Empty => "empty",
        }
    }

    /// Which task or member it is about, if it is about one that is there.
    #[must_use]
    pub fn thing(&self) -> Option<String> {
        match self {
            Self::Open(_) | Self::Alter(_) | Self::Add(_) | Self::Empty => None,
            Self::Share(ListShared { user, .. }) | Self::Unshare(user) => Some(user.to_string()),
            Self::Change(TaskChanged { task, .. }) | Self::Remove(task) | Self::Undo(task) => Some(task.to_string()),
        }
    }

    const fn access(&self) -> Access {
        match self {
            Self::Open(_) => Access::See,
            Self::Alter(_) | Self::Share(_) | Self::Unshare(_) => Access::Govern,
            Self::Add(_) | Self::Change(_) | Self::Remove(_) | Self::Undo(_) | Self::Empty => Access::Work,
        }
    }
}

pub(crate) fn decide(list: &List, id: &ListId, command: &Command) -> Result<Vec<Event>, Rejection> {
    let Command { by, matching, wish } = command;
    if let Wish::Open(opened) = wish {
        return open(list, id, opened).map(|event| vec![event]);
    }
    let no_list = || Rejection::NotFound { what: "list", id: id.to_string() };
    if list.title().is_none() {
        // Where there is no list there is no task: that is what was wished.
        return if *wish == Wish::Empty { Ok(vec![]) } else { Err(no_list()) };
    }
    let leaves = matches!(wish, Wish::Unshare(user) if *by == Some(*user));
    let access = if leaves { Access::See } else { wish.access() };
    may(list, *by, access).map_err(|denied| match denied {
        Denied::Unseen => no_list(),
        Denied::Forbidden => Rejection::Forbidden,
    })?;
    let entry = match wish {
        Wish::Change(TaskChanged { task, .. }) | Wish::Remove(task) => Some(here(list, *task)?.0),
        Wish::Undo(task) => Some(known(list, *task)?),
        _ => None,
    };
    let version = match (wish, entry) {
        (_, Some(entry)) => entry.version,
        (Wish::Add(_) | Wish::Empty, _) => list.last(),
        _ => list.version(),
    };
    if matching.as_ref().is_some_and(|matching| !matching.holds(version)) {
        return Err(Rejection::Changed(version));
    }
    follow(list, wish)
}

fn open(list: &List, id: &ListId, opened: &ListOpened) -> Result<Event, Rejection> {
    if list.title().is_some() {
        return Err(Rejection::AlreadyExists { what: "list", id: id.to_string() });
    }
    match (opened.visibility, opened.owner) {
        (Visibility::Private, None) => Err(Rejection::NoOwner),
        _ => Ok(Event::ListOpened(opened.clone())),
    }
}

/// What follows from a wish that may be wished. What is so already is not recorded again.
fn follow(list: &List, wish: &Wish) -> Result<Vec<Event>, Rejection> {
    Ok(match wish {
        Wish::Open(_) => vec![],
        Wish::Alter(wished) => alter(list, wished)?,
        Wish::Share(shared) => share(list, shared)?,
        Wish::Unshare(user) if !list.members().contains_key(user) => vec![],
        Wish::Unshare(user) => {
            not_the_last_owner(list, *user)?;
            vec![Event::ListUnshared(ListUnshared { user: *user })]
        }
        Wish::Add(added) => vec![add(list, added)?],
        Wish::Change(wished) => change(here(list, wished.task)?.1, wished)?,
        Wish::Remove(task) => vec![Event::TaskRemoved(TaskRemoved { task: *task })],
        Wish::Undo(task) => vec![undo(list, *task)?],
        Wish::Empty if list.is_empty() => vec![],
        Wish::Empty => {
            let tasks = list.tasks().into_iter().map(|(id, ..)| id).collect();
            vec![Event::ListEmptied(ListEmptied { tasks })]
        }
    })
}

fn alter(list: &List, wished: &ListChanged) -> Result<Vec<Event>, Rejection> {
    if wished.visibility == Some(Visibility::Private) && !list.has_owner() {
        return Err(Rejection::NoOwner);
    }
    let changed = ListChanged {
        title: wished.title.clone().filter(|title| Some(title) != list.title()),
        visibility: wished.visibility.filter(|visibility| *visibility != list.visibility()),
    };
    Ok(if changed == ListChanged::default() { vec![] } else { vec![Event::ListChanged(changed)] })
}

fn share(list: &List, shared: &ListShared) -> Result<Vec<Event>, Rejection> {
    // Anybody may govern what is nobody's; that must not be the way to make it one's own.
    if shared.role == Role::Owner && !list.has_owner() {
        return Err(Rejection::NoOwner);
    }
    match list.members().get(&shared.user) {
        Some(role) if *role == shared.role => return Ok(vec![]),
        Some(_) => not_the_last_owner(list, shared.user)?,
        None if list.members().len() >= LIST_MEMBERS_MAX => return Err(Rejection::MembersFull),
        None => {}
    }
    Ok(vec![Event::ListShared(shared.clone())])
}

/// A list that is somebody's stays somebody's: else it would become everybody's.
fn not_the_last_owner(list: &List, user: UserId) -> Result<(), Rejection> {
    let mut others = list.members().iter().filter(|(member, role)| **member != user && **role == Role::Owner);
    match others.next() {
        None if list.members().get(&user) == Some(&Role::Owner) => Err(Rejection::LastOwner),
        _ => Ok(()),
    }
}

fn add(list: &List, added: &TaskAdded) -> Result<Event, Rejection> {
    if list.entry(added.task).is_some() {
        return Err(Rejection::AlreadyExists { what: "task", id: added.task.to_string() });
    }
    if list.len() >= LIST_TASKS_MAX {
        return Err(Rejection::ListFull);
    }
    check_labels(added.labels.len())?;
    let behind = || {
        let last = list.tasks().last().map_or(0, |(_, task, _)| task.order.number());
        TaskOrder::nearest(last.saturating_add(TASK_ORDER_STEP))
    };
    let order = added.order.unwrap_or_else(behind);
    Ok(Event::TaskAdded(TaskAdded { order: Some(order), ..added.clone() }))
}

fn check_labels(count: usize) -> Result<(), Rejection> {
    if count > TASK_LABELS_MAX { Err(Rejection::LabelCount(count)) } else { Ok(()) }
}

fn change(task: &Task, wished: &TaskChanged) -> Result<Vec<Event>, Rejection> {
    check_labels(wished.labels.as_ref().map_or(0, std::collections::BTreeSet::len))?;
    let changed = wished.clone().in_effect(task);
    let id = changed.task;
    let nothing = || TaskChanged::nothing(id);
    // One change is one event, however much it changes: it is undone as one.
    let event = match (changed.completed, changed.order) {
        (None, None) if changed == nothing() => return Ok(vec![]),
        (completed @ Some(done), None) if changed == (TaskChanged { completed, ..nothing() }) => match done {
            true => Event::TaskCompleted(TaskCompleted { task: id }),
            false => Event::TaskReopened(TaskReopened { task: id }),
        },
        (None, Some(order)) if changed == (TaskChanged { order: Some(order), ..nothing() }) => {
            Event::TaskMoved(TaskMoved { task: id, order })
        }
        _ => Event::TaskChanged(changed),
    };
    Ok(vec![event])
}

fn undo(list: &List, task: TaskId) -> Result<Event, Rejection> {
    let Entry { now, before, version, .. } = known(list, task)?;
    match before {
        Some(_) if now.is_none() && list.len() >= LIST_TASKS_MAX => Err(Rejection::ListFull),
        Some(before) => Ok(Event::TaskRestored(TaskRestored { task, undone: *version, as_it_was: before.clone() })),
        // Before its last change it was not on the list.
        None => Ok(Event::TaskRemoved(TaskRemoved { task })),
    }
}

fn known(list: &List, task: TaskId) -> Result<&Entry, Rejection> {
    list.entry(task).ok_or_else(|| no_task(task))
}

/// A task that is on the list.
fn here(list: &List, task: TaskId) -> Result<(&Entry, &Task), Rejection> {
    let entry = known(list, task)?;
    entry.now.as_ref().map(|now| (entry, now)).ok_or_else(|| no_task(task))
}

fn no_task(task: TaskId) -> Rejection {
    Rejection::NotFound { what: "task", id: task.to_string() }
}

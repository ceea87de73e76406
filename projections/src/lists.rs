//! Task lists and their tasks, with changes applied; what was taken off a list stays, marked so.

use std::collections::BTreeMap;

use cabildo_events::task::{Role, Task, Visibility, tasks_of};
use cabildo_events::{Aggregate, Context, Event, Position, Recorded, TaskId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::step::{Step, body, stored};
use crate::{Document, DocumentKey, Documents, Projection, ProjectionId, Rows, Unfoldable};

/// Its first view.
pub const ID: ProjectionId = ProjectionId { name: "lists", version: 1 };

/// The number of its fold: raised with any change to what it makes of the same events.
pub const FOLD: u32 = 1;

/// Collection of one document per list, its id the list's.
pub const LISTS: &str = "lists";
/// Collection of one document per task, see [`task_key`].
pub const TASKS: &str = "tasks";

/// A list as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Its id.
    pub list: Box<str>,
    /// What it is called.
    pub title: String,
    /// Who finds it.
    pub visibility: Visibility,
    /// Its members and their roles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<UserId, Role>,
    /// When it was opened.
    pub opened: Timestamp,
    /// Where that stands in the journal.
    pub position: Position,
    /// Where its title, its visibility or its members were last changed.
    pub version: Position,
}

/// A task as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its id.
    pub id: TaskId,
    /// The list it is on.
    pub list: Box<str>,
    /// What there is to do, and how far it is.
    #[serde(flatten)]
    pub task: Task,
    /// When it was put on the list.
    pub added: Timestamp,
    /// When it was last changed.
    pub changed: Timestamp,
    /// When it was taken off the list, if it is not on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
    /// Where its last change stands in the journal.
    pub version: Position,
}

/// The key of a list's document.
#[must_use]
pub fn list_key(list: &str) -> DocumentKey {
    DocumentKey { collection: LISTS, id: list.into() }
}

/// The key of a task's document.
#[must_use]
pub fn task_key(list: &str, task: TaskId) -> DocumentKey {
    DocumentKey { collection: TASKS, id: format!("{list}/{task}").into() }
}

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lists;

impl Projection for Lists {
    type Rows = Documents;
    type Step = Step;

    fn name(&self) -> &'static str {
        ID.name
    }

    fn version(&self) -> u32 {
        FOLD
    }

    fn tables(&self) -> &'static [&'static str] {
        &[LISTS, TASKS]
    }

    fn step(&self, event: &Recorded) -> Result<Option<Step>, Unfoldable> {
        Step::of(Context::Task, event)
    }

    fn reads(&self, step: &Step, keys: &mut Vec<DocumentKey>) {
        match tasks_of(&step.event) {
            [] => keys.push(list_key(&step.id)),
            tasks => keys.extend(tasks.iter().map(|task| task_key(&step.id, *task))),
        }
    }

    fn fold(&self, step: Step, documents: &mut Documents) -> Result<(), Unfoldable> {
        match tasks_of(&step.event) {
            [] => fold_list(&step, documents),
            tasks => {
                // Whatever can fail comes before the first change.
                let changed =
                    tasks.iter().map(|task| fold_task(&step, *task, documents)).collect::<Result<Vec<_>, _>>()?;
                changed.into_iter().flatten().for_each(|document| documents.put(document));
                Ok(())
            }
        }
    }

    fn is_of(&self, aggregate: &Aggregate, _key: &DocumentKey, row: &Document) -> bool {
        *row.aggregate == aggregate.to_string()
    }
}

fn fold_list(step: &Step, documents: &mut Documents) -> Result<(), Unfoldable> {
    let key = list_key(&step.id);
    let found = documents.get(&key).cloned();
    match (&step.event, found) {
        (Event::ListOpened(opened), None) => {
            let list = List {
                list: step.id.clone(),
                title: opened.title.to_string(),
                visibility: opened.visibility,
                members: opened.owner.map(|owner| (owner, Role::Owner)).into_iter().collect(),
                opened: step.time,
                position: step.position,
                version: step.position,
            };
            documents.put(step.document(key, "list", &list.title, &list));
        }
        (Event::ListChanged(_) | Event::ListShared(_) | Event::ListUnshared(_), Some(found)) => {
            let mut list: List = stored(&found)?;
            match &step.event {
                Event::ListChanged(changed) => {
                    list.title = changed.title.as_ref().map_or(list.title, ToString::to_string);
                    list.visibility = changed.visibility.unwrap_or(list.visibility);
                }
                Event::ListShared(shared) => drop(list.members.insert(shared.user, shared.role)),
                Event::ListUnshared(unshared) => drop(list.members.remove(&unshared.user)),
                _ => {}
            }
            list.version = step.position;
            documents.put(Document { text: list.title.as_str().into(), body: body(&list), ..found });
        }
        // A list opened twice, a change to one that is not there: it is as it was.
        _ => {}
    }
    Ok(())
}

/// The document of a task as the event leaves it; `None` if it changes nothing.
fn fold_task(step: &Step, id: TaskId, documents: &Documents) -> Result<Option<Document>, Unfoldable> {
    let key = task_key(&step.id, id);
    let found = documents.get(&key).cloned();
    let row: Option<TaskRow> = found.as_ref().map(stored).transpose()?;
    let before = row.as_ref().filter(|row| row.removed.is_none()).map(|row| &row.task);
    let after = Task::after(before, &step.event, step.position);
    if after.as_ref() == before {
        return Ok(None);
    }
    let removed = after.is_none().then_some(step.time);
    let Some(task) = after.or_else(|| row.as_ref().map(|row| row.task.clone())) else { return Ok(None) };
    let added = row.map_or(step.time, |row| row.added);
    let list = step.id.clone();
    let row = TaskRow { id, list, task, added, changed: step.time, removed, version: step.position };
    // What is not on the list is not found by its words.
    let text = if removed.is_some() { String::new() } else { words(&row.task) };
    Ok(Some(match found {
        Some(found) => Document { text: text.into(), body: body(&row), ..found },
        None => step.document(key, "task", &text, &row),
    }))
}

fn words(task: &Task) -> String {
    let mut words = task.title.to_string();
    for more in task.description.iter().map(|text| text.as_str()).chain(task.labels.iter().map(|label| label.as_str()))
    {
        words.push('\n');
        words.push_str(more);
    }
    words
}

/// A list and its tasks as some events leave them, which are all of its ruled ones up to a moment, in order. What cannot be
/// folded, and what comes after it, does not count, as in the view. The tasks are in the order in which they are shown, those
/// that were taken off left out.
#[must_use]
pub fn as_left_by(list: &str, events: &[Recorded]) -> Option<(List, Vec<TaskRow>)> {
    let mut documents = Documents::default();
    for event in events {
        documents.begin(event.position);
        match Lists.step(event) {
            Ok(Some(step)) => Lists.fold(step, &mut documents).ok()?,
            Ok(None) => {}
            Err(_) => break,
        }
    }
    let found = stored(documents.get(&list_key(list))?).ok()?;
    let rows = documents.into_rows().into_iter().filter(|(key, _)| key.collection == TASKS);
    let mut tasks: Vec<(Position, TaskRow)> =
        rows.filter_map(|(_, row)| Some((row.created, stored::<TaskRow>(&row).ok()?))).collect();
    tasks.retain(|(_, row)| row.removed.is_none());
    tasks.sort_by_key(|(created, row)| (row.task.order, *created, row.id));
    Some((found, tasks.into_iter().map(|(_, row)| row).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{fold, recorded};
    use cabildo_events::task::{
        ListChanged, ListEmptied, ListOpened, ListShared, TaskAdded, TaskChanged, TaskCompleted, TaskMoved,
        TaskRemoved, TaskRestored,
    };
    use cabildo_events::{ListId, TaskOrder};
    use uuid::Uuid;

    fn id(number: u128) -> TaskId {
        TaskId(Uuid::from_u128(number))
    }
    fn opened() -> Event {
        Event::ListOpened(ListOpened { title: "Casa".parse().unwrap(), owner: None, visibility: Visibility::Open })
    }
    fn added(number: u128, order: i64) -> Event {
        Event::TaskAdded(TaskAdded {
            task: id(number),
            title: "barrer".parse().unwrap(),
            description: Some("la sala".parse().unwrap()),
            completed: false,
            order: Some(TaskOrder::nearest(order)),
            due: None,
            labels: ["casa".parse().unwrap()].into(),
            assignee: None,
        })
    }
    fn list() -> ListId {
        "casa".parse().unwrap()
    }
    fn recorded_all(events: &[Event]) -> Vec<Recorded> {
        let aggregate = Aggregate::list(&list());
        (1..).zip(events).map(|(seq, event)| recorded(seq, &aggregate, event)).collect()
    }
    fn task(events: &[Event], number: u128) -> Option<(TaskRow, Document)> {
        let documents = fold(&Lists, &recorded_all(events));
        let found = documents.get(&task_key("casa", id(number)))?;
        Some((stored(found).unwrap(), found.clone()))
    }

    #[test]
    fn a_task_is_as_its_changes_left_it_and_keeps_where_it_was_made() {
        let renamed = TaskChanged { title: Some("trapear".parse().unwrap()), ..TaskChanged::nothing(id(1)) };
        let done = Event::TaskCompleted(TaskCompleted { task: id(1) });
        let (row, document) = task(&[opened(), added(1, 10), Event::TaskChanged(renamed), done], 1).unwrap();
        assert_eq!((row.task.title.as_str(), row.task.completed, row.version), ("trapear", true, Position::at(4)));
        assert_eq!((document.created, document.folded), (Position::at(2), Position::at(4)));
        assert_eq!(&*document.text, "trapear\nla sala\ncasa");
        assert!(row.changed > row.added);
    }

    #[test]
    fn what_was_taken_off_is_marked_and_can_come_back() {
        let removed = Event::TaskRemoved(TaskRemoved { task: id(1) });
        let (row, document) = task(&[opened(), added(1, 10), removed.clone(), removed.clone()], 1).unwrap();
        assert_eq!((row.removed.is_some(), row.version, &*document.text), (true, Position::at(3), ""));
        let restored = TaskRestored { task: id(1), undone: Position::at(3), as_it_was: row.task };
        let (row, _) = task(&[opened(), added(1, 10), removed, Event::TaskRestored(restored)], 1).unwrap();
        assert_eq!((row.removed, row.version), (None, Position::at(4)));
    }

    #[test]
    fn an_emptied_list_holds_nothing_and_a_moved_task_stands_elsewhere() {
        let to_front = Event::TaskMoved(TaskMoved { task: id(2), order: TaskOrder::nearest(1) });
        let mut events = vec![opened(), added(1, 10), added(2, 20), to_front];
        let shown = |events: &[Event]| {
            let (_, tasks) = as_left_by("casa", &recorded_all(events)).unwrap();
            tasks.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(shown(&events), [id(2), id(1)]);
        events.push(Event::ListEmptied(ListEmptied { tasks: vec![id(1), id(2)] }));
        assert!(shown(&events).is_empty());
    }

    #[test]
    fn a_list_is_as_its_changes_left_it() {
        let user = UserId(Uuid::from_u128(7));
        let changed = ListChanged { title: Some("Finca".parse().unwrap()), visibility: None };
        let shared = ListShared { user, role: Role::Reader };
        let events = [opened(), opened(), Event::ListChanged(changed), Event::ListShared(shared)];
        let (list, _) = as_left_by("casa", &recorded_all(&events)).unwrap();
        assert_eq!((&*list.title, list.position, list.version), ("Finca", Position::at(1), Position::at(4)));
        assert_eq!(list.members, [(user, Role::Reader)].into());
        assert_eq!(as_left_by("casa", &[]), None);
    }

    #[test]
    fn the_rows_are_what_the_rules_go_by() {
        let restored = |number| {
            let as_it_was = Task::after(None, &added(number, 5), Position::START).unwrap();
            Event::TaskRestored(TaskRestored { task: id(number), undone: Position::at(5), as_it_was })
        };
        let removed = Event::TaskRemoved(TaskRemoved { task: id(1) });
        let events = [opened(), added(2, 3), added(1, 3), removed, restored(1), added(1, 9), added(3, 4)];
        let events = recorded_all(&events);
        let (_, rows) = as_left_by("casa", &events).unwrap();
        let list = cabildo_events::task::List::of(&events);
        let ruled: Vec<_> = list.tasks().into_iter().map(|(id, task, version)| (id, task.clone(), version)).collect();
        let rows: Vec<_> = rows.into_iter().map(|row| (row.id, row.task, row.version)).collect();
        assert_eq!(rows, ruled);
    }
}

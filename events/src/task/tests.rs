//! Given what happened, when somebody wishes something, then.

use super::*;
use crate::limits::{LIST_MEMBERS_MAX, LIST_REMOVED_MAX, LIST_TASKS_MAX, TASK_LABELS_MAX, TASK_ORDER_STEP};
use crate::{Event, Facts, Rejection, State, decide};
use proptest::prelude::*;
use uuid::Uuid;

const ANA: UserId = UserId(Uuid::from_u128(100));
const LUIS: UserId = UserId(Uuid::from_u128(200));

fn id(number: u128) -> TaskId {
    TaskId(Uuid::from_u128(number))
}
fn opened() -> Event {
    Event::ListOpened(ListOpened { title: "Casa".parse().unwrap(), owner: None, visibility: Visibility::Open })
}
fn anas() -> Event {
    let visibility = Visibility::Private;
    Event::ListOpened(ListOpened { title: "Casa".parse().unwrap(), owner: Some(ANA), visibility })
}
fn plain(number: u128) -> TaskAdded {
    TaskAdded {
        task: id(number),
        title: "barrer".parse().unwrap(),
        description: None,
        completed: false,
        order: None,
        due: None,
        labels: BTreeSet::new(),
        assignee: None,
    }
}
fn added(number: u128) -> Event {
    let order = i64::try_from(number).unwrap() * TASK_ORDER_STEP;
    Event::TaskAdded(TaskAdded { order: Some(TaskOrder::nearest(order)), ..plain(number) })
}
fn done(number: u128) -> Event {
    Event::TaskCompleted(TaskCompleted { task: id(number) })
}
fn removed(number: u128) -> Event {
    Event::TaskRemoved(TaskRemoved { task: id(number) })
}
fn renamed(number: u128, title: &str) -> TaskChanged {
    TaskChanged { title: Some(title.parse().unwrap()), ..TaskChanged::nothing(id(number)) }
}
fn complete(number: u128, completed: bool) -> Wish {
    Wish::Change(TaskChanged { completed: Some(completed), ..TaskChanged::nothing(id(number)) })
}

/// After these events, the first of which stands at 1.
fn after(given: &[Event]) -> State {
    let mut state = State::default();
    (1..).zip(given).for_each(|(seq, event)| state.evolve_at(event, Position::at(seq)));
    state
}
fn command(by: Option<UserId>, matching: Option<Matching>, wish: Wish) -> crate::Command {
    crate::Command::Task("casa".parse().unwrap(), Command { by, matching, wish })
}
fn when(given: &[Event], by: Option<UserId>, wish: Wish) -> Result<Vec<Event>, Rejection> {
    decide(&after(given), &command(by, None, wish), &Facts::default())
}
fn when_known(given: &[Event], seq: u64, wish: Wish) -> Result<Vec<Event>, Rejection> {
    let matching = Some(Matching::OneOf(vec![Position::at(seq)]));
    decide(&after(given), &command(None, matching, wish), &Facts::default())
}
fn code(answer: Result<Vec<Event>, Rejection>) -> &'static str {
    answer.unwrap_err().code()
}

#[test]
fn a_task_lives_on_a_list_that_is_open_behind_the_others() {
    assert_eq!(code(when(&[], None, Wish::Add(plain(1)))), "not-found");
    assert_eq!(when(&[opened()], None, Wish::Add(plain(1))), Ok(vec![added(1)]));
    assert_eq!(when(&[opened(), added(1)], None, Wish::Add(plain(2))), Ok(vec![added(2)]));
    assert_eq!(code(when(&[opened(), added(1)], None, Wish::Add(plain(1)))), "already-exists");
    let labels = (0..=TASK_LABELS_MAX).map(|number| format!("l{number}").parse().unwrap()).collect();
    assert_eq!(code(when(&[opened()], None, Wish::Add(TaskAdded { labels, ..plain(1) }))), "label-count");
}

#[test]
fn a_task_from_before_there_was_an_order_stands_where_the_journal_has_it() {
    let state = after(&[opened(), Event::TaskAdded(plain(7))]);
    assert_eq!(state.list().tasks()[0].1.order.number(), 2);
}

#[test]
fn completing_twice_records_once_and_reopening_takes_it_back() {
    let given = [opened(), added(1)];
    assert_eq!(when(&given, None, complete(1, true)), Ok(vec![done(1)]));
    let given = [opened(), added(1), done(1)];
    assert_eq!(when(&given, None, complete(1, true)), Ok(vec![]));
    assert_eq!(when(&given, None, complete(1, false)), Ok(vec![Event::TaskReopened(TaskReopened { task: id(1) })]));
}

#[test]
fn one_change_is_one_event_and_names_what_changes() {
    let given = [opened(), added(1)];
    let seventh = TaskOrder::nearest(7);
    let order = Some(seventh);
    let moved = TaskChanged { order, title: Some("barrer".parse().unwrap()), ..TaskChanged::nothing(id(1)) };
    let event = Event::TaskMoved(TaskMoved { task: id(1), order: seventh });
    assert_eq!(when(&given, None, Wish::Change(moved)), Ok(vec![event]));
    let much = TaskChanged { completed: Some(true), order, ..renamed(1, "trapear") };
    assert_eq!(when(&given, None, Wish::Change(much.clone())), Ok(vec![Event::TaskChanged(much)]));
    let due = TaskChanged { due: Some(Some("2026-12-24".parse().unwrap())), ..TaskChanged::nothing(id(1)) };
    let with_due = [opened(), added(1), Event::TaskChanged(due)];
    let none = TaskChanged { due: Some(None), ..TaskChanged::nothing(id(1)) };
    assert_eq!(when(&with_due, None, Wish::Change(none.clone())), Ok(vec![Event::TaskChanged(none.clone())]));
    assert_eq!(when(&given, None, Wish::Change(none)), Ok(vec![]));
}

#[test]
fn what_is_named_as_nothing_is_told_from_what_is_not_named() {
    for change in [
        TaskChanged { due: Some(None), ..TaskChanged::nothing(id(1)) },
        TaskChanged { assignee: Some(Some(ANA)), description: Some(None), ..TaskChanged::nothing(id(1)) },
    ] {
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<TaskChanged>(&text).unwrap(), change, "{text}");
    }
}

#[test]
fn tasks_are_shown_by_their_order() {
    let to_front = Event::TaskMoved(TaskMoved { task: id(3), order: TaskOrder::nearest(-1) });
    let state = after(&[opened(), added(1), added(2), added(3), to_front]);
    let shown: Vec<_> = state.list().tasks().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(shown, [id(3), id(1), id(2)]);
}

#[test]
fn a_removed_task_is_gone() {
    let given = [opened(), added(1), removed(1)];
    for wish in [complete(1, true), Wish::Remove(id(1)), complete(1, false)] {
        assert_eq!(code(when(&given, None, wish)), "not-found");
    }
}

#[test]
fn emptying_takes_all_tasks_off_as_one_event_and_each_can_be_brought_back() {
    let given = [opened(), added(1), added(2)];
    let emptied = Event::ListEmptied(ListEmptied { tasks: vec![id(1), id(2)] });
    assert_eq!(when(&given, None, Wish::Empty), Ok(vec![emptied.clone()]));
    let given = [&given[..], &[emptied]].concat();
    assert_eq!(when(&given, None, Wish::Empty), Ok(vec![]));
    let answer = when(&given, None, Wish::Undo(id(2))).unwrap();
    let [Event::TaskRestored(restored)] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!((restored.task, restored.undone), (id(2), Position::at(4)));
}

#[test]
fn what_has_changed_meanwhile_is_not_changed_by_who_does_not_know_it() {
    let given = [opened(), added(1), added(2), done(1)];
    let rename = || Wish::Change(renamed(1, "trapear"));
    assert_eq!(when_known(&given, 2, rename()), Err(Rejection::Changed(Position::at(4))));
    assert!(when_known(&given, 4, rename()).is_ok());
    // A change to another task is no change to this one.
    assert!(when_known(&given, 3, Wish::Remove(id(2))).is_ok());
    assert_eq!(when_known(&given, 3, Wish::Empty), Err(Rejection::Changed(Position::at(4))));
    assert!(when_known(&given, 1, Wish::Alter(ListChanged::default())).is_ok());
    // What is no change is refused all the same, and what is not there is not there.
    assert_eq!(when_known(&given, 2, complete(1, true)), Err(Rejection::Changed(Position::at(4))));
    assert_eq!(code(when_known(&given, 2, complete(9, true))), "not-found");
    let any = decide(&after(&given), &command(None, Some(Matching::Anything), rename()), &Facts::default());
    assert!(any.is_ok());
}

#[test]
fn undoing_an_addition_removes_and_undoing_that_brings_it_back() {
    assert_eq!(when(&[opened(), added(1)], None, Wish::Undo(id(1))), Ok(vec![removed(1)]));
    let answer = when(&[opened(), added(1), removed(1)], None, Wish::Undo(id(1))).unwrap();
    let given = [&[opened(), added(1), removed(1)][..], &answer].concat();
    let (was, is) = (after(&given[..2]), after(&given));
    assert_eq!(is.list().entry(id(1)).unwrap().now, was.list().entry(id(1)).unwrap().now);
    assert_eq!(code(when(&given, None, Wish::Undo(id(2)))), "not-found");
}

#[test]
fn a_list_has_a_bound_also_for_what_was_taken_off_it() {
    let tasks = |count: usize| (1..=count as u128).map(added);
    let given: Vec<_> = std::iter::once(opened()).chain(tasks(LIST_TASKS_MAX)).collect();
    assert_eq!(when(&given, None, Wish::Add(plain(u128::MAX))), Err(Rejection::ListFull));
    let many = LIST_REMOVED_MAX as u128 + 1;
    let given: Vec<_> = std::iter::once(opened()).chain((1..=many).flat_map(|n| [added(n), removed(n)])).collect();
    assert_eq!(code(when(&given, None, Wish::Undo(id(1)))), "not-found");
    assert!(when(&given, None, Wish::Undo(id(2))).is_ok());
}

#[test]
fn a_private_list_is_not_there_for_others_and_a_reader_only_reads() {
    let shared = |role| Event::ListShared(ListShared { user: LUIS, role });
    let given = [anas(), added(1)];
    for by in [None, Some(LUIS)] {
        assert_eq!(code(when(&given, by, complete(1, true))), "not-found");
    }
    assert!(when(&given, Some(ANA), complete(1, true)).is_ok());
    let given = [anas(), added(1), shared(Role::Reader)];
    assert_eq!(when(&given, Some(LUIS), complete(1, true)), Err(Rejection::Forbidden));
    let given = [anas(), added(1), shared(Role::Editor)];
    assert!(when(&given, Some(LUIS), complete(1, true)).is_ok());
    assert_eq!(when(&given, Some(LUIS), Wish::Alter(ListChanged::default())), Err(Rejection::Forbidden));
    // Whoever is a member may leave.
    assert!(when(&given, Some(LUIS), Wish::Unshare(LUIS)).is_ok());
    assert_eq!(when(&given, Some(LUIS), Wish::Unshare(ANA)), Err(Rejection::Forbidden));
}

#[test]
fn a_list_that_is_somebodys_stays_so() {
    let share = |user, role| Wish::Share(ListShared { user, role });
    let shared = |user, role| Event::ListShared(ListShared { user, role });
    assert_eq!(when(&[anas()], Some(ANA), Wish::Unshare(ANA)), Err(Rejection::LastOwner));
    assert_eq!(when(&[anas()], Some(ANA), share(ANA, Role::Editor)), Err(Rejection::LastOwner));
    let two = [anas(), shared(LUIS, Role::Owner)];
    assert!(when(&two, Some(LUIS), Wish::Unshare(ANA)).is_ok());
    assert_eq!(when(&two, Some(LUIS), share(LUIS, Role::Owner)), Ok(vec![]));
    assert_eq!(when(&two, Some(ANA), Wish::Unshare(UserId(Uuid::nil()))), Ok(vec![]));
    let full: Vec<_> = std::iter::once(anas())
        .chain((1..LIST_MEMBERS_MAX as u128).map(|n| shared(UserId(Uuid::from_u128(1_000 + n)), Role::Reader)))
        .collect();
    assert_eq!(when(&full, Some(ANA), share(LUIS, Role::Reader)), Err(Rejection::MembersFull));
}

#[test]
fn a_list_of_nobody_cannot_be_private_or_become_somebodys() {
    let private = ListOpened { visibility: Visibility::Private, owner: None, title: "Casa".parse().unwrap() };
    assert_eq!(when(&[], None, Wish::Open(private)), Err(Rejection::NoOwner));
    let private = ListChanged { visibility: Some(Visibility::Private), ..Default::default() };
    assert_eq!(when(&[opened()], Some(ANA), Wish::Alter(private)), Err(Rejection::NoOwner));
    let share = Wish::Share(ListShared { user: ANA, role: Role::Owner });
    assert_eq!(when(&[opened()], Some(ANA), share), Err(Rejection::NoOwner));
    let share = Wish::Share(ListShared { user: ANA, role: Role::Editor });
    assert!(when(&[opened()], None, share).is_ok());
}

#[test]
fn a_list_opens_once_and_changes_its_title() {
    let Event::ListOpened(again) = opened() else { unreachable!() };
    assert_eq!(code(when(&[opened()], None, Wish::Open(again))), "already-exists");
    let title = |text: &str| ListChanged { title: Some(text.parse().unwrap()), visibility: None };
    assert_eq!(when(&[opened()], None, Wish::Alter(title("Casa"))), Ok(vec![]));
    let answer = when(&[opened()], None, Wish::Alter(title("Finca")));
    assert_eq!(answer, Ok(vec![Event::ListChanged(title("Finca"))]));
}

/// Anything that may be wished of one of three tasks.
fn wishes() -> impl Strategy<Value = Wish> {
    let task = (1_u128..4).prop_map(id);
    prop_oneof![
        (1_u128..4).prop_map(|number| Wish::Add(plain(number))),
        (task.clone(), any::<bool>(), 0_i64..3, prop::option::of(0..3)).prop_map(|(task, completed, order, title)| {
            Wish::Change(TaskChanged {
                completed: Some(completed),
                order: Some(TaskOrder::nearest(order)),
                title: title.map(|title| format!("title {title}").parse().unwrap()),
                ..TaskChanged::nothing(task)
            })
        }),
        (task.clone(), prop::option::of(Just("2026-12-24")), any::<bool>()).prop_map(|(task, due, assigned)| {
            Wish::Change(TaskChanged {
                due: Some(due.map(|due| due.parse().unwrap())),
                assignee: Some(assigned.then_some(ANA)),
                ..TaskChanged::nothing(task)
            })
        }),
        task.clone().prop_map(Wish::Remove),
        task.prop_map(Wish::Undo),
        Just(Wish::Empty),
    ]
}

proptest! {
    #[test]
    fn undo_restores_what_was_before_the_last_change(wishes in prop::collection::vec(wishes(), 1..40), number in 1_u128..4) {
        let task = id(number);
        let now = |state: &State| state.list().entry(task).and_then(|entry| entry.now.clone());
        let mut state = after(&[opened()]);
        let mut seq = 1;
        let mut before = None;
        let mut take = |state: &mut State, events: Vec<Event>| {
            for event in events {
                seq += 1;
                state.evolve_at(&event, Position::at(seq));
            }
        };
        for wish in wishes {
            let was = now(&state);
            if let Ok(events) = decide(&state, &command(None, None, wish), &Facts::default()) {
                take(&mut state, events);
            }
            if now(&state) != was {
                before = Some(was);
            }
        }
        let last = now(&state);
        match (decide(&state, &command(None, None, Wish::Undo(task)), &Facts::default()), before) {
            (Ok(events), Some(before)) => {
                take(&mut state, events);
                prop_assert_eq!(now(&state), before);
                // And once more is back where it was.
                let again = decide(&state, &command(None, None, Wish::Undo(task)), &Facts::default()).unwrap();
                take(&mut state, again);
                prop_assert_eq!(now(&state), last);
            }
            (Err(rejection), None) => prop_assert_eq!(rejection.code(), "not-found"),
            (answer, before) => prop_assert!(false, "{:?} after {:?}", answer, before),
        }
    }
}

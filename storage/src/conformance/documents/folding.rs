//! Real projections, end to end.

use cabildo_events::chat::{MessageDeleted, MessageEdited, MessagePosted, RoomOpened};
use cabildo_events::task::{
    ListEmptied, ListOpened, Task, TaskAdded, TaskChanged, TaskCompleted, TaskMoved, TaskRemoved, TaskRestored,
    Visibility,
};
use cabildo_events::{Aggregate, Event, ListId, MessageId, Position, Recorded, RoomId, TaskId, TaskOrder};
use cabildo_projections::lists::{LISTS, Lists, TASKS};
use cabildo_projections::record::{self, Record};
use cabildo_projections::rooms::{MESSAGES, ROOMS, Rooms};
use cabildo_projections::{Document, Projection, ProjectionId};

use super::{all, load_of};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{Dice, fold_in_cuts, fold_up_to, fresh, lane, planned, recorded};
use crate::{Applied, Documents, Order, Query};

type Fixture = dyn SinkFixture<dyn Documents>;

/// What a few people say in a few rooms; often about the same message, some of it twice, some of it about nothing.
fn talk(dice: &mut Dice, events: u64) -> Vec<Recorded> {
    let rooms = ["lobby", "sala: {1}"].map(|room| Aggregate::room(&room.parse::<RoomId>().unwrap()));
    let event = |dice: &mut Dice| {
        let message = MessageId(uuid::Uuid::from_u128(u128::try_from(dice.roll(30)).unwrap()));
        let text = format!("hola número {}", dice.roll(1_000)).parse().unwrap();
        match dice.roll(20) {
            0 => Event::RoomOpened(RoomOpened { name: "Sala".parse().unwrap(), topic: None }),
            1..=9 => Event::MessagePosted(MessagePosted { message, text, author: "Ana".parse().unwrap(), by: None }),
            10..=17 => Event::MessageEdited(MessageEdited { message, text }),
            _ => Event::MessageDeleted(MessageDeleted { message }),
        }
    };
    (1..=events).map(|number| recorded(number * 3, &rooms[dice.roll(2)], &event(dice))).collect()
}

/// What happens on two lists, often to the same task, some of it to one that is not there.
fn work(dice: &mut Dice, events: u64) -> Vec<Recorded> {
    let lists = ["casa", "finca: {1}"].map(|list| Aggregate::list(&list.parse::<ListId>().unwrap()));
    let event = |dice: &mut Dice| {
        let task = TaskId(uuid::Uuid::from_u128(u128::try_from(dice.roll(30)).unwrap()));
        let order = TaskOrder::nearest(i64::try_from(dice.roll(100)).unwrap());
        let title: cabildo_events::TaskTitle = format!("tarea número {}", dice.roll(1_000)).parse().unwrap();
        let as_it_was = Task {
            title: title.clone(),
            description: None,
            completed: false,
            order,
            due: None,
            labels: ["casa".parse().unwrap()].into(),
            assignee: None,
        };
        match dice.roll(20) {
            0 => Event::ListOpened(ListOpened {
                title: "Casa".parse().unwrap(),
                owner: None,
                visibility: Visibility::Open,
            }),
            1..=7 => Event::TaskAdded(TaskAdded {
                task,
                title,
                description: None,
                completed: false,
                order: Some(order),
                due: None,
                labels: Default::default(),
                assignee: None,
            }),
            8..=11 => Event::TaskChanged(TaskChanged { title: Some(title), ..TaskChanged::nothing(task) }),
            12..=13 => Event::TaskMoved(TaskMoved { task, order }),
            14..=15 => Event::TaskCompleted(TaskCompleted { task }),
            16 => Event::TaskRemoved(TaskRemoved { task }),
            17..=18 => Event::TaskRestored(TaskRestored { task, undone: Position::at(1), as_it_was }),
            _ => Event::ListEmptied(ListEmptied {
                tasks: (0..30).map(|number| TaskId(uuid::Uuid::from_u128(number))).collect(),
            }),
        }
    };
    (1..=events).map(|number| recorded(number * 3, &lists[dice.roll(2)], &event(dice))).collect()
}

type Story = fn(&mut Dice, u64) -> Vec<Recorded>;

async fn everything(documents: &dyn Documents, id: ProjectionId, collections: &[&'static str]) -> Vec<Document> {
    let mut everything = Vec::new();
    for collection in collections {
        everything.extend(all(documents, id, collection).await);
    }
    everything
}

/// Whether a document was folded past its last change by another cut is no difference that anybody sees.
fn seen(documents: Vec<Document>) -> Vec<Document> {
    documents.into_iter().map(|document| Document { folded: Position::START, ..document }).collect()
}

async fn folded_in_any_cuts<P>(
    place: &Fixture,
    projection: &P,
    story: Story,
    name: &'static str,
    collections: &[&'static str],
) where
    P: Projection<Rows = cabildo_projections::Documents>,
{
    let documents = place.open().await;
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let events = story(&mut dice, 300);
        let (whole, cut, shared) = (fresh(name), fresh(name), fresh(name));
        let last = events.last().unwrap().position.seq;
        let one = fold_up_to(&*documents, projection, whole, lane(3), &events, last).await.unwrap();
        assert_eq!(one, Applied::Done);
        fold_in_cuts(&*documents, projection, cut, lane(3), &events, &mut dice).await;
        let mut other = Dice(seed + 1_000);
        tokio::join!(
            fold_in_cuts(&*documents, projection, shared, lane(3), &events, &mut dice),
            fold_in_cuts(&*documents, projection, shared, lane(3), &events, &mut other),
        );
        let expected = seen(everything(&*documents, whole, collections).await);
        assert!(expected.len() > 10, "the events say something");
        assert_eq!(seen(everything(&*documents, cut, collections).await), expected, "seed {seed}");
        assert_eq!(seen(everything(&*documents, shared, collections).await), expected, "seed {seed}, two workers");
    }
}

/// However the events of a lane are cut into batches, by one worker or by two at once, the rooms are those of one batch.
pub async fn events_folded_in_any_cuts_give_the_same_rooms(place: &Fixture) {
    folded_in_any_cuts(place, &Rooms, talk, "rooms", &[ROOMS, MESSAGES]).await;
}

/// The same of task lists, where one event may change many documents.
pub async fn events_folded_in_any_cuts_give_the_same_lists(place: &Fixture) {
    folded_in_any_cuts(place, &Lists, work, "lists", &[LISTS, TASKS]).await;
}

/// The log holds every event once, under its position, in the order of the journal.
pub async fn events_folded_in_any_cuts_give_the_same_record(place: &Fixture) {
    folded_in_any_cuts(place, &Record, talk, record::ID.name, &[record::EVENTS]).await;
    let (documents, id) = (place.open().await, fresh(record::ID.name));
    let events = talk(&mut Dice(9), 120);
    fold_up_to(&*documents, &Record, id, lane(3), &events, 360).await.unwrap();
    let found = all(&*documents, id, record::EVENTS).await;
    let expected: Vec<_> = events.iter().map(|event| Record.step(event).unwrap().unwrap()).collect();
    assert_eq!(found, expected);
    let page = Query {
        before: Some(Position::at(31)),
        order: Order::Newest,
        text: Some("HOLA núm".into()),
        ..Query::of(id, record::EVENTS, 3)
    };
    let found = documents.find(&page).await.unwrap().documents;
    let expected = expected.into_iter().rev().filter(|event| event.created.seq < 31 && event.text.contains("hola"));
    assert_eq!(found, expected.take(3).collect::<Vec<_>>());
    assert_eq!(load_of(&*documents, id, &found[0].key).await.as_ref(), Some(&found[0]));
}

/// As after a crash between the documents and the watermark, or where the watermarks alone were lost: a worker that cuts the
/// batch elsewhere, and one that replays from the beginning, end where one batch does.
pub async fn documents_ahead_of_their_watermark_are_folded_once(place: &Fixture) {
    folded_once(place, &Rooms, talk, "rooms", &[ROOMS, MESSAGES]).await;
    folded_once(place, &Lists, work, "lists", &[LISTS, TASKS]).await;
}

async fn folded_once<P>(place: &Fixture, projection: &P, story: Story, name: &'static str, collections: &[&'static str])
where
    P: Projection<Rows = cabildo_projections::Documents>,
{
    let documents = place.open().await;
    for seed in 20..25 {
        let mut dice = Dice(seed);
        let events = story(&mut dice, 200);
        let (whole, ahead) = (fresh(name), fresh(name));
        let last = events.last().unwrap().position.seq;
        fold_up_to(&*documents, projection, whole, lane(3), &events, last).await.unwrap();
        for _ in 0..4 {
            let until = u64::try_from(dice.roll(600)).unwrap() + 1;
            fold_up_to(&*documents, projection, ahead, lane(3), &events, until).await.unwrap();
            let zombie = planned(&*documents, projection, ahead, lane(3), &events, last).await.unwrap();
            if !place.forget_watermarks(ahead).await {
                break;
            }
            if let Some(zombie) = zombie.filter(|zombie| zombie.prev > 0) {
                let answer = documents.apply(zombie).await.unwrap();
                assert_eq!(answer, Applied::Conflict { watermark: 0 });
            }
        }
        fold_in_cuts(&*documents, projection, ahead, lane(3), &events, &mut dice).await;
        let expected = seen(everything(&*documents, whole, collections).await);
        assert_eq!(seen(everything(&*documents, ahead, collections).await), expected, "seed {seed}");
    }
}

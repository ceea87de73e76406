//! Rooms, polls and task lists as they were, folded from the journal alone, by the same folds as the views.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use cabildo_events::limits::HISTORY_SPACING_EVENTS;
use cabildo_events::{Aggregate, Event, ListId, MessageId, PollId, Position, Recorded, RoomId};
use cabildo_projections::lists::{self, List, TaskRow};
use cabildo_projections::rooms::{self, Message, Room, as_left_by, message_key, room_key};
use cabildo_projections::tally::{self, PollTally};
use cabildo_projections::{DocumentKey, History};
use cabildo_storage::{Journal, Moment, Views};
use comfy_table::{Table, presets};
use futures::StreamExt;
use serde::Serialize;

use crate::exit::Usage;
use crate::output;

/// What is asked for is not there.
#[derive(Debug, thiserror::Error)]
#[error("at {at} there was no {what} `{id}`")]
pub(crate) struct Missing {
    what: &'static str,
    id: String,
    at: Position,
}

impl Missing {
    pub(crate) fn poll(poll: &PollId, at: Position) -> Self {
        Self { what: "poll", id: poll.to_string(), at }
    }

    pub(crate) fn list(list: &ListId, at: Position) -> Self {
        Self { what: "list", id: list.to_string(), at }
    }
}

/// The last events that had happened by some moments.
pub(crate) async fn positions<const N: usize>(
    journal: &dyn Journal,
    moments: [Moment; N],
) -> anyhow::Result<[Position; N]> {
    let head = journal.head().await?;
    let mut positions = [head; N];
    for (position, moment) in positions.iter_mut().zip(moments) {
        *position = moment.as_of(journal, head).await?.map_err(|error| Usage(error.to_string()))?;
    }
    Ok(positions)
}

/// What operators told a projection to leave out.
async fn left_out(journal: &dyn Journal, projection: &str) -> anyhow::Result<BTreeSet<Position>> {
    Ok(Views::read(journal).await?.of(projection).discarded().keys().copied().collect())
}

/// Reads every event of an aggregate up to a position, with a bar on a terminal.
async fn each(
    journal: &dyn Journal,
    aggregate: &Aggregate,
    (after, until): (Position, Position),
    left_out: &BTreeSet<Position>,
    mut take: impl FnMut(Recorded),
) -> anyhow::Result<()> {
    let bar = output::bar(Some(until.seq.saturating_sub(after.seq)), "positions");
    let mut pages = journal.of(aggregate, after, until).await?;
    while let Some(page) = pages.next().await {
        for event in page? {
            bar.set_position(event.position.seq.saturating_sub(after.seq));
            if !left_out.contains(&event.position) {
                take(event);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A poll as it was.
#[derive(Debug, Serialize)]
pub(crate) struct PollThen {
    #[serde(flatten)]
    pub(crate) tally: PollTally,
    pub(crate) as_of: Position,
}

/// A poll at some moments; `None` before it was opened.
pub(crate) async fn polls<const N: usize>(
    journal: &dyn Journal,
    poll: &PollId,
    at: [Position; N],
) -> anyhow::Result<[Option<PollThen>; N]> {
    let left_out = left_out(journal, tally::ID.name).await?;
    let mut history = History::new(poll.clone(), left_out.clone(), HISTORY_SPACING_EVENTS);
    let until = at.into_iter().max().unwrap_or_default();
    each(journal, &Aggregate::poll(poll), (Position::START, until), &left_out, |event| history.take(&event)).await?;
    Ok(at.map(|as_of| history.at(as_of).map(|tally| PollThen { tally, as_of })))
}

/// What changed in a poll.
#[derive(Debug, Serialize)]
pub(crate) struct PollChange {
    pub(crate) poll: PollId,
    pub(crate) from: Position,
    pub(crate) to: Position,
    /// Status, voters and spoilt ballots, where they differ: before and after.
    pub(crate) fields: BTreeMap<String, [String; 2]>,
    /// Options whose votes differ, those that gained most first.
    pub(crate) options: Vec<OptionChange>,
}

/// What changed for an option.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OptionChange {
    pub(crate) option: String,
    pub(crate) before: i64,
    pub(crate) after: i64,
}

impl PollChange {
    /// Compares a poll with what it became.
    pub(crate) fn between(before: Option<&PollThen>, after: &PollThen, from: Position) -> Self {
        let told = |tally: Option<&PollTally>, field: fn(&PollTally) -> String, none: &str| {
            tally.map_or_else(|| none.to_owned(), field)
        };
        let was = before.map(|before| &before.tally);
        type Field = (&'static str, fn(&PollTally) -> String, &'static str);
        let compared: [Field; 3] = [
            ("status", |tally| tally.status.to_owned(), "not there"),
            ("voters", |tally| tally.voters.to_string(), "0"),
            ("spoilt", |tally| tally.spoilt.to_string(), "0"),
        ];
        let fields = compared.into_iter().filter_map(|(name, field, none)| {
            let pair = [told(was, field, none), field(&after.tally)];
            (pair[0] != pair[1]).then(|| (name.to_owned(), pair))
        });
        let mut votes: BTreeMap<&str, [i64; 2]> = BTreeMap::new();
        for (side, tally) in [was, Some(&after.tally)].into_iter().enumerate() {
            for option in tally.into_iter().flat_map(|tally| &tally.options) {
                votes.entry(&option.option).or_default()[side] = option.votes;
            }
        }
        let changed = votes.into_iter().filter(|(_, [before, after])| before != after);
        let mut options: Vec<_> = changed
            .map(|(option, [before, after])| OptionChange { option: option.to_owned(), before, after })
            .collect();
        options.sort_by_key(|change| change.before - change.after);
        Self { poll: after.tally.poll.clone(), from, to: after.as_of, fields: fields.collect(), options }
    }

    pub(crate) fn differs(&self) -> bool {
        !self.fields.is_empty() || !self.options.is_empty()
    }
}

/// A room as it was, with its last messages, oldest first.
#[derive(Debug, Serialize)]
pub(crate) struct RoomThen {
    pub(crate) room: Room,
    pub(crate) messages: Vec<Message>,
    /// Messages in all.
    pub(crate) posted: usize,
    pub(crate) as_of: Position,
}

/// The message that an event is about.
fn message_of(event: &Recorded) -> Option<MessageId> {
    match event.envelope.as_ref().ok()?.event().ok()? {
        Event::MessagePosted(posted) => Some(posted.message),
        Event::MessageEdited(edited) => Some(edited.message),
        Event::MessageDeleted(deleted) => Some(deleted.message),
        _ => None,
    }
}

fn is_post(event: &Recorded) -> bool {
    event.envelope.as_ref().is_ok_and(|envelope| envelope.kind == "chat.message.posted")
}

/// A thing as some of its events leave it.
fn folded<T: serde::de::DeserializeOwned>(key: &DocumentKey, events: &[Recorded]) -> anyhow::Result<Option<T>> {
    Ok(as_left_by(key, events).map(|document| serde_json::from_str(&document.body)).transpose()?)
}

/// A room and its last messages. Of the others only the ids are held.
pub(crate) async fn room(journal: &dyn Journal, room: &RoomId, at: Position, limit: usize) -> anyhow::Result<RoomThen> {
    let left_out = left_out(journal, rooms::ID.name).await?;
    let (mut opened, mut seen) = (Vec::new(), HashSet::new());
    let mut last: VecDeque<(MessageId, Vec<Recorded>)> = VecDeque::new();
    each(journal, &Aggregate::room(room), (Position::START, at), &left_out, |event| {
        let Some(message) = message_of(&event) else {
            opened.push(event);
            return;
        };
        if let Some((_, events)) = last.iter_mut().rev().find(|(id, _)| *id == message) {
            events.push(event);
        } else if is_post(&event) && seen.insert(message) {
            last.push_back((message, vec![event]));
            if last.len() > limit {
                last.pop_front();
            }
        }
    })
    .await?;
    let Some(found) = folded(&room_key(room.as_str()), &opened)? else {
        return Err(Missing { what: "room", id: room.to_string(), at }.into());
    };
    let messages = last.iter().map(|(id, events)| folded(&message_key(room.as_str(), *id), events));
    let messages = messages.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect();
    Ok(RoomThen { room: found, messages, posted: seen.len(), as_of: at })
}

/// What changed in a room.
#[derive(Debug, Serialize)]
pub(crate) struct RoomChange {
    pub(crate) room: RoomId,
    pub(crate) from: Position,
    pub(crate) to: Position,
    /// Whether it was opened meanwhile.
    pub(crate) opened: bool,
    /// The last messages that differ, in the order of their last change.
    pub(crate) messages: Vec<MessageChange>,
    /// How many more differ.
    pub(crate) more: usize,
}

/// A message before and after.
#[derive(Debug, Serialize)]
pub(crate) struct MessageChange {
    pub(crate) before: Option<Message>,
    pub(crate) after: Option<Message>,
}

impl RoomChange {
    pub(crate) const fn differs(&self) -> bool {
        self.opened || !self.messages.is_empty() || self.more > 0
    }
}

/// What changed in a room between two positions: first which messages, then each of the last of them before and after.
pub(crate) async fn room_change(
    journal: &dyn Journal,
    room: &RoomId,
    from: Position,
    to: Position,
    limit: usize,
) -> anyhow::Result<RoomChange> {
    let left_out = left_out(journal, rooms::ID.name).await?;
    let aggregate = Aggregate::room(room);
    let mut touched: HashMap<MessageId, Position> = HashMap::new();
    each(journal, &aggregate, (from, to), &left_out, |event| {
        if let Some(message) = message_of(&event) {
            touched.insert(message, event.position);
        }
    })
    .await?;
    let mut order: Vec<(Position, MessageId)> = touched.into_iter().map(|(id, position)| (position, id)).collect();
    order.sort_unstable();
    let shown = order.split_off(order.len().saturating_sub(limit));
    let mut events: HashMap<MessageId, Vec<Recorded>> = shown.iter().map(|(_, id)| (*id, Vec::new())).collect();
    let mut opened = Vec::new();
    each(journal, &aggregate, (Position::START, to), &left_out, |event| match message_of(&event) {
        Some(message) => {
            if let Some(events) = events.get_mut(&message) {
                events.push(event);
            }
        }
        None => opened.push(event),
    })
    .await?;
    let sides = |events: &[Recorded]| events.partition_point(|event| event.position <= from);
    let key = room_key(room.as_str());
    let now: Option<Room> = folded(&key, &opened)?;
    let then: Option<Room> = folded(&key, &opened[..sides(&opened)])?;
    if now.is_none() {
        return Err(Missing { what: "room", id: room.to_string(), at: to }.into());
    }
    let mut messages = Vec::new();
    for (_, id) in shown {
        let (key, events) = (message_key(room.as_str(), id), events.remove(&id).unwrap_or_default());
        let (before, after) = (folded(&key, &events[..sides(&events)])?, folded(&key, &events)?);
        if before != after {
            messages.push(MessageChange { before, after });
        }
    }
    Ok(RoomChange { room: room.clone(), from, to, opened: then.is_none(), messages, more: order.len() })
}

/// A task list as it was, with its tasks in their order.
#[derive(Debug, Serialize)]
pub(crate) struct ListThen {
    pub(crate) list: List,
    pub(crate) tasks: Vec<TaskRow>,
    pub(crate) as_of: Position,
}

/// A task list at some moments; `None` before it was opened.
pub(crate) async fn lists<const N: usize>(
    journal: &dyn Journal,
    list: &ListId,
    at: [Position; N],
) -> anyhow::Result<[Option<ListThen>; N]> {
    let left_out = left_out(journal, lists::ID.name).await?;
    let until = at.into_iter().max().unwrap_or_default();
    let mut events = Vec::new();
    each(journal, &Aggregate::list(list), (Position::START, until), &left_out, |event| events.push(event)).await?;
    Ok(at.map(|as_of| {
        let then = events.partition_point(|event| event.position <= as_of);
        lists::as_left_by(list.as_str(), &events[..then]).map(|(list, tasks)| ListThen { list, tasks, as_of })
    }))
}

/// What changed on a task list.
#[derive(Debug, Serialize)]
pub(crate) struct ListChange {
    pub(crate) list: Box<str>,
    pub(crate) from: Position,
    pub(crate) to: Position,
    /// The list itself before and after, if its title, its visibility or its members differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) itself: Option<[Option<List>; 2]>,
    /// The tasks that differ, in the order of their ids.
    pub(crate) tasks: Vec<TaskChange>,
}

/// A task before and after.
#[derive(Debug, Serialize)]
pub(crate) struct TaskChange {
    pub(crate) before: Option<TaskRow>,
    pub(crate) after: Option<TaskRow>,
}

impl ListChange {
    /// Compares a list with what it became.
    pub(crate) fn between(before: Option<ListThen>, after: ListThen, from: Position) -> Self {
        let (was, tasks_were) = before.map_or((None, Vec::new()), |before| (Some(before.list), before.tasks));
        let by_id = |tasks: Vec<TaskRow>| tasks.into_iter().map(|task| (task.id, task)).collect::<BTreeMap<_, _>>();
        let (mut before, mut now) = (by_id(tasks_were), by_id(after.tasks));
        let ids: BTreeSet<_> = before.keys().chain(now.keys()).copied().collect();
        let pairs = ids.into_iter().map(|id| TaskChange { before: before.remove(&id), after: now.remove(&id) });
        let tasks = pairs.filter(|pair| pair.before != pair.after).collect();
        let (list, to) = (after.list.list.clone(), after.as_of);
        let itself = (was.as_ref() != Some(&after.list)).then_some([was, Some(after.list)]);
        Self { list, from, to, itself, tasks }
    }

    pub(crate) const fn differs(&self) -> bool {
        self.itself.is_some() || !self.tasks.is_empty()
    }
}

/// A task on one line.
pub(crate) fn task_told(row: &TaskRow) -> String {
    let done = if row.task.completed { 'x' } else { ' ' };
    let due = row.task.due.as_ref().map(|due| format!(" (due {due})")).unwrap_or_default();
    let labels: String = row.task.labels.iter().map(|label| format!(" #{}", printable(label.as_str()))).collect();
    format!("[{done}] {}{due}{labels}", printable(row.task.title.as_str()))
}

/// A message on one line.
pub(crate) fn told(message: &Message) -> String {
    let text = match (&message.text, &message.edited) {
        (None, _) => "(taken back)".to_owned(),
        (Some(text), None) => printable(text),
        (Some(text), Some(_)) => format!("{} (edited)", printable(text)),
    };
    format!("{} {} {}: {text}", message.position, message.posted, printable(&message.author))
}

/// What others wrote must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A table without lines.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

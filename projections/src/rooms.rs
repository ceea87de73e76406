//! Rooms and their messages, in order, with edits and deletions applied.

use cabildo_events::{Aggregate, Context, Event, MessageId, Position, Recorded, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::step::{Step, body, stored};
use crate::{Document, DocumentKey, Documents, Projection, ProjectionId, Rows, Unfoldable};

/// Its first view.
pub const ID: ProjectionId = ProjectionId { name: "rooms", version: 1 };

/// The number of its fold: raised with any change to what it makes of the same events.
pub const FOLD: u32 = 1;

/// Collection of one document per room, its id the room's.
pub const ROOMS: &str = "rooms";
/// Collection of one document per message, see [`message_key`].
pub const MESSAGES: &str = "messages";

/// A room as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Its id.
    pub room: Box<str>,
    /// What it is called.
    pub name: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// When it was opened.
    pub opened: Timestamp,
    /// Where that stands in the journal.
    pub position: Position,
}

/// A message as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The room it was said in.
    pub room: Box<str>,
    /// The name it was said under.
    pub author: String,
    /// Who said it, if somebody in particular did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// What it says now; nothing once it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it was said.
    pub posted: Timestamp,
    /// When it was last edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Timestamp>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// Where it stands in the journal: messages of a room are in this order.
    pub position: Position,
}

/// The key of a message's document.
#[must_use]
pub fn message_key(room: &str, message: MessageId) -> DocumentKey {
    DocumentKey { collection: MESSAGES, id: format!("{room}/{message}").into() }
}

/// The key of a room's document.
#[must_use]
pub fn room_key(room: &str) -> DocumentKey {
    DocumentKey { collection: ROOMS, id: room.into() }
}

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rooms;

/// The document that an event changes.
fn key_of(step: &Step) -> Option<DocumentKey> {
    match &step.event {
        Event::RoomOpened(_) => Some(room_key(&step.id)),
        Event::MessagePosted(posted) => Some(message_key(&step.id, posted.message)),
        Event::MessageEdited(edited) => Some(message_key(&step.id, edited.message)),
        Event::MessageDeleted(deleted) => Some(message_key(&step.id, deleted.message)),
        _ => None,
    }
}

impl Projection for Rooms {
    type Rows = Documents;
    type Step = Step;

    fn name(&self) -> &'static str {
        ID.name
    }

    fn version(&self) -> u32 {
        FOLD
    }

    fn tables(&self) -> &'static [&'static str] {
        &[ROOMS, MESSAGES]
    }

    fn step(&self, event: &Recorded) -> Result<Option<Step>, Unfoldable> {
        Step::of(Context::Chat, event)
    }

    fn reads(&self, step: &Step, keys: &mut Vec<DocumentKey>) {
        keys.extend(key_of(step));
    }

    fn fold(&self, step: Step, documents: &mut Documents) -> Result<(), Unfoldable> {
        let Some(key) = key_of(&step) else { return Ok(()) };
        let found = documents.get(&key).cloned();
        match (&step.event, found) {
            (Event::RoomOpened(opened), None) => {
                let room = Room {
                    room: step.id.clone(),
                    name: opened.name.to_string(),
                    topic: opened.topic.as_ref().map(ToString::to_string),
                    opened: step.time,
                    position: step.position,
                };
                let text = format!("{} {}", opened.name, room.topic.as_deref().unwrap_or_default());
                documents.put(step.document(key, "room", &text, &room));
            }
            (Event::MessagePosted(posted), None) => {
                let message = Message {
                    id: posted.message,
                    room: step.id.clone(),
                    author: posted.author.to_string(),
                    by: posted.by,
                    text: Some(posted.text.to_string()),
                    posted: step.time,
                    edited: None,
                    deleted: None,
                    position: step.position,
                };
                documents.put(step.document(key, "message", posted.text.as_str(), &message));
            }
            (Event::MessageEdited(edited), Some(found)) => {
                rewrite(documents, found, edited.text.as_str(), |message| {
                    message.text = Some(edited.text.to_string());
                    message.edited = Some(step.time);
                })?;
            }
            (Event::MessageDeleted(_), Some(found)) => {
                rewrite(documents, found, "", |message| {
                    message.text = None;
                    message.deleted = Some(step.time);
                })?;
            }
            // A repeated post, a room opened twice, a change to what is not there: the first stands.
            _ => {}
        }
        Ok(())
    }

    fn is_of(&self, aggregate: &Aggregate, _key: &DocumentKey, row: &Document) -> bool {
        *row.aggregate == aggregate.to_string()
    }
}

fn rewrite(
    documents: &mut Documents,
    found: Document,
    text: &str,
    change: impl FnOnce(&mut Message),
) -> Result<(), Unfoldable> {
    let mut message: Message = stored(&found)?;
    if message.deleted.is_none() {
        change(&mut message);
        documents.put(Document { text: text.into(), body: body(&message), ..found });
    }
    Ok(())
}

/// A document as some events leave it, which are all that there are of it up to a moment, in order. What cannot be folded, and
/// what comes after it, does not count, as in the view.
#[must_use]
pub fn as_left_by(key: &DocumentKey, events: &[Recorded]) -> Option<Document> {
    let mut documents = Documents::default();
    documents.load(key.clone(), None);
    for event in events {
        documents.begin(event.position);
        match Rooms.step(event) {
            Ok(Some(step)) if key_of(&step).as_ref() == Some(key) => Rooms.fold(step, &mut documents).ok()?,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    documents.get(key).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{fold, recorded};
    use cabildo_events::Aggregate;
    use cabildo_events::chat::{MessageDeleted, MessageEdited, MessagePosted};
    use uuid::Uuid;

    fn id(number: u128) -> MessageId {
        MessageId(Uuid::from_u128(number))
    }
    fn posted(number: u128, text: &str) -> Event {
        let (text, author) = (text.parse().unwrap(), "Ana".parse().unwrap());
        Event::MessagePosted(MessagePosted { message: id(number), text, author, by: None })
    }
    fn edited(number: u128, text: &str) -> Event {
        Event::MessageEdited(MessageEdited { message: id(number), text: text.parse().unwrap() })
    }
    fn after(events: &[Event]) -> Option<Message> {
        let room = Aggregate::room(&"lobby".parse().unwrap());
        let events: Vec<_> = (1..).zip(events).map(|(seq, event)| recorded(seq, &room, event)).collect();
        let documents = fold(&Rooms, &events);
        documents.get(&message_key("lobby", id(1))).map(|found| serde_json::from_str(&found.body).unwrap())
    }

    #[test]
    fn a_message_sent_twice_is_the_first() {
        let message = after(&[posted(1, "hola"), posted(1, "hola otra vez")]).unwrap();
        assert_eq!((message.text.as_deref(), message.position), (Some("hola"), Position::at(1)));
    }

    #[test]
    fn the_last_edit_shows_and_the_message_keeps_its_place() {
        let message = after(&[posted(1, "ola"), edited(1, "hola"), edited(1, "¡hola!")]).unwrap();
        assert_eq!((message.text.as_deref(), message.position), (Some("¡hola!"), Position::at(1)));
        assert!(message.edited > Some(message.posted));
    }

    #[test]
    fn a_deleted_message_has_no_text_and_cannot_be_edited_back() {
        let deleted = Event::MessageDeleted(MessageDeleted { message: id(1) });
        let message = after(&[posted(1, "secreto"), deleted, edited(1, "secreto")]).unwrap();
        assert_eq!((message.text, message.deleted.is_some(), message.edited), (None, true, None));
    }

    #[test]
    fn an_edit_of_nothing_is_nothing() {
        assert_eq!(after(&[edited(1, "hola")]), None);
    }
}

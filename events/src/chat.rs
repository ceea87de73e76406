//! Rooms and messages.

use serde::{Deserialize, Serialize};

use crate::{Event, Facts, MessageId, MessageText, PersonName, Rejection, RoomId, RoomName, Topic, UserId};

/// A room was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomOpened {
    /// What it is called.
    pub name: RoomName,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
}

/// Somebody said something. The first event with a message id is the message; a later one with the same id is a
/// repetition and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePosted {
    /// The message.
    pub message: MessageId,
    /// What was said.
    pub text: MessageText,
    /// The name it was said under.
    pub author: PersonName,
    /// Who said it; `None`: nobody in particular, so anybody may change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
}

/// A message got another text. Counts if the message exists and was not deleted; the last edit is what is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEdited {
    /// The message.
    pub message: MessageId,
    /// What it says now.
    pub text: MessageText,
}

/// A message was taken back: its text is no longer served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDeleted {
    /// The message.
    pub message: MessageId,
}

/// A wish of or in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open the room.
    Open(RoomOpened),
    /// Say something.
    Post(MessagePosted),
    /// Change what a message says.
    Edit(MessageEdited),
    /// Take a message back.
    Delete(MessageDeleted),
}

/// A room, as its ruled events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    opened: Option<RoomOpened>,
}

/// What is known of the message that a command is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageStatus {
    /// There is none.
    #[default]
    Unknown,
    /// It is there.
    Present,
    /// It was deleted.
    Deleted,
}

impl Room {
    /// How the room was opened; `None` if it was not.
    #[must_use]
    pub const fn opened(&self) -> Option<&RoomOpened> {
        self.opened.as_ref()
    }

    pub(crate) fn evolve(&mut self, event: &Event) {
        if let Event::RoomOpened(opened) = event {
            self.opened.get_or_insert_with(|| opened.clone());
        }
    }
}

pub(crate) fn decide(room: &Room, id: &RoomId, command: &Command, facts: &Facts) -> Result<Vec<Event>, Rejection> {
    let yours = |message: MessageId| match facts.asker.may_change(facts.writer) {
        true => Ok(()),
        false => Err(Rejection::NotYours { what: "message", id: message.to_string() }),
    };
    match (command, &room.opened) {
        (Command::Open(_), Some(_)) => Err(Rejection::AlreadyExists { what: "room", id: id.to_string() }),
        (Command::Open(opened), None) => Ok(vec![Event::RoomOpened(opened.clone())]),
        (_, None) => Err(Rejection::NotFound { what: "room", id: id.to_string() }),
        (Command::Post(posted), Some(_)) => Ok(vec![Event::MessagePosted(posted.clone())]),
        (Command::Edit(edited), Some(_)) => match facts.message {
            MessageStatus::Present => {
                yours(edited.message)?;
                Ok(vec![Event::MessageEdited(edited.clone())])
            }
            _ => Err(no_message(edited.message)),
        },
        (Command::Delete(deleted), Some(_)) => match facts.message {
            MessageStatus::Present => {
                yours(deleted.message)?;
                Ok(vec![Event::MessageDeleted(deleted.clone())])
            }
            // Deleting twice is what the client wanted; there is nothing to record.
            MessageStatus::Deleted => Ok(vec![]),
            MessageStatus::Unknown => Err(no_message(deleted.message)),
        },
    }
}

fn no_message(id: MessageId) -> Rejection {
    Rejection::NotFound { what: "message", id: id.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, State, decide};
    use uuid::Uuid;

    fn opened() -> RoomOpened {
        RoomOpened { name: "Lobby".parse().unwrap(), topic: None }
    }
    fn posted() -> MessagePosted {
        let message = MessageId(Uuid::from_u128(7));
        MessagePosted { message, text: "hola".parse().unwrap(), author: "Ana".parse().unwrap(), by: None }
    }
    fn when(given: &[Event], message: MessageStatus, command: Command) -> Result<Vec<Event>, Rejection> {
        let mut state = State::default();
        given.iter().for_each(|event| state.evolve(event));
        decide(&state, &crate::Command::Chat("lobby".parse().unwrap(), command), &Facts { message, ..Facts::default() })
    }

    #[test]
    fn a_room_opens_once() {
        let event = Event::RoomOpened(opened());
        assert_eq!(when(&[], MessageStatus::Unknown, Command::Open(opened())), Ok(vec![event.clone()]));
        let again = when(&[event], MessageStatus::Unknown, Command::Open(opened()));
        assert_eq!(again, Err(Rejection::AlreadyExists { what: "room", id: "lobby".into() }));
    }

    #[test]
    fn nobody_speaks_in_a_room_that_is_not_there() {
        let answer = when(&[], MessageStatus::Unknown, Command::Post(posted()));
        assert_eq!(answer, Err(Rejection::NotFound { what: "room", id: "lobby".into() }));
    }

    #[test]
    fn only_a_message_that_is_there_can_change() {
        let given = [Event::RoomOpened(opened())];
        let edit = MessageEdited { message: posted().message, text: "adiós".parse().unwrap() };
        let delete = MessageDeleted { message: posted().message };
        let answer = |status| when(&given, status, Command::Edit(edit.clone()));
        assert_eq!(answer(MessageStatus::Present), Ok(vec![Event::MessageEdited(edit.clone())]));
        assert!(answer(MessageStatus::Deleted).is_err() && answer(MessageStatus::Unknown).is_err());
        assert_eq!(when(&given, MessageStatus::Deleted, Command::Delete(delete)), Ok(vec![]));
    }
}

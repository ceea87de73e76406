//! Messages of a room: posted, read, edited, taken back.

use std::sync::Arc;

use cabildo_events::chat::{self, MessageDeleted, MessageEdited, MessagePosted, MessageStatus};
use cabildo_events::{Aggregate, Command, EventId, Facts, MessageId, MessageText, Position, RoomId, UserId};
use cabildo_projections::rooms::{self, MESSAGES, Message, message_key};
use cabildo_storage::{Order, Query};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::rooms::{Page, by, load, only, room_then};
use crate::call::{Call, call};
use crate::params::{escape, segment};
use crate::problem::{self, Problem};
use crate::{Gateway, answer, body, fresh, lookback};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    let messages = warp::path!("api" / "v1" / "rooms" / String / "messages");
    let message = warp::path!("api" / "v1" / "rooms" / String / "messages" / String);
    let post = messages
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|room: String, call, input| async move { answer::finish(post(&room, call, input).await) });
    let list = messages
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|room: String, call| async move { answer::finish(list(&room, call).await) });
    let edit = message.and(warp::patch()).and(call(gateway.clone())).and(body::json(read)).then(
        |room: String, id: String, call, input| async move { answer::finish(edit(&room, &id, call, input).await) },
    );
    let delete = message
        .and(warp::delete())
        .and(call(gateway.clone()))
        .then(|room: String, id: String, call| async move { answer::finish(delete(&room, &id, call).await) });
    post.or(list).unify().or(edit).unify().or(delete).unify().boxed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostMessage {
    id: Option<String>,
    text: String,
    author: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditMessage {
    text: String,
}

#[derive(Serialize)]
struct MessageWritten<'a> {
    room: &'a str,
    id: MessageId,
}

async fn post(room: &str, call: Call, input: Result<PostMessage, Problem>) -> Result<Response, Problem> {
    let room: RoomId = segment("room", room)?;
    let PostMessage { id, text, author } = input?;
    let posted = posted(&call, &room, id, text, author.as_deref(), call.idempotency_key()?.as_deref()).await?;
    let at = call.circumstances(Some(posted.author.as_str()))?;
    let message = posted.message;
    let command = Command::Chat(room.clone(), chat::Command::Post(posted));
    let receipt = call.gateway.ports.commands.execute(command, Facts::default(), at).await?;
    let location = format!("/api/v1/rooms/{}/messages/{message}", escape(room.as_str()));
    answer::written(&receipt, MessageWritten { room: room.as_str(), id: message }, Some(&location))
}

/// A message, of what a client said; `key` is the client's for this very wish.
pub(crate) async fn posted(
    call: &Call,
    room: &RoomId,
    id: Option<String>,
    said: String,
    author: Option<&str>,
    key: Option<&str>,
) -> Result<MessagePosted, Problem> {
    let author = call.goes_by(author, "author").await?;
    let message = match (id, key) {
        (Some(id), _) => id.parse().map_err(|error| Problem::bad_value("id", error))?,
        // A repeated request must name the message that the first one made.
        (None, Some(key)) => MessageId(EventId::from_key(&format!("message of {room} by {author}"), key).0),
        (None, None) => MessageId(Uuid::now_v7()),
    };
    Ok(MessagePosted { message, text: text(said)?, author, by: call.caller().user })
}

fn text(text: String) -> Result<MessageText, Problem> {
    MessageText::try_from(text).map_err(|error| Problem::bad_value("text", error))
}

async fn edit(room: &str, id: &str, call: Call, input: Result<EditMessage, Problem>) -> Result<Response, Problem> {
    let (room, message) = name(room, id)?;
    let text = text(input?.text)?;
    change(&room, message, &call, chat::Command::Edit(MessageEdited { message, text })).await
}

async fn delete(room: &str, id: &str, call: Call) -> Result<Response, Problem> {
    let (room, message) = name(room, id)?;
    change(&room, message, &call, chat::Command::Delete(MessageDeleted { message })).await
}

fn name(room: &str, id: &str) -> Result<(RoomId, MessageId), Problem> {
    Ok((segment("room", room)?, segment("message", id)?))
}

async fn change(room: &RoomId, message: MessageId, call: &Call, command: chat::Command) -> Result<Response, Problem> {
    let at = call.circumstances(None)?;
    let (message_status, writer) = status(&call.gateway, room, message).await?;
    let facts = Facts { message: message_status, writer, asker: call.caller().asker() };
    let command = Command::Chat(room.clone(), command);
    let receipt = call.gateway.ports.commands.execute(command, facts, at).await?;
    answer::written(&receipt, MessageWritten { room: room.as_str(), id: message }, None)
}

/// What is known of a message, and who wrote it. One that the view does not know may have been posted a moment ago: then the view is given
/// the time to reach what the journal holds now.
async fn status(
    gateway: &Gateway,
    room: &RoomId,
    message: MessageId,
) -> Result<(MessageStatus, Option<UserId>), Problem> {
    let lane = Aggregate::room(room).lane();
    let documents = &*gateway.ports.documents;
    let view = gateway.ports.views.live(rooms::ID);
    let look = || documents.load(view, lane, vec![message_key(room.as_str(), message)]);
    let mut found = only(look().await?);
    if found.is_none() {
        if !fresh::lane(documents, view, lane, &*gateway.ports.journal, fresh::NOW).await? {
            return Err(Problem::new(&problem::VIEW_BEHIND, "the view of the room is behind the journal: try again"));
        }
        found = only(look().await?);
    }
    let Some(document) = found else { return Ok((MessageStatus::Unknown, None)) };
    let message: Message = serde_json::from_str(&document.body).map_err(|error| {
        tracing::error!(%error, "a view holds a message that cannot be read");
        Problem::new(&problem::INTERNAL, "the message cannot be read")
    })?;
    let status = if message.deleted.is_some() { MessageStatus::Deleted } else { MessageStatus::Present };
    Ok((status, message.by))
}

#[derive(Serialize)]
struct Messages<'a> {
    room: &'a str,
    messages: Vec<Box<RawValue>>,
}

async fn list(room: &str, call: Call) -> Result<Response, Problem> {
    let room: RoomId = segment("room", room)?;
    let mut params = call.params()?;
    let limit = params.limit()?;
    let (after, before): (Option<Position>, Option<Position>) = (params.value("after")?, params.value("before")?);
    let at = lookback::asked(&mut params)?;
    params.finish(&["after", "before", "limit", "at"])?;
    // The room is read first: its watermark is no later than the messages.
    let view = call.gateway.ports.views.live(rooms::ID);
    let (at, now) = match at {
        Some(moment) => (Some(room_then(&call, &room, moment).await?.0), None),
        None => {
            let (fresh, loaded) = load(&call, view, &room).await?;
            let watermark = loaded.watermark;
            only(loaded).ok_or_else(|| Problem::not_found("room", &room))?;
            (None, Some((watermark, fresh)))
        }
    };
    let order = if after.is_some() { Order::Oldest } else { Order::Newest };
    let aggregate = Some(Aggregate::room(&room));
    let query = Query { aggregate, after, before: by(before, at), order, ..Query::of(view, MESSAGES, limit + 1) };
    let mut page = Page::of(call.gateway.ports.documents.find(&query).await?.documents, order, limit);
    if let Some(at) = at {
        lookback::unfold(&call.gateway, &room, &mut page.documents, at).await?;
    }
    let mut response = answer::json(&Messages { room: room.as_str(), messages: page.bodies()? })?;
    let address = format!("/api/v1/rooms/{}/messages", escape(room.as_str()));
    answer::link(&mut response, &page.links(&address, limit, at));
    if let Some(at) = at {
        answer::mark_as_of(&mut response, at);
    }
    if let Some((watermark, fresh)) = now {
        answer::mark(&mut response, Some(watermark), fresh);
    }
    Ok(response)
}

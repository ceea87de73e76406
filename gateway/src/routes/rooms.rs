//! Rooms: opened, listed, read.

use std::sync::Arc;

use cabildo_events::{Aggregate, Command, Facts, Position, Rejection, RoomId, RoomName, Topic, chat};
use cabildo_projections::rooms::{self, ROOMS, room_key};
use cabildo_projections::{Document, DocumentKey, ProjectionId};
use cabildo_storage::{CommandError, Loaded, Moment, Order, Query};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use crate::call::{Call, call};
use crate::params::{escape, segment};
use crate::problem::Problem;
use crate::{Gateway, answer, body, fresh, lookback, slug};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    let rooms = warp::path!("api" / "v1" / "rooms");
    let open = rooms
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(open(call, input).await) });
    let list =
        rooms.and(warp::get()).and(call(gateway.clone())).then(|call| async move { answer::finish(list(call).await) });
    let get = warp::path!("api" / "v1" / "rooms" / String)
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|room: String, call| async move { answer::finish(get(&room, call).await) });
    open.or(list).unify().or(get).unify().boxed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenRoom {
    id: Option<String>,
    name: String,
    topic: Option<String>,
}

#[derive(Serialize)]
struct RoomWritten<'a> {
    room: &'a str,
}

async fn open(call: Call, input: Result<OpenRoom, Problem>) -> Result<Response, Problem> {
    let input = input?;
    let given: Option<RoomId> = value("id", input.id)?;
    let name: RoomName = RoomName::try_from(input.name).map_err(|error| Problem::bad_value("name", error))?;
    let topic: Option<Topic> = value("topic", input.topic)?;
    let at = call.circumstances(None)?;
    let slug = slug::slug(name.as_str());
    let opened = chat::RoomOpened { name, topic };
    let commands = &call.gateway.ports.commands;
    let command = |room: &RoomId| Command::Chat(room.clone(), chat::Command::Open(opened.clone()));
    let mut room = given.clone().map_or_else(|| made(&slug), Ok)?;
    let mut outcome = commands.execute(command(&room), Facts::default(), at.clone()).await;
    if given.is_none() && is_taken(&outcome) {
        room = made(&slug::another(&slug, at.idempotency_key.as_deref()))?;
        outcome = commands.execute(command(&room), Facts::default(), at).await;
    }
    let location = format!("/api/v1/rooms/{}", escape(room.as_str()));
    answer::written(&outcome?, RoomWritten { room: room.as_str() }, Some(&location))
}

/// Reads an optional field as what it names.
pub(super) fn value<T: TryFrom<String, Error: std::fmt::Display>>(
    field: &str,
    text: Option<String>,
) -> Result<Option<T>, Problem> {
    text.map(T::try_from).transpose().map_err(|error| Problem::bad_value(field, error))
}

/// An id that the gateway made.
pub(super) fn made<T: TryFrom<String, Error: std::fmt::Display>>(id: &str) -> Result<T, Problem> {
    T::try_from(id.to_owned()).map_err(|error| Problem::bad_value("id", error))
}

/// Whether a command failed because the id is taken.
pub(super) fn is_taken<T>(outcome: &Result<T, CommandError>) -> bool {
    matches!(outcome, Err(CommandError::Rejected(Rejection::AlreadyExists { .. })))
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<Box<RawValue>>,
}

async fn list(call: Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let limit = params.limit()?;
    let (after, before): (Option<Position>, Option<Position>) = (params.value("after")?, params.value("before")?);
    let at = lookback::asked(&mut params)?;
    params.finish(&["after", "before", "limit", "at"])?;
    let at = match at {
        Some(moment) => Some(lookback::as_of(&call, moment).await?),
        None => None,
    };
    let ports = &call.gateway.ports;
    let view = ports.views.live(rooms::ID);
    let fresh = match at.or(call.min_position()?) {
        Some(min) => fresh::every_lane(&*ports.documents, view, &*ports.journal, min).await?,
        None => true,
    };
    if at.is_some() && !fresh {
        return Err(lookback::behind());
    }
    // One more than asked for tells whether there is another page. A room does not change: those of then are those that were
    // opened by then.
    let order = if before.is_some() && after.is_none() { Order::Newest } else { Order::Oldest };
    let query = Query { after, before: by(before, at), order, ..Query::of(view, ROOMS, limit + 1) };
    let page = Page::of(ports.documents.find(&query).await?.documents, order, limit);
    let mut response = answer::json(&Rooms { rooms: page.bodies()? })?;
    answer::link(&mut response, &page.links("/api/v1/rooms", limit, at));
    match at {
        Some(at) => answer::mark_as_of(&mut response, at),
        None => answer::mark(&mut response, None, fresh),
    }
    Ok(response)
}

async fn get(room: &str, call: Call) -> Result<Response, Problem> {
    let room: RoomId = segment("room", room)?;
    let mut params = call.params()?;
    let at = lookback::asked(&mut params)?;
    params.finish(&["at"])?;
    if let Some(moment) = at {
        let (at, document) = room_then(&call, &room, moment).await?;
        let mut response = answer::raw_json(String::from(document.body));
        answer::mark_as_of(&mut response, at);
        return Ok(response);
    }
    let (fresh, loaded) = load(&call, call.gateway.ports.views.live(rooms::ID), &room).await?;
    let watermark = loaded.watermark;
    let document = only(loaded).ok_or_else(|| Problem::not_found("room", &room))?;
    let mut response = answer::raw_json(String::from(document.body));
    answer::mark(&mut response, Some(watermark), fresh);
    Ok(response)
}

/// The room as of a moment, from a view that has everything up to it.
pub(super) async fn room_then(call: &Call, room: &RoomId, moment: Moment) -> Result<(Position, Document), Problem> {
    let at = lookback::as_of(call, moment).await?;
    lookback::reached(&call.gateway, room, at).await?;
    let (_, loaded) = load(call, call.gateway.ports.views.live(rooms::ID), room).await?;
    let document = only(loaded).ok_or_else(|| Problem::not_found("room", room))?;
    if document.created > at {
        return Err(lookback::not_yet("room", room, at, document.created));
    }
    Ok((at, document))
}

/// The bound of a page that shows nothing made after a moment.
pub(super) fn by(before: Option<Position>, at: Option<Position>) -> Option<Position> {
    let next = at.map(|at| Position { seq: at.seq.saturating_add(1), ..at });
    [before, next].into_iter().flatten().min()
}

type LoadedRoom = Loaded<DocumentKey, Document>;

/// The room's document, and whether its lane is as fresh as the client asked for.
pub(super) async fn load(call: &Call, view: ProjectionId, room: &RoomId) -> Result<(bool, LoadedRoom), Problem> {
    let lane = Aggregate::room(room).lane();
    let gateway = &call.gateway;
    let documents = &*gateway.ports.documents;
    let fresh = match call.min_position()? {
        Some(min) => fresh::lane(documents, view, lane, &*gateway.ports.journal, min).await?,
        None => true,
    };
    Ok((fresh, documents.load(view, lane, vec![room_key(room.as_str())]).await?))
}

/// The one row that was asked for.
pub(super) fn only<K, R>(loaded: Loaded<K, R>) -> Option<R> {
    loaded.rows.into_iter().next().and_then(|(_, row)| row)
}

/// A page of documents, oldest first, and whether there are more the way it was read.
pub(super) struct Page {
    pub(super) documents: Vec<Document>,
    order: Order,
    more: bool,
}

impl Page {
    /// Of what was found when one more than `limit` was asked for.
    pub(super) fn of(mut documents: Vec<Document>, order: Order, limit: usize) -> Self {
        let more = documents.len() > limit;
        documents.truncate(limit);
        if order == Order::Newest {
            documents.reverse();
        }
        Self { documents, order, more }
    }

    pub(super) fn bodies(&self) -> Result<Vec<Box<RawValue>>, Problem> {
        self.documents.iter().map(|document| raw(&document.body)).collect()
    }

    /// `next`: what is newer, offered also where there is none yet, so that a client may ask again. `prev`: what is older.
    pub(super) fn links(&self, address: &str, limit: usize, at: Option<Position>) -> Vec<(&'static str, String)> {
        let at = at.map(|at| format!("&at={at}")).unwrap_or_default();
        let mut links = Vec::new();
        if let (Some(first), Some(last)) = (self.documents.first(), self.documents.last()) {
            if self.order == Order::Oldest || self.more {
                links.push(("prev", format!("{address}?before={}&limit={limit}{at}", first.created)));
            }
            links.push(("next", format!("{address}?after={}&limit={limit}{at}", last.created)));
        }
        links
    }
}

/// A document's body as it stands.
pub(super) fn raw(body: &str) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(body.to_owned()).map_err(|error| {
        tracing::error!(%error, "a view holds a document that is not JSON");
        Problem::new(&crate::problem::INTERNAL, "a document cannot be read")
    })
}

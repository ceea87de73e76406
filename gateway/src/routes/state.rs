//! What an event changed: its aggregate right before and right after it.

use std::sync::Arc;

use cabildo_events::limits::STATE_OPTIONS_MAX;
use cabildo_events::{Aggregate, Context, PollId, Position, Recorded, RoomId, State};
use cabildo_projections::rooms::{self, as_left_by, message_key, room_key};
use cabildo_projections::tally::PollTally;
use futures::StreamExt;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::rooms::{only, raw};
use crate::call::{Call, call};
use crate::lookback::{self, message_of};
use crate::params::segment;
use crate::problem::{self, Problem};
use crate::{Gateway, answer};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "events" / String / "state")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|position: String, call| async move { answer::finish(state(&position, call).await) })
        .boxed()
}

/// An event's aggregate, before and after; null where there was none.
#[derive(Serialize)]
struct Change {
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate: Option<Aggregate>,
    kind: &'static str,
    before: Value,
    after: Value,
}

async fn state(position: &str, call: Call) -> Result<Response, Problem> {
    let position: Position = segment("position", position)?;
    call.params()?.finish(&[])?;
    let gateway = &*call.gateway;
    let found = gateway.ports.journal.get(position).await?;
    let event = found.ok_or_else(|| Problem::not_found("event at", position))?;
    let aggregate = event.aggregate().cloned();
    let before = Position { seq: position.seq - 1, ..position };
    let (kind, [before, after]) = match &aggregate {
        None => ("unknown", [Value::Null, Value::Null]),
        Some(aggregate) => match aggregate.context() {
            Context::Poll => ("poll", polls(gateway, aggregate, [before, position]).await?),
            Context::Chat => ("room", rooms(gateway, aggregate, &event, [before, position]).await?),
            Context::Task => ("list", decided(gateway, aggregate, [before, position]).await?),
            Context::Identity => ("person", decided(gateway, aggregate, [before, position]).await?),
            Context::Operation => ("projections", decided(gateway, aggregate, [before, position]).await?),
        },
    };
    let mut response = answer::json(&Change { aggregate, kind, before, after })?;
    answer::mark(&mut response, Some(position.seq), true);
    Ok(response)
}

/// A poll's tally; of many options those with the most votes.
async fn polls(gateway: &Gateway, aggregate: &Aggregate, at: [Position; 2]) -> Result<[Value; 2], Problem> {
    let poll: PollId = named(aggregate)?;
    let past = gateway.histories.at(&gateway.ports, &poll, at).await?;
    Ok(past.map(|past| past.tally.map_or(Value::Null, shortened)))
}

fn shortened(mut tally: PollTally) -> Value {
    let options = tally.options.len();
    tally.options.truncate(STATE_OPTIONS_MAX);
    // The course over time is the dashboard's affair.
    tally.minutes.clear();
    let mut shown = json!(tally);
    if let (Some(shown), true) = (shown.as_object_mut(), options > STATE_OPTIONS_MAX) {
        shown.insert("options_total".to_owned(), options.into());
    }
    shown
}

#[derive(Serialize)]
struct RoomThen {
    room: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<RawValue>>,
}

/// The room, and the message that the event is about.
async fn rooms(
    gateway: &Gateway,
    aggregate: &Aggregate,
    event: &Recorded,
    at: [Position; 2],
) -> Result<[Value; 2], Problem> {
    let room: RoomId = named(aggregate)?;
    let left_out = gateway.ports.views.of(rooms::ID.name);
    let mut ruled = gateway.ports.journal.ruled(aggregate).await?;
    ruled.retain(|event| !left_out.discarded().contains_key(&event.position));
    let message = event.envelope.as_ref().ok().and_then(|envelope| message_of(&envelope.event().ok()?));
    let message = match message {
        Some(message) => {
            let [_, after] = at;
            lookback::reached(gateway, &room, after).await?;
            let key = vec![message_key(room.as_str(), message)];
            let view = gateway.ports.views.live(rooms::ID);
            only(gateway.ports.documents.load(view, aggregate.lane(), key).await?)
        }
        None => None,
    };
    let mut states = [Value::Null, Value::Null];
    for (state, at) in states.iter_mut().zip(at) {
        let until = ruled.partition_point(|event| event.position <= at);
        let Some(document) = as_left_by(&room_key(room.as_str()), &ruled[..until]) else { continue };
        let message = match &message {
            Some(message) => lookback::message_at(gateway, &room, message, at).await?,
            None => None,
        };
        let then =
            RoomThen { room: raw(&document.body)?, message: message.map(|message| raw(&message.body)).transpose()? };
        *state = json!(then);
    }
    Ok(states)
}

/// What the aggregate's rules look at.
async fn decided(gateway: &Gateway, aggregate: &Aggregate, at: [Position; 2]) -> Result<[Value; 2], Problem> {
    let [before, after] = at;
    let mut state = State::default();
    let mut first = None;
    let mut pages = gateway.ports.journal.of(aggregate, Position::START, after).await?;
    while let Some(page) = pages.next().await {
        for recorded in page? {
            if recorded.position > before && first.is_none() {
                first = Some(state.shown(aggregate.context()));
            }
            if let Some(event) = recorded.envelope.ok().and_then(|envelope| envelope.event().ok()) {
                state.evolve_at(&event, recorded.position);
            }
        }
    }
    let last = state.shown(aggregate.context());
    Ok([first.unwrap_or_else(|| last.clone()), last])
}

fn named<T: std::str::FromStr<Err: std::fmt::Display>>(aggregate: &Aggregate) -> Result<T, Problem> {
    aggregate.id().parse().map_err(|error| {
        tracing::error!(%error, "the journal holds an aggregate whose id cannot be read");
        Problem::new(&problem::INTERNAL, "the aggregate's id cannot be read")
    })
}

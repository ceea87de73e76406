//! What led to an event, and what followed from it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use cabildo_events::limits::GRAPH_EVENTS_MAX;
use cabildo_events::{EventId, Position, Recorded, wire};
use cabildo_projections::record::{self, EVENTS};
use cabildo_storage::{Clause, Condition, Query};
use serde::Serialize;
use serde_json::value::RawValue;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::events::wait;
use super::rooms::raw;
use crate::call::{Call, call};
use crate::params::segment;
use crate::problem::Problem;
use crate::search::{Asked, events_at};
use crate::{Gateway, Ports, answer};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "events" / String / "graph")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|position: String, call| async move { answer::finish(graph(&position, call).await) })
        .boxed()
}

#[derive(Serialize)]
struct Graph {
    /// The first cause that is known.
    root: Position,
    /// In the order of the journal.
    nodes: Vec<Box<RawValue>>,
    edges: Vec<Edge>,
    /// Whether there are more than may be shown.
    cut_short: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Edge {
    cause: Position,
    effect: Position,
}

fn id(event: &Recorded) -> Option<EventId> {
    event.envelope.as_ref().ok().map(|envelope| envelope.id)
}

fn cause(event: &Recorded) -> Option<EventId> {
    event.envelope.as_ref().ok().and_then(|envelope| envelope.causation)
}

/// The event with an id: the journal may know it, the view of the record does once it has it.
async fn named(ports: &Ports, id: EventId) -> Result<Option<Recorded>, Problem> {
    if let Some(found) = ports.journal.find(id).await? {
        return Ok(Some(found));
    }
    Ok(that(ports, Condition::Event(id), 1).await?.pop())
}

/// At most so many events of which this holds, in order.
async fn that(ports: &Ports, condition: Condition, limit: usize) -> Result<Vec<Recorded>, Problem> {
    let query = Query::of(ports.views.live(record::ID), EVENTS, limit);
    let query = Query { clauses: vec![Clause::only(condition)], ..query };
    let found = ports.documents.positions(&query).await?;
    Ok(events_at(&*ports.journal, &found.positions).await?)
}

async fn graph(position: &str, call: Call) -> Result<Response, Problem> {
    let position: Position = segment("position", position)?;
    call.params()?.finish(&[])?;
    let ports = &call.gateway.ports;
    let found = ports.journal.get(position).await?;
    let event = found.ok_or_else(|| Problem::not_found("event at", position))?;
    let fresh = wait(&call, &Asked::of(id(&event).map(Condition::Event).map(Clause::only).into_iter().collect())).await?;
    let mut nodes = BTreeMap::new();
    let mut edges = BTreeSet::new();
    let mut cut_short = false;
    // Up to the first cause. What says that it follows from itself, or from what follows from it, ends the way.
    let mut root = position;
    let mut above = cause(&event);
    nodes.insert(position, event);
    while let Some(wanted) = above {
        let Some(found) = named(ports, wanted).await? else { break };
        if nodes.len() >= GRAPH_EVENTS_MAX / 2 {
            cut_short = true;
            break;
        }
        edges.insert(Edge { cause: found.position, effect: root });
        if nodes.contains_key(&found.position) {
            break;
        }
        root = found.position;
        above = cause(&found);
        nodes.insert(root, found);
    }
    // And down to the last effect, level by level.
    let mut open: VecDeque<_> = nodes.values().filter_map(|event| Some((event.position, id(event)?))).collect();
    while let Some((cause, id)) = open.pop_front() {
        for effect in that(ports, Condition::Causation(id), GRAPH_EVENTS_MAX + 1).await? {
            let known = nodes.contains_key(&effect.position);
            if !known && nodes.len() >= GRAPH_EVENTS_MAX {
                cut_short = true;
                break;
            }
            edges.insert(Edge { cause, effect: effect.position });
            if !known {
                open.extend(self::id(&effect).map(|id| (effect.position, id)));
                nodes.insert(effect.position, effect);
            }
        }
        if cut_short {
            break;
        }
    }
    let nodes = nodes.values().map(|event| raw(&wire::to_json(event))).collect::<Result<_, _>>()?;
    let mut response = answer::json(&Graph { root, nodes, edges: edges.into_iter().collect(), cut_short })?;
    answer::mark(&mut response, Some(position.seq), fresh);
    Ok(response)
}

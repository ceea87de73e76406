//! What stands around one event: in the journal, in its aggregate, in its lane.

use std::sync::Arc;

use cabildo_events::limits::CONTEXT_EVENTS_MAX;
use cabildo_events::{Position, Recorded, wire};
use cabildo_storage::{Clause, Condition, Order};
use serde::Serialize;
use serde_json::value::RawValue;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::events::{shown, wait};
use super::rooms::raw;
use crate::call::{Call, call};
use crate::params::{Params, segment};
use crate::problem::Problem;
use crate::search::{Asked, page};
use crate::{Gateway, answer};

/// Events on either side when the client does not say.
const AROUND: usize = 20;

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "events" / String / "context")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|position: String, call| async move { answer::finish(context(&position, call).await) })
        .boxed()
}

#[derive(Serialize)]
struct Around {
    event: Box<RawValue>,
    /// Oldest first.
    before: Vec<Box<RawValue>>,
    /// Oldest first.
    after: Vec<Box<RawValue>>,
}

#[derive(Clone, Copy)]
enum Within {
    Journal,
    Aggregate,
    Lane,
}

impl std::str::FromStr for Within {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "journal" => Ok(Self::Journal),
            "aggregate" => Ok(Self::Aggregate),
            "lane" => Ok(Self::Lane),
            _ => Err("`journal`, `aggregate` or `lane`"),
        }
    }
}

impl Within {
    fn clauses(self, event: &Recorded) -> Vec<Clause> {
        match (self, event.aggregate()) {
            (Self::Journal, _) => Vec::new(),
            (Self::Aggregate, Some(aggregate)) => vec![Clause::only(Condition::of(aggregate))],
            // What has no aggregate that can be read has its lane.
            (Self::Aggregate, None) | (Self::Lane, _) => vec![Clause::only(Condition::Lane(event.lane))],
        }
    }
}

fn many(params: &mut Params, name: &str) -> Result<usize, Problem> {
    match params.value::<usize>(name)?.unwrap_or(AROUND) {
        count if count <= CONTEXT_EVENTS_MAX => Ok(count),
        count => Err(Problem::bad_value(name, format_args!("0 to {CONTEXT_EVENTS_MAX} events, not {count}"))),
    }
}

async fn context(position: &str, call: Call) -> Result<Response, Problem> {
    let position: Position = segment("position", position)?;
    let mut params = call.params()?;
    let (before, after) = (many(&mut params, "before")?, many(&mut params, "after")?);
    let within = params.value("within")?.unwrap_or(Within::Journal);
    params.finish(&["before", "after", "within"])?;
    let gateway = &call.gateway;
    let found = gateway.ports.journal.get(position).await?;
    let event = found.ok_or_else(|| Problem::not_found("event at", position))?;
    let asked = Asked::of(within.clauses(&event));
    let fresh = wait(&call, &asked).await?;
    let older = Asked { before: Some(position), ..asked.clone() };
    let newer = Asked { after: Some(position), ..asked };
    let older = page(gateway, &older, Order::Newest, before);
    let newer = page(gateway, &newer, Order::Oldest, after);
    let (mut older, newer) = tokio::try_join!(older, newer)?;
    older.rows.reverse();
    let event = raw(&wire::to_json(&event))?;
    let mut response = answer::json(&Around { event, before: shown(&older.rows)?, after: shown(&newer.rows)? })?;
    answer::mark(&mut response, Some(position.seq), fresh);
    Ok(response)
}

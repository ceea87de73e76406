//! How far each view has got, and how the journal moves: at a glance, or live.

use std::sync::Arc;

use cabildo_events::Position;
use serde::Serialize;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use crate::call::{Call, call};
use crate::problem::{self, Problem};
use crate::pulse::{Beat, Standing};
use crate::{Gateway, answer, sse};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let projections = warp::path!("api" / "v1" / "projections")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(projections(call).await) });
    let pulse = warp::path!("api" / "v1" / "pulse")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(pulse(call).await) });
    projections.or(pulse).unify().boxed()
}

#[derive(Serialize)]
struct Projections<'a> {
    position: Position,
    projections: &'a [Standing],
}

async fn projections(call: Call) -> Result<Response, Problem> {
    call.params()?.finish(&[])?;
    let beat = newest(&call).await?;
    answer::json(&Projections { position: beat.position, projections: &beat.projections })
}

async fn pulse(call: Call) -> Result<Response, Problem> {
    call.params()?.finish(&[])?;
    if call.asks_for(sse::MEDIA_TYPE) {
        let place = sse::take_place(&call.gateway)?;
        return Ok(sse::respond(&call.gateway, place, call.gateway.pulse.listen()));
    }
    answer::json(&*newest(&call).await?)
}

async fn newest(call: &Call) -> Result<Arc<Beat>, Problem> {
    let stopping =
        || Problem::new(&problem::STOPPING, "this gateway is going down: try again, and you reach its successor");
    call.gateway.pulse.newest().await.ok_or_else(stopping)
}

//! The live tail: events as they come, resumed by position.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cabildo_events::{Aggregate, Position, Recorded, wire};
use cabildo_projections::activity::UNREADABLE;
use cabildo_storage::KindPattern;
use futures::StreamExt;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::events::patterns;
use crate::call::{Call, call};
use crate::problem::Problem;
use crate::{Gateway, answer, sse};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    warp::path!("api" / "v1" / "events" / "tail")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(tail(&call)) })
        .boxed()
}

/// Streams events after a position: the one that a reconnecting client names (`Last-Event-ID`, which a browser sends by
/// itself), else `after`, else the present. A reader that is slower than the events is fed from the journal at its own pace;
/// one that takes nothing is cut off by its connection (`limits::WRITE_STALL_MS`) and resumes by position.
fn tail(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let kinds = patterns(&params.texts("type"))?;
    let aggregate = params.aggregate()?;
    let after: Option<Position> = params.value("after")?;
    params.finish(&["after", "type", "aggregate"])?;
    let live = &call.gateway.ports.live;
    let after = call.last_event_id()?.or(after).unwrap_or_else(|| *live.head().borrow());
    let place = sse::take_place(&call.gateway)?;
    let pages = live.stream(after).take_while(|page| {
        if let Err(error) = page {
            tracing::warn!(%error, "a live tail ends: the client resumes by position");
        }
        std::future::ready(page.is_ok())
    });
    let frames = pages.filter_map(move |page| {
        let frame = page.ok().map(|page| frames(&page, &kinds, aggregate.as_ref())).filter(|frame| !frame.is_empty());
        std::future::ready(frame)
    });
    Ok(sse::respond(&call.gateway, place, frames.boxed()))
}

/// The events of a page that the listener wants, as one run of frames.
fn frames(page: &[Recorded], kinds: &[KindPattern], aggregate: Option<&Aggregate>) -> Bytes {
    let mut bytes = BytesMut::new();
    for event in page {
        let kind = event.envelope.as_ref().map_or(UNREADABLE, |envelope| &envelope.kind);
        let wanted = kinds.is_empty() || kinds.iter().any(|pattern| matches(pattern, kind));
        if wanted && aggregate.is_none_or(|aggregate| event.aggregate() == Some(aggregate)) {
            bytes.extend_from_slice(&sse::frame(event.position, kind, &wire::to_json(event)));
        }
    }
    bytes.freeze()
}

fn matches(pattern: &KindPattern, kind: &str) -> bool {
    match pattern {
        KindPattern::Exactly(wanted) => wanted == kind,
        KindPattern::Prefix(stem) => kind.starts_with(stem.as_str()),
    }
}

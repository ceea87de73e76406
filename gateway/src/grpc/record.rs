//! The record, as it grows.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::GRPC_EVENTS_QUEUE_MAX;
use cabildo_events::{Position, Recorded, wire};
use cabildo_projections::activity::UNREADABLE;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Answer;
use super::status::refuse;
use crate::filter::FILTER;
use crate::params::Params;
use crate::problem::{self, Problem};
use crate::proto::v1::record_server::Record;
use crate::proto::v1::{Event, EventsRequest};
use crate::search::Asked;
use crate::wanted::Wanted;
use crate::{Gateway, sse};

/// `cabildo.v1.Record`.
pub(super) struct Log(pub(super) Arc<Gateway>);

#[tonic::async_trait]
impl Record for Log {
    type EventsStream = BoxStream<'static, Result<Event, Status>>;

    async fn events(&self, request: Request<EventsRequest>) -> Answer<Self::EventsStream> {
        let Self(gateway) = self;
        listen(gateway, request.into_inner()).map(Response::new).map_err(|problem| refuse(gateway, &problem))
    }
}

/// Events after a position. A reader that is slower than they are is fed from the journal at its own pace; one that takes nothing
/// for as long as a connection may is told to resume, and gives its place back.
fn listen(
    gateway: &Arc<Gateway>,
    request: EventsRequest,
) -> Result<BoxStream<'static, Result<Event, Status>>, Problem> {
    let EventsRequest { after, query, filter } = request;
    let asked = Asked::take_with_filter(&mut Params::of([("query", query), (FILTER, filter)]))?;
    let after: Position = match after.as_str() {
        "" => *gateway.ports.live.head().borrow(),
        text => text.parse().map_err(|error| Problem::bad_value("after", error))?,
    };
    let place = sse::take_place(gateway)?;
    let (sender, events) = mpsc::channel(GRPC_EVENTS_QUEUE_MAX);
    let (tell, ended) = oneshot::channel();
    let wanted = Wanted::after(gateway, asked, after);
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let fed = feed(&gateway, wanted, &sender);
        let why = tokio::select! {
            why = fed => why,
            () = gateway.stopping.cancelled() => {
                Some(Problem::new(&problem::STOPPING, "the gateway goes down: resume at its successor"))
            }
        };
        drop(place);
        // Whoever is gone needs no reason.
        let _ = tell.send(why.map(|problem| refuse(&gateway, &problem)));
    });
    // The reason comes behind the last event, also when that waited long to be taken.
    let why = ended.into_stream().filter_map(async |why| why.ok().flatten().map(Err));
    Ok(ReceiverStream::new(events).map(Ok).chain(why).boxed())
}

/// Hands events over until it cannot go on: why, if somebody is there to be told.
async fn feed(gateway: &Gateway, mut wanted: Wanted, sender: &mpsc::Sender<Event>) -> Option<Problem> {
    let stall: Duration = gateway.config.patience.write_stall;
    loop {
        let page = tokio::select! {
            page = wanted.page() => page,
            () = sender.closed() => return None,
        };
        let page = match page {
            Some(Ok(page)) => page,
            Some(Err(error)) => return Some(error.into()),
            None => return Some(Problem::new(&problem::STOPPING, "the live feed has ended: resume by position")),
        };
        let Some(events) = wanted.of(page).await else {
            return Some(Problem::new(&problem::INTERNAL, "the expression could not be asked of an event"));
        };
        for event in events {
            let event = told(&event);
            gateway.metrics.sent_live(event.cloudevent.len());
            match sender.send_timeout(event, stall).await {
                Ok(()) => {}
                Err(SendTimeoutError::Closed(_)) => return None,
                Err(SendTimeoutError::Timeout(_)) => {
                    let detail = format!("nothing was taken for {} ms: resume by position", stall.as_millis());
                    return Some(Problem::new(&problem::TOO_SLOW, detail));
                }
            }
        }
    }
}

fn told(event: &Recorded) -> Event {
    let envelope = event.envelope.as_ref().ok();
    Event {
        position: event.position.to_string(),
        id: envelope.map(|envelope| envelope.id.to_string()).unwrap_or_default(),
        r#type: envelope.map_or(UNREADABLE, |envelope| &envelope.kind).to_owned(),
        aggregate: event.aggregate().map(ToString::to_string).unwrap_or_default(),
        actor: envelope.and_then(|envelope| envelope.actor.as_ref()).map(ToString::to_string).unwrap_or_default(),
        time: envelope.map_or(event.recorded, |envelope| envelope.time).to_string(),
        cloudevent: wire::to_json(event),
    }
}

//! Messages of rooms.

use std::sync::Arc;

use cabildo_events::{Command, MessageId, RoomId, chat};
use tonic::{Request, Response, Status, Streaming};

use super::Answer;
use super::caller::{Caller, caller};
use super::status::refuse;
use super::stream::{Wish, gather, grant, key, receipt};
use crate::call::Call;
use crate::problem::Problem;
use crate::proto::v1::rooms_server::Rooms;
use crate::proto::v1::{PostMessageRequest, PostMessageResponse, StreamSummary};
use crate::routes::messages::posted;
use crate::{Gateway, answer};

/// `cabildo.v1.Rooms`.
pub(super) struct Messages(pub(super) Arc<Gateway>);

#[tonic::async_trait]
impl Rooms for Messages {
    async fn post_message(&self, request: Request<PostMessageRequest>) -> Answer<PostMessageResponse> {
        let Self(gateway) = self;
        let (metadata, _, message) = request.into_parts();
        let call = Call::of(gateway.clone(), metadata.into_headers());
        let refused = |problem: Problem| -> Status { refuse(gateway, &problem) };
        let caller = caller(&call.headers).map_err(refused)?;
        let (id, wish) = wish(&call, caller, None, message).map_err(refused)?;
        let granted = grant(gateway, Ok(wish)).await.map_err(refused)?;
        let mut response = Response::new(PostMessageResponse { id: id.to_string(), receipt: Some(receipt(&granted)) });
        answer::tell_position(response.metadata_mut(), granted.position);
        Ok(response)
    }

    async fn post_messages(&self, request: Request<Streaming<PostMessageRequest>>) -> Answer<StreamSummary> {
        let Self(gateway) = self;
        let (metadata, _, messages) = request.into_parts();
        let call = Call::of(gateway.clone(), metadata.into_headers());
        let caller = caller(&call.headers).map_err(|problem| -> Status { refuse(gateway, &problem) })?;
        let wish = |number, message| wish(&call, caller, Some(number), message).map(|(_, wish)| wish);
        // A conversation is what its order makes of it.
        gather(gateway, messages, |message| message.room.clone(), wish).await.map(Response::new)
    }
}

fn wish(
    call: &Call,
    caller: Caller,
    number: Option<u64>,
    message: PostMessageRequest,
) -> Result<(MessageId, Wish), Problem> {
    let PostMessageRequest { room, id, text, author, idempotency_key } = message;
    let room = RoomId::try_from(room).map_err(|error| Problem::bad_value("room", error))?;
    let mut at = call.circumstances(caller.actor(&author))?;
    at.idempotency_key = key(call, &idempotency_key, number)?;
    let id = Some(id).filter(|id| !id.is_empty());
    let posted = posted(&room, id, text, author, at.idempotency_key.as_deref())?;
    Ok((posted.message, (Command::Chat(room, chat::Command::Post(posted)), at)))
}

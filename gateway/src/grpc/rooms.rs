//! Messages of rooms.

use std::sync::Arc;

use cabildo_events::{Command, MessageId, RoomId, chat};
use futures::{FutureExt, TryFutureExt};
use tonic::{Request, Response, Status, Streaming};

use super::Answer;
use super::caller::caller;
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
        let (metadata, extensions, message) = request.into_parts();
        let call = Call::of(gateway.clone(), metadata.into_headers(), caller(&extensions));
        let refused = |problem: Problem| -> Status { refuse(gateway, &problem) };
        let (id, wish) = wish(call, None, message).await.map_err(refused)?;
        let granted = grant(gateway, Ok(wish)).await.map_err(refused)?;
        let mut response = Response::new(PostMessageResponse { id: id.to_string(), receipt: Some(receipt(&granted)) });
        answer::tell_position(response.metadata_mut(), granted.position);
        Ok(response)
    }

    async fn post_messages(&self, request: Request<Streaming<PostMessageRequest>>) -> Answer<StreamSummary> {
        let Self(gateway) = self;
        let (metadata, extensions, messages) = request.into_parts();
        let call = Call::of(gateway.clone(), metadata.into_headers(), caller(&extensions));
        let wish = |number, message| wish(call.clone(), Some(number), message).map_ok(|(_, wish)| wish).boxed();
        // A conversation is what its order makes of it.
        gather(gateway, messages, |message| message.room.clone(), wish).await.map(Response::new)
    }
}

async fn wish(call: Call, number: Option<u64>, message: PostMessageRequest) -> Result<(MessageId, Wish), Problem> {
    let PostMessageRequest { room, id, text, author, idempotency_key } = message;
    let room = RoomId::try_from(room).map_err(|error| Problem::bad_value("room", error))?;
    let key = key(&call, &idempotency_key, number)?;
    let [id, author] = [id, author].map(|given| Some(given).filter(|given| !given.is_empty()));
    let posted = posted(&call, &room, id, text, author.as_deref(), key.as_deref()).await?;
    let mut at = call.circumstances(Some(posted.author.as_str()))?;
    at.idempotency_key = key;
    Ok((posted.message, (Command::Chat(room, chat::Command::Post(posted)), at)))
}

//! Ballots.

use std::sync::Arc;

use cabildo_events::{Command, PollId, VoterId, poll};
use futures::FutureExt;
use tonic::{Request, Response, Streaming};

use super::Answer;
use super::caller::caller;
use super::status::refuse;
use super::stream::{Wish, gather, grant, key, receipt};
use crate::call::Call;
use crate::problem::Problem;
use crate::proto::v1::polls_server::Polls;
use crate::proto::v1::{CastBallotRequest, CastBallotResponse, StreamSummary};
use crate::routes::polls::ballot;
use crate::{Gateway, answer};

/// `cabildo.v1.Polls`.
pub(super) struct Ballots(pub(super) Arc<Gateway>);

#[tonic::async_trait]
impl Polls for Ballots {
    async fn cast_ballot(&self, request: Request<CastBallotRequest>) -> Answer<CastBallotResponse> {
        let Self(gateway) = self;
        let (metadata, extensions, message) = request.into_parts();
        let call = Call::of(gateway.clone(), metadata.into_headers(), caller(&extensions));
        let granted =
            grant(gateway, wish(call, None, message).await).await.map_err(|problem| refuse(gateway, &problem))?;
        let mut response = Response::new(CastBallotResponse { receipt: Some(receipt(&granted)) });
        answer::tell_position(response.metadata_mut(), granted.position);
        Ok(response)
    }

    async fn cast_ballots(&self, request: Request<Streaming<CastBallotRequest>>) -> Answer<StreamSummary> {
        let Self(gateway) = self;
        let (metadata, extensions, messages) = request.into_parts();
        let call = Call::of(gateway.clone(), metadata.into_headers(), caller(&extensions));
        let order = |message: &CastBallotRequest| format!("{} {}", message.poll, message.voter);
        let wish = |number, message| wish(call.clone(), Some(number), message).boxed();
        gather(gateway, messages, order, wish).await.map(Response::new)
    }
}

async fn wish(call: Call, number: Option<u64>, message: CastBallotRequest) -> Result<Wish, Problem> {
    let CastBallotRequest { poll, voter, choice, fields, idempotency_key } = message;
    let poll = PollId::try_from(poll).map_err(|error| Problem::bad_value("poll", error))?;
    let voter = VoterId::try_from(voter).map_err(|error| Problem::bad_value("voter", error))?;
    let ballot = ballot(&call, voter, choice, fields).await?;
    let mut at = call.circumstances(Some(ballot.voter.as_str()))?;
    at.idempotency_key = key(&call, &idempotency_key, number)?;
    Ok((Command::Poll(poll, poll::Command::Cast(ballot)), at))
}

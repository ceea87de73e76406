//! A client that casts ballots over gRPC, one call each, on one connection.

use std::time::Duration;

use cabildo_events::Position;
use cabildo_events::limits::CLIENT_REQUEST_MS;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::door::Ballot;
use super::{DoorError, Server};
use crate::proto::v1::CastBallotRequest;
use crate::proto::v1::polls_client::PollsClient;

/// One client with one connection, opened when it is first needed and when it was lost.
pub(super) struct GrpcClient {
    server: Server,
    polls: Option<PollsClient<Channel>>,
}

impl GrpcClient {
    pub(super) const fn new(server: Server) -> Self {
        Self { server, polls: None }
    }

    /// Casts a ballot, within [`CLIENT_REQUEST_MS`]. A connection that fails is dropped; what was sent on it may have been done.
    pub(super) async fn cast(&mut self, ballot: &Ballot<'_>) -> Result<Position, DoorError> {
        let limit = Duration::from_millis(CLIENT_REQUEST_MS);
        let answer = match tokio::time::timeout(limit, self.call(ballot)).await {
            Ok(answer) => answer,
            Err(_) => Err(later(format!("{} did not answer within {} s", self.server, limit.as_secs()), true)),
        };
        if matches!(answer, Err(DoorError::Later { .. })) {
            self.polls = None;
        }
        answer
    }

    async fn call(&mut self, ballot: &Ballot<'_>) -> Result<Position, DoorError> {
        let polls = match &mut self.polls {
            Some(polls) => polls,
            none => none.insert(connect(&self.server).await?),
        };
        let fields = ballot.row.fields.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let request = CastBallotRequest {
            poll: ballot.poll.to_string(),
            voter: ballot.voter.to_string(),
            choice: ballot.votes.options[ballot.row.option].to_string(),
            fields: fields.collect(),
            idempotency_key: ballot.key.clone(),
        };
        let answer = polls.cast_ballot(request).await.map_err(|status| refusal(&status))?;
        let position = answer.into_inner().receipt.and_then(|receipt| receipt.position.parse().ok());
        position.ok_or_else(|| DoorError::Refused("the gateway's answer has no position".to_owned()))
    }
}

async fn connect(server: &Server) -> Result<PollsClient<Channel>, DoorError> {
    let lost = |error: tonic::transport::Error| later(format!("{server}: {}", cause(&error)), false);
    let endpoint = Endpoint::from_shared(server.to_string()).map_err(lost)?.tcp_nodelay(true);
    Ok(PollsClient::new(endpoint.connect().await.map_err(lost)?))
}

/// What lies at the bottom: above it stands only that something failed.
fn cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn refusal(status: &Status) -> DoorError {
    let reason = format!("{} ({:?})", status.message(), status.code());
    // A status of the gateway says so; any other tells what became of the connection.
    if status.get_details_error_info().is_none() {
        return later(reason, true);
    }
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Aborted => {
            let after = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
            DoorError::Later { reason, after, may_have_happened: true }
        }
        _ => DoorError::Refused(reason),
    }
}

fn later(reason: String, may_have_happened: bool) -> DoorError {
    DoorError::Later { reason, after: None, may_have_happened }
}

//! gRPC on the gateway's port, by clients made from the published protocol.

mod calls;
mod contest;
mod events;
mod python;
mod standard;
mod streams;

use cabildo_producers::proto::v1::polls_client::PollsClient;
use cabildo_producers::proto::v1::record_client::RecordClient;
use cabildo_producers::proto::v1::rooms_client::RoomsClient;
use cabildo_producers::proto::v1::{CastBallotRequest, PostMessageRequest};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::{Gateway, in_time};

impl Gateway {
    async fn channel(&self) -> Channel {
        in_time("a connection", Endpoint::from_shared(self.url("")).unwrap().connect()).await.unwrap()
    }

    async fn polls(&self) -> PollsClient<Channel> {
        PollsClient::new(self.channel().await)
    }

    async fn rooms(&self) -> RoomsClient<Channel> {
        RoomsClient::new(self.channel().await)
    }

    /// The record is for operators.
    async fn record(&self) -> RecordClient<InterceptedService<Channel, Bearer>> {
        RecordClient::with_interceptor(self.channel().await, self.bearer().await)
    }

    async fn bearer(&self) -> Bearer {
        Bearer(format!("Bearer {}", self.operator().await).parse().unwrap())
    }
}

/// Shows a token with every call.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is written where it is used")]
fn ballot(poll: &str, voter: impl ToString, choice: &str) -> CastBallotRequest {
    CastBallotRequest {
        poll: poll.to_owned(),
        voter: voter.to_string(),
        choice: choice.to_owned(),
        ..CastBallotRequest::default()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is written where it is used")]
fn message(room: &str, author: &str, text: impl ToString) -> PostMessageRequest {
    PostMessageRequest {
        room: room.to_owned(),
        author: author.to_owned(),
        text: text.to_string(),
        ..PostMessageRequest::default()
    }
}

/// Demands a status of this code with this reason of ours; answers with the field to blame.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> (Status, String) {
    let status = answer.unwrap_err();
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no details in {status:?}"));
    assert_eq!((status.code(), info.domain.as_str(), info.reason.as_str()), (code, "cabildo", reason), "{status:?}");
    let field = status.get_details_bad_request().and_then(|bad| bad.field_violations.into_iter().next());
    (status, field.map(|violation| violation.field).unwrap_or_default())
}

//! The Band Contest: votes of four strings, over gRPC (`confproto.getInfo`) and HTTP, and the log that its viewer reads.
//!
//! A vote is a ballot in the poll `bands`, which opens by itself and takes any band. The contest knew no voters: each vote
//! comes from one of its own. What its Grafana panels read, the Redis hash `data`, is written on the read side.

use std::sync::Arc;

use cabildo_events::limits::{BAND_VOTES_SHOWN, BODY_BYTES_MAX};
use cabildo_events::poll::{self, BANDS, PollOpened};
use cabildo_events::{Aggregate, Command, EventId, Facts, PollId, Question, Rejection, VoterId};
use cabildo_projections::record::{self, EVENTS};
use cabildo_storage::{Caller, Circumstances, CommandError, KindPattern, Order, Query, Receipt};
use serde::{Deserialize, Serialize};
use tonic::metadata::MetadataMap;
use uuid::Uuid;
use warp::Filter;
use warp::reply::Response;

use crate::call::{Call, call};
use crate::grpc::status;
use crate::problem::{self, Problem};
use crate::proto::confproto::get_info_client::GetInfoClient;
use crate::proto::confproto::get_info_server::{GetInfo, GetInfoServer};
use crate::proto::confproto::{ReplyInfo, RequestId};
use crate::routes::Routes;
use crate::routes::polls::ballot;
use crate::{Gateway, answer, body, fresh};

/// What the poll asks, when a vote opens it.
const QUESTION: &str = "Which band?";

/// `confproto.getInfo`.
pub(crate) struct Contest(Arc<Gateway>);

pub(crate) fn service(gateway: &Arc<Gateway>) -> GetInfoServer<Contest> {
    GetInfoServer::new(Contest(gateway.clone())).max_decoding_message_size(BODY_BYTES_MAX)
}

#[tonic::async_trait]
impl GetInfo for Contest {
    async fn return_info(
        &self,
        request: tonic::Request<RequestId>,
    ) -> Result<tonic::Response<ReplyInfo>, tonic::Status> {
        let Self(gateway) = self;
        let (metadata, _, vote) = request.into_parts();
        // A vote of the contest is nobody's in particular, whoever brings it.
        let call = Call::of(gateway.clone(), metadata.into_headers(), Caller::default());
        let band = vote.name.clone();
        let receipt = cast(&call, vote).await.map_err(|problem| status::refuse(gateway, &problem))?;
        let (position, durability) = (receipt.position, receipt.durability.name());
        let info = format!("the vote for {band} is on the record at {position} ({durability})");
        let mut response = tonic::Response::new(ReplyInfo { info });
        answer::tell_position(response.metadata_mut(), position);
        Ok(response)
    }
}

/// Casts a vote, in a poll that is opened if there is none.
async fn cast(call: &Call, vote: RequestId) -> Result<Receipt, Problem> {
    let RequestId { name, album, year, rank } = vote;
    let key = call.idempotency_key()?;
    // A repeated request must name the voter that the first one made.
    let voter = key.as_deref().map_or_else(Uuid::now_v7, |key| EventId::from_key("voter of a band", key).0);
    let voter = VoterId::try_from(voter.to_string()).map_err(|error| Problem::bad_value("voter", error))?;
    let fields = [("album", album), ("year", year), ("rank", rank)].map(|(name, value)| (name.to_owned(), value));
    let at = call.circumstances(None)?;
    let ballot = ballot(call, voter, name, fields).await.map_err(|problem| match problem.field_name() {
        // The option is the band's name.
        Some("choice") => Problem::bad_value("name", problem.detail()),
        Some(field) => Problem::bad_value(field.trim_start_matches("fields."), problem.detail()),
        None => problem,
    })?;
    let bands = bands()?;
    let commands = &call.gateway.ports.commands;
    let command = Command::Poll(bands.clone(), poll::Command::Cast(ballot));
    match commands.execute(command.clone(), Facts::default(), at.clone()).await {
        Err(CommandError::Rejected(Rejection::NotFound { .. })) => {}
        outcome => return Ok(outcome?),
    }
    open(call, bands, Circumstances { idempotency_key: None, ..at.clone() }).await?;
    Ok(commands.execute(command, Facts::default(), at).await?)
}

/// Opens the poll to any band; if another vote has just done so, that is as good.
async fn open(call: &Call, bands: PollId, at: Circumstances) -> Result<(), Problem> {
    let question: Question = QUESTION.parse().map_err(|error| Problem::bad_value("question", error))?;
    let command = Command::Poll(bands, poll::Command::Open(PollOpened { question, options: None, by: None }));
    match call.gateway.ports.commands.execute(command, Facts::default(), at).await {
        Ok(_) | Err(CommandError::Rejected(Rejection::AlreadyExists { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn bands() -> Result<PollId, Problem> {
    BANDS.parse().map_err(|error| Problem::bad_value("poll", error))
}

/// The contest's addresses.
pub(crate) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    // The very service that gRPC clients reach: what is inserted here is encoded, called and answered as theirs is.
    let client = GetInfoClient::new(service(gateway));
    let insert =
        warp::path!("grpc" / "insert").and(warp::post()).and(call(gateway.clone())).and(body::json(read)).then(
            move |call, vote| {
                let client = client.clone();
                async move { answer::finish(insert(client, &call, vote).await) }
            },
        );
    let unbuilt = warp::path!("rust" / "insert").and(warp::post()).map(|| answer::finish(Err(not_built())));
    let log = warp::path!("data")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(log(call).await) });
    insert.or(unbuilt).unify().or(log).unify().boxed()
}

/// A vote, as the contest's clients write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vote {
    name: String,
    album: String,
    year: String,
    rank: String,
}

#[derive(Serialize)]
struct Inserted {
    info: String,
}

/// What of a request goes with the call.
const FORWARDED: [&str; 4] = ["idempotency-key", "cabildo-correlation-id", "cabildo-causation-id", "x-request-id"];

async fn insert(
    mut client: GetInfoClient<GetInfoServer<Contest>>,
    call: &Call,
    vote: Result<Vote, Problem>,
) -> Result<Response, Problem> {
    let Vote { name, album, year, rank } = vote?;
    let mut headers = http::HeaderMap::new();
    for name in FORWARDED {
        if let Some(value) = call.headers.get(name) {
            headers.insert(name, value.clone());
        }
    }
    let mut request = tonic::Request::new(RequestId { name, album, year, rank });
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    let answered = client.return_info(request).await.map_err(|status| status::problem(&status))?;
    let (metadata, ReplyInfo { info }, _) = answered.into_parts();
    let mut response = answer::json(&Inserted { info })?;
    if let Some(position) = metadata.into_headers().remove(answer::POSITION) {
        response.headers_mut().insert(answer::POSITION, position);
    }
    Ok(response)
}

fn not_built() -> Problem {
    let detail =
        "votes by way of a WebAssembly transform are not taken yet, as there is no transform: use /grpc/insert";
    Problem::new(&problem::NOT_BUILT, detail)
}

/// An event of a ballot, as far as the log shows it.
#[derive(Deserialize)]
struct Recorded {
    id: String,
    time: String,
    data: Ballot,
}

#[derive(Deserialize)]
struct Ballot {
    choices: Vec<String>,
    #[serde(default)]
    fields: Fields,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    album: String,
    year: String,
    rank: String,
}

#[derive(Serialize)]
struct Logged {
    _id: String,
    message: String,
    data: Shown,
    timestamp: String,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    album: String,
    year: String,
    rank: String,
}

/// The newest votes of the record, newest first.
async fn log(call: Call) -> Result<Response, Problem> {
    call.params()?.finish(&[])?;
    let ports = &call.gateway.ports;
    let view = ports.views.live(record::ID);
    let aggregate = Aggregate::poll(&bands()?);
    let fresh = match call.min_position()? {
        Some(min) => fresh::lane(&*ports.documents, view, aggregate.lane(), &*ports.journal, min).await?,
        None => true,
    };
    let kinds = vec![KindPattern::Exactly("poll.ballot.cast".to_owned())];
    let query =
        Query { aggregate: Some(aggregate), kinds, order: Order::Newest, ..Query::of(view, EVENTS, BAND_VOTES_SHOWN) };
    let found = ports.documents.find(&query).await?;
    // What does not read as a ballot is in the record with its reason, and no vote.
    let votes = found.documents.iter().filter_map(|document| serde_json::from_str(&document.body).ok()).map(shown);
    let mut response = answer::json(&votes.collect::<Vec<_>>())?;
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

fn shown(event: Recorded) -> Logged {
    let Recorded { id, time, data: Ballot { choices, fields: Fields { album, year, rank } } } = event;
    let name = choices.into_iter().next().unwrap_or_default();
    let message = format!("vote for {name}");
    Logged { _id: id, message, data: Shown { name, album, year, rank }, timestamp: time }
}

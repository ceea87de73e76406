//! The doors that ballots go in by.

use std::collections::BTreeMap;
use std::time::Duration;

use cabildo_events::{EventId, PollId, Position, Question, VoterId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::grpc::GrpcClient;
use super::http::{Answer, HttpClient};
use super::{JournalDoor, Row, Server, Votes};

/// Why something was not done at a door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// Not now: the same again may succeed.
    #[error("{reason}")]
    Later {
        /// What was said.
        reason: String,
        /// Not before this long.
        after: Option<Duration>,
        /// Whether it may have been done all the same.
        may_have_happened: bool,
    },
    /// Not at all: the same again will be refused again.
    #[error("{0}")]
    Refused(String),
}

/// Where ballots go in.
#[derive(Clone)]
pub enum Door {
    /// Over HTTP, through a gateway.
    Http(Server),
    /// Over gRPC, through a gateway; the poll is opened and its tally read over HTTP.
    Grpc(Server),
    /// Straight into the journal.
    Journal(JournalDoor),
}

/// A poll's tally, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Votes by option.
    pub votes: BTreeMap<String, i64>,
    /// Ballots on record that do not count.
    pub spoilt: i64,
    /// Whether the view may not have caught up yet.
    pub stale: bool,
}

/// One client at a door. Over HTTP and gRPC it has a connection of its own, and keeps it.
pub(super) enum Client {
    Http(HttpClient),
    Grpc(GrpcClient),
    Journal(JournalDoor),
}

/// A ballot to be cast.
pub(super) struct Ballot<'a> {
    pub(super) poll: &'a PollId,
    pub(super) voter: VoterId,
    pub(super) row: &'a Row,
    pub(super) votes: &'a Votes,
    pub(super) key: String,
}

impl Door {
    pub(super) fn client(&self) -> Client {
        match self {
            Self::Http(server) => Client::Http(HttpClient::new(server.clone())),
            Self::Grpc(server) => Client::Grpc(GrpcClient::new(server.clone())),
            Self::Journal(door) => Client::Journal(door.clone()),
        }
    }

    /// Opens the poll to any option, unless there is one already. Tells whether it was opened now.
    ///
    /// # Errors
    /// See [`DoorError`].
    pub async fn open_poll(&self, poll: &PollId, question: &Question) -> Result<bool, DoorError> {
        match self {
            Self::Http(server) | Self::Grpc(server) => {
                let mut client = HttpClient::new(server.clone());
                let body = json!({ "id": poll.as_str(), "question": question.as_str() });
                let answer = client.send(http::Method::POST, "/api/v1/polls", &[], Some(&body)).await?;
                match answer.status {
                    StatusCode::CREATED | StatusCode::OK => Ok(true),
                    _ if answer.problem().ends_with("already-exists") => Ok(false),
                    _ => Err(refusal(&answer)),
                }
            }
            Self::Journal(door) => door.open_poll(poll, question).await,
        }
    }

    /// The poll's tally, from a view that has got at least as far as `position`, if it gets there within a bounded wait; else
    /// it says that it is stale.
    ///
    /// # Errors
    /// See [`DoorError`].
    pub async fn tally(&self, poll: &PollId, position: Position) -> Result<Tally, DoorError> {
        match self {
            Self::Http(server) | Self::Grpc(server) => {
                let mut client = HttpClient::new(server.clone());
                let path = format!("/api/v1/polls/{}/tally", segment(poll.as_str()));
                let wanted = position.to_string();
                let answer =
                    client.send(http::Method::GET, &path, &[("cabildo-min-position", wanted.as_str())], None).await?;
                match answer.status {
                    StatusCode::OK => read_tally(&answer),
                    StatusCode::NOT_FOUND => Ok(Tally { stale: true, ..Tally::default() }),
                    _ => Err(refusal(&answer)),
                }
            }
            Self::Journal(door) => door.tally(poll, position).await,
        }
    }
}

impl Client {
    /// Casts a ballot; answers with its position when it is on the journal.
    pub(super) async fn cast(&mut self, ballot: &Ballot<'_>) -> Result<Position, DoorError> {
        match self {
            Self::Http(client) => {
                let voter = segment(ballot.voter.as_str());
                let path = format!("/api/v1/polls/{}/ballots/{voter}", segment(ballot.poll.as_str()));
                let choice = ballot.votes.options[ballot.row.option].as_str();
                let body = json!({ "choice": choice, "fields": ballot.row.fields });
                let headers = [("idempotency-key", ballot.key.as_str())];
                let answer = client.send(http::Method::PUT, &path, &headers, Some(&body)).await?;
                if !answer.status.is_success() {
                    return Err(refusal(&answer));
                }
                let position = answer.header("cabildo-position").and_then(|text| text.parse().ok());
                position.ok_or_else(|| DoorError::Refused("the gateway's answer has no Cabildo-Position".to_owned()))
            }
            Self::Grpc(client) => client.cast(ballot).await,
            Self::Journal(door) => {
                let id = EventId::from_key(&format!("poll/{}", ballot.poll), &ballot.key);
                door.cast(id, ballot).await
            }
        }
    }
}

fn refusal(answer: &Answer) -> DoorError {
    let reason = answer.reason();
    match answer.status {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = answer.header("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
            DoorError::Later { reason, after, may_have_happened: true }
        }
        _ => DoorError::Refused(reason),
    }
}

fn read_tally(answer: &Answer) -> Result<Tally, DoorError> {
    #[derive(Deserialize)]
    struct Read {
        options: Vec<OptionVotes>,
        spoilt: i64,
    }
    #[derive(Deserialize)]
    struct OptionVotes {
        option: String,
        votes: i64,
    }
    let read: Read = serde_json::from_slice(&answer.body)
        .map_err(|error| DoorError::Refused(format!("the tally does not read: {error}")))?;
    let votes = read.options.into_iter().map(|option| (option.option, option.votes)).collect();
    let stale = answer.header("cabildo-stale").is_some_and(|text| text == "true");
    Ok(Tally { votes, spoilt: read.spoilt, stale })
}

/// A path segment: everything that is not unreserved (RFC 3986, section 2.3) is percent-encoded.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

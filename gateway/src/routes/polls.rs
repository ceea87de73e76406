//! Polls: opened, voted in, closed, counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use cabildo_events::{
    Aggregate, Command, Facts, FieldName, FieldValue, OptionLabel, PersonName, PollId, Position, Question, VoterId,
    poll,
};
use cabildo_projections::tally::{self, INDEX, INDEX_KEY};
use cabildo_storage::Moment;
use serde::{Deserialize, Serialize};
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::rooms::{is_taken, made, value};
use crate::call::{Call, call};
use crate::params::{escape, segment};
use crate::problem::Problem;
use crate::tallies::{self, State};
use crate::{Gateway, answer, body, fresh, lookback, slug, sse};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let read = gateway.config.patience.body_read;
    let polls = warp::path!("api" / "v1" / "polls");
    let cast = warp::path!("api" / "v1" / "polls" / String / "ballots" / String)
        .and(warp::put())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|poll: String, voter: String, call, input| async move {
            answer::finish(cast(&poll, &voter, call, input).await)
        });
    let open = polls
        .and(warp::post())
        .and(call(gateway.clone()))
        .and(body::json(read))
        .then(|call, input| async move { answer::finish(open(call, input).await) });
    let list =
        polls.and(warp::get()).and(call(gateway.clone())).then(|call| async move { answer::finish(list(call).await) });
    let get = warp::path!("api" / "v1" / "polls" / String)
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|poll: String, call| async move { answer::finish(get(&poll, call).await) });
    let close = warp::path!("api" / "v1" / "polls" / String / "close")
        .and(warp::post())
        .and(call(gateway.clone()))
        .then(|poll: String, call| async move { answer::finish(close(&poll, call).await) });
    let tally = warp::path!("api" / "v1" / "polls" / String / "tally")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|poll: String, call| async move { answer::finish(tally(&poll, call).await) });
    cast.or(tally).unify().or(open).unify().or(list).unify().boxed().or(get).unify().or(close).unify().boxed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenPoll {
    id: Option<String>,
    question: String,
    options: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CastBallot {
    choice: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct PollWritten<'a> {
    poll: &'a str,
}

#[derive(Serialize)]
struct BallotWritten<'a> {
    poll: &'a str,
    voter: &'a str,
}

async fn open(call: Call, input: Result<OpenPoll, Problem>) -> Result<Response, Problem> {
    let input = input?;
    let given: Option<PollId> = value("id", input.id)?;
    let question = Question::try_from(input.question).map_err(|error| Problem::bad_value("question", error))?;
    let options = input.options.map(|options| options.into_iter().enumerate().map(option).collect()).transpose()?;
    let at = call.circumstances(None)?;
    let slug = slug::slug(question.as_str());
    let opened = poll::PollOpened { question, options, by: call.caller().user };
    let commands = &call.gateway.ports.commands;
    let command = |poll: &PollId| Command::Poll(poll.clone(), poll::Command::Open(opened.clone()));
    let mut poll = given.clone().map_or_else(|| made(&slug), Ok)?;
    let mut outcome = commands.execute(command(&poll), Facts::default(), at.clone()).await;
    if given.is_none() && is_taken(&outcome) {
        poll = made(&slug::another(&slug, at.idempotency_key.as_deref()))?;
        outcome = commands.execute(command(&poll), Facts::default(), at).await;
    }
    let location = format!("/api/v1/polls/{}", escape(poll.as_str()));
    answer::written(&outcome?, PollWritten { poll: poll.as_str() }, Some(&location))
}

fn option((index, label): (usize, String)) -> Result<OptionLabel, Problem> {
    OptionLabel::try_from(label).map_err(|error| Problem::bad_value(&format!("options[{index}]"), error))
}

async fn cast(poll: &str, voter: &str, call: Call, input: Result<CastBallot, Problem>) -> Result<Response, Problem> {
    let (poll, voter): (PollId, VoterId) = (segment("poll", poll)?, segment("voter", voter)?);
    let CastBallot { choice, fields } = input?;
    let ballot = ballot(&call, voter, choice, fields).await?;
    let (voter, at) = (ballot.voter.clone(), call.circumstances(Some(ballot.voter.as_str()))?);
    let command = Command::Poll(poll.clone(), poll::Command::Cast(ballot));
    let receipt = call.gateway.ports.commands.execute(command, Facts::default(), at).await?;
    answer::written(&receipt, BallotWritten { poll: poll.as_str(), voter: voter.as_str() }, None)
}

/// A ballot, of what a client wrote on it.
pub(crate) async fn ballot(
    call: &Call,
    voter: VoterId,
    choice: String,
    fields: impl IntoIterator<Item = (String, String)>,
) -> Result<poll::BallotCast, Problem> {
    let choice = OptionLabel::try_from(choice).map_err(|error| Problem::bad_value("choice", error))?;
    let fields = fields.into_iter().map(field).collect::<Result<_, _>>()?;
    Ok(poll::BallotCast { voter: votes_as(call, voter).await?, choices: vec![choice], fields })
}

/// Who has a name of their own votes under it, once; nobody else does.
async fn votes_as(call: &Call, voter: VoterId) -> Result<VoterId, Problem> {
    // What is longer than a name, or looks otherwise, is nobody's.
    if call.caller().name.is_none() && voter.as_str().parse::<PersonName>().is_err() {
        return Ok(voter);
    }
    let name = call.goes_by(Some(voter.as_str()), "voter").await?;
    VoterId::try_from(String::from(name)).map_err(|error| Problem::bad_value("voter", error))
}

fn field((name, value): (String, String)) -> Result<(FieldName, FieldValue), Problem> {
    let place = format!("fields.{name}");
    let name = FieldName::try_from(name).map_err(|error| Problem::bad_value("fields", error))?;
    let value = FieldValue::try_from(value).map_err(|error| Problem::bad_value(&place, error))?;
    Ok((name, value))
}

async fn close(poll: &str, call: Call) -> Result<Response, Problem> {
    let poll: PollId = segment("poll", poll)?;
    let command = Command::Poll(poll.clone(), poll::Command::Close);
    let facts = Facts { asker: call.caller().asker(), ..Facts::default() };
    let receipt = call.gateway.ports.commands.execute(command, facts, call.circumstances(None)?).await?;
    answer::written(&receipt, PollWritten { poll: poll.as_str() }, None)
}

#[derive(Serialize)]
struct PollListed {
    poll: String,
    question: String,
}

#[derive(Serialize)]
struct Polls {
    polls: Vec<PollListed>,
}

async fn list(call: Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let limit = params.limit()?;
    let after = params.text("after")?;
    params.finish(&["after", "limit"])?;
    let ports = &call.gateway.ports;
    let view = ports.views.live(tally::ID);
    let fresh = match call.min_position()? {
        Some(min) => fresh::every_lane(&*ports.counters, view, &*ports.journal, min).await?,
        None => true,
    };
    let lanes = ports.counters.across_lanes(view, INDEX, INDEX_KEY).await?;
    let polls: BTreeMap<String, String> = lanes.into_iter().flatten().collect();
    let from = |id: &String| after.as_ref().is_none_or(|after| id > after);
    let mut polls: Vec<PollListed> = polls
        .into_iter()
        .filter(|(id, _)| from(id))
        .take(limit + 1)
        .map(|(poll, question)| PollListed { poll, question })
        .collect();
    let more = polls.len() > limit;
    polls.truncate(limit);
    let next = polls.last().filter(|_| more);
    let next = next.map(|last| format!("/api/v1/polls?after={}&limit={limit}", escape(&last.poll)));
    let mut response = answer::json(&Polls { polls })?;
    answer::link(&mut response, &next.map(|next| ("next", next)).into_iter().collect::<Vec<_>>());
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

/// A poll's result, and how it was read.
struct Read {
    state: State,
    mark: Mark,
}

enum Mark {
    /// As it is, at the view's watermark; whether that is as fresh as the client asked for.
    Now(u64, bool),
    /// As it was.
    AsOf(Position),
}

impl Mark {
    fn put(&self, response: &mut Response) {
        match self {
            Self::Now(watermark, fresh) => answer::mark(response, Some(*watermark), *fresh),
            Self::AsOf(at) => answer::mark_as_of(response, *at),
        }
    }
}

/// The poll's result as it is, as fresh as the client asked for, or as it was.
async fn read(call: &Call, poll: &PollId, at: Option<Moment>) -> Result<Read, Problem> {
    let gateway = &call.gateway;
    let ports = &gateway.ports;
    if let Some(moment) = at {
        let at = lookback::as_of(call, moment).await?;
        let [past] = gateway.histories.at(ports, poll, [at]).await?;
        let Some(tally) = past.tally else {
            // It may have been opened since.
            let opened = ports.journal.ruled(&Aggregate::poll(poll)).await?.first().map(|event| event.position);
            return Err(match opened {
                Some(since) if since > at => lookback::not_yet("poll", poll, at, since),
                _ => Problem::not_found("poll", poll),
            });
        };
        return Ok(Read { state: State { tally, position: at }, mark: Mark::AsOf(at) });
    }
    let lane = Aggregate::poll(poll).lane();
    let view = ports.views.live(tally::ID);
    let fresh = match call.min_position()? {
        Some(min) => fresh::lane(&*ports.counters, view, lane, &*ports.journal, min).await?,
        None => true,
    };
    let (watermark, state) = tallies::read(ports, view, poll, lane).await?;
    let state = state.ok_or_else(|| Problem::not_found("poll", poll))?;
    Ok(Read { state, mark: Mark::Now(watermark, fresh) })
}

#[derive(Serialize)]
struct Poll {
    poll: PollId,
    question: String,
    status: &'static str,
    open_options: bool,
    options: Vec<String>,
    opened: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<String>,
    voters: i64,
}

async fn get(poll: &str, call: Call) -> Result<Response, Problem> {
    let poll: PollId = segment("poll", poll)?;
    let mut params = call.params()?;
    let at = lookback::asked(&mut params)?;
    params.finish(&["at"])?;
    let Read { state: State { tally, .. }, mark } = read(&call, &poll, at).await?;
    let mut options: Vec<String> = tally.options.into_iter().map(|option| option.option).collect();
    options.sort_unstable();
    let mut response = answer::json(&Poll {
        poll,
        question: tally.question,
        status: tally.status,
        open_options: tally.open_options,
        options,
        opened: tally.opened,
        closed: tally.closed,
        voters: tally.voters,
    })?;
    mark.put(&mut response);
    Ok(response)
}

async fn tally(poll: &str, call: Call) -> Result<Response, Problem> {
    let poll: PollId = segment("poll", poll)?;
    let mut params = call.params()?;
    let at = lookback::asked(&mut params)?;
    params.finish(&["at"])?;
    let live = call.asks_for(sse::MEDIA_TYPE);
    if live && at.is_some() {
        return Err(Problem::bad_value("at", "a live stream shows what is: leave `at` out, or ask for JSON"));
    }
    let Read { state, mark } = read(&call, &poll, at).await?;
    let mut response = if live {
        let place = sse::take_place(&call.gateway)?;
        sse::respond(&call.gateway, place, call.gateway.tallies.watch(&poll))
    } else {
        answer::json(&state)?
    };
    mark.put(&mut response);
    Ok(response)
}

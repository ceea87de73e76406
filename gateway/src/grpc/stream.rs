//! Wishes that come in a stream: many under way at a time, each counted once, and one summary of all.

use std::collections::HashSet;
use std::sync::Arc;

use cabildo_events::limits::{GRPC_IN_FLIGHT_MAX, GRPC_REFUSALS_MAX};
use cabildo_events::{Command, Facts, Position};
use cabildo_storage::{Circumstances, Durability, Receipt};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tonic::{Code, Status, Streaming};

use super::status::{refuse, with_summary};
use crate::Gateway;
use crate::call::{Call, check_key};
use crate::problem::{self, Problem};
use crate::proto::v1;

/// A command, and the circumstances under which it is given.
pub(super) type Wish = (Command, Circumstances);

/// Gives a command.
///
/// # Errors
/// What was wrong with it, or with the journal.
pub(super) async fn grant(gateway: &Gateway, wish: Result<Wish, Problem>) -> Result<Receipt, Problem> {
    let (command, at) = wish?;
    Ok(gateway.ports.commands.execute(command, Facts::default(), at).await?)
}

/// The client's key for a message: its own, else the call's; in a stream the call's with the number of the message.
pub(super) fn key(call: &Call, own: &str, number: Option<u64>) -> Result<Option<String>, Problem> {
    if !own.is_empty() {
        return check_key("idempotency_key", own).map(Some);
    }
    let key = call.idempotency_key()?;
    Ok(match number {
        Some(number) => key.map(|key| format!("{key}/{number}")),
        None => key,
    })
}

/// An acknowledgement, as it is told.
pub(super) fn receipt(receipt: &Receipt) -> v1::Receipt {
    v1::Receipt {
        position: receipt.position.to_string(),
        durability: durability(receipt.durability).into(),
        repeated: receipt.repeated,
    }
}

const fn durability(durability: Durability) -> v1::Durability {
    match durability {
        Durability::Accepted => v1::Durability::Accepted,
        Durability::Replicated => v1::Durability::Replicated,
        Durability::Fsync => v1::Durability::Fsync,
    }
}

/// What became of a message: its number, what its order depended on, the outcome.
type Done = (u64, String, Result<Receipt, Problem>);

/// Takes a stream's messages as wishes, at most [`GRPC_IN_FLIGHT_MAX`] at a time. Messages of the same `order` are given one
/// after another. What breaks a rule is counted; anything else, and the end of the gateway, ends the stream early, and then
/// the summary stands in the status.
///
/// # Errors
/// When the stream ended early: nothing after the messages that the summary counts was looked at.
pub(super) async fn gather<M>(
    gateway: &Arc<Gateway>,
    mut messages: Streaming<M>,
    order: impl Fn(&M) -> String,
    wish: impl Fn(u64, M) -> BoxFuture<'static, Result<Wish, Problem>>,
) -> Result<v1::StreamSummary, Status> {
    let mut tally = Tally::new(gateway.ports.journal.durability());
    let mut under_way: FuturesUnordered<BoxFuture<'static, Done>> = FuturesUnordered::new();
    let mut busy: HashSet<String> = HashSet::new();
    let mut held: Option<M> = None;
    let mut end: Option<Result<(), Status>> = None;
    loop {
        if let Some(message) = held.take_if(|message| end.is_none() && !busy.contains(&order(message))) {
            let (number, order) = (tally.next(), order(&message));
            busy.insert(order.clone());
            let (gateway, wish) = (gateway.clone(), wish(number, message));
            under_way.push(Box::pin(async move { (number, order, grant(&gateway, wish.await).await) }));
        }
        let reads = end.is_none() && held.is_none() && under_way.len() < GRPC_IN_FLIGHT_MAX;
        if end.is_some() && under_way.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some((number, order, outcome)) = under_way.next(), if !under_way.is_empty() => {
                busy.remove(&order);
                if let Some(ended) = tally.count(gateway, number, outcome) {
                    end.get_or_insert(Err(ended));
                }
            }
            () = gateway.stopping.cancelled(), if end.is_none() => {
                let detail = "the gateway goes down: send what is not counted to its successor";
                end = Some(Err(refuse(gateway, &Problem::new(&problem::STOPPING, detail))));
            }
            message = messages.message(), if reads => match message {
                Ok(Some(message)) => held = Some(message),
                Ok(None) => end = Some(Ok(())),
                Err(status) => end = Some(Err(broken(gateway, status))),
            },
        }
    }
    let summary = tally.told();
    match end {
        Some(Err(status)) => Err(with_summary(&status, &summary)),
        _ => Ok(summary),
    }
}

/// Why a stream could not be read on, in our words.
fn broken(gateway: &Gateway, status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => refuse(gateway, &Problem::body_too_large()),
        Code::DeadlineExceeded => refuse(gateway, &Problem::new(&problem::BODY_TIMEOUT, status.message())),
        Code::Internal => refuse(gateway, &Problem::new(&problem::BAD_REQUEST, "a message cannot be read")),
        _ => status,
    }
}

/// What became of the messages so far.
struct Tally {
    summary: v1::StreamSummary,
    last: Option<Position>,
}

impl Tally {
    fn new(of: Durability) -> Self {
        Self { summary: v1::StreamSummary { durability: durability(of).into(), ..Default::default() }, last: None }
    }

    /// The number of one more message.
    const fn next(&mut self) -> u64 {
        let number = self.summary.received;
        self.summary.received += 1;
        number
    }

    /// Counts what became of a message; a status if the stream cannot go on.
    fn count(&mut self, gateway: &Gateway, number: u64, outcome: Result<Receipt, Problem>) -> Option<Status> {
        let summary = &mut self.summary;
        let problem = match outcome {
            Ok(receipt) => {
                summary.acknowledged += 1;
                summary.repeated += u64::from(receipt.repeated);
                self.last = self.last.max(Some(receipt.position));
                return None;
            }
            Err(problem) => problem,
        };
        let is_rule = problem.kind().status.is_client_error();
        if is_rule {
            summary.refused += 1;
        } else {
            summary.failed += 1;
        }
        // The first ones by their number, in whatever order the answers come.
        let at = summary.refusals.partition_point(|other| other.index < number);
        if at < GRPC_REFUSALS_MAX {
            let refusal = v1::Refusal {
                index: number,
                reason: problem.kind().code.to_owned(),
                detail: problem.detail().to_owned(),
                field: problem.field_name().unwrap_or_default().to_owned(),
            };
            summary.refusals.insert(at, refusal);
            summary.refusals.truncate(GRPC_REFUSALS_MAX);
        }
        let status = refuse(gateway, &problem);
        (!is_rule).then_some(status)
    }

    fn told(self) -> v1::StreamSummary {
        let last_position = self.last.map(|last| last.to_string()).unwrap_or_default();
        v1::StreamSummary { last_position, ..self.summary }
    }
}

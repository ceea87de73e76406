//! Casting: concurrent clients, each with its own ballots, pace, retries and latencies.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cabildo_events::Position;
use cabildo_events::limits::{CAST_RETRY_MS, RETRY_FIRST_MS, RETRY_LONGEST_MS};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::door::{Ballot, Client};
use super::{Door, DoorError, Plan};

/// How far it has come, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    acknowledged: AtomicU64,
    retried: AtomicU64,
    tickets: AtomicU64,
}

impl Progress {
    /// Ballots acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Times a ballot was sent again so far.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }
}

/// What became of the ballots.
#[derive(Debug)]
pub struct Outcome {
    /// Ballots that were sent at least once.
    pub sent: u64,
    /// Ballots that were acknowledged.
    pub acknowledged: u64,
    /// Times a ballot was sent again.
    pub retried: u64,
    /// Ballots that were given up.
    pub failed: u64,
    /// Why the first of them was.
    pub failure: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
    /// Time from sending (at a rate: from when it was due) to the acknowledgement, in microseconds.
    pub latency_us: Histogram<u64>,
    /// The highest position acknowledged.
    pub highest: Position,
    /// By option: votes by the last acknowledged ballot of each voter.
    pub votes: Vec<i64>,
    /// By option: votes that may be there beyond those, from ballots given up that may have been recorded.
    pub maybe_more: Vec<i64>,
    /// By option: votes that may be gone from those, for the same reason.
    pub maybe_fewer: Vec<i64>,
}

impl Outcome {
    fn new(options: usize) -> Self {
        Self {
            sent: 0,
            acknowledged: 0,
            retried: 0,
            failed: 0,
            failure: None,
            elapsed: Duration::ZERO,
            latency_us: histogram(),
            highest: Position::START,
            votes: vec![0; options],
            maybe_more: vec![0; options],
            maybe_fewer: vec![0; options],
        }
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.retried += other.retried;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        // Both have the same bounds, so nothing can be out of them.
        let _ = self.latency_us.add(&other.latency_us);
        self.highest = self.highest.max(other.highest);
        for (sums, more) in [
            (&mut self.votes, other.votes),
            (&mut self.maybe_more, other.maybe_more),
            (&mut self.maybe_fewer, other.maybe_fewer),
        ] {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
}

/// The longest latency that is told apart, in microseconds: an hour. A longer one counts as this.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Latencies to two digits.
fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LATENCY_US_MAX, 2) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("the bounds are constants, and allowed"),
    }
}

/// Casts all ballots of the plan; a refusal or `stop` ends it early. What was sent is waited for.
pub async fn cast_all(plan: Arc<Plan>, door: &Door, progress: Arc<Progress>, stop: &CancellationToken) -> Outcome {
    let start = Instant::now();
    // A ballot that is refused would be refused again, and so will the next one.
    let stop = stop.child_token();
    let mut users = JoinSet::new();
    for user in 0..plan.users.min(plan.count) {
        users.spawn(run_user(plan.clone(), user, door.client(), progress.clone(), start, stop.clone()));
    }
    let mut outcome = Outcome::new(plan.votes.options.len());
    while let Some(user) = users.join_next().await {
        match user {
            Ok(part) => outcome.add(part),
            Err(error) => outcome.failure = Some(error.to_string()),
        }
    }
    outcome.elapsed = start.elapsed();
    outcome
}

async fn run_user(
    plan: Arc<Plan>,
    user: u64,
    mut client: Client,
    progress: Arc<Progress>,
    start: Instant,
    stop: CancellationToken,
) -> Outcome {
    let mut outcome = Outcome::new(plan.votes.options.len());
    // Only needed where a voter votes again.
    let mut last: Option<HashMap<u64, usize>> = (plan.voters < plan.count).then(HashMap::new);
    for number in plan.ballots_of(user) {
        let due = match plan.due(progress.tickets.fetch_add(1, Ordering::Relaxed)) {
            Some(after) => {
                let due = start + after;
                let wait = tokio::time::sleep_until(due.into());
                if stop.run_until_cancelled(wait).await.is_none() {
                    break;
                }
                due
            }
            None => Instant::now(),
        };
        if stop.is_cancelled() {
            break;
        }
        let row = plan.row(number);
        let voter = match plan.voter(number) {
            Ok(voter) => voter,
            Err(error) => {
                outcome.failure = Some(error.to_string());
                stop.cancel();
                break;
            }
        };
        let ballot = Ballot { poll: &plan.poll, voter, row, votes: &plan.votes, key: format!("{}-{number}", plan.run) };
        outcome.sent += 1;
        let before = last.as_ref().and_then(|last| last.get(&(number % plan.voters)).copied());
        match cast(&mut client, &ballot, &progress, &mut outcome.retried, &stop).await {
            Ok(position) => {
                outcome.acknowledged += 1;
                progress.acknowledged.fetch_add(1, Ordering::Relaxed);
                outcome.latency_us.saturating_record(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
                outcome.highest = outcome.highest.max(position);
                outcome.votes[row.option] += 1;
                if let Some(before) = before {
                    outcome.votes[before] -= 1;
                }
                if let Some(last) = &mut last {
                    last.insert(number % plan.voters, row.option);
                }
            }
            Err(given_up) => {
                outcome.failed += 1;
                outcome.failure.get_or_insert(given_up.reason);
                if given_up.may_have_happened {
                    outcome.maybe_more[row.option] += 1;
                    if let Some(before) = before {
                        outcome.maybe_fewer[before] += 1;
                    }
                }
                if given_up.refused {
                    stop.cancel();
                }
            }
        }
    }
    outcome
}

struct GivenUp {
    reason: String,
    refused: bool,
    may_have_happened: bool,
}

/// Casts one ballot, and again under the same key while that may help, for [`CAST_RETRY_MS`] at most.
async fn cast(
    client: &mut Client,
    ballot: &Ballot<'_>,
    progress: &Progress,
    retried: &mut u64,
    stop: &CancellationToken,
) -> Result<Position, GivenUp> {
    let deadline = Instant::now() + Duration::from_millis(CAST_RETRY_MS);
    let mut wait = Duration::from_millis(RETRY_FIRST_MS);
    let mut maybe = false;
    loop {
        let (reason, after) = match client.cast(ballot).await {
            Ok(position) => return Ok(position),
            Err(DoorError::Refused(reason)) => {
                return Err(GivenUp { reason, refused: true, may_have_happened: maybe });
            }
            Err(DoorError::Later { reason, after, may_have_happened }) => {
                maybe |= may_have_happened;
                (reason, after)
            }
        };
        let pause = after.map_or(wait, |after| after.max(wait));
        let goes_on =
            Instant::now() + pause < deadline && stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some();
        if !goes_on {
            return Err(GivenUp { reason, refused: false, may_have_happened: maybe });
        }
        wait = (wait * 2).min(Duration::from_millis(RETRY_LONGEST_MS));
        *retried += 1;
        progress.retried.fetch_add(1, Ordering::Relaxed);
    }
}

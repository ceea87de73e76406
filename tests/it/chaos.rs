//! The distributed footing under faults: while ballots pour in over HTTP, the consumer is killed twenty times, Redis is
//! emptied, NATS and MongoDB are restarted. What was acknowledged is in the tally and in the log, once, within seconds.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cabildo_events::{Lane, PollId, Position, wire};
use cabildo_projections::record;
use cabildo_projections::tally::{self, PollTally};
use cabildo_storage::{Counters, Documents, Journal, Query, open_counters, open_documents, open_journal};
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::servers::{Mongo, Nats, Redis};

const BALLOTS: usize = 20_000;
const RATE: &str = "2000/s";
const KILLS: u32 = 20;
/// Between two faults: the ballots keep coming for longer than all of them take.
const PAUSE: Duration = Duration::from_millis(250);
/// How soon after the last fault and the last ballot everything has to be exact.
const EXACT_WITHIN: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);
const VOTES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/seed/votes-gt.json");

/// The three servers, and how roles find them.
struct Servers {
    nats: Nats,
    redis: Redis,
    mongo: Mongo,
}

impl Servers {
    async fn start() -> Self {
        let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
        Self { nats, redis, mongo }
    }

    /// A role of the binary over these servers.
    fn role(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
        command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.envs([
            ("CABILDO_JOURNAL", self.nats.url()),
            ("CABILDO_COUNTERS", self.redis.url()),
            ("CABILDO_DOCUMENTS", self.mongo.url()),
        ]);
        command
    }
}

/// Starts a role that says its address on the first line, and hands that out.
async fn ready(mut command: Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it is ready in time").unwrap();
    let line = line.expect("it says that it is ready");
    (child, line.split("ready: ").nth(1).unwrap_or_default().to_owned())
}

/// Votes by option, as the file has them: ballot `i` is row `i` of the file, round and round.
fn expected() -> BTreeMap<String, i64> {
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(VOTES).unwrap()).unwrap();
    let mut votes = BTreeMap::new();
    for ballot in 0..BALLOTS {
        *votes.entry(rows[ballot % rows.len()]["name"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    votes
}

async fn tally(counters: &dyn Counters, poll: &PollId) -> BTreeMap<String, i64> {
    let lane = cabildo_events::Aggregate::poll(poll).lane();
    let tables = [(tally::POLL, poll.as_str()), (tally::VOTES, poll.as_str()), (tally::MINUTES, poll.as_str())];
    let Ok(found) = counters.hashes(tally::ID, lane, &tables).await else { return BTreeMap::new() };
    let [meta, votes, minutes] = found.hashes.try_into().unwrap();
    let tally = PollTally::from_hashes(poll.clone(), &meta, votes, minutes);
    tally.into_iter().flat_map(|tally| tally.options).map(|option| (option.option, option.votes)).collect()
}

/// Waits until a condition holds, and says how long that took.
async fn within<F: Future<Output = bool>>(limit: Duration, what: &str, condition: impl Fn() -> F) -> Duration {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < limit, "after {limit:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn tally_and_log_are_exact_after_kills_restarts_and_an_emptied_redis() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Servers::start().await;
    let (_gateway, address) = ready(servers.role(folder.path(), &["gateway", "--listen", "127.0.0.1:0"])).await;
    let (mut consumer, _) = ready(servers.role(folder.path(), &["consumer"])).await;

    let votes = ["produce", "votes", "--file", VOTES, "--poll", "bands", "--users", "16", "-o", "json"];
    let count = BALLOTS.to_string();
    let load = ["--count", &count, "--rate", RATE, "--server", &address];
    let mut produce = servers.role(folder.path(), &[&votes[..], &load].concat());
    let produce = produce.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    for kill in 0..KILLS {
        tokio::time::sleep(PAUSE).await;
        consumer.kill().await.unwrap();
        match kill {
            5 => servers.nats.restart().await,
            10 => servers.redis.flush(),
            15 => servers.mongo.restart().await,
            _ => {}
        }
        consumer = ready(servers.role(folder.path(), &["consumer"])).await.0;
    }
    let last_fault = Instant::now();

    let ended = tokio::time::timeout(PATIENCE, produce.wait_with_output()).await.expect("the load ends").unwrap();
    let report = String::from_utf8_lossy(&ended.stdout);
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "nothing acknowledged may be missing: {report} {complaints}");

    let journal = open_journal(&servers.nats.url()).await.unwrap();
    let counters = open_counters(&servers.redis.url()).await.unwrap();
    let documents = open_documents(&servers.mongo.url()).await.unwrap();
    let (poll, expected) = ("bands".parse().unwrap(), expected());
    let exact =
        within(EXACT_WITHIN, "the tally equals the file", || async { tally(&*counters, &poll).await == expected });
    let exact = exact.await;
    let heads = journal.lane_heads().await.unwrap();
    let logged = within(EXACT_WITHIN, "the log is at the journal's head", || async {
        documents.watermarks(record::ID).await.is_ok_and(|stands| Lane::all().all(|lane| stands[lane] >= heads[lane]))
    });
    let logged = logged.await;
    compare(&*journal, &*documents).await;
    let mut verify = servers.role(folder.path(), &["verify"]);
    let verified = tokio::time::timeout(PATIENCE, verify.output()).await.expect("it ends in time").unwrap();
    assert_eq!(verified.status.code(), Some(0), "the views are what the journal makes them: {verified:?}");
    let mut verify = servers.role(folder.path(), &["verify", "--journal"]);
    let verified = tokio::time::timeout(PATIENCE, verify.output()).await.expect("it ends in time").unwrap();
    assert_eq!(verified.status.code(), Some(0), "the journal is what the record says it is: {verified:?}");
    println!("exact {exact:?} and logged {logged:?} after the load, {:?} after the last fault", last_fault.elapsed());
    consumer.kill().await.unwrap();
}

/// Every event of the journal is in the log, as it is, once, in order; and nothing else is.
async fn compare(journal: &dyn Journal, documents: &dyn Documents) {
    let head = journal.head().await.unwrap();
    let mut pages = journal.read(Position::START, head).await.unwrap();
    let mut events = Vec::new();
    while let Some(page) = pages.next().await {
        events.extend(page.unwrap());
    }
    let mut logged = Vec::new();
    loop {
        let mut query = Query::of(record::ID, record::EVENTS, 1_000);
        query.after = logged.last().map(|document: &cabildo_projections::Document| document.created);
        let found = documents.find(&query).await.unwrap().documents;
        if found.is_empty() {
            break;
        }
        logged.extend(found);
    }
    assert_eq!(logged.len(), events.len(), "as many documents as events");
    for (event, document) in events.iter().zip(&logged) {
        assert_eq!((document.created, &*document.body), (event.position, wire::to_json(event).as_str()));
    }
    // Each ballot is one event, however often its client had to send it.
    assert_eq!(events.len(), BALLOTS + 1, "the poll's opening and its ballots");
}

//! `cabildo produce votes`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cabildo_events::limits::{LOAD_USERS_MAX, RETRY_LONGEST_MS, TALLY_SETTLE_MS};
use cabildo_events::{PollId, Position, Question};
use cabildo_producers::votes::{
    self, Difference, Door, DoorError, JournalDoor, Outcome, Plan, Progress, Server, Tally, Votes,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::transports;
use crate::connect::{open_all, promptly};
use crate::exit::{Exit, Unreachable, Usage};
use crate::output::{self, Form};
use crate::settings::{PlaceOptions, Places, ServerOptions, Settings, WorkerOptions};

/// Produce load, or import what was collected elsewhere
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Produce {
    Votes(VotesOptions),
}

/// Cast the ballots of a file, and check the tally
///
/// Reads a JSON array, NDJSON or a CSV with a header; each ballot has a name, an album, a year and a rank. Opens the poll
/// if there is none. Every ballot comes from another voter, `voter-0` and on, unless --voters says otherwise. At the end
/// the tally is compared, option by option, with what was acknowledged and with the file.
///
/// With --transport all, the same ballots go in over HTTP, over gRPC and straight into the journal, one after another, and
/// a table compares them. An embedded journal serves one process, so there the last of them writes to one of its own.
///
/// Exit codes: 1 if anything was not acknowledged or is missing from the tally, 3 if the tally differs otherwise.
#[derive(clap::Args, Debug)]
pub(crate) struct VotesOptions {
    /// The ballots
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The poll [default: the name of the file without its extension]
    #[arg(long, value_name = "ID")]
    poll: Option<PollId>,
    /// What the poll asks, if it has to be opened
    #[arg(long, value_name = "TEXT", default_value = "Which band?")]
    question: Question,
    /// How many ballots to cast, going round the file as often as needed [default: as many as the file has]
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How many clients cast at the same time, each over one connection
    #[arg(long, value_name = "N", default_value_t = 16)]
    users: u64,
    /// How many voters there are; fewer than ballots, and they vote again [default: as many as ballots]
    #[arg(long, value_name = "N")]
    voters: Option<u64>,
    /// What voters are called, before their number [default: voter, or a new name if the poll has votes already]
    #[arg(long, value_name = "TEXT")]
    voter_prefix: Option<String>,
    /// Ballots a second, for example 500 or 500/s [default: as fast as they are answered]
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Pick rows at random instead of in order
    #[arg(long)]
    random: bool,
    /// What --random starts from: the same seed picks the same rows
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Over HTTP, over gRPC, or straight into the journal; or all of them, one after another, and a table
    #[arg(long, value_name = "WAY", default_value = "http")]
    transport: Transport,
    /// How to write the report
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    pub(super) output: Form,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    pub(super) places: PlaceOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    /// Through the gateway at --server
    Http,
    /// Through the gateway at --server, over gRPC
    Grpc,
    /// Into --journal; the tally is read from --counters
    Journal,
    /// The same ballots over each of them, into a poll of its own, and how they compare
    All,
}

/// What came of it.
#[derive(Serialize)]
pub(super) struct Report {
    poll: PollId,
    asked: u64,
    sent: u64,
    pub(super) acknowledged: u64,
    retried: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    seconds: f64,
    pub(super) per_second: f64,
    pub(super) latency_ms: Latency,
    highest: Position,
    options: usize,
    settled_ms: u64,
    /// Whether the tally shows exactly what was acknowledged.
    pub(super) exact: bool,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    p95: f64,
    pub(super) p99: f64,
    max: f64,
}

/// Casts, checks, reports.
pub(crate) async fn votes(settings: &Settings, options: VotesOptions, stop: CancellationToken) -> anyhow::Result<Exit> {
    let file = options.file.clone();
    let read = tokio::task::spawn_blocking(move || votes::read(&file)).await?;
    let votes = read.with_context(|| options.file.display().to_string())?;
    let mut plan = plan(&options, votes)?;
    let server = || settings.server(&options.server).parse::<Server>().map_err(Usage);
    match options.transport {
        Transport::Http => conclude(&options, &run(&options, &mut plan, &Door::Http(server()?), &stop).await?),
        Transport::Grpc => conclude(&options, &run(&options, &mut plan, &Door::Grpc(server()?), &stop).await?),
        Transport::Journal => {
            let places = settings.places(&options.places)?;
            conclude(&options, &through_journal(settings, &places, &options, &mut plan, &stop).await?)
        }
        Transport::All => transports::compare(settings, &options, &plan, &server()?, &stop).await,
    }
}

/// Tells what came of it.
fn conclude(options: &VotesOptions, report: &Report) -> anyhow::Result<Exit> {
    match options.output {
        Form::Json => output::json(report)?,
        Form::Pretty => print(report)?,
    }
    Ok(report.exit())
}

fn plan(options: &VotesOptions, votes: Votes) -> anyhow::Result<Plan> {
    let poll = match &options.poll {
        Some(poll) => poll.clone(),
        None => {
            let stem = options.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            PollId::try_from(stem)
                .map_err(|error| Usage(format!("the file's name makes no poll id ({error}): add --poll ID")))?
        }
    };
    let count = options.count.unwrap_or(u64::try_from(votes.rows.len())?);
    let voters = options.voters.unwrap_or(count);
    let between = |name: &str, value: u64, most: u64| {
        if (1..=most).contains(&value) {
            Ok(())
        } else {
            Err(Usage(format!("{name}: {value} is not between 1 and {most}")))
        }
    };
    between("--count", count, u64::MAX)?;
    between("--voters", voters, u64::MAX)?;
    between("--users", options.users, LOAD_USERS_MAX)?;
    Ok(Plan {
        poll,
        votes,
        count,
        users: options.users,
        voters: voters.min(count),
        voter_prefix: options.voter_prefix.clone().unwrap_or_else(|| "voter".to_owned()),
        seed: options.random.then_some(options.seed),
        rate: options.rate,
        run: uuid::Uuid::now_v7().simple().to_string(),
    })
}

/// Opens the journal and the counters for this process. An embedded journal serves one process, so the consumers that
/// bring the tally up to date run here too.
pub(super) async fn through_journal(
    settings: &Settings,
    places: &Places,
    options: &VotesOptions,
    plan: &mut Plan,
    stop: &CancellationToken,
) -> anyhow::Result<Report> {
    let mut registry = crate::registry::new();
    let end = CancellationToken::new();
    let (journal, counters, consumers) = if places.journal.folder().is_some() {
        let opened = promptly(&places.journal, open_all(places)).await?;
        let (journal, counters) = (opened.journal.clone(), opened.counters.clone());
        let config = cabildo_consumers::Config::all(settings.workers(&WorkerOptions::default())?);
        let metrics = Arc::new(cabildo_consumers::Metrics::register(&mut registry));
        let consumers = cabildo_consumers::run(config, opened.into_consumer_ports(), metrics, end.clone());
        (journal, counters, Some(tokio::spawn(consumers)))
    } else {
        let journal = promptly(&places.journal, cabildo_storage::open_journal(places.journal.expose())).await?;
        let counters = promptly(&places.counters, cabildo_storage::open_counters(places.counters.expose())).await?;
        (journal, counters, None)
    };
    let metrics = Arc::new(cabildo_producers::Metrics::register(&mut registry));
    let appender = cabildo_producers::Appender::start(journal.clone(), metrics, end.clone());
    let door = Door::Journal(JournalDoor { journal, appender, counters });
    let report = run(options, plan, &door, stop).await;
    end.cancel();
    if let Some(consumers) = consumers {
        consumers.await?;
    }
    report
}

/// Casts, and checks the tally.
pub(super) async fn run(
    options: &VotesOptions,
    plan: &mut Plan,
    door: &Door,
    stop: &CancellationToken,
) -> anyhow::Result<Report> {
    let opened = door.open_poll(&plan.poll, &options.question).await.map_err(unreachable_door)?;
    let before = if opened {
        Tally::default()
    } else {
        door.tally(&plan.poll, Position::START).await.map_err(unreachable_door)?
    };
    if options.voter_prefix.is_none() && before.votes.values().any(|votes| *votes > 0) {
        // The voters of an earlier run have voted; theirs must not be taken for new ones.
        plan.voter_prefix = format!("voter-{}", plan.run);
    }
    let plan = Arc::new(plan.clone());
    let outcome = cast(&plan, door, stop).await;
    let since = Instant::now();
    let after = settle(&plan, door, outcome.highest, stop).await;
    let settled_ms = u64::try_from(since.elapsed().as_millis())?;
    let after = match after {
        Ok(after) => after,
        Err(error) => {
            output::note(&format!("the tally could not be read: {error}"));
            Tally { stale: true, ..Tally::default() }
        }
    };
    let differences = votes::compare(&plan, &before, &outcome, &after);
    Ok(report(&plan, &outcome, settled_ms, differences))
}

impl Report {
    /// Ballots that were acknowledged, to divide by.
    #[expect(clippy::cast_precision_loss, reason = "what is divided by it is shown to three digits")]
    pub(super) const fn count(&self) -> f64 {
        self.acknowledged as f64
    }

    /// What the process ends with.
    pub(super) fn exit(&self) -> Exit {
        let lost = self.differences.iter().any(|difference| difference.lost);
        if lost || self.acknowledged < self.asked {
            Exit::Failed
        } else if self.exact {
            Exit::Ok
        } else {
            Exit::Difference
        }
    }
}

pub(super) fn unreachable_door(error: DoorError) -> anyhow::Error {
    match error {
        DoorError::Later { reason, .. } => Unreachable(reason).into(),
        refused @ DoorError::Refused(_) => refused.into(),
    }
}

/// Casts all ballots under a progress bar.
async fn cast(plan: &Arc<Plan>, door: &Door, stop: &CancellationToken) -> Outcome {
    let progress = Arc::new(Progress::default());
    let bar = output::bar(Some(plan.count), "ballots");
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let casting = votes::cast_all(plan.clone(), door, progress.clone(), stop);
    tokio::pin!(casting);
    let outcome = loop {
        tokio::select! {
            outcome = &mut casting => break outcome,
            _ = tick.tick() => {
                bar.set_position(progress.acknowledged());
                if progress.retried() > 0 {
                    bar.set_message(format!("ballots ({} sent again)", progress.retried()));
                }
            }
        }
    };
    bar.finish_and_clear();
    outcome
}

/// Reads the tally until it has got as far as the last acknowledged ballot, at most [`TALLY_SETTLE_MS`]: the sink may be down
/// or set back meanwhile.
async fn settle(plan: &Plan, door: &Door, highest: Position, stop: &CancellationToken) -> Result<Tally, DoorError> {
    let deadline = Instant::now() + Duration::from_millis(TALLY_SETTLE_MS);
    loop {
        let tally = door.tally(&plan.poll, highest).await;
        let fresh = matches!(&tally, Ok(tally) if !tally.stale);
        if fresh || Instant::now() >= deadline || stop.is_cancelled() {
            return tally;
        }
        tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS / 10)).await;
    }
}

fn report(plan: &Plan, outcome: &Outcome, settled_ms: u64, differences: Vec<Difference>) -> Report {
    let seconds = outcome.elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "latencies and rates are shown to three digits")]
    let float = |value: u64| value as f64;
    let ms = |quantile: f64| float(outcome.latency_us.value_at_quantile(quantile)) / 1_000.0;
    Report {
        poll: plan.poll.clone(),
        asked: plan.count,
        sent: outcome.sent,
        acknowledged: outcome.acknowledged,
        retried: outcome.retried,
        failed: outcome.failed,
        failure: outcome.failure.clone(),
        seconds,
        per_second: if seconds > 0.0 { float(outcome.acknowledged) / seconds } else { 0.0 },
        latency_ms: Latency {
            p50: ms(0.5),
            p95: ms(0.95),
            p99: ms(0.99),
            max: float(outcome.latency_us.max()) / 1_000.0,
        },
        highest: outcome.highest,
        options: plan.votes.options.len(),
        settled_ms,
        exact: differences.is_empty(),
        differences,
    }
}

fn print(report: &Report) -> std::io::Result<()> {
    output::line(&format!(
        "poll {}: {} of {} ballots acknowledged in {:.2} s, {:.0}/s; sent again {}, failed {}",
        report.poll,
        report.acknowledged,
        report.asked,
        report.seconds,
        report.per_second,
        report.retried,
        report.failed
    ))?;
    let Latency { p50, p95, p99, max } = report.latency_ms;
    output::line(&format!("latency: p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms, max {max:.2} ms"))?;
    if let Some(failure) = &report.failure {
        output::line(&format!("the first failure: {failure}"))?;
    }
    if report.exact && report.acknowledged < report.asked {
        return output::line(&format!(
            "INCOMPLETE: the tally has what was acknowledged, but {} ballots were not",
            report.asked - report.acknowledged
        ));
    }
    if report.exact {
        return output::line(&format!(
            "OK: the tally has what was acknowledged, for all {} options, up to {} ({} ms after the last ballot)",
            report.options, report.highest, report.settled_ms
        ));
    }
    output::line("DIFFERENT: the tally does not have what was acknowledged")?;
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(["option", "file", "acknowledged", "tally", ""]);
    for difference in &report.differences {
        let Difference { option, file, acknowledged, tally, lost } = difference;
        let mark = if *lost { "lost" } else { "" };
        table.add_row([option.clone(), file.to_string(), acknowledged.to_string(), tally.to_string(), mark.to_owned()]);
    }
    output::line(&table.to_string())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a rate is a number of ballots a second, for example 500/s".to_owned()),
    }
}

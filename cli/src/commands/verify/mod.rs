//! `cabildo verify`: whether the views are what the journal makes them, and the journal what it was.

mod file;
mod journal;
mod views;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo_consumers::compare::CompareError;
use cabildo_consumers::verify::Progress;
use cabildo_events::limits::VERIFY_ROWS_SHOWN;
use cabildo_projections::{ALL, ProjectionId};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Usage};
use crate::output::{self, Form};
use crate::settings::{Settings, VerifyPlaceOptions};

/// Check that the views are what the journal makes them, or with --journal that the journal is what it was
///
/// Folds the journal afresh into a temporary folder and compares, row by row at the same position, while everything goes on.
/// Exits with 3 if anything differs, after printing what.
#[derive(clap::Args, Debug)]
pub(crate) struct Verify {
    /// Which views: tally, activity, rooms, lists, record [default: all]
    #[arg(value_name = "PROJECTION", conflicts_with_all = ["against", "save", "file"])]
    projections: Vec<String>,
    /// Check a share of the lanes only, for example 5%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    sample: Option<u32>,
    /// Which share: the same number, the same lanes [default: another one each time]
    #[arg(long, value_name = "N", requires = "sample")]
    seed: Option<u64>,
    /// Print at most so many differing rows; all of them are counted
    #[arg(long, value_name = "ROWS", default_value_t = VERIFY_ROWS_SHOWN)]
    limit: usize,
    /// With --journal: compare with an export, or with what --save wrote earlier
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// With --journal: write down where the chain of each lane stands, for --against later. Keep it where nobody who can
    /// change the journal can change it too
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// With --journal: check an exported file by itself, no journal needed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "save"])]
    file: Option<PathBuf>,
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "pretty")]
    output: Form,
    #[command(flatten)]
    places: VerifyPlaceOptions,
}

fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<u32>().ok();
    number.filter(|number| (1..=100).contains(number)).ok_or_else(|| "use 1% to 100%".to_owned())
}

/// Checks what was asked for.
pub(crate) async fn run(settings: &Settings, verify: &Verify, stop: CancellationToken) -> anyhow::Result<Exit> {
    let of_journal = verify.against.is_some() || verify.save.is_some() || verify.file.is_some();
    if of_journal && !verify.places.checks_journal() {
        return Err(Usage("--against, --save and --file check the journal: add --journal".to_owned()).into());
    }
    if verify.places.checks_journal() {
        if !verify.projections.is_empty() || verify.sample.is_some() {
            let told = "--journal checks all of the journal: leave the projections and --sample out, or --journal";
            return Err(Usage(told.to_owned()).into());
        }
        return match &verify.file {
            Some(path) => file::run(path, verify.output),
            None => journal::run(settings, verify, stop).await,
        };
    }
    let projections = named(&verify.projections)?;
    views::run(settings, verify, &projections, stop).await
}

/// The projections of these names; all if there are none.
fn named(names: &[String]) -> Result<Vec<ProjectionId>, Usage> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    let known = |name: &String| {
        ALL.into_iter().find(|id| id.name == name).ok_or_else(|| {
            let there: Vec<_> = ALL.iter().map(|id| id.name).collect();
            Usage(format!("there is no projection `{name}`: there are {}", there.join(", ")))
        })
    };
    names.iter().map(known).collect()
}

/// What ends a command that was told to stop, or could not go on.
fn failed(error: CompareError) -> anyhow::Error {
    match error {
        CompareError::Journal(error) => error.into(),
        CompareError::Sink(error) => error.into(),
        CompareError::Stopped => anyhow::anyhow!("interrupted: what was not compared is not said to be right"),
        other => other.into(),
    }
}

/// How often a bar is drawn, in milliseconds.
const DRAW_EVERY_MS: u64 = 100;

/// Shows how far a check has got, until it is dropped.
fn show(progress: Arc<Progress>, what: &str) -> tokio_util::task::AbortOnDropHandle<()> {
    let bar = output::bar(Some(0), what);
    tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        let bar = Cleared(bar);
        let mut every = tokio::time::interval(Duration::from_millis(DRAW_EVERY_MS));
        loop {
            every.tick().await;
            bar.0.set_length(progress.until.load(Ordering::Relaxed));
            bar.0.set_position(progress.read.load(Ordering::Relaxed));
            match progress.rows.load(Ordering::Relaxed) {
                0 => {}
                rows => bar.0.set_prefix(format!("{rows} rows compared, ")),
            }
        }
    }))
}

/// A bar that goes with whoever drew it.
struct Cleared(indicatif::ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

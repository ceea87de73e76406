//! Folding the journal into a view.

use std::time::{Duration, Instant};

use anyhow::bail;
use cabildo_consumers::{BuildError, Builder, Gait};
use cabildo_events::limits::{REPLAY_CAUGHT_UP_MS, REPLAY_TOLD_EVERY_MS};
use cabildo_events::operation::{Command, Decided, Stage, View};
use cabildo_events::{Event, Position};
use cabildo_projections::ProjectionId;
use cabildo_storage::Watermarks;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::shop::Shop;
use super::{Part, Replay, fold_in_this_build, part};
use crate::output::{self, Form};

/// What came of it.
pub(super) enum Outcome {
    /// The view is at its end.
    Built(ProjectionId),
    /// It was told to stop; what is folded stays.
    Stopped,
}

/// Which view is to be worked on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// One that is being built, or was asked for.
    There(u32, View),
    /// A new one.
    New,
}

/// The view that was asked for, else the one that is being built of the same part by this fold, else a new one.
pub(super) fn choose(decided: &Decided, asked: Option<u32>, fold: u32, part: Option<Part>) -> Result<Chosen, String> {
    if let Some(version) = asked {
        let there: Vec<_> = decided.views().keys().map(u32::to_string).collect();
        let view = decided.views().get(&version);
        return match view {
            Some(view) => Ok(Chosen::There(version, *view)),
            None => Err(format!("there is no view {version}: there are {}", there.join(", "))),
        };
    }
    let bounds = part.map_or((None, None), |Part { after, until }| (Some(next(after)), Some(until)));
    let is_ours = |view: &View| {
        view.fold == fold && view.part == bounds && matches!(view.stage, Stage::Building | Stage::Scratch)
    };
    let found = decided.views().iter().rev().find(|(_, view)| is_ours(view));
    Ok(found.map_or(Chosen::New, |(version, view)| Chosen::There(*version, *view)))
}

const fn next(position: Position) -> Position {
    Position { seq: position.seq + 1, ..position }
}

const fn before(position: Position) -> Position {
    Position { seq: position.seq.saturating_sub(1), ..position }
}

#[derive(Serialize)]
struct Report {
    projection: &'static str,
    view: u32,
    fold: u32,
    stage: &'static str,
    events: u64,
    seconds: f64,
    events_per_second: f64,
    until: Position,
}

/// Brings the chosen view to the journal's head, or to the end of its part.
pub(super) async fn run(shop: &Shop, replay: &Replay, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let fold = fold_in_this_build(shop.first);
    let decided = shop.decided().await?;
    let part = part(replay, &*shop.opened.journal).await?;
    let chosen = choose(&decided, replay.view, fold, part).map_err(anyhow::Error::msg)?;
    let (view, about) = match chosen {
        Chosen::There(version, about) => (shop.view(version), about),
        Chosen::New => begin(shop, fold, part).await?,
    };
    if matches!(about.stage, Stage::Live | Stage::Kept) {
        // Consumers keep it up.
        return Ok(Outcome::Built(view));
    }
    if about.fold != fold {
        bail!(
            "{view} is made by fold {}, this build has fold {fold}: use the build that has it, or begin another view by \
             leaving out --view",
            about.fold
        );
    }
    if chosen != Chosen::New && shop.watermarks(view).await? != Watermarks::default() {
        output::note(&format!("{view} is there in part: going on with it"));
    }
    let after = about.part.0.map_or(Position::START, before);
    let began = Instant::now();
    let builder = shop.builder().await?;
    let Some(folded) = fold_all(shop, &builder, view, after, about.part.1, stop).await? else {
        return Ok(Outcome::Stopped);
    };
    let until = about.part.1.unwrap_or(folded.until);
    let seconds = began.elapsed().as_secs_f64();
    report(replay, view, &about, Folded { until, ..folded }, seconds)?;
    Ok(Outcome::Built(view))
}

/// Puts a new view on the record.
async fn begin(shop: &Shop, fold: u32, part: Option<Part>) -> anyhow::Result<(ProjectionId, View)> {
    let (from, to) = part.map_or((None, None), |Part { after, until }| (Some(next(after)), Some(until)));
    let (_, event) = shop.decide(Command::Begin { fold, from, to }).await?;
    let Event::ViewBegun(begun) = event else { bail!("the journal answered with another event") };
    let view = shop.view(begun.version);
    if shop.versions_in_sink().await?.contains(&begun.version) {
        output::note(&format!("rows of another {view} are there, which the journal does not know: removing them"));
        shop.remove(view).await?;
    }
    let stage = if part.is_some() { Stage::Scratch } else { Stage::Building };
    Ok((view, View { fold, stage, part: (from, to) }))
}

#[derive(Clone, Copy)]
struct Folded {
    events: u64,
    until: Position,
}

/// Brings a view that is being built to the journal's head, once more; whether it was let.
pub(super) async fn catch_up(shop: &Shop, view: ProjectionId, stop: &CancellationToken) -> anyhow::Result<bool> {
    let builder = shop.builder().await?;
    Ok(fold_all(shop, &builder, view, Position::START, None, stop).await?.is_some())
}

/// Folds up to a position, or to the head: again and again, until so little came in meanwhile that the view counts as
/// caught up, or a pass takes as long as the one before. `None`: it was told to stop.
async fn fold_all(
    shop: &Shop,
    builder: &Builder,
    view: ProjectionId,
    after: Position,
    to: Option<Position>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Folded>> {
    let mut last_pass = Duration::MAX;
    loop {
        let until = match to {
            Some(to) => to,
            None => shop.opened.journal.head().await?,
        };
        let plan = shop.plan(view, after, until).await?;
        let began = Instant::now();
        let bar = output::bar(Some(0), &view.to_string());
        let built = tokio::select! {
            built = builder.build(&plan, stop) => built,
            () = show(builder, view, &bar) => Ok(()),
        };
        bar.finish_and_clear();
        match built {
            Ok(()) => {}
            Err(BuildError::Stopped) => {
                output::note(&format!(
                    "stopped: what is folded of {view} stays, and the same command goes on from there; `cabildo replay {} \
                     --collect {}` gives it up",
                    view.name, view.version
                ));
                return Ok(None);
            }
            Err(error) => {
                let stays = format!("{view}: what is folded stays, and the same command goes on from there");
                return Err(anyhow::Error::new(error).context(stays));
            }
        }
        let pass = began.elapsed();
        if to.is_some() || pass < Duration::from_millis(REPLAY_CAUGHT_UP_MS) || pass >= last_pass {
            return Ok(Some(Folded { events: builder.progress().folded(), until }));
        }
        last_pass = pass;
    }
}

/// Shows how far it has got: a bar on a terminal, a line now and then elsewhere. Never ends.
async fn show(builder: &Builder, view: ProjectionId, bar: &ProgressBar) {
    let (progress, gait) = (builder.progress(), builder.gait());
    let mut every = tokio::time::interval(Duration::from_millis(100));
    let (mut told, mut told_done) = (Instant::now(), 0);
    loop {
        every.tick().await;
        let (done, total) = (progress.done(), progress.total());
        let manner = match *gait.borrow() {
            Gait::Run => "",
            Gait::Walk => " (giving way to live traffic)",
            Gait::Stand => " (waiting for the live views)",
        };
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(format!("{view}{manner}"));
        if !output::shows_progress() && told.elapsed() >= Duration::from_millis(REPLAY_TOLD_EVERY_MS) {
            let rate = per_second(done.saturating_sub(told_done), told.elapsed().as_secs_f64());
            let left = if rate > 0.0 {
                format!(", {:.0} s left", float(total.saturating_sub(done)) / rate)
            } else {
                String::new()
            };
            output::note(&format!("{view}: {done} of {total} events, {rate:.0}/s{left}{manner}"));
            (told, told_done) = (Instant::now(), done);
        }
    }
}

fn report(replay: &Replay, view: ProjectionId, about: &View, folded: Folded, seconds: f64) -> anyhow::Result<()> {
    let Folded { events, until } = folded;
    let rate = per_second(events, seconds);
    let report = Report {
        projection: view.name,
        view: view.version,
        fold: about.fold,
        stage: about.stage.name(),
        events,
        seconds,
        events_per_second: rate,
        until,
    };
    match replay.output {
        Form::Json => output::json(&report)?,
        Form::Pretty => {
            output::line(&format!("{view}: folded {events} events up to {until} in {seconds:.1} s, {rate:.0}/s"))?;
        }
    }
    let name = view.name;
    if about.stage == Stage::Scratch {
        output::note(&format!("next: cabildo projections rows {name} --view {}", view.version));
    } else if !replay.diff && !replay.promote {
        output::note(&format!("next: cabildo replay {name} --diff, cabildo replay {name} --promote"));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
const fn float(events: u64) -> f64 {
    events as f64
}

fn per_second(events: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { float(events) / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::operation::Projections;
    use cabildo_events::operation::ViewBegun;

    fn begun(version: u32, fold: u32, part: (Option<u64>, Option<u64>)) -> Event {
        let (from, to) = (part.0.map(Position::at), part.1.map(Position::at));
        Event::ViewBegun(ViewBegun { projection: "tally".parse().unwrap(), version, fold, from, to })
    }

    fn chosen(events: &[Event], asked: Option<u32>, part: Option<Part>) -> Result<Option<u32>, String> {
        let mut projections = Projections::default();
        events.iter().for_each(|event| projections.evolve(event));
        choose(&projections.of("tally"), asked, 1, part).map(|chosen| match chosen {
            Chosen::There(version, _) => Some(version),
            Chosen::New => None,
        })
    }

    #[test]
    fn a_view_being_built_by_this_fold_is_gone_on_with() {
        assert_eq!(chosen(&[], None, None), Ok(None));
        assert_eq!(chosen(&[begun(2, 1, (None, None))], None, None), Ok(Some(2)));
        assert_eq!(chosen(&[begun(2, 7, (None, None))], None, None), Ok(None), "another fold's");
        let part = Part { after: Position::at(4), until: Position::at(9) };
        assert_eq!(chosen(&[begun(2, 1, (None, None))], None, Some(part)), Ok(None), "the whole is no part");
        assert_eq!(chosen(&[begun(2, 1, (Some(5), Some(9)))], None, Some(part)), Ok(Some(2)));
        assert_eq!(chosen(&[begun(2, 1, (Some(5), Some(9)))], None, None), Ok(None), "a part is not the whole");
    }

    #[test]
    fn a_view_that_was_asked_for_has_to_be_there() {
        assert_eq!(chosen(&[begun(2, 7, (None, None))], Some(2), None), Ok(Some(2)));
        assert_eq!(chosen(&[], Some(3), None), Err("there is no view 3: there are 1".to_owned()));
    }
}

//! Which views of a projection this process keeps up: those that operators' decisions name, as they come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo_events::limits::{RETRY_FIRST_MS, RETRY_LONGEST_MS, VIEW_CHECK_MS};
use cabildo_events::operation::{Command, Decided, Stage, View};
use cabildo_events::{Event, ProjectionName};
use cabildo_projections::{Projection, ProjectionId};
use cabildo_storage::{Journal, Views, Watermarks, operate};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Metrics;
use crate::lane::Target;
use crate::progress::Progress;
use crate::runner::{Manner, Source, Span, round, start};
use crate::worker::{Patience, Shared, SinkOf};

/// Keeps up every view of a projection that is read, or was and may be again, and is made by this fold; until `shutdown`,
/// through any failure of the journal or the sink. Any number of processes may do so at the same time.
///
/// A view is taken up and given up as decisions come. While the projection is paused, all of them stand still.
pub async fn keep_up<P: Projection>(
    projection: P,
    journal: Arc<dyn Journal>,
    sink: Arc<SinkOf<P>>,
    workers: usize,
    mut views: Views,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let (name, fold) = (projection.name(), projection.version());
    let source = Source { projection, journal, sink, metrics, workers };
    let settle = settle_first_view(&source, &views);
    if shutdown.run_until_cancelled(settle).await.is_none() {
        return;
    }
    let mut running = JoinSet::new();
    let mut stops: BTreeMap<u32, CancellationToken> = BTreeMap::new();
    let mut told = None;
    let _watch = AbortOnDropHandle::new(tokio::spawn(watch_building(source.clone(), views.clone())));
    loop {
        let decided = views.of(name);
        source.metrics.live_view(name, decided.live());
        source.metrics.paused(name, decided.paused().is_some());
        let wanted: Vec<u32> = decided.kept_up(fold).collect();
        stops.retain(|version, stop| {
            let stays = wanted.contains(version);
            if !stays {
                tracing::info!(projection = name, version, "this view was given up");
                stop.cancel();
            }
            stays
        });
        for version in wanted {
            stops.entry(version).or_insert_with(|| {
                let stop = shutdown.child_token();
                running.spawn(follow(source.clone(), version, views.clone(), stop.clone()));
                stop
            });
        }
        if told != Some(decided.live()) {
            told = Some(decided.live());
            tell_of_another_fold(name, fold, &decided);
        }
        tokio::select! {
            changed = views.changed() => if !changed {
                shutdown.cancelled().await;
                break;
            },
            Some(ended) = running.join_next() => if let Err(error) = ended {
                tracing::error!(projection = name, %error, "a view's upkeep ended");
                // Whichever it was: all start again, from their watermarks.
                stops.clear();
                running.shutdown().await;
                tokio::time::sleep(Duration::from_millis(RETRY_LONGEST_MS)).await;
            },
            () = shutdown.cancelled() => break,
        }
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            tracing::error!(projection = name, %error, "a view's upkeep ended");
        }
    }
}

/// Counts what views that are being built have yet to fold, now and then: their builder may be a process that nobody asks.
async fn watch_building<P: Projection>(source: Source<P>, views: Views) {
    let name = source.projection.name();
    let mut every = tokio::time::interval(Duration::from_millis(VIEW_CHECK_MS));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: Vec<u32> = Vec::new();
    loop {
        every.tick().await;
        let decided = views.of(name);
        let is_building = |(version, view): (&u32, &View)| (view.stage == Stage::Building).then_some(*version);
        let building: Vec<u32> = decided.views().iter().filter_map(is_building).collect();
        for version in known.iter().filter(|version| !building.contains(version)) {
            source.metrics.building(name, *version, None);
        }
        for version in &building {
            let stands = source.sink.watermarks(ProjectionId { name, version: *version }).await;
            let heads = source.journal.lane_heads().await;
            // What does not answer is reported by whoever works with it.
            let (Ok(stands), Ok(heads)) = (stands, heads) else { continue };
            let head = heads.0.iter().copied().max().unwrap_or(0);
            let behind = head.saturating_sub(start(&stands, &heads).seq);
            source.metrics.building(name, *version, Some(behind));
        }
        known = building;
    }
}

fn tell_of_another_fold(name: &'static str, fold: u32, decided: &Decided) {
    let live = decided.live();
    if let Some(view) = decided.views().get(&live).filter(|view| view.fold != fold) {
        tracing::error!(
            projection = name,
            "the live view {name}.v{live} is made by fold {}, this build has fold {fold} and cannot keep it up: run \
             `cabildo replay {name} --promote` with this build, or keep a consumer of the other build running",
            view.fold
        );
    }
}

/// Where nothing is decided and nothing is folded yet, the first view need not be one of the first fold: a build with another
/// one puts a view of its own on record, and reads that.
async fn settle_first_view<P: Projection>(source: &Source<P>, views: &Views) {
    let (name, fold) = (source.projection.name(), source.projection.version());
    let mut wait_ms = RETRY_FIRST_MS;
    while fold != 1 && views.of(name) == Decided::default() {
        match first_view(source, name, fold).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(projection = name, error, wait_ms, "the first view cannot be settled"),
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(RETRY_LONGEST_MS);
    }
}

async fn first_view<P: Projection>(source: &Source<P>, name: &'static str, fold: u32) -> Result<(), String> {
    let first = ProjectionId { name, version: 1 };
    let stands = source.sink.watermarks(first).await.map_err(|error| error.to_string())?;
    if stands != Watermarks::default() {
        return Ok(());
    }
    let name: ProjectionName = name.parse().map_err(|error| format!("{name}: {error}"))?;
    let begin = Command::Begin { fold, from: None, to: None };
    let decide = async |command: Command| operate(&*source.journal, &name, &command, None).await;
    let (_, begun) = decide(begin).await.map_err(|error| error.to_string())?;
    let Event::ViewBegun(begun) = begun else { return Ok(()) };
    // Of several processes that start at once, one is the first.
    let first = begun.version == first.version + 1;
    let next = if first { Command::Promote(begun.version) } else { Command::Collect(begun.version) };
    decide(next).await.map_err(|error| error.to_string())?;
    Ok(())
}

/// Keeps up one view until `stop`. Each round starts from the sink's own watermarks; a view that is set back, or a decision
/// about what is left out, starts another.
async fn follow<P: Projection>(source: Source<P>, version: u32, mut views: Views, stop: CancellationToken) {
    let view = ProjectionId { name: source.projection.name(), version };
    let mut stands_still = false;
    while !stop.is_cancelled() {
        let decided = views.of(view.name);
        if let Some(reason) = decided.paused() {
            if !stands_still {
                tracing::warn!(%view, %reason, "paused: `cabildo projections resume {}` lets it go on", view.name);
            }
            stands_still = true;
            tokio::select! {
                changed = views.changed() => if !changed { return },
                () = stop.cancelled() => return,
            }
            continue;
        }
        if stands_still {
            tracing::info!(%view, "resumed");
        }
        stands_still = false;
        tracing::debug!(%view, "keeping it up");
        let target = Arc::new(Target { view, discarded: decided.discarded().keys().copied().collect() });
        let manner = Manner {
            progress: Arc::new(Progress::default()),
            pace: None,
            patience: Patience::Role,
            is_live: decided.live() == version,
        };
        let shared = source.share(target, manner, &stop);
        let _watch = AbortOnDropHandle::new(tokio::spawn(watch_decisions(shared.clone(), views.clone(), decided)));
        // A round ends by a stop or a rewind, never by a failure.
        let _ = round(shared, Span::ALL).await;
    }
}

/// Ends the round when what it was started with is decided otherwise.
async fn watch_decisions<P: Projection>(shared: Arc<Shared<P>>, mut views: Views, started: Decided) {
    let view = shared.target.view;
    while views.changed().await {
        let decided = views.of(view.name);
        shared.is_live.store(decided.live() == view.version, Ordering::Relaxed);
        let same = decided.discarded() == started.discarded()
            && decided.mended() == started.mended()
            && decided.paused().is_some() == started.paused().is_some();
        if !same {
            shared.rewind.cancel();
            return;
        }
    }
}

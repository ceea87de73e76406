//! A page of events.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{
    EVENTS_READ_AT_ONCE, FILTER_EVENTS_MAX, FILTER_MS, INDEX_LIST_WAIT_MS, INDEX_WAIT_MS, MATCHES_MAX, PAGE_ROWS_MAX,
};
use cabildo_events::{Position, Recorded, wire};
use cabildo_projections::record;
use cabildo_storage::{Condition, Journal, Order, Query, ReadError};
use futures::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::sets::{ask, is_special, of_view};
use super::{Asked, Searched, before, horizon};
use crate::Gateway;
use crate::columns::{Ask, Held};
use crate::filter::{Expression, Told};
use crate::problem::Problem;

/// Events holding a text that are taken from the view for a page, before all that may be taken are.
const FIRST_MATCHES: usize = 2_000;
/// A range is read whole if at least one in so many of its events is wanted.
const SPARSE: u64 = 4;

/// One event of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) position: Position,
    /// The event in structured form.
    pub(crate) json: String,
}

/// Some of the events asked for, in order.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    /// Where the next page goes on: after it, or before it, by the order.
    pub(crate) next: Option<Position>,
    /// Whether the search ended at a bound of its own: then `next` goes on from there.
    pub(crate) cut_short: bool,
    pub(crate) searched: Searched,
    /// What a filter expression found, if there was one.
    pub(crate) filter: Option<Told>,
}

/// The first events that were asked for, at most `limit`.
///
/// # Errors
/// When the view or the journal does not answer.
pub(crate) async fn page(gateway: &Arc<Gateway>, asked: &Asked, order: Order, limit: usize) -> Result<Page, Problem> {
    match &asked.filter {
        Some(filter) => sifted(gateway, asked, filter, order, limit, false).await,
        None => candidates(gateway, asked, order, limit).await,
    }
}

/// Those of the events that a filter expression holds for. It is asked of as many as may be, and the page says how far that was.
async fn sifted(
    gateway: &Arc<Gateway>,
    asked: &Asked,
    filter: &Arc<Expression>,
    order: Order,
    limit: usize,
    of_view: bool,
) -> Result<Page, Problem> {
    let late = Instant::now() + Duration::from_millis(FILTER_MS);
    let mut asked = Asked { filter: None, ..asked.clone() };
    let mut rows = Vec::new();
    let mut told = Told::default();
    let mut searched: Option<Searched> = None;
    loop {
        let found = match of_view {
            true => candidates_of_view(gateway, &asked, order, PAGE_ROWS_MAX).await?,
            false => candidates(gateway, &asked, order, PAGE_ROWS_MAX).await?,
        };
        let (count, wanted, most) = (found.rows.len(), limit - rows.len(), FILTER_EVENTS_MAX - told.examined);
        let turn = gateway.filters.clone().acquire_owned().await;
        let expression = filter.clone();
        let sift = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            expression.sift(found.rows, wanted, most, late)
        });
        let sifted = sift.await.map_err(|error| {
            tracing::error!(%error, filter = filter.text(), "a filter expression could not be asked");
            Problem::new(&crate::problem::INTERNAL, "the expression could not be asked of an event")
        })?;
        let all = sifted.told.examined == count;
        rows.extend(sifted.kept);
        told.add(sifted.told);
        let reached = sifted.last.filter(|_| !all).map_or(found.searched, |last| found.searched.up_to(last, order));
        let so_far = searched.map_or(reached, |before| before.and(reached));
        searched = Some(so_far);
        let next = if all { found.next } else { sifted.last };
        let full = rows.len() >= limit;
        let spent = told.examined >= FILTER_EVENTS_MAX || Instant::now() >= late;
        match next {
            Some(next) if !full && all && !spent && !found.cut_short => match order {
                Order::Newest => asked.before = Some(next),
                Order::Oldest => asked.after = Some(next),
            },
            next => {
                let cut_short = next.is_some() && !full;
                let searched = Searched { complete: !cut_short, ..so_far };
                return Ok(Page { rows, next, cut_short, searched, filter: Some(told) });
            }
        }
    }
}

async fn candidates(gateway: &Arc<Gateway>, asked: &Asked, order: Order, limit: usize) -> Result<Page, Problem> {
    let held = gateway.index.get().await?;
    // A short journal is in memory in no time; a long one is searched in the view until then.
    let has_text = asked.clauses.iter().flat_map(|clause| &clause.any).any(|one| matches!(one, Condition::Text(_)));
    // A view may have no index of words: what it would take to look through the texts is better spent on making ours.
    let wait_ms = if has_text { INDEX_WAIT_MS } else { INDEX_LIST_WAIT_MS };
    held.whole(Duration::from_millis(wait_ms)).await;
    match order {
        Order::Newest => newest(gateway, &held, asked, limit).await,
        Order::Oldest => oldest(gateway, &held, asked, limit).await,
    }
}

/// One more than asked for tells whether there is another page.
fn turn(mut rows: Vec<Row>, limit: usize) -> (Vec<Row>, Option<Position>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| last.position);
    (rows, next)
}

async fn newest(gateway: &Arc<Gateway>, held: &Arc<Held>, asked: &Asked, limit: usize) -> Result<Page, Problem> {
    let ports = &gateway.ports;
    let end = asked.after.unwrap_or_default();
    let to = asked.before.map_or(held.read().to(), |end| before(end).min(held.read().to()));
    let (mut positions, mut floor) = (Vec::new(), Position::START);
    for matches in [FIRST_MATCHES, MATCHES_MAX] {
        let ask = ask(ports, asked, matches).await?;
        let known = ask.floor();
        (positions, floor) = first(held, ask, Order::Newest, limit + 1).await?;
        // Enough, or no more to be had by taking more from the view.
        if positions.len() > limit || known <= end {
            break;
        }
    }
    let mut rows = rows(&*ports.journal, &positions).await?;
    let mut cut_short = false;
    if rows.len() <= limit && floor > end {
        // Further back than the index goes.
        let end = Position { seq: floor.seq + 1, ..floor };
        let bounds = (asked.after, Some(asked.before.map_or(end, |before| before.min(end))));
        let view = ports.views.live(record::ID);
        let query = Query { limit: limit + 1 - rows.len(), ..of_view(view, asked.clauses.clone(), bounds) };
        let found = ports.documents.find(&query).await?;
        cut_short = found.cut_short;
        rows.extend(found.documents.into_iter().map(|one| Row { position: one.created, json: one.body.into() }));
    }
    let (rows, mut next) = turn(rows, limit);
    let reached = rows.last().map(|last| last.position);
    let from = if next.is_some() || cut_short { reached.map_or(floor, before) } else { end };
    if cut_short && next.is_none() {
        // Everything after `from` was looked at: the next page looks further back.
        next = Some(reached.unwrap_or(Position { seq: floor.seq + 1, ..floor }));
    }
    Ok(Page { rows, next, cut_short, searched: Searched::between(from.min(to), to, !cut_short), filter: None })
}

async fn oldest(gateway: &Arc<Gateway>, held: &Arc<Held>, asked: &Asked, limit: usize) -> Result<Page, Problem> {
    let ports = &gateway.ports;
    let begin = asked.after.unwrap_or_default();
    let ask = ask(ports, asked, MATCHES_MAX).await?;
    let floor = ask.floor().max(held.read().from());
    // What the view is asked it can only say up to where all its lanes have got: an event of a lane that lags must not be
    // stepped over.
    let from_view = floor > begin || asked.clauses.iter().any(is_special);
    let head = held.read().to();
    let sure = if from_view { horizon(ports).await?.min(head) } else { head };
    let to = asked.before.map_or(sure, |end| before(end).min(sure));
    let end = Position { seq: to.seq + 1, ..to };
    let mut found_rows = Vec::new();
    let mut cut_short = false;
    if floor > begin {
        let bounds = (asked.after, Some(end.min(Position { seq: floor.seq + 1, ..floor })));
        let view = ports.views.live(record::ID);
        let query = of_view(view, asked.clauses.clone(), bounds);
        let found = ports.documents.find(&Query { order: Order::Oldest, limit: limit + 1, ..query }).await?;
        cut_short = found.cut_short;
        found_rows.extend(found.documents.into_iter().map(|one| Row { position: one.created, json: one.body.into() }));
    }
    if found_rows.len() <= limit && !cut_short {
        let ask = Ask { after: Some(floor.max(begin)), before: Some(end), ..ask };
        let (positions, _) = first(held, ask, Order::Oldest, limit + 1 - found_rows.len()).await?;
        found_rows.extend(rows(&*ports.journal, &positions).await?);
    }
    let (rows, mut next) = turn(found_rows, limit);
    let reached = rows.last().map(|last| last.position);
    if cut_short && next.is_none() {
        next = Some(reached.unwrap_or(begin));
    }
    let until = next.unwrap_or(to);
    Ok(Page { rows, next, cut_short, searched: Searched::between(begin.min(until), until, !cut_short), filter: None })
}

/// The same from the view alone, which serves page after page of a search for text better.
///
/// # Errors
/// When the view does not answer.
pub(crate) async fn pages_of_view(
    gateway: &Arc<Gateway>,
    asked: &Asked,
    order: Order,
    limit: usize,
) -> Result<Page, Problem> {
    match &asked.filter {
        Some(filter) => sifted(gateway, asked, filter, order, limit, true).await,
        None => candidates_of_view(gateway, asked, order, limit).await,
    }
}

async fn candidates_of_view(
    gateway: &Arc<Gateway>,
    asked: &Asked,
    order: Order,
    limit: usize,
) -> Result<Page, Problem> {
    let ports = &gateway.ports;
    let query = of_view(ports.views.live(record::ID), asked.clauses.clone(), (asked.after, asked.before));
    let found = ports.documents.find(&Query { order, limit: limit + 1, ..query }).await?;
    let rows = found.documents.into_iter().map(|one| Row { position: one.created, json: one.body.into() });
    let (rows, next) = turn(rows.collect(), limit);
    let (from, to) = (asked.after.unwrap_or_default(), asked.before.map_or(Position::START, before));
    let searched = Searched::between(from, to, !found.cut_short);
    Ok(Page { rows, next, cut_short: found.cut_short, searched, filter: None })
}

/// The first positions in the columns, and after where they were looked for.
async fn first(held: &Arc<Held>, ask: Ask, order: Order, limit: usize) -> Result<(Vec<Position>, Position), Problem> {
    let held = held.clone();
    let look = move || {
        let columns = held.read();
        (columns.first(&ask, order, limit), columns.from().max(ask.floor()))
    };
    tokio::task::spawn_blocking(look).await.map_err(|error| {
        tracing::error!(%error, "the index of the record could not be looked through");
        Problem::new(&crate::problem::INTERNAL, "the events could not be searched")
    })
}

async fn rows(journal: &dyn Journal, positions: &[Position]) -> Result<Vec<Row>, Problem> {
    let events = events_at(journal, positions).await?;
    Ok(events.iter().map(|event| Row { position: event.position, json: wire::to_json(event) }).collect())
}

/// The events at these positions, in their order; one that is not there any more is left out.
///
/// # Errors
/// When the journal does not answer.
pub(crate) async fn events_at(journal: &dyn Journal, positions: &[Position]) -> Result<Vec<Recorded>, ReadError> {
    let (Some(first), Some(last)) = (positions.iter().min(), positions.iter().max()) else { return Ok(Vec::new()) };
    let wanted = positions.len() as u64;
    if wanted > SPARSE && (last.seq - first.seq) / wanted < SPARSE {
        let mut events = Vec::with_capacity(positions.len());
        let mut pages = journal.read(before(*first), *last).await?;
        while let Some(page) = pages.try_next().await? {
            events.extend(page);
        }
        let found = positions.iter().filter_map(|position| {
            let index = events.binary_search_by_key(position, |event| event.position).ok()?;
            events.get(index).cloned()
        });
        return Ok(found.collect());
    }
    // Gathered first: a closure in the stream would tie it to one lifetime.
    let reads: Vec<_> = positions.iter().map(|position| journal.get(*position)).collect();
    let events: Vec<_> = futures::stream::iter(reads).buffered(EVENTS_READ_AT_ONCE).try_collect().await?;
    Ok(events.into_iter().flatten().collect())
}

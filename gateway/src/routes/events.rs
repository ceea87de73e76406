//! The record: searched page by page, and single events.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::limits::{FRESH_WAIT_MS, INDEX_LIST_WAIT_MS, PAGE_ROWS_DEFAULT};
use cabildo_events::{Position, wire};
use cabildo_projections::record;
use cabildo_storage::Order;
use serde::Serialize;
use serde_json::value::RawValue;
use warp::Filter;
use warp::reply::Response;

use super::export::{self, Format};
use super::rooms::raw;
use super::{Routes, around, graph};
use crate::call::{Call, call};
use crate::filter::{FILTER, Told};
use crate::params::{Params, segment};
use crate::problem::Problem;
use crate::search::{ASKED, Asked, Page, Row, Searched, page};
use crate::{Gateway, answer, fresh};

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let search = warp::path!("api" / "v1" / "events")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(search(call).await) });
    let get = warp::path!("api" / "v1" / "events" / String)
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|position: String, call| async move { answer::finish(get(&position, call).await) });
    search.or(get).unify().or(around::routes(gateway)).unify().or(graph::routes(gateway)).unify().boxed()
}

async fn get(position: &str, call: Call) -> Result<Response, Problem> {
    let position: Position = segment("position", position)?;
    call.params()?.finish(&[])?;
    let found = call.gateway.ports.journal.get(position).await?;
    let event = found.ok_or_else(|| Problem::not_found("event at", position))?;
    let mut response = answer::raw_json(wire::to_json(&event));
    answer::mark(&mut response, Some(position.seq), true);
    Ok(response)
}

#[derive(Serialize)]
struct Events {
    events: Vec<Box<RawValue>>,
    /// Where the next page begins: `after` it, or `before` it, by the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Position>,
    /// Whether the search stopped at a bound: there may be more, from `next` on.
    cut_short: bool,
    searched: Searched,
    /// What the filter expression was asked of.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Told>,
}

/// What was asked for: a search, and the page of it.
struct Search {
    asked: Asked,
    order: Order,
    limit: Option<usize>,
    format: Format,
    download: bool,
}

async fn search(call: Call) -> Result<Response, Problem> {
    let Search { asked, order, limit, format, download } = parse(call.params()?, &call)?;
    let fresh = wait(&call, &asked).await?;
    let mut response = if format != Format::Json && limit.is_none() {
        export::everything(&call.gateway, asked, order, format).await?
    } else {
        let limit = limit.unwrap_or(PAGE_ROWS_DEFAULT);
        let page = page(&call.gateway, &asked, order, limit).await?;
        let next = page.next;
        let mut response = match format {
            Format::Json => {
                let events = page.rows.iter().map(|row| raw(&row.json)).collect::<Result<_, _>>()?;
                let Page { next, cut_short, searched, filter, .. } = page;
                answer::json(&Events { events, next, cut_short, searched, filter })?
            }
            format => export::some(format, &page.rows),
        };
        if let Some(next) = next {
            answer::link(&mut response, &[("next", address(&asked, order, next, limit))]);
        }
        response
    };
    if download {
        export::name(&mut response, format);
    }
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

/// Where the next page is. The bound at the far end stays; the one at the near end moves with the page.
fn address(asked: &Asked, order: Order, next: Position, limit: usize) -> String {
    let (order, cursor, far) = match order {
        Order::Oldest => ("oldest", "after", asked.before.map(|before| format!("before={before}&"))),
        Order::Newest => ("newest", "before", asked.after.map(|after| format!("after={after}&"))),
    };
    let far = far.unwrap_or_default();
    format!("/api/v1/events?{}order={order}&{far}{cursor}={next}&limit={limit}", asked.kept)
}

fn parse(mut params: Params, call: &Call) -> Result<Search, Problem> {
    let asked = Asked::take_with_filter(&mut params)?;
    let order = match params.text("order")?.as_deref() {
        Some("oldest") => Order::Oldest,
        Some("newest") => Order::Newest,
        None if asked.after.is_some() => Order::Oldest,
        None => Order::Newest,
        Some(_) => return Err(Problem::bad_value("order", "`oldest` or `newest`").allowed(["oldest", "newest"])),
    };
    let limit = params.limit_if_any()?;
    let format = match params.value("format")? {
        Some(format) => format,
        None => Format::ALL.into_iter().find(|format| call.asks_for(format.media())).unwrap_or(Format::Json),
    };
    let download = match params.text("download")?.as_deref() {
        None | Some("0") => false,
        Some("1") => true,
        Some(_) => return Err(Problem::bad_value("download", "`1`, or nothing")),
    };
    params.finish(&[&ASKED[..], &[FILTER, "order", "limit", "format", "download"]].concat())?;
    Ok(Search { asked, order, limit, format, download })
}

/// Waits until what is searched is as fresh as the client asked for; `false` if it was not in time.
pub(super) async fn wait(call: &Call, asked: &Asked) -> Result<bool, Problem> {
    let Some(min) = call.min_position()? else { return Ok(true) };
    let ports = &call.gateway.ports;
    let held = call.gateway.index.get().await?;
    let index = async { Ok(held.reaches(min, Duration::from_millis(FRESH_WAIT_MS)).await) };
    let view = async {
        if !asked.needs_view() && held.whole(Duration::from_millis(INDEX_LIST_WAIT_MS)).await {
            return Ok(true);
        }
        fresh::every_lane(&*ports.documents, ports.views.live(record::ID), &*ports.journal, min).await
    };
    let (index, view) = tokio::try_join!(index, view)?;
    Ok(index && view)
}

/// Events as they are shown.
pub(super) fn shown(rows: &[Row]) -> Result<Vec<Box<RawValue>>, Problem> {
    rows.iter().map(|row| raw(&row.json)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::limits::{KINDS_MAX, SEARCH_CHARS_MAX};
    use cabildo_storage::{Clause, Condition, KindPattern};

    fn asked(query: &str) -> Result<Asked, Problem> {
        let mut params = Params::parse(query).unwrap();
        let asked = Asked::take(&mut params)?;
        params.finish(&[])?;
        Ok(asked)
    }

    #[test]
    fn a_search_is_read_and_keeps_its_filters_for_the_next_page() {
        let asked = asked("type=chat.*&type=poll.opened&q=hola&after=0-7&before=0-9&query=-actor:ana").unwrap();
        let kinds = [KindPattern::Prefix("chat.".into()), KindPattern::Exactly("poll.opened".into())];
        let expected = [
            Clause::not(Condition::Actor("ana".into())),
            Clause::one_of(kinds.into_iter().map(Condition::Kind).collect()),
            Clause::only(Condition::Text("hola".into())),
        ];
        assert_eq!(asked.clauses, expected);
        let next = address(&asked, Order::Oldest, Position::at(8), 5);
        let kept = "query=-actor%3Aana&type=chat.%2A&type=poll.opened&q=hola";
        assert_eq!(next, format!("/api/v1/events?{kept}&order=oldest&before=0-9&after=0-8&limit=5"));
    }

    #[test]
    fn what_cannot_be_searched_for_is_named() {
        let field = |query: &str| asked(query).err().unwrap().field_name().map(str::to_owned);
        for (query, name) in [
            ("type=*chat", "type"),
            ("type=", "type"),
            ("aggregate=lobby", "aggregate"),
            ("since=yesterday", "since"),
            ("after=7", "after"),
            ("query=lane:99", "query"),
            ("actr=Ana", "actr"),
        ] {
            assert_eq!(field(query).as_deref(), Some(name), "{query}");
        }
        assert!(asked(&format!("q={}", "a".repeat(SEARCH_CHARS_MAX + 1))).is_err());
        assert!(asked(&"type=a&".repeat(KINDS_MAX + 1)).is_err());
    }
}

//! The record: searched page by page, exported line by line, and single events.

use std::sync::Arc;

use bytes::Bytes;
use cabildo_events::limits::{KINDS_MAX, NAME_CHARS_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, SEARCH_CHARS_MAX};
use cabildo_events::{Position, wire};
use cabildo_projections::Document;
use cabildo_projections::record::{self, EVENTS};
use cabildo_storage::{Documents, KindPattern, Order, Query, SinkError};
use futures::StreamExt;
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::rooms::raw;
use crate::call::{Call, call};
use crate::params::{Params, escape, segment};
use crate::problem::Problem;
use crate::{Gateway, answer, fresh, sse};

const NDJSON: &str = "application/x-ndjson";
const PARAMETERS: &[&str] = &["type", "aggregate", "actor", "since", "until", "q", "after", "before", "order", "limit"];

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let search = warp::path!("api" / "v1" / "events")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(search(call).await) });
    let get = warp::path!("api" / "v1" / "events" / String)
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|position: String, call| async move { answer::finish(get(&position, call).await) });
    search.or(get).unify().boxed()
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

/// What was asked for: a query, and how many rows the client named.
struct Search {
    query: Query,
    limit: Option<usize>,
    /// The parameters that stay the same from page to page.
    filters: String,
}

#[derive(Serialize)]
struct Events {
    events: Vec<Box<RawValue>>,
    /// Whether the search ran into its time limit: there may be more.
    cut_short: bool,
    /// Where the next page begins: `after` it, or `before` it, by the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Position>,
}

async fn search(call: Call) -> Result<Response, Problem> {
    let Search { mut query, limit, filters } = parse(call.params()?)?;
    let ports = &call.gateway.ports;
    query.projection = ports.views.live(record::ID);
    let fresh = match call.min_position()? {
        Some(min) => fresh::every_lane(&*ports.documents, query.projection, &*ports.journal, min).await?,
        None => true,
    };
    if call.asks_for(NDJSON) && limit.is_none() {
        let mut response = export(ports.documents.clone(), query);
        answer::mark(&mut response, None, fresh);
        return Ok(response);
    }
    let limit = limit.unwrap_or(PAGE_ROWS_DEFAULT);
    // One more than asked for tells whether there is another page.
    query.limit = limit + 1;
    let mut found = ports.documents.find(&query).await?;
    let more = found.documents.len() > limit;
    found.documents.truncate(limit);
    let next = found.documents.last().filter(|_| more).map(|last| last.created);
    let mut response = if call.asks_for(NDJSON) {
        ndjson(answer::raw_json(lines(&found.documents)))
    } else {
        let events = found.documents.iter().map(|document| raw(&document.body)).collect::<Result<_, _>>()?;
        answer::json(&Events { events, cut_short: found.cut_short, next })?
    };
    if let Some(next) = next {
        let cursor = if query.order == Order::Oldest { "after" } else { "before" };
        let address = format!("/api/v1/events?{filters}{cursor}={next}&limit={limit}");
        answer::link(&mut response, &[("next", address)]);
    }
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

fn parse(mut params: Params) -> Result<Search, Problem> {
    let kinds = params.texts("type");
    let aggregate = params.aggregate()?;
    let actor = params.text("actor")?;
    let (since, until) = (params.moment("since")?, params.moment("until")?);
    let text = params.text("q")?;
    let (after, before) = (params.value("after")?, params.value("before")?);
    let order = match params.text("order")?.as_deref() {
        Some("oldest") => Order::Oldest,
        Some("newest") => Order::Newest,
        None if after.is_some() => Order::Oldest,
        None => Order::Newest,
        Some(_) => return Err(Problem::bad_value("order", "`oldest` or `newest`").allowed(["oldest", "newest"])),
    };
    let limit = params.limit_if_any()?;
    params.finish(PARAMETERS)?;
    bounded("q", text.as_deref(), SEARCH_CHARS_MAX)?;
    bounded("actor", actor.as_deref(), NAME_CHARS_MAX)?;
    let mut filters = String::new();
    let mut keep = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            filters.push_str(&format!("{name}={}&", escape(value)));
        }
    };
    kinds.iter().for_each(|kind| keep("type", Some(kind)));
    keep("aggregate", aggregate.as_ref().map(ToString::to_string).as_deref());
    keep("actor", actor.as_deref());
    keep("since", since.map(|moment| moment.to_string()).as_deref());
    keep("until", until.map(|moment| moment.to_string()).as_deref());
    keep("q", text.as_deref());
    // The bound at the far end stays; the one at the near end moves with the page.
    let (near, far) =
        if order == Order::Oldest { ("oldest", ("before", before)) } else { ("newest", ("after", after)) };
    keep("order", Some(near));
    keep(far.0, far.1.map(|position: Position| position.to_string()).as_deref());
    let kinds = patterns(&kinds)?;
    let query =
        Query { aggregate, kinds, actor, since, until, after, before, text, order, ..Query::of(record::ID, EVENTS, 0) };
    Ok(Search { query, limit, filters })
}

fn bounded(field: &str, text: Option<&str>, max: usize) -> Result<(), Problem> {
    match text.map(|text| text.chars().count()) {
        Some(length) if length > max => {
            Err(Problem::bad_value(field, format_args!("at most {max} characters, this one has {length}")))
        }
        _ => Ok(()),
    }
}

/// Reads event types: `poll.ballot.cast`, or `chat.*` for all that begin so.
pub(super) fn patterns(kinds: &[String]) -> Result<Vec<KindPattern>, Problem> {
    if kinds.len() > KINDS_MAX {
        return Err(Problem::bad_value("type", format_args!("at most {KINDS_MAX} types, not {}", kinds.len())));
    }
    let pattern = |kind: &String| {
        let stem = kind.strip_suffix('*').unwrap_or(kind);
        let sound = !kind.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !sound || kind.len() > NAME_CHARS_MAX {
            return Err(Problem::bad_value(
                "type",
                format_args!("`{kind}` is no event type: try poll.ballot.cast or chat.*"),
            ));
        }
        Ok(if stem.len() < kind.len() {
            KindPattern::Prefix(stem.to_owned())
        } else {
            KindPattern::Exactly(kind.clone())
        })
    };
    kinds.iter().map(pattern).collect()
}

fn lines(documents: &[Document]) -> Bytes {
    let mut text = String::with_capacity(documents.iter().map(|document| document.body.len() + 1).sum());
    for document in documents {
        text.push_str(&document.body);
        text.push('\n');
    }
    text.into()
}

fn ndjson(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}

/// Everything that matches, page after page, as fast as the client takes it. If the sink fails on the way the answer is
/// broken off, so that half of it is not taken for all.
fn export(documents: Arc<dyn Documents>, query: Query) -> Response {
    let first = Some(Query { limit: PAGE_ROWS_MAX, ..query });
    let pages = futures::stream::unfold((first, documents), |(query, documents)| async move {
        let query = query?;
        let found = match documents.find(&query).await {
            Ok(found) => found,
            Err(error) => return Some((Err(error), (None, documents))),
        };
        if found.cut_short {
            let reason = "the search took too long: narrow it".to_owned();
            let error = SinkError::Unavailable { sink: "the record", reason };
            return Some((Err(error), (None, documents)));
        }
        let last = found.documents.last().filter(|_| found.documents.len() == query.limit).map(|last| last.created);
        let next = last.map(|last| match query.order {
            Order::Oldest => Query { after: Some(last), ..query },
            Order::Newest => Query { before: Some(last), ..query },
        });
        Some((Ok(lines(&found.documents)), (next, documents)))
    });
    ndjson(sse::stream_body(pages.boxed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search_of(query: &str) -> Result<Search, Problem> {
        parse(Params::parse(query).unwrap())
    }

    #[test]
    fn a_search_is_read_and_keeps_its_filters_for_the_next_page() {
        let search = search_of("type=chat.*&type=poll.opened&q=hola&after=0-7&before=0-9").unwrap();
        let kinds = [KindPattern::Prefix("chat.".into()), KindPattern::Exactly("poll.opened".into())];
        assert_eq!((search.query.kinds, search.query.order), (kinds.into(), Order::Oldest));
        assert_eq!(search.filters, "type=chat.%2A&type=poll.opened&q=hola&order=oldest&before=0-9&");
        assert_eq!(search_of("").unwrap().query.order, Order::Newest);
    }

    #[test]
    fn what_cannot_be_searched_for_is_named() {
        let field = |query: &str| search_of(query).err().unwrap().field_name().map(str::to_owned);
        for (query, name) in [
            ("type=*chat", "type"),
            ("type=", "type"),
            ("aggregate=lobby", "aggregate"),
            ("since=yesterday", "since"),
            ("after=7", "after"),
            ("order=up", "order"),
            ("actr=Ana", "actr"),
        ] {
            assert_eq!(field(query).as_deref(), Some(name), "{query}");
        }
        assert!(search_of(&format!("q={}", "a".repeat(SEARCH_CHARS_MAX + 1))).is_err());
        assert!(search_of(&"type=a&".repeat(KINDS_MAX + 1)).is_err());
    }
}

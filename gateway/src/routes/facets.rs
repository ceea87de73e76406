//! What the events found have in common: the values of each field, by how often they come.

use std::sync::Arc;

use cabildo_events::limits::{FACET_VALUES_MAX, NAME_CHARS_MAX};
use serde::Serialize;
use warp::Filter;
use warp::reply::Response;

use super::Routes;
use super::events::wait;
use crate::call::{Call, call};
use crate::columns::{Ask, Columns, Field};
use crate::params::Params;
use crate::problem::Problem;
use crate::search::{ASKED, Asked, Searched, counting};
use crate::{Gateway, answer};

/// Values of a facet when the client does not say.
const FACET_VALUES: usize = 10;
/// Values of one field when the client does not say.
const FIELD_VALUES: usize = 20;

pub(super) fn routes(gateway: &Arc<Gateway>) -> Routes {
    let facets = warp::path!("api" / "v1" / "events" / "facets")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(facets(call).await) });
    let values = warp::path!("api" / "v1" / "events" / "field_values")
        .and(warp::get())
        .and(call(gateway.clone()))
        .then(|call| async move { answer::finish(field_values(call).await) });
    facets.or(values).unify().boxed()
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Counted {
    value: String,
    hits: u64,
}

#[derive(Serialize)]
struct Facet {
    field: &'static str,
    values: Vec<Counted>,
    /// Whether the field has more values than these.
    more: bool,
}

#[derive(Serialize)]
struct Facets {
    total: u64,
    facets: Vec<Facet>,
    searched: Searched,
}

#[derive(Serialize)]
struct FieldValues {
    field: &'static str,
    values: Vec<Counted>,
    searched: Searched,
}

/// How many events there are of each value, by its number; and how many in all.
fn count(columns: &Columns, ask: &Ask, fields: &[Field]) -> (u64, Vec<Vec<u64>>) {
    let mut counts: Vec<_> = fields.iter().map(|field| vec![0_u64; columns.values(*field)]).collect();
    let mut total = 0;
    columns.visit(ask, |matching| {
        total += matching.rows.len() as u64;
        for (field, counts) in fields.iter().zip(&mut counts) {
            for number in matching.numbers(*field) {
                if let Some(count) = counts.get_mut(number as usize) {
                    *count += 1;
                }
            }
        }
    });
    (total, counts)
}

/// The most frequent values, and whether there are more. Of two that come equally often the one first seen comes first.
fn most(columns: &Columns, field: Field, counts: &[u64], limit: usize, wanted: impl Fn(&str) -> bool) -> (Vec<Counted>, bool) {
    let numbers = 0..u32::try_from(counts.len()).unwrap_or(u32::MAX);
    let hits = |number: u32| counts.get(number as usize).copied().unwrap_or(0);
    let mut found: Vec<u32> = numbers.filter(|number| hits(*number) > 0 && wanted(&columns.value(field, *number))).collect();
    let order = |number: &u32| (std::cmp::Reverse(hits(*number)), *number);
    let more = found.len() > limit;
    if more {
        found.select_nth_unstable_by_key(limit, order);
        found.truncate(limit);
    }
    found.sort_unstable_by_key(order);
    let counted = |number| Counted { value: columns.value(field, number), hits: hits(number) };
    (found.into_iter().map(counted).collect(), more)
}

fn limit(params: &mut Params, unsaid: usize) -> Result<usize, Problem> {
    match params.value::<usize>("limit")?.unwrap_or(unsaid) {
        limit if (1..=FACET_VALUES_MAX).contains(&limit) => Ok(limit),
        limit => Err(Problem::bad_value("limit", format_args!("1 to {FACET_VALUES_MAX} values, not {limit}"))),
    }
}

async fn facets(call: Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let asked = Asked::take(&mut params)?;
    let limit = limit(&mut params, FACET_VALUES)?;
    params.finish(&[&ASKED[..], &["limit"]].concat())?;
    let fresh = wait(&call, &asked).await?;
    let ((total, facets), searched) = counting(&call.gateway, &asked, move |columns, ask| {
        let (total, counts) = count(columns, ask, &Field::ALL);
        let facets = Field::ALL.iter().zip(counts).map(|(field, counts)| {
            let (values, more) = most(columns, *field, &counts, limit, |_| true);
            Facet { field: field.name(), values, more }
        });
        (total, facets.collect::<Vec<_>>())
    })
    .await?;
    let mut response = answer::json(&Facets { total, facets, searched })?;
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

async fn field_values(call: Call) -> Result<Response, Problem> {
    let mut params = call.params()?;
    let asked = Asked::take(&mut params)?;
    let field = params.value("field")?.unwrap_or(Field::Type);
    let prefix = params.text("prefix")?.unwrap_or_default();
    if prefix.chars().count() > NAME_CHARS_MAX {
        return Err(Problem::bad_value("prefix", format_args!("at most {NAME_CHARS_MAX} characters")));
    }
    let limit = limit(&mut params, FIELD_VALUES)?;
    params.finish(&[&ASKED[..], &["field", "prefix", "limit"]].concat())?;
    let fresh = wait(&call, &asked).await?;
    let (values, searched) = counting(&call.gateway, &asked, move |columns, ask| {
        let (_, counts) = count(columns, ask, &[field]);
        let prefix = prefix.to_lowercase();
        let begins = |value: &str| prefix.is_empty() || value.to_lowercase().starts_with(&prefix);
        counts.first().map(|counts| most(columns, field, counts, limit, begins).0).unwrap_or_default()
    })
    .await?;
    let mut response = answer::json(&FieldValues { field: field.name(), values, searched })?;
    answer::mark(&mut response, None, fresh);
    Ok(response)
}

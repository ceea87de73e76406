//! The parameters that every search takes.

use std::sync::Arc;

use cabildo_events::limits::{KINDS_MAX, NAME_CHARS_MAX, SEARCH_CHARS_MAX};
use cabildo_events::{Position, Timestamp};
use cabildo_storage::{Clause, Compare, Condition};

use crate::call::now;
use crate::filter::{Expression, FILTER};
use crate::params::{Params, escape};
use crate::problem::Problem;
use crate::query;

use super::sets::is_special;

/// Names of the parameters.
pub(crate) const ASKED: [&str; 9] = ["query", "type", "aggregate", "actor", "since", "until", "q", "after", "before"];

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// All must hold.
    pub(crate) clauses: Vec<Clause>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) after: Option<Position>,
    pub(crate) before: Option<Position>,
    /// What must hold besides, where a search takes an expression.
    pub(crate) filter: Option<Arc<Expression>>,
    /// All but `after` and `before` as parameters again, each with `&` behind it: moments are the ones that were meant when it
    /// was asked.
    pub(crate) kept: String,
}

impl Asked {
    pub(crate) fn take(params: &mut Params) -> Result<Self, Problem> {
        let now = now();
        let mut asked = Self::default();
        let mut keep = |name: &str, value: &str| asked.kept.push_str(&format!("{name}={}&", escape(value)));
        if let Some(text) = params.text("query")? {
            let clauses = query::parse(&text, now).map_err(|error| {
                Problem::bad_value("query", error.reason).span(error.offset, error.length).allowed(error.allowed)
            })?;
            if !clauses.is_empty() {
                keep("query", &query::print(&clauses));
            }
            asked.clauses = clauses;
        }
        let kinds = params.texts("type");
        if kinds.len() > KINDS_MAX {
            return Err(Problem::bad_value("type", format_args!("at most {KINDS_MAX} types, not {}", kinds.len())));
        }
        let mut alternatives = Vec::new();
        for kind in &kinds {
            let pattern = query::kind(kind).map_err(|error| Problem::bad_value("type", error))?;
            alternatives.push(Condition::Kind(pattern));
            keep("type", kind);
        }
        if !alternatives.is_empty() {
            asked.clauses.push(Clause::one_of(alternatives));
        }
        if let Some(aggregate) = params.aggregate()? {
            keep("aggregate", &aggregate.to_string());
            asked.clauses.push(Clause::only(Condition::of(&aggregate)));
        }
        if let Some(actor) = params.text("actor")? {
            bounded("actor", &actor, NAME_CHARS_MAX)?;
            keep("actor", &actor);
            asked.clauses.push(Clause::only(Condition::Actor(actor)));
        }
        for (name, compare) in [("since", Compare::AtLeast), ("until", Compare::Below)] {
            if let Some(time) = params.moment(name, now)? {
                keep(name, &time.to_string());
                asked.clauses.push(Clause::only(Condition::Time(compare, time)));
                if compare == Compare::Below { asked.until = Some(time) } else { asked.since = Some(time) }
            }
        }
        if let Some(text) = params.text("q")? {
            bounded("q", &text, SEARCH_CHARS_MAX)?;
            keep("q", &text);
            asked.clauses.push(Clause::only(Condition::Text(text)));
        }
        (asked.after, asked.before) = (params.value("after")?, params.value("before")?);
        Ok(asked)
    }

    /// The same for a search that takes an expression as well.
    pub(crate) fn take_with_filter(params: &mut Params) -> Result<Self, Problem> {
        let mut asked = Self::take(params)?;
        asked.filter = Expression::take(params)?;
        if let Some(filter) = &asked.filter {
            asked.kept.push_str(&format!("{FILTER}={}&", escape(filter.text())));
        }
        Ok(asked)
    }

    /// Whether the view must be asked for any of it.
    pub(crate) fn needs_view(&self) -> bool {
        self.clauses.iter().any(is_special)
    }

    /// What is asked of one event after the other.
    pub(crate) fn of(clauses: Vec<Clause>) -> Self {
        Self { clauses, ..Self::default() }
    }
}

fn bounded(field: &str, text: &str, max: usize) -> Result<(), Problem> {
    match text.chars().count() {
        length if length > max => {
            Err(Problem::bad_value(field, format_args!("at most {max} characters, this one has {length}")))
        }
        _ => Ok(()),
    }
}

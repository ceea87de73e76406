//! The expert filter of the record: an expression in the [Common Expression Language](https://cel.dev) that is asked of one
//! event after the other, for what the [search box](crate::query) cannot say.
//!
//! ```text
//! event.type == "poll.ballot.cast" && event.data.options.size() > 1
//! has(event.data.text) && event.data.text.matches("^[A-Z ]+$")
//! timestamp(event.time).getHours("America/Bogota") < 6
//! ```
//!
//! The one variable is `event`, in the form in which it is shown; whole numbers are `int`, others `double`. An expression that
//! fails for an event (a field that it lacks, a text where a number should be) does not hold for it, and the answer counts that.
//!
//! *Cost.* CEL has no loops but its macros, and those may not stand within each other here, so one evaluation costs at most the
//! length of the expression times the size of the event, and a search ends at `limits::FILTER_EVENTS_MAX` events or after
//! `limits::FILTER_MS`. Expressions are asked on threads of their own, `limits::FILTERS_AT_ONCE_MAX` at once.

mod check;
#[cfg(test)]
mod tests;
mod value;

use std::sync::{Arc, LazyLock};

use cabildo_events::limits::{FILTER_CHARS_MAX, FILTER_DEPTH_MAX};
use cel::{Context, Env, Program, Value};
use serde::Serialize;
use tokio::time::Instant;

use crate::params::Params;
use crate::problem::Problem;
use crate::search::Row;

/// The parameter's name.
pub(crate) const FILTER: &str = "filter";

static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BadExpression {
    /// In characters of the expression.
    offset: usize,
    length: usize,
    reason: String,
    /// What may stand there, where that is a list.
    allowed: &'static [&'static str],
}

/// An expression that is sound.
#[derive(Debug)]
pub(crate) struct Expression {
    text: String,
    program: Program,
}

impl Expression {
    /// Reads the parameter `filter`, if it is given.
    pub(crate) fn take(params: &mut Params) -> Result<Option<Arc<Self>>, Problem> {
        let Some(text) = params.text(FILTER)? else { return Ok(None) };
        let expression = Self::parse(&text).map_err(|error| {
            let allowed = error.allowed.iter().copied();
            Problem::bad_value(FILTER, error.reason).span(error.offset, error.length).allowed(allowed)
        })?;
        Ok(Some(Arc::new(expression)))
    }

    fn parse(text: &str) -> Result<Self, BadExpression> {
        let length = text.chars().count();
        let bad = |offset: usize, reason: String| {
            let offset = offset.min(length);
            BadExpression { offset, length: usize::from(offset < length), reason, allowed: &[] }
        };
        if length > FILTER_CHARS_MAX {
            let reason = format!("an expression has at most {FILTER_CHARS_MAX} characters, this one {length}");
            return Err(bad(FILTER_CHARS_MAX, reason));
        }
        if text.trim().is_empty() {
            return Err(bad(0, "the expression is empty: say for example event.data.text.size() > 100".to_owned()));
        }
        if let Some(offset) = check::too_deep(text, FILTER_DEPTH_MAX.into()) {
            return Err(bad(offset, format!("brackets are nested more than {FILTER_DEPTH_MAX} deep")));
        }
        let program = LANGUAGE.compile(text).map_err(|errors| match errors.errors.first() {
            Some(error) => bad(check::offset(text, error.pos), check::in_words(&error.msg)),
            None => bad(0, "this is no expression".to_owned()),
        })?;
        check::check(&program, text)?;
        Ok(Self { text: text.to_owned(), program })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Asks it of one event in structured form.
    ///
    /// # Errors
    /// With a reason, when it is neither true nor false.
    pub(crate) fn holds(&self, event: &str) -> Result<bool, String> {
        let event = value::read(event).map_err(|error| error.to_string())?;
        let mut context = Context::with_env(LANGUAGE.clone());
        context.add_variable_from_value("event", event);
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("the expression gave a value of type {}, not true or false", other.type_of())),
            Err(error) => Err(value::in_words(&error)),
        }
    }

    /// Asks it of one event after the other, until `limit` of them have been kept, `most` have been asked or it is late; of one
    /// at least. Takes a thread for as long.
    pub(crate) fn sift(&self, rows: Vec<Row>, limit: usize, most: usize, late: Instant) -> Sifted {
        let mut sifted = Sifted::default();
        for row in rows.into_iter().take(most.max(1)) {
            sifted.told.examined += 1;
            sifted.last = Some(row.position);
            match self.holds(&row.json) {
                Ok(true) => sifted.kept.push(row),
                Ok(false) => {}
                Err(reason) => sifted.told.fail(reason),
            }
            if sifted.kept.len() >= limit || Instant::now() >= late {
                break;
            }
        }
        sifted
    }
}

/// What was found among some events.
#[derive(Debug, Default)]
pub(crate) struct Sifted {
    pub(crate) kept: Vec<Row>,
    /// The last one that was asked.
    pub(crate) last: Option<cabildo_events::Position>,
    pub(crate) told: Told,
}

/// What an answer says of its filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// Of how many events it was asked.
    pub(crate) examined: usize,
    /// For how many of them it was neither true nor false.
    pub(crate) failed: usize,
    /// Why, for the first of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Told {
    fn fail(&mut self, reason: String) {
        self.failed += 1;
        self.reason.get_or_insert(reason);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.examined += other.examined;
        self.failed += other.failed;
        if let Some(reason) = other.reason {
            self.reason.get_or_insert(reason);
        }
    }
}

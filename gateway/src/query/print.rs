//! Clauses as a query: reading it gives the same clauses.

use cabildo_storage::{Clause, Compare, Condition, KindPattern};

/// Writes clauses down, each value in quotes where it needs them.
pub(crate) fn print(clauses: &[Clause]) -> String {
    clauses.iter().filter(|clause| !clause.any.is_empty()).map(clause_text).collect::<Vec<_>>().join(" ")
}

fn clause_text(clause: &Clause) -> String {
    let sign = if clause.negated { "-" } else { "" };
    let name = clause.any.first().map_or("", name);
    let values: Vec<_> = clause.any.iter().map(value).collect();
    match &values[..] {
        [value] => format!("{sign}{name}:{value}"),
        _ => format!("{sign}{name}:({})", values.join(" OR ")),
    }
}

const fn name(condition: &Condition) -> &'static str {
    match condition {
        Condition::Kind(_) => "type",
        Condition::Context(_) => "context",
        Condition::Aggregate(_) => "aggregate",
        Condition::Actor(_) => "actor",
        Condition::Lane(_) => "lane",
        Condition::Event(_) => "id",
        Condition::Correlation(_) => "correlation",
        Condition::Causation(_) => "causation",
        Condition::Text(_) => "text",
        Condition::Position(..) => "position",
        Condition::Time(..) => "time",
    }
}

fn value(condition: &Condition) -> String {
    match condition {
        Condition::Kind(KindPattern::Exactly(kind)) => kind.clone(),
        Condition::Kind(KindPattern::Prefix(stem)) => format!("{stem}*"),
        Condition::Context(text) | Condition::Aggregate(text) | Condition::Actor(text) | Condition::Text(text) => quoted(text),
        Condition::Lane(lane) => lane.to_string(),
        Condition::Event(id) | Condition::Correlation(id) | Condition::Causation(id) => id.to_string(),
        Condition::Position(compare, position) => format!("{}{position}", sign(*compare)),
        Condition::Time(compare, time) => format!("{}{time}", sign(*compare)),
    }
}

const fn sign(compare: Compare) -> &'static str {
    match compare {
        Compare::Below => "<",
        Compare::AtMost => "<=",
        Compare::Equal => "",
        Compare::AtLeast => ">=",
        Compare::Above => ">",
    }
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./@".contains(c);
    // A word of the language, or a sign, would be read as what it means.
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') && text != "OR" {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

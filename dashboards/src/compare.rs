//! What differs between an object that is wanted and the one that Grafana holds.
//!
//! Only what is wanted is compared: Grafana adds members of its own, and leaves out what is null, false, zero or empty, so
//! those count as absent on both sides. Items of a list that have a name of their own (`uid`, `id`, `refId`, `name`) are found by
//! it; one more than wanted is a difference, as somebody must have put it there.

use std::fmt;

use serde_json::Value;

/// Members by which items of a list are told apart, in the order they are looked for.
const NAMES: [&str; 4] = ["uid", "id", "refId", "name"];
/// Longest value shown of a difference, in characters; the rest is left out.
const SHOWN_CHARS_MAX: usize = 80;

/// One place where two objects differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, as a path of members: `panels[id=3].title`.
    pub path: String,
    /// What is wanted there; null for nothing.
    pub wanted: Value,
    /// What Grafana has there; null for nothing.
    pub found: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: Grafana has {}, wanted {}", self.path, Shown(&self.found), Shown(&self.wanted))
    }
}

struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_null() {
            return f.write_str("nothing");
        }
        let text = self.0.to_string();
        let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        let rest = if shown.len() < text.len() { "…" } else { "" };
        write!(f, "{shown}{rest}")
    }
}

/// Everything in which `found` differs from `wanted`, in the order of what is wanted.
pub(crate) fn differences(wanted: &Value, found: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare(String::new(), wanted, found, &mut differences);
    differences
}

fn compare(path: String, wanted: &Value, found: &Value, differences: &mut Vec<Difference>) {
    match (wanted, found) {
        (Value::Object(members), Value::Object(_) | Value::Null) => {
            for (name, wanted) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(path, wanted, found.get(name).unwrap_or(&Value::Null), differences);
            }
        }
        (Value::Array(wanted), Value::Array(found)) => lists(&path, wanted, found, differences),
        _ if is_blank(wanted) && is_blank(found) => {}
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        // Grafana raises the schema of what it stores.
        (Value::Number(one), Value::Number(other)) if path == "schemaVersion" && other.as_f64() > one.as_f64() => {}
        _ if wanted == found => {}
        _ => differences.push(Difference { path, wanted: wanted.clone(), found: found.clone() }),
    }
}

fn lists(path: &str, wanted: &[Value], found: &[Value], differences: &mut Vec<Difference>) {
    if let Some(name) =
        NAMES.into_iter().find(|name| !wanted.is_empty() && wanted.iter().all(|item| item.get(name).is_some()))
    {
        let step = |item: &Value| match &item[name] {
            Value::String(text) => format!("{path}[{name}={text}]"),
            other => format!("{path}[{name}={other}]"),
        };
        for item in wanted {
            match found.iter().find(|other| same(&other[name], &item[name])) {
                Some(other) => compare(step(item), item, other, differences),
                None => differences.push(Difference { path: step(item), wanted: item.clone(), found: Value::Null }),
            }
        }
        for other in found.iter().filter(|other| !wanted.iter().any(|item| same(&other[name], &item[name]))) {
            differences.push(Difference { path: step(other), wanted: Value::Null, found: other.clone() });
        }
        return;
    }
    if wanted.len() != found.len() {
        let (wanted, found) = (wanted.to_vec().into(), found.to_vec().into());
        differences.push(Difference { path: path.to_owned(), wanted, found });
        return;
    }
    for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
        compare(format!("{path}[{index}]"), wanted, found, differences);
    }
}

fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && one.as_f64() == other.as_f64())
}

/// Whether a value is one that Grafana may leave out.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_blank),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "the values are written where they are given")]
    fn check(wanted: Value, found: Value, paths: &[&str]) {
        let differences = differences(&wanted, &found);
        assert_eq!(differences.iter().map(|difference| difference.path.as_str()).collect::<Vec<_>>(), paths);
    }

    #[test]
    fn what_grafana_adds_and_leaves_out_is_no_difference() {
        check(json!({"a": 1, "b": false, "c": [], "d": {"e": null}}), json!({"a": 1.0, "id": 7, "x": {}}), &[]);
        check(json!({"min": 0, "overrides": []}), json!({}), &[]);
        check(json!({"schemaVersion": 39}), json!({"schemaVersion": 42}), &[]);
        check(json!({"schemaVersion": 39}), json!({"schemaVersion": 36}), &["schemaVersion"]);
    }

    #[test]
    fn what_somebody_changed_is_found_where_it_is() {
        check(json!({"a": {"b": "x"}}), json!({"a": {"b": "y"}}), &["a.b"]);
        check(json!({"overrides": []}), json!({"overrides": [{"matcher": 1}]}), &["overrides"]);
        check(json!({"collapsed": false}), json!({"collapsed": true}), &["collapsed"]);
        check(json!({"tags": ["a"]}), json!({"tags": ["a", "b"]}), &["tags"]);
        check(json!({"tags": ["a"]}), json!({"tags": ["b"]}), &["tags[0]"]);
        check(json!({"a": {"b": "x"}}), Value::Null, &["a.b"]);
    }

    #[test]
    fn items_are_found_by_their_name() {
        let wanted = json!({"panels": [{"id": 1, "title": "a"}, {"id": 2, "title": "b"}]});
        check(wanted.clone(), json!({"panels": [{"id": 2, "title": "b"}, {"id": 1, "title": "a"}]}), &[]);
        check(
            wanted,
            json!({"panels": [{"id": 2, "title": "c"}, {"id": 3, "title": "mine"}]}),
            &["panels[id=1]", "panels[id=2].title", "panels[id=3]"],
        );
    }

    #[test]
    fn a_difference_says_what_is_where() {
        let found = differences(&json!({"a": "x"}), &json!({"a": "y".repeat(200)}));
        let said = found[0].to_string();
        assert!(
            said.starts_with("a: Grafana has \"yyy") && said.ends_with("…, wanted \"x\"") && said.len() < 130,
            "{said}"
        );
    }
}

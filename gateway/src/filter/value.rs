//! From JSON to the values of the language, and from its errors to words.

use std::collections::HashMap;

use cel::objects::Key;
use cel::{ExecutionError, Value};

/// Reads an event in structured form.
pub(super) fn read(event: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(event).map(of)
}

fn of(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => number.as_f64().map_or(Value::Null, Value::Float),
        },
        serde_json::Value::String(text) => Value::String(text.into()),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(of).collect::<Vec<_>>().into()),
        serde_json::Value::Object(members) => {
            let members: HashMap<Key, Value> =
                members.into_iter().map(|(name, value)| (name.into(), of(value))).collect();
            members.into()
        }
    }
}

/// Why an expression failed, without the values, which may be long.
pub(super) fn in_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("the event has no `{name}` there: ask has(…) before"),
        ExecutionError::NoSuchOverload(error) => error.to_string(),
        ExecutionError::UnexpectedType { got, want } => format!("{want} is needed there, not {got}"),
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", left.type_of(), right.type_of())
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("`{operator}` does not go with {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::Overflow(operator, ..) => format!("`{operator}` gives a number that is too large"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "the list is shorter than that".to_owned(),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        other => {
            // These tell of values, whole; the beginning says what it is about.
            let text = other.to_string();
            text.chars().take(120).collect()
        }
    }
}

//! Older schema versions, brought up to date one step at a time.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::event::DecodeError;

/// One step: turns the data of version `from` into that of `from + 1`.
struct Step {
    kind: &'static str,
    from: u16,
    run: fn(Map<String, Value>) -> Result<Value, String>,
}

const STEPS: &[Step] = &[
    Step { kind: "poll.ballot.cast", from: 1, run: ballot_from_band_vote },
    Step { kind: "task.changed", from: 1, run: change_of_title },
];

/// Version 1 of a change of a task always names the title, and nothing else; version 2 names what changes.
fn change_of_title(data: Map<String, Value>) -> Result<Value, String> {
    if !data.contains_key("title") {
        return Err("missing field `title`".to_owned());
    }
    Ok(Value::Object(data))
}

/// Version 1 of a ballot is the Band Contest's vote: the band's name is the choice, the rest are free fields.
fn ballot_from_band_vote(mut data: Map<String, Value>) -> Result<Value, String> {
    let mut take = |name: &str| data.remove(name).ok_or_else(|| format!("missing field `{name}`"));
    let (voter, name) = (take("voter")?, take("name")?);
    let fields = ["album", "year", "rank"].map(|field| take(field).map(|value| (field.to_owned(), value)));
    let fields = fields.into_iter().collect::<Result<Map<_, _>, _>>()?;
    Ok(json!({ "voter": voter, "choices": [name], "fields": fields }))
}

/// Reads `data` of `version` as the current shape `T`, whose version is `known`.
pub(crate) fn read<T: DeserializeOwned>(kind: &str, version: u16, known: u16, data: &[u8]) -> Result<T, DecodeError> {
    let shape = |reason: String| DecodeError::Shape { kind: kind.to_owned(), version, reason };
    if version == known {
        return serde_json::from_slice(data).map_err(|error| shape(error.to_string()));
    }
    if version > known {
        return Err(DecodeError::Newer { kind: kind.to_owned(), found: version, known });
    }
    let mut value: Value = serde_json::from_slice(data).map_err(|error| shape(error.to_string()))?;
    for from in version..known {
        let step = STEPS
            .iter()
            .find(|step| step.kind == kind && step.from == from)
            .ok_or_else(|| shape(format!("there never was a version {from}")))?;
        let Value::Object(object) = value else { return Err(shape("expected an object".to_owned())) };
        value = (step.run)(object).map_err(shape)?;
    }
    serde_json::from_value(value).map_err(|error| shape(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_types;

    #[test]
    fn every_old_version_has_its_step() {
        for (kind, known) in event_types() {
            for from in 1..*known {
                assert!(STEPS.iter().any(|step| step.kind == *kind && step.from == from), "{kind} {from}");
            }
        }
    }
}

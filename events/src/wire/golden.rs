//! What was written once is read for ever. A golden file is added with a new type or version and never edited.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::{Recorded, event_types};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

#[test]
fn every_type_and_version_has_a_file_and_no_file_is_orphaned() {
    let expected: BTreeSet<String> = event_types()
        .iter()
        .flat_map(|(kind, known)| (1..=*known).map(move |version| format!("{kind}.v{version}.json")))
        .collect();
    let found: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_current_event_is_written_as_it_was_and_an_old_one_reads_as_its_successor() {
    for (kind, known) in event_types() {
        let read = |version: u16| {
            let text = std::fs::read_to_string(folder().join(format!("{kind}.v{version}.json"))).unwrap();
            let (envelope, position) = from_json(text.trim_end()).unwrap();
            (text, envelope, position.unwrap())
        };
        let (text, envelope, position) = read(*known);
        let event = envelope.event().unwrap();
        assert_eq!(event.encode(), (*kind, *known, envelope.data.clone()), "the data of {kind} changed shape");
        let lane = crate::Lane::new(0).unwrap();
        let recorded = "2026-11-21T10:00:00.000002Z".parse().unwrap();
        let again = to_json(&Recorded { position, lane, recorded, envelope: Ok(envelope.clone()) });
        assert_eq!(again, text.trim_end());
        for version in 1..*known {
            assert_eq!(read(version).1.event().unwrap(), event, "{kind} version {version}");
        }
        let headers = to_headers(&envelope);
        let get = |name: &str| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
        assert_eq!(from_headers(get, envelope.data.clone()), Ok(envelope));
    }
}

#[test]
fn a_newer_version_says_what_to_do() {
    let text = std::fs::read_to_string(folder().join("poll.closed.v1.json")).unwrap();
    let (mut envelope, _) = from_json(text.trim_end()).unwrap();
    envelope.schema_version = 9;
    let error = envelope.event().unwrap_err().to_string();
    assert_eq!(error, "`poll.closed` has schema version 9, this build knows up to 1: upgrade cabildo");
}

#[test]
fn what_is_no_envelope_is_named() {
    for (text, reason) in [
        ("{", "not a CloudEvents object"),
        (r#"{"specversion":"1.0"}"#, "missing field `id`"),
        (r#"{"specversion":"1.0","color":"red"}"#, "unknown field `color`"),
    ] {
        let error = from_json(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(from_headers(|_| None, bytes::Bytes::new()), Err(WireError::Missing("ce-specversion")));
}

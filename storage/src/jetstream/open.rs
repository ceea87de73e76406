//! Opening: the server is new enough, the streams are there and are ours.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, PersistenceMode, Republish, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use cabildo_events::LANES;
use cabildo_events::limits::DUPLICATE_WINDOW_S;
use cabildo_events::wire::JOURNAL_SCHEMA;

use super::JetStream;
use super::address::Address;
use super::follow::LIVE_PREFIX;
use super::link::Link;
use super::parked::parked_config;
use super::read::ALL;
use crate::OpenError;

/// Key of the lane count in the stream's metadata.
const LANES_KEY: &str = "cabildo-lanes";
/// Key of the journal's schema in the stream's metadata.
const SCHEMA_KEY: &str = "cabildo-schema";
/// The first server with atomic batches.
const SERVER_MIN: (i64, i64, i64) = (2, 12, 0);

pub(super) async fn open(address: Address) -> Result<JetStream, OpenError> {
    let (writes, reads) = tokio::try_join!(Link::connect(&address, "writer"), Link::connect(&address, "reader"))?;
    let (major, minor, patch) = SERVER_MIN;
    if !writes.client.is_server_compatible(major, minor, patch) {
        return Err(OpenError::Mismatch {
            what: address.shown,
            reason: format!(
                "it runs NATS {}, and atomic batches need {major}.{minor} or newer: upgrade the server",
                writes.client.server_info().version
            ),
        });
    }
    let found = found_or_made(&writes.context, events_config(&address), &address).await?;
    check(&address, &found)?;
    found_or_made(&writes.context, parked_config(&address), &address).await?;
    let stream =
        writes.context.get_stream_no_info(&address.stream).await.map_err(|error| unavailable(&address, error))?;
    let durability = address.durability(found.num_replicas);
    Ok(JetStream::new(writes, reads, &address, durability, stream))
}

fn events_config(address: &Address) -> Config {
    Config {
        name: address.stream.clone(),
        description: Some("The events of Cabildo".to_owned()),
        subjects: vec![ALL.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: address.replicas.unwrap_or(1),
        // Should an operator set a limit: refuse the new rather than forget the old.
        discard: DiscardPolicy::New,
        duplicate_window: Duration::from_secs(DUPLICATE_WINDOW_S),
        allow_direct: true,
        deny_delete: true,
        deny_purge: true,
        allow_atomic_publish: true,
        republish: republish(),
        metadata: HashMap::from([
            (LANES_KEY.to_owned(), LANES.to_string()),
            (SCHEMA_KEY.to_owned(), JOURNAL_SCHEMA.to_string()),
        ]),
        ..Config::default()
    }
}

/// Finds a stream with whatever settings it has, or makes it. Another process may make it meanwhile.
async fn found_or_made(context: &Context, config: Config, address: &Address) -> Result<Config, OpenError> {
    let name = config.name.clone();
    if let Some(found) = find(context, &name, address).await? {
        return Ok(found);
    }
    let error = match context.create_stream(config).await {
        Ok(stream) => return Ok(stream.cached_info().config.clone()),
        Err(error) => error,
    };
    let CreateStreamErrorKind::JetStream(reason) = error.kind() else { return Err(unavailable(address, error)) };
    let mismatch = |reason: String| Err(OpenError::Mismatch { what: address.shown.clone(), reason });
    match reason.error_code() {
        ErrorCode::STREAM_NAME_EXIST => {
            let found = find(context, &name, address).await?;
            found.ok_or_else(|| unavailable(address, format!("the stream {name} comes and goes")))
        }
        ErrorCode::STREAM_SUBJECT_OVERLAP => mismatch(format!(
            "another stream there holds the subjects of {name}: name that stream in the URL (?stream=NAME), or use an \
             account of its own"
        )),
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            mismatch("it is no cluster, so nothing can be replicated: leave out `replicas` in the URL".to_owned())
        }
        _ => Err(unavailable(address, error)),
    }
}

async fn find(context: &Context, name: &str, address: &Address) -> Result<Option<Config>, OpenError> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().config.clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason) if reason.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(unavailable(address, error)),
        },
    }
}

/// Refuses a stream that this build would misread.
fn check(address: &Address, found: &Config) -> Result<(), OpenError> {
    let what = format!("the stream {} at {}", found.name, address.shown);
    let mismatch = |reason: String| Err(OpenError::Mismatch { what: what.clone(), reason });
    let number = |key: &str| found.metadata.get(key).and_then(|value| value.parse::<u32>().ok());
    let Some(schema) = number(SCHEMA_KEY) else {
        return mismatch("it was not made by cabildo: choose another with ?stream=NAME, or remove it".to_owned());
    };
    if schema > JOURNAL_SCHEMA {
        return Err(OpenError::Newer { what, found: schema, known: JOURNAL_SCHEMA });
    }
    match number(LANES_KEY) {
        Some(lanes) if lanes == u32::from(LANES) => {}
        lanes => {
            let lanes = lanes.map_or_else(|| "an unknown number of".to_owned(), |lanes| lanes.to_string());
            return mismatch(format!(
                "it has {lanes} lanes and this build has {LANES}: copy it with `cabildo events export` and `import` into a new stream"
            ));
        }
    }
    if let Some(setting) = changed_setting(address, found) {
        return mismatch(format!("{setting}: change it back with `nats stream edit {}`", found.name));
    }
    Ok(())
}

/// The first setting by which the stream would break the journal's promises, if there is one.
fn changed_setting(address: &Address, found: &Config) -> Option<String> {
    let window = Duration::from_secs(DUPLICATE_WINDOW_S);
    let asked = address.replicas.unwrap_or(1);
    let wrong = [
        (!found.subjects.iter().any(|subject| subject == ALL), format!("it does not take the subjects {ALL}")),
        (found.storage != StorageType::File, "it keeps events in memory, not in files".to_owned()),
        (found.persist_mode == Some(PersistenceMode::Async), "it acknowledges before it has written".to_owned()),
        (found.no_ack, "it acknowledges nothing".to_owned()),
        (found.retention != RetentionPolicy::Limits, "it drops events that somebody has read".to_owned()),
        (!found.max_age.is_zero(), "it drops events that are old".to_owned()),
        (found.discard != DiscardPolicy::New, "it drops old events to make room for new ones".to_owned()),
        (found.max_messages_per_subject > 0, "it bounds the events of a subject".to_owned()),
        (found.duplicate_window < window, format!("it remembers ids for less than {DUPLICATE_WINDOW_S} s")),
        (!found.allow_atomic_publish, "it does not take atomic batches".to_owned()),
        (found.republish != republish(), format!("it does not republish {ALL} to {LIVE_PREFIX}{ALL}")),
        (found.num_replicas < asked, format!("it has {} replicas, and {asked} are asked for", found.num_replicas)),
    ];
    wrong.into_iter().find_map(|(is_wrong, what)| is_wrong.then_some(what))
}

fn republish() -> Option<Republish> {
    let destination = format!("{LIVE_PREFIX}{ALL}");
    Some(Republish { source: ALL.to_owned(), destination, headers_only: false })
}

fn unavailable(address: &Address, error: impl std::fmt::Display) -> OpenError {
    OpenError::Unavailable { what: address.shown.clone(), reason: error.to_string() }
}

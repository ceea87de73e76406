//! Opening: the server is new enough, the streams are there and are ours.

use std::collections::HashMap;

use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Republish, RetentionPolicy, StorageType};
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
    let found = made_or_found(&writes.context, events_config(&address), &address).await?;
    check(&address, &found)?;
    made_or_found(&writes.context, parked_config(&address), &address).await?;
    let stream =
        writes.context.get_stream_no_info(&address.stream).await.map_err(|error| unavailable(&address, error))?;
    let durability = address.durability();
    Ok(JetStream::new(writes, reads, &address, durability, stream))
}

fn events_config(address: &Address) -> Config {
    Config {
        name: address.stream.clone(),
        description: Some("The events of Cabildo".to_owned()),
        subjects: vec![ALL.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: address.replicas,
        // Should an operator set a limit: refuse the new rather than forget the old.
        discard: DiscardPolicy::New,
        duplicate_window: std::time::Duration::from_secs(DUPLICATE_WINDOW_S),
        allow_direct: true,
        deny_delete: true,
        deny_purge: true,
        allow_atomic_publish: true,
        republish: Some(Republish {
            source: ALL.to_owned(),
            destination: format!("{LIVE_PREFIX}{ALL}"),
            headers_only: false,
        }),
        metadata: HashMap::from([
            (LANES_KEY.to_owned(), LANES.to_string()),
            (SCHEMA_KEY.to_owned(), JOURNAL_SCHEMA.to_string()),
        ]),
        ..Config::default()
    }
}

/// Makes a stream, or finds the one of that name with whatever settings it has. Another process may make it meanwhile.
async fn made_or_found(context: &Context, config: Config, address: &Address) -> Result<Config, OpenError> {
    let name = config.name.clone();
    let made = match context.create_stream(config).await {
        Ok(stream) => return Ok(stream.cached_info().config.clone()),
        Err(error) => error,
    };
    match made.kind() {
        CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {
            let stream = context.get_stream(&name).await.map_err(|error| unavailable(address, error))?;
            Ok(stream.cached_info().config.clone())
        }
        CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP => {
            Err(OpenError::Mismatch {
                what: address.shown.clone(),
                reason: format!(
                    "another stream there holds the subjects of {name}: name that stream in the URL (?stream=NAME), or use \
                     an account of its own"
                ),
            })
        }
        _ => Err(unavailable(address, made)),
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
    if !found.allow_atomic_publish || found.republish.is_none() {
        let edit = format!("nats stream edit {} --allow-batch --republish-source '{ALL}'", found.name);
        return mismatch(format!("atomic batches or republishing were switched off: switch them on (`{edit} …`)"));
    }
    Ok(())
}

fn unavailable(address: &Address, error: impl std::fmt::Display) -> OpenError {
    OpenError::Unavailable { what: address.shown.clone(), reason: error.to_string() }
}

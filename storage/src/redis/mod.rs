//! Counters on Redis (6.2 and later) or Valkey, without modules.
//!
//! *Keys.* `{prefix}:{LL}:projection:version:table:key` is one hash; `{prefix}:{LL}:projection:version:watermark` is the lane's
//! watermark. The lane in braces is a hash tag: all keys of a lane live in one slot.
//!
//! *Atomicity.* A batch is one script, which compares the watermark, checks that everything can be written, writes, and
//! moves the watermark. Nobody sees a part of it.
//!
//! *Durability.* Rows and watermark are written by one script, so they are one entry of the append-only file and one
//! unit of replication: a server that loses its last second, comes back from a snapshot, fails over to a replica that lags,
//! or is emptied, goes back as a whole. What it cannot survive is the loss of single keys: a server that evicts keys
//! without an expiry is refused when connecting.

mod address;
mod counters;
mod keys;
mod rows;
mod script;

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, RedisResult};
use address::Address;
use cabildo_events::limits::{RETRY_FIRST_MS, RETRY_LONGEST_MS, SINK_CALL_MS, SINK_CONNECT_MS, SINK_CONNECT_RETRIES};
use counters::RedisCounters;

use crate::{Counters, OpenError, SinkError};

/// The layout of keys that this build writes and reads.
const SCHEMA: u32 = 1;

/// Connects to Redis at `redis://[[user]:password@]host[:port][/database][?prefix=cabildo]`.
pub(crate) async fn connect(url: &str) -> Result<Arc<dyn Counters>, OpenError> {
    let address = Address::parse(url)?;
    let unavailable = |reason: String| OpenError::Unavailable { what: address.shown.clone(), reason };
    let client = Client::open(address.server.clone()).map_err(|error| unavailable(error.to_string()))?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(SINK_CONNECT_RETRIES)
        .set_min_delay(Duration::from_millis(RETRY_FIRST_MS))
        .set_max_delay(Duration::from_millis(RETRY_LONGEST_MS))
        .set_connection_timeout(Some(Duration::from_millis(SINK_CONNECT_MS)))
        .set_response_timeout(Some(Duration::from_millis(SINK_CALL_MS)));
    let connection = within_bound(ConnectionManager::new_with_config(client, config)).await;
    let connection = connection.map_err(|SinkError::Unavailable { reason, .. }| unavailable(reason))?;
    let counters = RedisCounters::new(connection, &address);
    check(&counters, &address).await?;
    Ok(Arc::new(counters))
}

async fn check(counters: &RedisCounters, address: &Address) -> Result<(), OpenError> {
    let unavailable =
        |SinkError::Unavailable { reason, .. }| OpenError::Unavailable { what: address.shown.clone(), reason };
    let mismatch = |reason: String| OpenError::Mismatch { what: address.shown.clone(), reason };
    let schema = counters.schema(SCHEMA).await.map_err(unavailable)?;
    match schema.parse::<u32>() {
        Ok(SCHEMA) => {}
        Ok(found) if found > SCHEMA => {
            return Err(OpenError::Newer { what: address.shown.clone(), found, known: SCHEMA });
        }
        _ => return Err(mismatch(format!("its schema is `{schema}`: choose another prefix"))),
    }
    let info = counters.info().await.map_err(unavailable)?;
    let field = |name| script::info_field(&info, name).unwrap_or_default();
    if field("maxmemory") != "0" && field("maxmemory_policy").starts_with("allkeys") {
        return Err(mismatch(format!(
            "it drops any key when memory runs short (maxmemory-policy {}): set maxmemory-policy to noeviction",
            field("maxmemory_policy")
        )));
    }
    Ok(())
}

/// Waits for an answer, but not for ever.
async fn within_bound<T>(answer: impl Future<Output = RedisResult<T>>) -> Result<T, SinkError> {
    match tokio::time::timeout(Duration::from_millis(SINK_CALL_MS), answer).await {
        Ok(answer) => answer.map_err(|error| unavailable(error.to_string())),
        Err(_) => Err(unavailable(format!("no answer within {SINK_CALL_MS} ms"))),
    }
}

fn unavailable(reason: String) -> SinkError {
    SinkError::Unavailable { sink: "redis", reason }
}

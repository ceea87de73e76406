//! A connection that tells when it is lost, so that nobody waits for an answer that cannot come.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, Event};
use cabildo_events::limits::{
    APPEND_BATCH_EVENTS_MAX, APPEND_WRITE_MS, APPEND_WRITES_IN_FLIGHT_MAX, BROKER_PING_S, FOLLOW_QUEUE_EVENTS_MAX,
    RETRY_FIRST_MS, RETRY_LONGEST_MS,
};
use tokio::sync::watch;

use super::address::{Address, Login};
use crate::OpenError;

/// A connection to the server. It is made anew by itself whenever it is lost; what was under way then is not repeated.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) context: Context,
    /// How often it was lost.
    losses: watch::Receiver<u64>,
}

impl Link {
    pub(super) async fn connect(address: &Address, purpose: &str) -> Result<Self, OpenError> {
        let (lost, losses) = watch::channel(0_u64);
        let lost = Arc::new(lost);
        let options = ConnectOptions::new()
            .name(format!("cabildo {purpose}"))
            .connection_timeout(Duration::from_millis(APPEND_WRITE_MS))
            .request_timeout(Some(Duration::from_millis(APPEND_WRITE_MS)))
            .ping_interval(Duration::from_secs(BROKER_PING_S))
            .subscription_capacity(FOLLOW_QUEUE_EVENTS_MAX)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected) {
                    lost.send_modify(|count| *count += 1);
                }
                std::future::ready(())
            });
        let options = match &address.login {
            Login::Nobody => options,
            Login::Token(token) => options.token(token.clone()),
            Login::User { name, password } => options.user_and_password(name.clone(), password.clone()),
        };
        let unavailable = |reason: String| OpenError::Unavailable { what: address.shown.clone(), reason };
        let client = options.connect(&address.servers[..]).await.map_err(|error| unavailable(error.to_string()))?;
        let context = ContextBuilder::new()
            .timeout(Duration::from_millis(APPEND_WRITE_MS))
            // Every write under way at its largest, twice over: what timed out still holds its place for a while.
            .max_ack_inflight(2 * APPEND_BATCH_EVENTS_MAX * APPEND_WRITES_IN_FLIGHT_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self { client, context, losses })
    }

    /// Whether the server can be reached, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Watches from now on for a loss of the connection.
    pub(super) fn watch(&self) -> Loss {
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        Loss(losses)
    }
}

/// Tells of a loss since it was made.
pub(super) struct Loss(watch::Receiver<u64>);

impl Loss {
    /// Returns when the connection is lost, or was since the watch began.
    pub(super) async fn happens(&mut self) {
        // An end of the channel means that the client is gone: nothing will answer either.
        let _ = self.0.changed().await;
    }
}

fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    Duration::from_millis((RETRY_FIRST_MS << doublings).min(RETRY_LONGEST_MS))
}

//! Where the counters are: a server, and a prefix of its keys.

use ::redis::{ConnectionInfo, IntoConnectionInfo};
use cabildo_events::limits::PREFIX_BYTES_MAX;

use crate::OpenError;
use crate::connect::without_credentials;

const EXPECTED: &str = "redis://HOST:PORT/DATABASE?prefix=PREFIX (prefix: up to 64 of a-z, A-Z, 0-9, `-`, `_`, `.`)";
/// What every key begins with when nobody says otherwise.
pub(super) const PREFIX: &str = "cabildo";

/// An address, taken apart.
#[derive(Debug)]
pub(super) struct Address {
    /// For messages: without credentials.
    pub(super) shown: String,
    /// For the client.
    pub(super) server: ConnectionInfo,
    /// What every key begins with.
    pub(super) prefix: String,
}

impl Address {
    /// Takes a URL apart. `prefix` is ours; any other parameter is an error, so that a misspelt one is not passed over.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let shown = without_credentials(url);
        let bad = || OpenError::Url { url: shown.clone(), port: "place for counters", expected: EXPECTED };
        let mut parsed = ::redis::parse_redis_url(url).ok_or_else(bad)?;
        let mut prefix = PREFIX.to_owned();
        for (name, value) in parsed.query_pairs() {
            match name.as_ref() {
                "prefix" if is_prefix(&value) => prefix = value.into_owned(),
                _ => return Err(bad()),
            }
        }
        parsed.set_query(None);
        let server = parsed
            .into_connection_info()
            .map_err(|error| OpenError::Mismatch { what: shown.clone(), reason: error.to_string() })?;
        Ok(Self { shown, server, prefix })
    }
}

/// A brace would move the hash tag, a colon would blur where the prefix ends.
fn is_prefix(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=PREFIX_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_ours_and_cabildo_by_default() {
        let prefix = |url| Address::parse(url).unwrap().prefix;
        assert_eq!(prefix("redis://localhost:6379"), "cabildo");
        assert_eq!(prefix("valkey://localhost/3?prefix=test-1"), "test-1");
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_the_password() {
        for url in [
            "redis://:s3cret@localhost?prefx=a",
            "redis://:s3cret@localhost?prefix=",
            "redis://:s3cret@localhost?prefix=a%7Bb",
            "redis://:s3cret@localhost/x",
            "redis://:s3cret@local host",
            "rediss://:s3cret@localhost",
        ] {
            let message = Address::parse(url).unwrap_err().to_string();
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}

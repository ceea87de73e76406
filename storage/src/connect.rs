//! Adapters are chosen by URL.

use std::path::PathBuf;
use std::sync::Arc;

use crate::embedded::Access;
use crate::{Counters, Credentials, Documents, Journal, embedded, jetstream, mongo, redis};

/// Why an adapter could not be opened. Each message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL is of no known kind.
    #[error("`{url}` is no address of a {port}: use {expected}")]
    Url {
        /// What was given.
        url: String,
        /// journal, counters or documents.
        port: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// Another process holds the data folder.
    #[error("{} is in use by another cabildo process: stop it, or choose another folder with --data", .0.display())]
    InUse(PathBuf),
    /// There is nothing to read.
    #[error("there is no journal in {}", .0.display())]
    Missing(PathBuf),
    /// Written by a newer build.
    #[error("{what} was written by a newer cabildo (schema {found}, this build knows up to {known}): upgrade cabildo")]
    Newer {
        /// Which place.
        what: String,
        /// Its schema.
        found: u32,
        /// The newest schema known.
        known: u32,
    },
    /// Made with other settings than this build's.
    #[error("{what} cannot be used: {reason}")]
    Mismatch {
        /// Which place.
        what: String,
        /// What differs, and what to do.
        reason: String,
    },
    /// It does not answer. Trying again may help.
    #[error("cannot connect to {what}: {reason}")]
    Unavailable {
        /// The address, without credentials.
        what: String,
        /// What it said.
        reason: String,
    },
}

/// Opens the counters for reading only: embedded ones may be in use by a running process meanwhile.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_counters_read_only(url: &str) -> Result<Arc<dyn Counters>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_counters(place, Access::ReadOnly).await,
        _ => open_counters(url).await,
    }
}

/// Opens the documents for reading only: embedded ones may be in use by a running process meanwhile.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_documents_read_only(url: &str) -> Result<Arc<dyn Documents>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_documents(place, Access::ReadOnly).await,
        _ => open_documents(url).await,
    }
}

/// Opens the counters for writing beside the process that embedded ones belong to, for tools.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_counters_shared(url: &str) -> Result<Arc<dyn Counters>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_counters(place, Access::Shared).await,
        _ => open_counters(url).await,
    }
}

/// Opens the documents for writing beside the process that embedded ones belong to, for tools.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_documents_shared(url: &str) -> Result<Arc<dyn Documents>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_documents(place, Access::Shared).await,
        _ => open_documents(url).await,
    }
}

/// Opens the journal for writing beside the process that an embedded one belongs to, for tools; one that is not there is
/// not made. The other processes see what is appended within
/// [`FOREIGN_APPEND_MS`](cabildo_events::limits::FOREIGN_APPEND_MS).
///
/// # Errors
/// See [`OpenError`].
pub async fn open_journal_shared(url: &str) -> Result<Arc<dyn Journal>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_journal(place, Access::Shared).await,
        _ => open_journal(url).await,
    }
}

const JOURNALS: &str = "file:DIR or nats://HOST:PORT";

/// Opens the journal at `file:DIR` (made if it is not there; for this process alone; `?max_mib=N` bounds its size) or `nats://…`.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_journal(url: &str) -> Result<Arc<dyn Journal>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_journal(place, Access::Write).await,
        Some(("nats" | "tls", _)) => jetstream::connect(url).await,
        _ => Err(OpenError::Url { url: url.to_owned(), port: "journal", expected: JOURNALS }),
    }
}

/// Opens the journal for reading only: an embedded one may be in use by a running process meanwhile.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_journal_read_only(url: &str) -> Result<Arc<dyn Journal>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_journal(place, Access::ReadOnly).await,
        _ => open_journal(url).await,
    }
}

/// Opens the counters at `file:DIR` or `redis://…`.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_counters(url: &str) -> Result<Arc<dyn Counters>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_counters(place, Access::Write).await,
        Some(("redis" | "rediss" | "valkey", _)) => redis::connect(url).await,
        _ => Err(OpenError::Url {
            url: url.to_owned(),
            port: "place for counters",
            expected: "file:DIR or redis://HOST:PORT",
        }),
    }
}

/// Opens the documents at `file:DIR` or `mongodb://…`.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_documents(url: &str) -> Result<Arc<dyn Documents>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_documents(place, Access::Write).await,
        Some(("mongodb" | "mongodb+srv", _)) => mongo::connect(url).await,
        _ => Err(OpenError::Url {
            url: url.to_owned(),
            port: "place for documents",
            expected: "file:DIR or mongodb://HOST:PORT/DATABASE",
        }),
    }
}

/// Opens the credentials at `file:DIR` or `mongodb://…`: the place of the documents.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_credentials(url: &str) -> Result<Arc<dyn Credentials>, OpenError> {
    credentials(url, Access::Write).await
}

/// Opens the credentials for a tool, beside the process that embedded ones belong to.
///
/// # Errors
/// See [`OpenError`].
pub async fn open_credentials_shared(url: &str) -> Result<Arc<dyn Credentials>, OpenError> {
    credentials(url, Access::Shared).await
}

async fn credentials(url: &str, access: Access) -> Result<Arc<dyn Credentials>, OpenError> {
    match url.split_once(':') {
        Some(("file", place)) => embedded::open_credentials(place, access).await,
        Some(("mongodb" | "mongodb+srv", _)) => mongo::connect_credentials(url).await,
        _ => Err(OpenError::Url {
            url: url.to_owned(),
            port: "place for credentials",
            expected: "file:DIR or mongodb://HOST:PORT/DATABASE",
        }),
    }
}

/// An address as it may be shown: without user and password.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_credentials("redis://ana:s3cr@t@host:1/0?prefix=a@b"), "redis://host:1/0?prefix=a@b");
        assert_eq!(without_credentials("mongodb://a:b@h1,h2/db"), "mongodb://h1,h2/db");
        assert_eq!(without_credentials("redis://host/0"), "redis://host/0");
        assert_eq!(without_credentials("file:data"), "file:data");
    }
}

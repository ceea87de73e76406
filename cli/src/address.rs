//! Addresses of adapters. They may hold credentials, so the only way to print one leaves those out.

use std::fmt;

/// The URL of an adapter. [`Display`](fmt::Display) and [`Debug`](fmt::Debug) leave out credentials and the query.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

/// Which adapter an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The events.
    Journal,
    /// The counters.
    Counters,
    /// The documents.
    Documents,
}

impl Port {
    /// Its name, as in `--journal`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Counters => "counters",
            Self::Documents => "documents",
        }
    }

    const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Journal => &["nats", "tls"],
            Self::Counters => &["redis", "rediss", "valkey"],
            Self::Documents => &["mongodb", "mongodb+srv"],
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Journal => "nats://HOST:4222",
            Self::Counters => "redis://HOST:6379",
            Self::Documents => "mongodb://HOST:27017/cabildo",
        }
    }
}

impl Address {
    /// Reads `file:DIR` or the URL of a server.
    pub(crate) fn parse(port: Port, text: &str) -> Result<Self, String> {
        let address = Self(text.to_owned());
        let known = match text.split_once(':') {
            Some(("file", dir)) => !dir.is_empty(),
            Some((scheme, rest)) => port.schemes().contains(&scheme) && rest.starts_with("//") && rest.len() > 2,
            None => false,
        };
        if known {
            Ok(address)
        } else {
            Err(format!("`{address}` is no address of the {}: use file:DIR or {}", port.name(), port.example()))
        }
    }

    /// The embedded adapter in a folder.
    pub(crate) fn in_folder(dir: &std::path::Path) -> Self {
        Self(format!("file:{}", dir.display()))
    }

    /// The folder of an embedded adapter.
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        let place = self.0.strip_prefix("file:")?;
        Some(std::path::Path::new(place.split_once('?').map_or(place, |(dir, _)| dir)))
    }

    /// The URL with its credentials, for the one who connects.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        // Up to the last `@`, whatever stands between: a password may hold any character.
        let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("***@{host}"));
        let rest = rest.split_once('?').map_or(rest.as_str(), |(place, _)| place);
        write!(f, "{scheme}://{rest}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_printed() {
        for (port, url, printed) in [
            (Port::Journal, "nats://ana:s3cret@host:4222", "nats://***@host:4222"),
            (Port::Journal, "nats://a:s3cret@one,nats://a:s3cret@two", "nats://***@two"),
            (Port::Counters, "redis://:p@ss/s3cret@host/0", "redis://***@host/0"),
            (Port::Documents, "mongodb://host/db?tlsCertificateKeyFilePassword=s3cret", "mongodb://host/db"),
            (Port::Documents, "file:./data", "file:./data"),
        ] {
            let address = Address::parse(port, url).unwrap();
            assert_eq!((address.to_string(), address.expose()), (printed.to_owned(), url));
            assert!(!format!("{address:?}").contains("s3cret"));
        }
    }

    #[test]
    fn what_is_no_address_says_what_would_be() {
        let error = Address::parse(Port::Journal, "redis://u:s3cret@h").unwrap_err();
        assert_eq!(error, "`redis://***@h` is no address of the journal: use file:DIR or nats://HOST:4222");
        for text in ["", "data", "file:", "nats:host", "nats://"] {
            assert!(Address::parse(Port::Journal, text).is_err(), "{text}");
        }
    }
}

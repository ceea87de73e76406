//! A NATS server's address and the journal's own parameters, from one URL.

use async_nats::ServerAddr;

use crate::{Durability, OpenError};

const EXPECTED: &str = "nats://HOST:PORT?stream=NAME&replicas=1&sync=always (or tls://; the parameters are optional)";
/// What a stream has in a cluster at most, by NATS's own rule.
const REPLICAS_MAX: usize = 5;

/// Where the journal is, and what is wanted of it.
pub(super) struct Address {
    pub(super) servers: Vec<ServerAddr>,
    pub(super) login: Login,
    /// The address without credentials, for messages.
    pub(super) shown: String,
    pub(super) stream: String,
    /// How many servers must keep each event; nothing said: one in a new stream, as it is in one that is there.
    pub(super) replicas: Option<usize>,
    sync_always: bool,
}

/// What the server is told about who connects.
pub(super) enum Login {
    Nobody,
    Token(String),
    User { name: String, password: String },
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, rest) = place.split_once("://").unwrap_or(("", place));
        let (credentials, hosts) = rest.rsplit_once('@').map_or((None, rest), |(who, hosts)| (Some(who), hosts));
        let hosts = hosts.trim_end_matches('/');
        let shown = format!("{scheme}://{hosts}");
        let wrong = || OpenError::Url { url: shown.clone(), port: "journal", expected: EXPECTED };

        let servers = hosts.split(',').map(|host| format!("{scheme}://{host}").parse::<ServerAddr>());
        let servers = servers.collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
        if hosts.is_empty() || !matches!(scheme, "nats" | "tls") {
            return Err(wrong());
        }
        let login = match credentials.map(|who| who.split_once(':').ok_or(who)) {
            None => Login::Nobody,
            Some(Err(token)) => Login::Token(percent_decoded(token).ok_or_else(wrong)?),
            Some(Ok((name, password))) => Login::User {
                name: percent_decoded(name).ok_or_else(wrong)?,
                password: percent_decoded(password).ok_or_else(wrong)?,
            },
        };
        let mut address = Self {
            servers,
            login,
            shown: shown.clone(),
            stream: "CABILDO".to_owned(),
            replicas: None,
            sync_always: false,
        };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            address.take(parameter).ok_or_else(|| OpenError::Url {
                url: format!("{shown}?{parameter}"),
                port: "journal",
                expected: EXPECTED,
            })?;
        }
        Ok(address)
    }

    fn take(&mut self, parameter: &str) -> Option<()> {
        match parameter.split_once('=')? {
            ("stream", name) if !name.is_empty() && name.bytes().all(is_name_byte) => name.clone_into(&mut self.stream),
            ("replicas", count) => {
                self.replicas = Some(count.parse().ok().filter(|count| (1..=REPLICAS_MAX).contains(count))?);
            }
            ("sync", "always") => self.sync_always = true,
            _ => return None,
        }
        Some(())
    }

    /// Name of the stream of parked events.
    pub(super) fn parked_stream(&self) -> String {
        format!("{}_PARKED", self.stream)
    }

    /// What an acknowledgement is worth, given how many servers keep the stream.
    pub(super) const fn durability(&self, replicas: usize) -> Durability {
        match (self.sync_always, replicas) {
            (true, _) => Durability::Fsync,
            (false, 2..) => Durability::Replicated,
            (false, _) => Durability::Accepted,
        }
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_ours_and_the_rest_is_the_servers() {
        let address = Address::parse("nats://ana:s%40l@one:4222,two:4333?stream=TOWN&replicas=3").unwrap();
        assert_eq!(address.shown, "nats://one:4222,two:4333");
        assert_eq!(address.servers.iter().map(ServerAddr::port).collect::<Vec<_>>(), [4222, 4333]);
        assert_eq!((address.stream.as_str(), address.parked_stream().as_str()), ("TOWN", "TOWN_PARKED"));
        assert_eq!(address.replicas, Some(3));
        assert_eq!((address.durability(3), address.durability(1)), (Durability::Replicated, Durability::Accepted));
        assert!(matches!(address.login, Login::User { name, password } if name == "ana" && password == "s@l"));
        let address = Address::parse("tls://secret@one?sync=always").unwrap();
        assert_eq!(address.durability(1), Durability::Fsync);
        assert!(matches!(address.login, Login::Token(token) if token == "secret"));
        assert_eq!(Address::parse("nats://127.0.0.1").unwrap().replicas, None);
    }

    #[test]
    fn what_is_unknown_is_refused_without_showing_credentials() {
        for url in [
            "nats://",
            "nats://a:b@h:1?streams=X",
            "nats://a:b@h?stream=A.B",
            "nats://a:b@h?stream=",
            "nats://a:b@h?replicas=0",
            "nats://a:b@h?replicas=6",
            "nats://a:b@h?sync=sometimes",
            "nats://a:b@h?sync",
            "nats://a%4:b@h",
            "http://a:b@h",
        ] {
            let error = Address::parse(url).err().unwrap();
            assert!(matches!(error, OpenError::Url { .. }), "{url}");
            assert!(!error.to_string().contains("a:b"), "{error}");
        }
    }
}

//! Real servers for tests: each test starts its own, on a free port and in a temporary folder, and they end with it.
//!
//! With `CABILDO_TEST_NATS_URL`, `CABILDO_TEST_REDIS_URL` or `CABILDO_TEST_MONGODB_URL` set, tests use that server
//! instead, where they need not stop it; there, each test has a prefix or database of its own, and NATS is used by one test
//! at a time, with the streams of the last one removed first.

mod nats_cluster;
mod nats_wire;
mod process;
mod prometheus;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use nats_cluster::NatsCluster;
pub(crate) use nats_wire::Wire;
pub(crate) use process::binary as service;
use process::{Recipe, Server};
pub(crate) use prometheus::Prometheus;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long a server may take to answer one question.
const ANSWER: Duration = Duration::from_secs(2);

fn given(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the tests' servers are no configuration of the binary")]
    std::env::var(name).ok().filter(|url| !url.is_empty())
}

fn ask(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    Ok(stream)
}

fn expect_bytes(stream: &mut TcpStream, expected: &[u8]) -> std::io::Result<()> {
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found)?;
    if found == expected { Ok(()) } else { Err(std::io::Error::other(String::from_utf8_lossy(&found))) }
}

macro_rules! server_controls {
    ($name:ident, $url:literal) => {
        impl $name {
            /// Where it is, for the adapter.
            pub(crate) fn url(&self) -> String {
                self.url.clone()
            }

            /// Stops it in good order and starts it again on the same port and data.
            pub(crate) async fn restart(&mut self) {
                self.process().stop().await;
                self.process().start_again().await;
            }

            /// Ends it at once, as a crash would.
            pub(crate) fn kill(&mut self) {
                self.process().kill();
            }

            /// Starts it again on the same port and data after [`kill`](Self::kill).
            pub(crate) async fn start_again(&mut self) {
                self.process().start_again().await;
            }

            fn process(&mut self) -> &mut Server {
                self.server.as_mut().expect(concat!("this test stops its server: start it with `own`, or unset ", $url))
            }
        }
    };
}

/// A NATS server with JetStream.
pub(crate) struct Nats {
    server: Option<Server>,
    url: String,
    _alone: Option<OwnedMutexGuard<()>>,
}

server_controls!(Nats, "CABILDO_TEST_NATS_URL");

impl Nats {
    /// A server for a test that does not stop it.
    pub(crate) async fn start() -> Self {
        static ALONE: std::sync::LazyLock<Arc<Mutex<()>>> = std::sync::LazyLock::new(Arc::default);
        let Some(url) = given("CABILDO_TEST_NATS_URL") else { return Self::own().await };
        let alone = ALONE.clone().lock_owned().await;
        let mut wire = Wire::connect(&url);
        for stream in ["CABILDO", "CABILDO_PARKED"] {
            wire.request(&format!("$JS.API.STREAM.DELETE.{stream}"), "");
        }
        Self { server: None, url, _alone: Some(alone) }
    }

    /// A server of the test's own, with `sync_interval: always` or the default.
    pub(crate) async fn own_with(sync_always: bool) -> Self {
        let server = Server::start(Recipe {
            binary: "nats-server",
            arguments: Box::new(move |folder, port| {
                let sync = if sync_always { "always" } else { "2m" };
                let store = folder.join("jetstream");
                let config = folder.join("nats.conf");
                let text = format!(
                    "listen: \"127.0.0.1:{port}\"\nserver_name: cabildo-test\n\
                     jetstream {{ store_dir: \"{}\", sync_interval: {sync} }}\n",
                    store.display(),
                );
                std::fs::write(&config, text).expect("the configuration is written");
                vec!["-c".to_owned(), config.display().to_string()]
            }),
            answers: |port| expect_bytes(&mut ask(port)?, b"INFO "),
        })
        .await;
        let sync = if sync_always { "?sync=always" } else { "" };
        let url = format!("nats://127.0.0.1:{}{sync}", server.port());
        Self { server: Some(server), url, _alone: None }
    }

    /// A server of the test's own, which it may stop.
    pub(crate) async fn own() -> Self {
        Self::own_with(false).await
    }

    /// Holds it still, as an overloaded machine would, until [`resume`](Self::resume).
    pub(crate) fn pause(&mut self) {
        self.process().pause();
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub(crate) fn resume(&mut self) {
        self.process().resume();
    }
}

/// A Redis server that writes every command to its log.
pub(crate) struct Redis {
    server: Option<Server>,
    url: String,
}

server_controls!(Redis, "CABILDO_TEST_REDIS_URL");

impl Redis {
    /// A server for a test that does not stop it.
    pub(crate) async fn start() -> Self {
        let Some(url) = given("CABILDO_TEST_REDIS_URL") else { return Self::own().await };
        let joint = if url.contains('?') { '&' } else { '?' };
        Self { server: None, url: format!("{url}{joint}prefix=test-{}", uuid::Uuid::now_v7().simple()) }
    }

    /// A server of the test's own, which it may stop.
    pub(crate) async fn own() -> Self {
        let server = Server::start(Recipe {
            binary: "redis-server",
            arguments: Box::new(|folder, port| {
                let (port, folder) = (port.to_string(), folder.display().to_string());
                ["--port", &port, "--bind", "127.0.0.1", "--dir", &folder, "--appendonly", "yes", "--save", ""]
                    .map(str::to_owned)
                    .to_vec()
            }),
            answers: |port| {
                let mut stream = ask(port)?;
                stream.write_all(b"PING\r\n")?;
                expect_bytes(&mut stream, b"+PONG")
            },
        })
        .await;
        let url = format!("redis://127.0.0.1:{}", server.port());
        Self { server: Some(server), url }
    }

    /// Empties it.
    pub(crate) fn flush(&self) {
        let address = self.url.split("//").nth(1).expect("a redis:// URL");
        let mut stream = TcpStream::connect(address).expect("the server is there");
        stream.write_all(b"FLUSHALL\r\n").expect("the server listens");
        expect_bytes(&mut stream, b"+OK\r\n").expect("the server is empty");
    }
}

/// A MongoDB server.
pub(crate) struct Mongo {
    server: Option<Server>,
    url: String,
}

server_controls!(Mongo, "CABILDO_TEST_MONGODB_URL");

impl Mongo {
    /// A server for a test that does not stop it.
    pub(crate) async fn start() -> Self {
        let Some(url) = given("CABILDO_TEST_MONGODB_URL") else { return Self::own().await };
        let (address, parameters) = url.split_once('?').unwrap_or((&url, ""));
        let (scheme, rest) = address.split_once("://").expect("CABILDO_TEST_MONGODB_URL is a mongodb:// URL");
        let hosts = rest.split('/').next().unwrap_or(rest);
        let url = format!("{scheme}://{hosts}/cabildo_test_{}?{parameters}", uuid::Uuid::now_v7().simple());
        Self { server: None, url: url.trim_end_matches('?').to_owned() }
    }

    /// A server of the test's own, which it may stop.
    pub(crate) async fn own() -> Self {
        let server = Server::start(Recipe {
            binary: "mongod",
            arguments: Box::new(|folder, port| {
                let data = folder.join("data");
                std::fs::create_dir_all(&data).expect("the data folder is made");
                let (port, data) = (port.to_string(), data.display().to_string());
                let settings = ["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"];
                let quiet = ["--setParameter", "diagnosticDataCollectionEnabled=false"];
                let place = ["--port", &port, "--dbpath", &data];
                [&settings[..], &quiet, &place].concat().into_iter().map(str::to_owned).collect()
            }),
            answers: |port| {
                // An OP_MSG with the command `hello`; any answer will do.
                let command = b"\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
                let mut message = b"\x34\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0".to_vec();
                message.extend_from_slice(command);
                let mut stream = ask(port)?;
                stream.write_all(&message)?;
                stream.read_exact(&mut [0; 16])
            },
        })
        .await;
        let url = format!("mongodb://127.0.0.1:{}/cabildo", server.port());
        Self { server: Some(server), url }
    }
}

#[tokio::test]
async fn each_server_starts_stops_and_starts_again() {
    let address = |url: String| url.split("//").nth(1).unwrap().split("/").next().unwrap().to_owned();
    let (mut nats, mut redis, mut mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
    tokio::join!(nats.restart(), redis.restart(), mongo.restart());
    let addresses = [nats.url(), redis.url(), mongo.url()].map(address);
    for address in &addresses {
        TcpStream::connect(address).unwrap();
    }
    nats.kill();
    redis.kill();
    mongo.kill();
    for address in &addresses {
        TcpStream::connect(address).unwrap_err();
    }
    tokio::join!(nats.start_again(), redis.start_again(), mongo.start_again());
}

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use async_trait::async_trait;
use cabildo_projections::ProjectionId;
use cabildo_storage::conformance::SinkFixture;
use cabildo_storage::{Counters, OpenError, counters_conformance, open_counters};
use tokio::sync::{Mutex, OnceCell};

use crate::servers::Redis;

/// Counters on a server of their own, or under a prefix of their own on one that cases share.
enum OnRedis {
    Own(Mutex<Redis>),
    Shared(String),
}

impl OnRedis {
    async fn own() -> Self {
        Self::Own(Mutex::new(Redis::own().await))
    }

    async fn shared() -> Self {
        static SERVER: OnceCell<Redis> = OnceCell::const_new();
        let url = SERVER.get_or_init(Redis::start).await.url();
        let server = url.split('?').next().unwrap();
        Self::Shared(format!("{server}?prefix=test-{}", uuid::Uuid::now_v7().simple()))
    }

    fn server(&self) -> &Mutex<Redis> {
        match self {
            Self::Own(server) => server,
            Self::Shared(url) => panic!("{url} is shared: it is neither stopped nor emptied"),
        }
    }
}

/// Sends one command without a client.
fn command(url: &str, line: &str) -> String {
    let address = url.split("://").nth(1).unwrap().split(['/', '?']).next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[async_trait]
impl SinkFixture<dyn Counters> for OnRedis {
    async fn open(&self) -> Arc<dyn Counters> {
        let url = match self {
            Self::Own(server) => server.lock().await.url(),
            Self::Shared(url) => url.clone(),
        };
        open_counters(&url).await.unwrap()
    }

    async fn restart(&self, counters: Arc<dyn Counters>) -> Arc<dyn Counters> {
        drop(counters);
        self.server().lock().await.restart().await;
        self.open().await
    }

    async fn crash(&self) -> bool {
        let mut server = self.server().lock().await;
        server.kill();
        server.start_again().await;
        true
    }

    async fn empty(&self, counters: Arc<dyn Counters>) -> Arc<dyn Counters> {
        let url = self.server().lock().await.url();
        assert!(command(&url, "FLUSHALL").starts_with("+OK"));
        assert!(command(&url, "SCRIPT FLUSH").starts_with("+OK"));
        counters
    }

    async fn forget_watermarks(&self, _projection: ProjectionId) -> bool {
        false
    }
}

counters_conformance!(everyday: OnRedis::shared().await, faults: OnRedis::own().await);

#[tokio::test]
async fn a_server_that_evicts_keys_is_refused() {
    let server = Redis::own().await;
    assert!(command(&server.url(), "CONFIG SET maxmemory 100mb").starts_with("+OK"));
    assert!(command(&server.url(), "CONFIG SET maxmemory-policy allkeys-lru").starts_with("+OK"));
    let refused = open_counters(&server.url()).await.err().unwrap();
    assert!(matches!(&refused, OpenError::Mismatch { reason, .. } if reason.contains("noeviction")), "{refused}");
    assert!(command(&server.url(), "CONFIG SET maxmemory-policy noeviction").starts_with("+OK"));
    open_counters(&server.url()).await.unwrap();
}

#[tokio::test]
async fn what_a_newer_build_wrote_is_refused() {
    let server = Redis::own().await;
    assert!(command(&server.url(), "SET cabildo:schema 2").starts_with("+OK"));
    let refused = open_counters(&server.url()).await.err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1, .. }), "{refused}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let mut server = Redis::own().await;
    let url = server.url().replace("redis://", "redis://ana:s3cret@");
    server.kill();
    let refused = open_counters(&url).await.err().unwrap();
    assert!(matches!(refused, OpenError::Unavailable { .. }), "{refused}");
    assert!(refused.to_string().contains("127.0.0.1") && !refused.to_string().contains("s3cret"), "{refused}");
}

/// A cell that somebody else filled cannot be counted: nothing of the batch is written, however late it comes.
#[tokio::test]
async fn a_batch_that_cannot_be_written_whole_is_not_written_at_all() {
    use cabildo_events::Lane;
    use cabildo_projections::{Cell, CellChange};
    use cabildo_storage::LaneBatch;

    let server = Redis::own().await;
    let counters = open_counters(&server.url()).await.unwrap();
    let (projection, lane) = (ProjectionId { name: "tally", version: 1 }, Lane::new(7).unwrap());
    assert!(command(&server.url(), "HSET cabildo:{07}:tally:1:votes:z field text").starts_with(":1"));
    let changes = ["a", "z"].map(|key| CellChange::Add(Cell::new("votes", key, "field"), 1)).to_vec();
    let text = CellChange::Put(Cell::new("poll", "a", "state"), "open".into());
    let batch = LaneBatch { projection, lane, prev: 0, next: 1, changes: [vec![text], changes].concat() };
    let error = counters.apply(batch.clone()).await.unwrap_err().to_string();
    assert!(error.contains("no count"), "{error}");
    let read = counters.hashes(projection, lane, &[("votes", "a"), ("poll", "a")]).await.unwrap();
    assert!(read.watermark == 0 && read.hashes.iter().all(|hash| hash.is_empty()), "{read:?}");
    assert!(command(&server.url(), "HDEL cabildo:{07}:tally:1:votes:z field").starts_with(":1"));
    assert_eq!(counters.apply(batch).await.unwrap(), cabildo_storage::Applied::Done);
}

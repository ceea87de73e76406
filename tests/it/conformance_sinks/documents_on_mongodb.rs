use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use async_trait::async_trait;
use cabildo_projections::ProjectionId;
use cabildo_storage::conformance::SinkFixture;
use cabildo_storage::{Documents, OpenError, documents_conformance, open_documents};
use tokio::sync::{Mutex, OnceCell};

use crate::servers::Mongo;

/// Documents on a server of their own, or in a database of their own on one that cases share.
enum OnMongo {
    Own(Mutex<Mongo>),
    Shared(String),
}

impl OnMongo {
    async fn own() -> Self {
        Self::Own(Mutex::new(Mongo::own().await))
    }

    async fn shared() -> Self {
        static SERVER: OnceCell<Mongo> = OnceCell::const_new();
        let url = SERVER.get_or_init(Mongo::start).await.url();
        let (server, database) = url.rsplit_once('/').unwrap();
        let parameters = database.find('?').map_or("", |at| &database[at..]);
        Self::Shared(format!("{server}/cabildo_test_{}{parameters}", uuid::Uuid::now_v7().simple()))
    }

    async fn url(&self) -> String {
        match self {
            Self::Own(server) => server.lock().await.url(),
            Self::Shared(url) => url.clone(),
        }
    }

    fn server(&self) -> &Mutex<Mongo> {
        match self {
            Self::Own(server) => server,
            Self::Shared(url) => panic!("{url} is shared: it is neither stopped nor emptied"),
        }
    }
}

/// A field of a command, as BSON.
fn field(name: &str, text: &str) -> Vec<u8> {
    let length = i32::try_from(text.len() + 1).unwrap().to_le_bytes();
    [b"\x02", name.as_bytes(), b"\0", &length, text.as_bytes(), b"\0"].concat()
}

fn one(name: &str) -> Vec<u8> {
    [b"\x10", name.as_bytes(), b"\0\x01\0\0\0"].concat()
}

/// Runs one command without a client (OP_MSG), in the database of a URL.
fn command(url: &str, fields: &[u8]) {
    let mut parts = url.split("://").nth(1).unwrap().split(['/', '?']);
    let (address, database) = (parts.next().unwrap(), parts.next().unwrap());
    let fields = [fields, &field("$db", database)].concat();
    let size = i32::try_from(fields.len() + 5).unwrap();
    let document = [&size.to_le_bytes(), &fields[..], b"\0"].concat();
    let length = i32::try_from(document.len() + 21).unwrap();
    let header = [length, 1, 0, 2013, 0].map(i32::to_le_bytes).concat();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[&header[..], b"\0", &document].concat()).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_le_bytes(size)).unwrap() - 4];
    stream.read_exact(&mut answer).unwrap();
    let ok = [b"\x01ok\0".as_slice(), &1.0_f64.to_le_bytes()].concat();
    assert!(answer.windows(ok.len()).any(|window| window == ok), "{}", String::from_utf8_lossy(&answer));
}

#[async_trait]
impl SinkFixture<dyn Documents> for OnMongo {
    async fn open(&self) -> Arc<dyn Documents> {
        open_documents(&self.url().await).await.unwrap()
    }

    async fn restart(&self, documents: Arc<dyn Documents>) -> Arc<dyn Documents> {
        drop(documents);
        self.server().lock().await.restart().await;
        self.open().await
    }

    async fn crash(&self) -> bool {
        let mut server = self.server().lock().await;
        server.kill();
        server.start_again().await;
        true
    }

    async fn empty(&self, documents: Arc<dyn Documents>) -> Arc<dyn Documents> {
        command(&self.url().await, &one("dropDatabase"));
        documents
    }

    async fn forget_watermarks(&self, projection: ProjectionId) -> bool {
        let collection = format!("{}_v{}_watermarks", projection.name, projection.version);
        command(&self.url().await, &field("drop", &collection));
        true
    }
}

documents_conformance!(everyday: OnMongo::shared().await, faults: OnMongo::own().await);

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let mut server = Mongo::own().await;
    let url = server.url().replace("mongodb://", "mongodb://ana:s3cret@");
    server.kill();
    let refused = open_documents(&url).await.err().unwrap();
    assert!(matches!(refused, OpenError::Unavailable { .. }), "{refused}");
    assert!(refused.to_string().contains("127.0.0.1") && !refused.to_string().contains("s3cret"), "{refused}");
}

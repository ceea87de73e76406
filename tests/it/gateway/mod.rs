//! The HTTP API over real sockets: what it takes, what it answers, and what it says when it cannot.

mod bad_input;
mod down;
mod drain;
mod grpc;
mod lists;
mod live;
mod lookback;
mod openapi;
mod people;
mod pulse;
mod reads;
mod search;
mod todo_backend;
mod web;
mod writes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cabildo_events::identity::Role;
use cabildo_gateway::{Patience, People, Sources, Tries};
use cabildo_producers::{Appender, Desk};
use cabildo_storage::{
    Caller, Commands, Counters, Credentials, Documents, Journal, Live, Views, open_counters, open_credentials,
    open_documents, open_journal,
};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything here may take; generous, as other tests run beside.
const DEADLINE: Duration = Duration::from_secs(30);

/// Journal and views, with the consumers between them.
struct Stores {
    journal: Arc<dyn Journal>,
    counters: Arc<dyn Counters>,
    documents: Arc<dyn Documents>,
    credentials: Arc<dyn Credentials>,
    stop: CancellationToken,
    _folder: Arc<TempDir>,
}

impl Stores {
    /// Embedded ones, in a folder of their own.
    async fn embedded() -> Self {
        Self::at("file:{}", "file:{}").await
    }

    /// With the journal and the counters at these addresses, where `{}` is a folder of their own.
    async fn at(journal: &str, counters: &str) -> Self {
        Self::on(journal, counters, "file:{}").await
    }

    /// With everything at these addresses, where `{}` is a folder of their own.
    async fn on(journal: &str, counters: &str, documents: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = |address: &str| address.replace("{}", folder.path().to_str().unwrap());
        let journal = open_journal(&place(journal)).await.unwrap();
        let counters = open_counters(&place(counters)).await.unwrap();
        let credentials = open_credentials(&place(documents)).await.unwrap();
        let documents = open_documents(&place(documents)).await.unwrap();
        let ports = cabildo_consumers::Ports {
            journal: journal.clone(),
            counters: counters.clone(),
            documents: documents.clone(),
        };
        let stop = CancellationToken::new();
        let metrics =
            Arc::new(cabildo_consumers::Metrics::register(&mut prometheus_client::registry::Registry::default()));
        let config = cabildo_consumers::Config::all(1);
        tokio::spawn(cabildo_consumers::run(config, ports, metrics, stop.clone()));
        Self { journal, counters, documents, credentials, stop, _folder: Arc::new(folder) }
    }

    /// The same ones, for another gateway.
    fn beside(&self) -> Self {
        let (journal, counters) = (self.journal.clone(), self.counters.clone());
        let (documents, credentials) = (self.documents.clone(), self.credentials.clone());
        Self { journal, counters, documents, credentials, stop: self.stop.child_token(), _folder: self._folder.clone() }
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A gateway on a free port.
struct Gateway {
    stores: Stores,
    front: Front,
    client: Client,
}

/// What stops and starts while the stores stay.
struct Front {
    address: SocketAddr,
    commands: Arc<dyn Commands>,
    people: Arc<People>,
    stop: CancellationToken,
    stop_appender: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Front {
    async fn start(stores: &Stores, patience: Patience) -> Self {
        Self::start_with(stores, patience, Tries::default()).await
    }

    async fn start_with(stores: &Stores, patience: Patience, tries: Tries) -> Self {
        Self::bound("127.0.0.1:0", stores, patience, tries).await
    }

    async fn bound(place: &str, stores: &Stores, patience: Patience, tries: Tries) -> Self {
        let mut registry = prometheus_client::registry::Registry::default();
        let (stop, stop_appender) = (CancellationToken::new(), CancellationToken::new());
        let journal = stores.journal.clone();
        let live = Live::start(journal.clone(), stop_appender.clone()).await.unwrap();
        let views = Views::start(journal.clone(), Some(&live), stop_appender.clone()).await.unwrap();
        let metrics = Arc::new(cabildo_producers::Metrics::register(&mut registry));
        let appender = Appender::start(journal.clone(), metrics.clone(), stop_appender.clone());
        let commands: Arc<dyn Commands> =
            Arc::new(Desk::start(journal.clone(), appender, &live, metrics, stop_appender.clone()));
        let sources = Sources {
            credentials: stores.credentials.clone(),
            journal: journal.clone(),
            documents: stores.documents.clone(),
            commands: commands.clone(),
            live: live.clone(),
            views: views.clone(),
        };
        let people = People::start(sources, tries, stop_appender.clone());
        let ports = cabildo_gateway::Ports {
            journal,
            counters: stores.counters.clone(),
            documents: stores.documents.clone(),
            commands: commands.clone(),
            live,
            views,
            people: people.clone(),
        };
        let metrics = Arc::new(cabildo_gateway::Metrics::register(&mut registry));
        let render_metrics = Arc::new(move || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        });
        let config =
            cabildo_gateway::Config { adapters: vec![("journal", "file:here".to_owned())], render_metrics, patience };
        let listener = TcpListener::bind(place).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
        let serving = tokio::spawn(cabildo_gateway::run(listener, config, ports, metrics, stop.clone()));
        Self { address, commands, people, stop, stop_appender, serving }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.cancel();
        self.stop_appender.cancel();
    }
}

impl Gateway {
    async fn start() -> Self {
        Self::over(Stores::embedded().await).await
    }

    async fn over(stores: Stores) -> Self {
        Self::with(stores, Patience::default()).await
    }

    async fn with(stores: Stores, patience: Patience) -> Self {
        let front = Front::start(&stores, patience).await;
        Self::before(stores, front)
    }

    fn before(stores: Stores, front: Front) -> Self {
        Self { stores, front, client: crate::http_client().timeout(DEADLINE).build().unwrap() }
    }

    /// Stops it in good order and starts another over the same stores.
    async fn restart(&mut self) {
        self.front.stop.cancel();
        in_time("the gateway stops", &mut self.front.serving).await.unwrap().unwrap();
        self.front = Front::start(&self.stores, Patience::default()).await;
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.front.address)
    }

    /// A token of an operator without a name.
    async fn operator(&self) -> String {
        let operator = Caller { role: Role::Operator, ..Caller::default() };
        self.front.people.tokens().for_tool(&operator, Duration::from_secs(600)).await.unwrap()
    }

    /// A request, as an operator where that takes one.
    async fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), self.url(path));
        if takes_operator(path) { request.bearer_auth(self.operator().await) } else { request }
    }

    /// Sends it, unless the headers say otherwise as an operator where that takes one.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let mut request = match headers.iter().any(|(name, _)| *name == "Authorization") {
            true => self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), self.url(path)),
            false => self.request(method, path).await,
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { path: path.to_owned(), status, headers, text: response.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    /// Reads once the view has what was written at this position.
    async fn get_from(&self, path: &str, position: &str) -> Answer {
        self.send("GET", path, &[("Cabildo-Min-Position", position)], None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], Some(body)).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &[], Some(body)).await
    }

    /// Opens the poll `bands` over two bands.
    async fn open_poll(&self) -> Answer {
        let options = ["Alux Nahual", "Malacates"];
        let poll = serde_json::json!({"id": "bands", "question": "¿Quién toca?", "options": options});
        self.post("/api/v1/polls", poll).await.expect(201)
    }

    async fn cast(&self, voter: impl std::fmt::Display, choice: &str) -> Answer {
        self.put(&format!("/api/v1/polls/bands/ballots/{voter}"), serde_json::json!({"choice": choice})).await
    }

    /// Opens the room `lobby`.
    async fn open_room(&self) -> Answer {
        self.post("/api/v1/rooms", serde_json::json!({"id": "lobby", "name": "Lobby"})).await.expect(201)
    }

    async fn say(&self, text: &str) -> Answer {
        self.post("/api/v1/rooms/lobby/messages", serde_json::json!({"text": text, "author": "Ana"})).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.front.address).await.unwrap()
    }

    /// Sends bytes as they are and reads until the gateway closes the connection.
    async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // The gateway may close before it has read everything: what it said still counts.
        let _ = in_time("the gateway closes", stream.read_to_end(&mut answer)).await;
        Answer::parse(&answer)
    }
}

/// Whether what is at an address is for operators.
fn takes_operator(path: &str) -> bool {
    ["/api/v1/events", "/api/v1/projections", "/api/v1/pulse"].iter().any(|begin| path.starts_with(begin))
}

/// Fails if something takes longer than [`DEADLINE`].
async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("after {DEADLINE:?} still not: {what}"))
}

/// Waits until a condition holds.
async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < DEADLINE, "after {DEADLINE:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    path: String,
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    /// Reads an answer off the wire; status 0 if there is none.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.append(name.parse::<reqwest::header::HeaderName>().unwrap(), value.parse().unwrap());
        }
        Self { path: String::new(), status, headers, text: body.to_owned() }
    }

    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Where the event stands that a write made.
    #[track_caller]
    fn position(&self) -> String {
        let position = self.json()["position"].as_str().expect("a position").to_owned();
        assert_eq!(self.header("cabildo-position"), position);
        position
    }

    fn is_stale(&self) -> bool {
        self.headers.get("cabildo-stale").is_some_and(|value| value == "true")
    }

    /// Expects a problem document of this status and word whose detail holds a text.
    #[track_caller]
    fn problem(self, status: u16, word: &str, detail: &str) -> Value {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["type"], format!("urn:cabildo:problem:{word}"), "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        assert!(body["instance"].as_str().is_some_and(|instance| instance.starts_with('/')), "{body}");
        assert!(self.path.is_empty() || self.path.starts_with(body["instance"].as_str().unwrap()), "{body}");
        assert!(body["detail"].as_str().unwrap().contains(detail), "{detail:?} is not in {body}");
        if status == 503 {
            assert!(self.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
        }
        body
    }
}

/// Votes by option, and the voters, of a tally.
fn votes(tally: &Value) -> (std::collections::BTreeMap<String, i64>, i64) {
    let options = tally["options"].as_array().expect("options").iter();
    let votes =
        options.map(|option| (option["option"].as_str().unwrap().to_owned(), option["votes"].as_i64().unwrap()));
    (votes.collect(), tally["voters"].as_i64().expect("voters"))
}

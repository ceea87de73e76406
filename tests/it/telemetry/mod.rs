//! What a running system tells about itself: traces, metrics, log lines.

mod collector;
mod metrics;
mod secrets;
mod traces;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long anything here may take; generous, as other tests run beside.
const DEADLINE: Duration = Duration::from_secs(60);

/// A role under way.
struct Role {
    child: Child,
    address: String,
    client: reqwest::Client,
    folder: PathBuf,
    /// What it writes on stderr, read as it comes: a full pipe would hold it up.
    log: tokio::task::JoinHandle<String>,
    /// Where the credentials are, if not in the folder.
    places: Vec<String>,
}

impl Role {
    /// Starts the binary in a folder and waits until it says where it is ready.
    async fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
        command.args(arguments).current_dir(folder).env_clear().kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut written = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            written.read_to_string(&mut log).await.unwrap();
            log
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("it is ready in time").unwrap();
        let line = line.expect("it says that it is ready");
        let (_, address) = line.split_once("is ready: ").expect("the address");
        let client = crate::http_client().timeout(DEADLINE).build().unwrap();
        let documents = arguments.iter().position(|argument| *argument == "--documents");
        let places = documents.map_or(&[][..], |at| &arguments[at..=at + 1]);
        let (folder, places) = (folder.to_owned(), places.iter().map(|&argument| argument.to_owned()).collect());
        Self { child, address: address.to_owned(), client, folder, log, places }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Reads as an operator, who may read the store of the credentials.
    async fn get_as_operator(&self, path: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
        command.args(["users", "token", "--operator"]).args(&self.places).current_dir(&self.folder).env_clear();
        let made = command.output().await.unwrap();
        assert!(made.status.success(), "{made:?}");
        let token = String::from_utf8(made.stdout).unwrap();
        let response = self.client.get(self.url(path)).bearer_auth(token.trim()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    async fn get(&self, path: &str) -> String {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// Writes something; returns the answer.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: serde_json::Value) -> serde_json::Value {
        let mut request = self.client.post(self.url(path)).json(&body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 201, "{path}");
        response.json().await.unwrap()
    }

    /// Opens the room `lobby` and says something in it; returns where the message's event stands. The room is in its view by
    /// then: a batch that held both events would belong to the trace of the first.
    async fn say_something(&self, headers: &[(&str, &str)]) -> String {
        let room = self.client.get(self.url("/api/v1/rooms/lobby")).send().await.unwrap();
        if room.status() == 404 {
            let opened = self.post("/api/v1/rooms", &[], serde_json::json!({"id": "lobby", "name": "Lobby"})).await;
            let position = opened["position"].as_str().expect("a position");
            let seen = self.client.get(self.url("/api/v1/rooms/lobby")).header("cabildo-min-position", position);
            assert_eq!(seen.send().await.unwrap().status(), 200, "the room that was opened");
        }
        let message = serde_json::json!({"text": "hola", "author": "Ana"});
        let written = self.post("/api/v1/rooms/lobby/messages", headers, message).await;
        written["position"].as_str().expect("a position").to_owned()
    }

    /// Sends SIGTERM and waits for the end; returns the log.
    async fn stop(mut self) -> String {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("it stops in time").unwrap();
        let log = self.log.await.unwrap();
        assert!(status.success(), "{log}");
        log
    }
}

/// Waits until a condition holds.
async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < DEADLINE, "after {DEADLINE:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

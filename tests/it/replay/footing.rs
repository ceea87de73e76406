//! Where the stories are played: `cabildo up` over files, or gateways and a consumer over real servers.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cabildo_consumers::{Metrics, Ports, keep_up};
use cabildo_events::operation::Command as Decision;
use cabildo_storage::{
    Views, open_counters, open_counters_shared, open_documents, open_documents_shared, open_journal,
    open_journal_shared, operate,
};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::buggy::Buggy;
use crate::servers::{Mongo, Nats, Redis};

/// How long anything here may take; generous, as other tests run beside.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// The roles at work, and the ports for what is done in this process.
pub(super) struct Footing {
    pub(super) folder: tempfile::TempDir,
    pub(super) environment: Vec<(&'static str, String)>,
    pub(super) gateways: Vec<String>,
    pub(super) ports: Ports,
    _roles: Vec<Child>,
    _servers: Option<(Nats, Redis, Mongo)>,
}

impl Footing {
    /// `cabildo up` over files, which this process opens beside it.
    pub(super) async fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let environment = vec![("CABILDO_DATA", data.display().to_string())];
        let (up, address) = ready(command(folder.path(), &environment, &["up", "--listen", "127.0.0.1:0"])).await;
        let place = format!("file:{}", data.display());
        let ports = Ports {
            journal: open_journal_shared(&place).await.unwrap(),
            counters: open_counters_shared(&place).await.unwrap(),
            documents: open_documents_shared(&place).await.unwrap(),
        };
        Self { folder, environment, gateways: vec![address], ports, _roles: vec![up], _servers: None }
    }

    /// Two gateways and a consumer over NATS, Redis and MongoDB.
    pub(super) async fn distributed() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (nats, redis, mongo) = tokio::join!(Nats::own(), Redis::own(), Mongo::own());
        let environment = vec![
            ("CABILDO_JOURNAL", nats.url()),
            ("CABILDO_COUNTERS", redis.url()),
            ("CABILDO_DOCUMENTS", mongo.url()),
        ];
        let ports = Ports {
            journal: open_journal(&nats.url()).await.unwrap(),
            counters: open_counters(&redis.url()).await.unwrap(),
            documents: open_documents(&mongo.url()).await.unwrap(),
        };
        let role = |arguments: &[&str]| command(folder.path(), &environment, arguments);
        let (one, first) = ready(role(&["gateway", "--listen", "127.0.0.1:0"])).await;
        let (two, second) = ready(role(&["gateway", "--listen", "127.0.0.1:0"])).await;
        let (consumer, _) = ready(role(&["consumer"])).await;
        let roles = vec![one, two, consumer];
        let servers = Some((nats, redis, mongo));
        Self { folder, environment, gateways: vec![first, second], ports, _roles: roles, _servers: servers }
    }

    /// Makes a view of the fold with the bug live, and keeps it up from this process until `stop`.
    pub(super) async fn with_bug(&self, stop: &CancellationToken) {
        let journal = &self.ports.journal;
        let name = "tally".parse().unwrap();
        let begin = Decision::Begin { fold: 0, from: None, to: None };
        for decision in [begin, Decision::Promote(2)] {
            operate(&**journal, &name, &decision, None).await.unwrap();
        }
        let views = Views::start(journal.clone(), None, stop.clone()).await.unwrap();
        let metrics = Arc::new(Metrics::register(&mut Registry::default()));
        let Ports { journal, counters, .. } = self.ports.clone();
        tokio::spawn(keep_up(Buggy, journal, counters, 2, views, metrics, stop.clone()));
    }

    /// A command of the binary over these places.
    pub(super) fn cabildo(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), &self.environment, arguments)
    }

    /// Runs a command to its end: its exit code, what it printed, what it said.
    pub(super) async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        finish(self.cabildo(arguments)).await
    }
}

pub(super) fn command(folder: &Path, environment: &[(&'static str, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().cloned());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(super) async fn finish(mut command: Command) -> (i32, String, String) {
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().expect("an exit code"), text(ended.stdout), text(ended.stderr))
}

/// Starts a role that says its address on the first line, and hands that out.
async fn ready(mut command: Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it is ready in time").unwrap();
    let line = line.expect("it says that it is ready");
    (child, line.split("ready: ").nth(1).unwrap_or_default().to_owned())
}

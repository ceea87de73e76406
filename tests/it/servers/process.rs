//! A server as a child process: started on a free port in a folder of its own, never left behind.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to answer after its start, or to stop when told. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports tried before giving up: another process may take a free port before the server does.
const PORTS_TRIED_MAX: usize = 5;

type Arguments = Box<dyn Fn(&Path, u16) -> Vec<String> + Send + Sync>;

/// What differs between the servers.
pub(super) struct Recipe {
    /// Name of the binary.
    pub(super) binary: &'static str,
    /// Its arguments, given its folder and port; may write a file of configuration into the folder.
    pub(super) arguments: Arguments,
    /// Whether a server answers on this port.
    pub(super) answers: fn(u16) -> std::io::Result<()>,
}

/// A running (or stopped) server with its folder.
pub(super) struct Server {
    recipe: Recipe,
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

struct Running {
    server: Child,
    /// Kills the server when this process is gone without having done so: it waits for the end of its input, and
    /// outlives what a terminal sends to all of them at once.
    watchdog: Child,
}

impl Server {
    pub(super) async fn start(recipe: Recipe) -> Self {
        let folder = tempfile::Builder::new().prefix("cabildo-test-").tempdir().expect("a temporary folder");
        let mut server = Self { recipe, folder, port: 0, running: None };
        for _ in 0..PORTS_TRIED_MAX {
            server.port = free_port();
            match server.try_start().await {
                Ok(()) => return server,
                Err(log) if log.to_lowercase().contains("address already in use") => {}
                Err(log) => panic!("{} does not start: {log}", server.recipe.binary),
            }
        }
        panic!("{}: {PORTS_TRIED_MAX} free ports in a row were taken by others", server.recipe.binary);
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Starts it on the port and the data that it had.
    pub(super) async fn start_again(&mut self) {
        assert!(self.running.is_none(), "{} is running already", self.recipe.binary);
        if let Err(log) = self.try_start().await {
            panic!("{} does not start again: {log}", self.recipe.binary);
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(super) async fn stop(&mut self) {
        let Some(running) = &mut self.running else { return };
        signal("TERM", running.server.id());
        let deadline = Instant::now() + PATIENCE;
        while running.server.try_wait().expect("the server's state").is_none() {
            assert!(Instant::now() < deadline, "{} does not stop when told", self.recipe.binary);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill();
    }

    /// Ends it at once, as a crash would.
    pub(super) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // The watchdog first: once the server is reaped, its number may belong to another process.
            let _ = running.watchdog.kill();
            let _ = running.watchdog.wait();
            let _ = running.server.kill();
            let _ = running.server.wait();
        }
    }

    /// Holds all of its threads still, as an overloaded machine would, until [`resume`](Self::resume).
    pub(super) fn pause(&self) {
        signal("STOP", self.running.as_ref().expect("a running server").server.id());
    }

    pub(super) fn resume(&self) {
        signal("CONT", self.running.as_ref().expect("a running server").server.id());
    }

    /// Starts it and waits until it answers; its log if it does not.
    async fn try_start(&mut self) -> Result<(), String> {
        let log_path = self.folder.path().join("log");
        let log = std::fs::File::create(&log_path).expect("a log file");
        let server = Command::new(binary(self.recipe.binary))
            .args((self.recipe.arguments)(self.folder.path(), self.port))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.recipe.binary));
        let watchdog = Command::new("sh")
            .args([
                "-c",
                "trap '' HUP INT TERM; read -r never; kill -KILL \"$1\"",
                "watchdog",
                &server.id().to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let running = self.running.insert(Running { server, watchdog });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let exited = running.server.try_wait().expect("the server's state").is_some();
            let (answers, port) = (self.recipe.answers, self.port);
            let answer = tokio::task::spawn_blocking(move || answers(port)).await.expect("the question is put");
            if !exited && answer.is_ok() {
                return Ok(());
            }
            if exited || Instant::now() > deadline {
                self.kill();
                return Err(std::fs::read_to_string(log_path).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status().expect("kill");
    assert!(status.success(), "the server is gone");
}

/// Where `make services` puts a server, else the `PATH`.
pub(crate) fn binary(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.services/bin").join(name);
    if own.exists() {
        return own;
    }
    #[expect(clippy::disallowed_methods, reason = "the tests' servers are no configuration of the binary")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("there is no {name} in .services/bin or on the PATH: run `make services`"))
}

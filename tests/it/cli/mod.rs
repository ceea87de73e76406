//! The binary as people use it: its arguments, its exit codes, what it prints where.

mod dashboards;
mod deploy;
mod journal;
mod metrics;
mod moving;
mod parked;
mod past;
mod settings;
mod transports;
mod up;
mod users;
mod verify;
mod votes;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long anything here may take; generous, as other tests run beside.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, run in a folder, with nothing of ours in its environment.
fn cabildo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command.env_clear();
    command
}

/// Runs it to its end.
async fn run(folder: &Path, arguments: &[&str]) -> Ran {
    finish(cabildo(folder, arguments)).await
}

async fn finish(mut command: Command) -> Ran {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    output.into()
}

/// What came of it.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in {self:?}");
        self
    }
}

/// `cabildo up` on a free port.
struct Up {
    child: Child,
    address: String,
}

impl Up {
    /// Starts it in a folder and waits until it says that it is ready.
    async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--log", "warn"]).await
    }

    /// The same with more arguments.
    async fn start_with(folder: &Path, more: &[&str]) -> Self {
        let mut command = cabildo(folder, &[&["up", "--listen", "127.0.0.1:0"], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it is ready in time").unwrap();
        let line = line.expect("it says that it is ready");
        let address = line.strip_prefix("cabildo is ready: ").expect("the address").to_owned();
        Self { child, address }
    }

    /// Sends SIGTERM and waits for the end.
    async fn stop(self) -> Ran {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let output = tokio::time::timeout(PATIENCE, self.child.wait_with_output()).await;
        output.expect("it stops in time").unwrap().into()
    }
}

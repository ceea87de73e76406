//! A client in another language: Python, with stubs generated from the published protocols by their own tools.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::super::{Gateway, votes};

/// What it needs, from the package index that `pip` is set up with.
const PACKAGES: [&str; 4] =
    ["grpcio-tools==1.76.0", "grpcio-status==1.76.0", "grpcio-health-checking==1.76.0", "grpcio-reflection==1.76.0"];
/// Installing takes a minute where nothing is at hand.
const PATIENCE: Duration = Duration::from_secs(600);

async fn run(command: &mut Command) -> String {
    let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await.expect("it ends in time");
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out
}

/// A Python with the packages, made once for this build's folder.
async fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-grpc");
    let (python, made) = (folder.join("bin/python"), folder.join("made"));
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&made).ok().as_deref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).await;
        let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(&python).args(quiet).args(PACKAGES)).await;
        std::fs::write(made, wanted).unwrap();
    }
    python
}

#[tokio::test]
async fn a_client_in_another_language_uses_all_of_it() {
    let python = python().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (protocols, stubs) = (root.join("gateway/proto"), tempfile::tempdir().unwrap());
    let mut generate = Command::new(&python);
    generate.args(["-m", "grpc_tools.protoc", "-I"]).arg(&protocols);
    for option in ["python_out", "grpc_python_out"] {
        generate.arg(format!("--{option}={}", stubs.path().display()));
    }
    run(generate.args(["cabildo/v1/cabildo.proto", "confproto.proto"])).await;

    let gateway = Gateway::start().await;
    gateway.post("/api/v1/polls", json!({"id": "songs", "question": "¿Cuál?"})).await.expect(201);
    gateway.open_room().await;
    let mut client = Command::new(&python);
    client
        .arg(root.join("tests/it/gateway/grpc/client.py"))
        .arg(gateway.front.address.to_string())
        .arg(gateway.operator().await);
    let said = run(client.env("PYTHONPATH", stubs.path()).env("PYTHONDONTWRITEBYTECODE", "1")).await;
    assert_eq!(said, "ok\n");

    let head = gateway.stores.journal.head().await.unwrap().to_string();
    let tally = gateway.get_from("/api/v1/polls/songs/tally", &head).await.expect(200).json();
    let (votes, voters) = votes(&tally);
    // Two more than the stream: one alone, and one before a message that was too large.
    assert_eq!((votes["song 0"], votes["song 1"], votes["song 2"], voters), (1_000, 1_001, 1_000, 3_002));
    let tally = gateway.get_from("/api/v1/polls/bands/tally", &head).await.expect(200).json();
    assert_eq!(tally["options"][0]["option"], "Alux Nahual");
}

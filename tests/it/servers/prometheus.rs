//! Prometheus, on a configuration that the test brings.

use std::io::Write;
use std::path::Path;

use super::ask;
use super::expect_bytes;
use super::process::{Recipe, Server};

/// A Prometheus of the test's own.
pub(crate) struct Prometheus {
    server: Server,
}

impl Prometheus {
    /// Starts one; `lay_out` puts `prometheus.yml` and what it names into its folder.
    pub(crate) async fn start(lay_out: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        let arguments = move |folder: &Path, port: u16| {
            // Another port is tried in the same folder.
            if !folder.join("prometheus.yml").exists() {
                lay_out(folder);
            }
            vec![
                format!("--config.file={}", folder.join("prometheus.yml").display()),
                format!("--storage.tsdb.path={}", folder.join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ]
        };
        let answers = |port| {
            let mut stream = ask(port)?;
            stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n")?;
            expect_bytes(&mut stream, b"HTTP/1.0 200")
        };
        let server = Server::start(Recipe { binary: "prometheus", arguments: Box::new(arguments), answers }).await;
        Self { server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }
}

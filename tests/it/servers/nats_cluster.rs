//! Three NATS servers that replicate.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::process::{Recipe, Server, free_port};
use super::{ask, expect_bytes};

/// A cluster of three servers, each in a folder of its own.
pub(crate) struct NatsCluster {
    nodes: Vec<Server>,
    /// One cluster at a time: three servers that choose leaders by timeouts want room on the machine.
    _alone: OwnedMutexGuard<()>,
    /// Which one is next to crash.
    next: usize,
}

impl NatsCluster {
    /// Starts three servers. They answer, but may still be choosing their leaders.
    pub(crate) async fn start() -> Self {
        static ALONE: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);
        let alone = ALONE.clone().lock_owned().await;
        let routes = [free_port(), free_port(), free_port()];
        let (one, two, three) = tokio::join!(start_node(0, routes), start_node(1, routes), start_node(2, routes));
        Self { nodes: vec![one, two, three], _alone: alone, next: 0 }
    }

    /// Where it is, for the adapter, with every event kept by all three.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("nats://{}?replicas=3", hosts.join(","))
    }

    /// Ends one server as a crash would, each time another, and starts it again.
    pub(crate) async fn crash_one(&mut self) {
        let node = &mut self.nodes[self.next];
        node.kill();
        node.start_again().await;
        self.next = (self.next + 1) % self.nodes.len();
    }
}

async fn start_node(number: usize, routes: [u16; 3]) -> Server {
    Server::start(Recipe {
        binary: "nats-server",
        arguments: Box::new(move |folder: &Path, port| {
            let config = folder.join("nats.conf");
            let store = folder.join("jetstream");
            let others = routes.map(|route| format!("\"nats://127.0.0.1:{route}\"")).join(", ");
            let text = format!(
                "listen: \"127.0.0.1:{port}\"\nserver_name: node-{number}\njetstream {{ store_dir: \"{}\" }}\n\
                 cluster {{ name: cabildo-test, listen: \"127.0.0.1:{}\", routes: [{others}] }}\n",
                store.display(),
                routes[number],
            );
            std::fs::write(&config, text).expect("the configuration is written");
            vec!["-c".to_owned(), config.display().to_string()]
        }),
        answers: |port| expect_bytes(&mut ask(port)?, b"INFO "),
    })
    .await
}

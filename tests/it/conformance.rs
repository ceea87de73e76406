//! Every adapter passes its port's suite.

mod journal_on_jetstream {
    use std::sync::Arc;

    use async_trait::async_trait;
    use cabildo_storage::conformance::journal::Fixture;
    use cabildo_storage::{Journal, journal_conformance, open_journal};
    use tokio::sync::Mutex;

    use crate::servers::{Nats, Wire};

    struct JetStream(Mutex<Nats>);

    impl JetStream {
        async fn new() -> Self {
            Self(Mutex::new(Nats::own().await))
        }
    }

    #[async_trait]
    impl Fixture for JetStream {
        async fn open(&self) -> Arc<dyn Journal> {
            open_journal(&self.0.lock().await.url()).await.unwrap()
        }

        async fn restart(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
            drop(journal);
            self.0.lock().await.restart().await;
            self.open().await
        }

        async fn crash(&self) -> bool {
            let mut server = self.0.lock().await;
            server.kill();
            server.start_again().await;
            true
        }

        async fn write_foreign(&self, subject: &str, data: &[u8]) -> bool {
            let mut wire = Wire::connect(&self.0.lock().await.url());
            let ack = wire.publish(subject, &[("made-by", "somebody else")], data);
            assert!(ack.contains("\"seq\""), "{ack}");
            true
        }
    }

    journal_conformance!(JetStream::new().await);
}

mod journal_embedded {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use async_trait::async_trait;
    use cabildo_storage::conformance::journal::Fixture;
    use cabildo_storage::{Journal, OpenError, journal_conformance, open_journal};
    use tempfile::TempDir;

    struct Embedded(TempDir);

    impl Embedded {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
    }

    #[async_trait]
    impl Fixture for Embedded {
        async fn open(&self) -> Arc<dyn Journal> {
            let url = format!("file:{}", self.0.path().display());
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                match open_journal(&url).await {
                    // The writer of the journal that was closed may be at its last work.
                    Err(OpenError::InUse(_)) if Instant::now() < deadline => tokio::task::yield_now().await,
                    opened => return opened.unwrap(),
                }
            }
        }

        async fn restart(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
            drop(journal);
            self.open().await
        }

        async fn crash(&self) -> bool {
            false
        }

        async fn write_foreign(&self, _subject: &str, _data: &[u8]) -> bool {
            false
        }
    }

    journal_conformance!(Embedded::new());
}

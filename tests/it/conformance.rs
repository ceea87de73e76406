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

        /// One that flushes before it answers: there, large batches are atomic.
        async fn flushing() -> Self {
            Self(Mutex::new(Nats::own_with(true).await))
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

    mod flushing {
        use super::JetStream;
        use cabildo_storage::journal_conformance;

        journal_conformance! { JetStream::flushing().await;
            a_batch_of_free_events_keeps_its_order
            concurrent_appends_are_each_there_once
            every_attribute_comes_back_byte_for_byte
            an_event_too_large_is_refused_alone
            the_same_id_again_is_the_same_event
            the_same_id_twice_in_a_batch_is_one_event
            the_same_id_from_many_writers_is_one_event
            the_same_id_after_a_restart_is_the_same_event
            a_conflict_does_not_hold_back_its_neighbours
            a_follower_sees_what_was_and_what_comes
            what_was_acknowledged_survives_a_crash_in_the_middle
        }
    }
}

/// Three servers that replicate: the rules that replication could break.
mod journal_on_a_cluster {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use async_trait::async_trait;
    use cabildo_storage::conformance::journal::Fixture;
    use cabildo_storage::{Durability, Journal, OpenError, journal_conformance, open_journal};
    use tokio::sync::Mutex;

    use crate::servers::NatsCluster;

    struct Cluster(Mutex<NatsCluster>);

    impl Cluster {
        async fn new() -> Self {
            Self(Mutex::new(NatsCluster::start().await))
        }
    }

    #[async_trait]
    impl Fixture for Cluster {
        async fn open(&self) -> Arc<dyn Journal> {
            let url = self.0.lock().await.url();
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                match open_journal(&url).await {
                    // They may still be choosing their leaders, and need the machine for it.
                    Err(OpenError::Unavailable { .. }) if Instant::now() < deadline => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    opened => {
                        let journal = opened.unwrap();
                        assert_eq!(journal.durability(), Durability::Replicated);
                        return journal;
                    }
                }
            }
        }

        async fn restart(&self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
            drop(journal);
            self.0.lock().await.crash_one().await;
            self.open().await
        }

        async fn crash(&self) -> bool {
            self.0.lock().await.crash_one().await;
            true
        }

        async fn write_foreign(&self, _subject: &str, _data: &[u8]) -> bool {
            false
        }
    }

    journal_conformance! { Cluster::new().await;
        concurrent_appends_are_each_there_once
        the_same_id_again_is_the_same_event
        the_same_id_from_many_writers_is_one_event
        of_writers_with_the_same_expectation_one_wins
        ruled_is_as_new_as_the_last_acknowledgement
        a_follower_sees_what_was_and_what_comes
        what_was_acknowledged_survives_a_crash_in_the_middle
    }
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

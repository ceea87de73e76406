use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo_projections::ProjectionId;
use cabildo_storage::conformance::SinkFixture;
use cabildo_storage::{Counters, Documents, OpenError, open_counters, open_documents};
use tempfile::TempDir;

/// How long the writer of a file that was closed may be at its last work.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data folder; another one once it has been emptied.
struct Folder(Mutex<TempDir>);

impl Folder {
    fn new() -> Self {
        Self(Mutex::new(tempfile::tempdir().unwrap()))
    }

    async fn opened<S: ?Sized>(&self, open: impl AsyncFn(&str) -> Result<Arc<S>, OpenError>) -> Arc<S> {
        let url = format!("file:{}", self.0.lock().unwrap().path().display());
        let deadline = Instant::now() + PATIENCE;
        loop {
            match open(&url).await {
                Err(OpenError::InUse(_)) if Instant::now() < deadline => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    }
}

macro_rules! fixture {
    ($sink:ident, $open:path) => {
        #[async_trait]
        impl SinkFixture<dyn $sink> for Folder {
            async fn open(&self) -> Arc<dyn $sink> {
                self.opened(async |url: &str| $open(url).await).await
            }

            async fn restart(&self, sink: Arc<dyn $sink>) -> Arc<dyn $sink> {
                drop(sink);
                self.open().await
            }

            async fn crash(&self) -> bool {
                false
            }

            async fn empty(&self, sink: Arc<dyn $sink>) -> Arc<dyn $sink> {
                drop(sink);
                *self.0.lock().unwrap() = tempfile::tempdir().unwrap();
                self.open().await
            }

            async fn forget_watermarks(&self, _projection: ProjectionId) -> bool {
                false
            }
        }
    };
}

fixture!(Counters, open_counters);
fixture!(Documents, open_documents);

mod counters {
    use super::Folder;
    cabildo_storage::counters_conformance!(everyday: Folder::new(), faults: Folder::new());
}

mod documents {
    use super::Folder;
    cabildo_storage::documents_conformance!(everyday: Folder::new(), faults: Folder::new());
}

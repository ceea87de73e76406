//! Every store of credentials passes the suite.

mod embedded {
    use std::sync::Arc;

    use async_trait::async_trait;
    use cabildo_storage::conformance::credentials::CredentialsFixture;
    use cabildo_storage::{Credentials, credentials_conformance, open_credentials_shared};
    use tempfile::TempDir;

    struct Embedded(TempDir);

    impl Embedded {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
    }

    #[async_trait]
    impl CredentialsFixture for Embedded {
        async fn open(&self) -> Arc<dyn Credentials> {
            open_credentials_shared(&format!("file:{}", self.0.path().display())).await.unwrap()
        }
    }

    credentials_conformance!(Embedded::new());

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_but_its_owner_may_read_its_files() {
        use std::os::unix::fs::PermissionsExt;

        let store = Embedded::new();
        let _open = store.open().await;
        let files: Vec<_> = std::fs::read_dir(store.0.path()).unwrap().map(Result::unwrap).collect();
        let secret = files.iter().filter(|file| file.file_name().to_str().unwrap().contains(".db"));
        let modes: Vec<_> = secret.map(|file| file.metadata().unwrap().permissions().mode() & 0o777).collect();
        assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
    }
}

mod mongodb {
    use std::sync::Arc;

    use async_trait::async_trait;
    use cabildo_storage::conformance::credentials::CredentialsFixture;
    use cabildo_storage::{Credentials, credentials_conformance, open_credentials};

    use crate::servers::Mongo;

    #[async_trait]
    impl CredentialsFixture for Mongo {
        async fn open(&self) -> Arc<dyn Credentials> {
            open_credentials(&self.url()).await.unwrap()
        }
    }

    credentials_conformance!(Mongo::start().await);
}

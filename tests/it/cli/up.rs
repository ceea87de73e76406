//! `cabildo up`.

use super::{Up, run};

#[tokio::test]
async fn up_starts_in_an_empty_folder_and_stops_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path()).await;
    let port = up.address.strip_prefix("http://127.0.0.1:").expect("loopback").parse::<u16>().unwrap();
    assert_ne!(port, 0);

    // Tools read the journal and the views while it runs; a second writer is told why not.
    run(folder.path(), &["events", "tail"]).await.expect(0);
    run(folder.path(), &["projections", "lag"]).await.expect(0);
    run(folder.path(), &["projections", "list", "-o", "json"]).await.expect(0);
    run(folder.path(), &["doctor"]).await.expect(0);
    let second = run(folder.path(), &["up", "--listen", "127.0.0.1:0"]).await.expect(1);
    second.says("is in use by another cabildo process").says("--data");
    let taken = up.address.trim_start_matches("http://").to_owned();
    run(folder.path(), &["up", "--data", "other", "--listen", &taken]).await.expect(1).says("cannot listen on");

    let ran = up.stop().await.expect(0);
    assert!(!ran.err.contains("ERROR") && !ran.err.contains("panicked"), "{ran:?}");
    // Everything is let go of.
    Up::start(folder.path()).await.stop().await.expect(0);
}

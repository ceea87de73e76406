//! What operators decide about views reaches every process that reads the journal.

use std::sync::Arc;
use std::time::Duration;

use cabildo_events::operation::Command;
use cabildo_projections::tally;
use cabildo_storage::{Live, Views, open_journal, operate};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_promotion_reaches_who_follows_live_and_who_looks_now_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_journal(&format!("file:{}", folder.path().display())).await.unwrap();
    let stop = CancellationToken::new();
    let live = Live::start(journal.clone(), stop.clone()).await.unwrap();
    let mut following = Views::start(journal.clone(), Some(&live), stop.clone()).await.unwrap();
    let mut looking = Views::start(Arc::clone(&journal), None, stop.clone()).await.unwrap();
    assert_eq!(following.live(tally::ID), tally::ID);

    let name = "tally".parse().unwrap();
    for command in [Command::Begin { fold: 1, from: None, to: None }, Command::Promote(2)] {
        operate(&*journal, &name, &command, None).await.unwrap();
    }
    for views in [&mut following, &mut looking] {
        while views.live(tally::ID).version != 2 {
            let changed = tokio::time::timeout(Duration::from_secs(20), views.changed()).await;
            assert!(changed.expect("the promotion arrives"));
        }
    }
    let refused = operate(&*journal, &name, &Command::Promote(2), None).await.unwrap_err();
    assert_eq!(refused.to_string(), "tally.v2 is live already");
    stop.cancel();
}

#[tokio::test]
async fn of_two_operators_with_one_wish_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_journal(&format!("file:{}", folder.path().display())).await.unwrap();
    let name = "rooms".parse().unwrap();
    let pause = Command::Pause("maintenance".parse().unwrap());
    let (one, other) = tokio::join!(operate(&*journal, &name, &pause, None), operate(&*journal, &name, &pause, None));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(Views::read(&*journal).await.unwrap().of("rooms").paused().is_some());
}

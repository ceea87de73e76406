//! What only the embedded stores have to say: their files, their bound, their lock.

use std::path::Path;
use std::sync::Arc;

use cabildo_events::limits::LIVE_QUEUE_PAGES_MAX;
use cabildo_events::poll::{BallotCast, PollOpened};
use cabildo_events::{Aggregate, Envelope, Event, EventId, Position, Timestamp};
use cabildo_projections::tally;
use cabildo_storage::{
    Append, AppendError, Expect, Journal, Live, OpenError, open_counters, open_counters_read_only, open_documents,
    open_journal, open_journal_read_only,
};
use futures::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn file(folder: &Path) -> String {
    format!("file:{}", folder.display())
}

fn ballot(number: usize) -> Append {
    let event = Event::BallotCast(BallotCast {
        voter: format!("voter-{number}").parse().unwrap(),
        choices: vec!["x".repeat(200).parse().unwrap()],
        fields: Default::default(),
    });
    let aggregate = Aggregate::poll(&"bands".parse().unwrap());
    let envelope = Envelope::new(EventId(Uuid::now_v7()), aggregate, Timestamp::from_micros(0), &event);
    Append { envelope, expect: Expect::Nothing }
}

async fn count(journal: &dyn Journal) -> usize {
    let head = journal.head().await.unwrap();
    let pages = journal.read(Position::START, head).await.unwrap();
    pages.fold(0, |sum, page| async move { sum + page.unwrap().len() }).await
}

/// Opens a journal that was dropped a moment ago: what was under way then may hold on to its folder a little longer.
async fn open_again(place: &str) -> Arc<dyn Journal> {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match open_journal(place).await {
            Err(OpenError::InUse(_)) if tokio::time::Instant::now() < deadline => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_new_keeps_the_old_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let bounded = open_journal(&format!("{}?max_mib=1", file(folder.path()))).await.unwrap();
    let (mut acknowledged, mut refused) = (0, None);
    for batch in 0..1_000 {
        for answer in bounded.append((0..100).map(|number| ballot(batch * 100 + number)).collect()).await {
            match answer {
                Ok(_) => acknowledged += 1,
                Err(error) => refused = Some(error),
            }
        }
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("a bound of 1 MiB is reached");
    assert_eq!(refused, AppendError::DiskFull);
    assert!(refused.to_string().contains("free some space"), "{refused}");
    assert!(refused.is_retryable() && !refused.may_have_happened());
    assert!(acknowledged > 500, "only {acknowledged} events fit into 1 MiB");
    assert_eq!(count(&*bounded).await, acknowledged, "what was acknowledged is there, and nothing else");
    drop(bounded);

    let journal = open_again(&file(folder.path())).await;
    let position = journal.append(vec![ballot(0)]).await.remove(0).unwrap().position;
    assert_eq!(position, Position::at(acknowledged as u64 + 1));
}

#[tokio::test]
async fn a_folder_serves_one_process_and_others_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let missing = open_journal_read_only(&place).await.map(|_| ());
    assert_eq!(missing, Err(OpenError::Missing(folder.path().to_owned())));
    let journal = open_journal(&place).await.unwrap();
    let counters = open_counters(&place).await.unwrap();
    let second = open_journal(&place).await.map(|_| ()).unwrap_err();
    assert_eq!(second, OpenError::InUse(folder.path().to_owned()));
    assert!(second.to_string().contains("stop it, or choose another folder with --data"));

    journal.append(vec![ballot(1)]).await.remove(0).unwrap();
    let reader = open_journal_read_only(&place).await.unwrap();
    let mut follow = reader.follow(Position::START).await.unwrap();
    assert_eq!(follow.next().await.unwrap().unwrap().len(), 1);
    journal.append(vec![ballot(2)]).await.remove(0).unwrap();
    let page = follow.next().await.unwrap().unwrap();
    assert_eq!(page[0].position, Position::at(2), "a reader follows what another process writes");
    let refused = reader.append(vec![ballot(3)]).await.remove(0).unwrap_err();
    assert!(refused.to_string().contains("reading only"), "{refused}");

    let seen = open_counters_read_only(&place).await.unwrap();
    assert_eq!(seen.watermarks(tally::ID).await, counters.watermarks(tally::ID).await);
    drop((journal, follow, reader));
    open_again(&place).await;
}

#[tokio::test]
async fn files_of_a_newer_build_or_another_program_are_refused() {
    for (name, pragma, reason) in [
        ("journal", "PRAGMA user_version = 99", "schema 99, this build knows up to 2): upgrade cabildo"),
        ("counters", "PRAGMA user_version = 99", "schema 99, this build knows up to 1): upgrade cabildo"),
        ("documents", "PRAGMA application_id = 7", "another program"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let place = file(folder.path());
        let path = folder.path().join(format!("{name}.db"));
        rusqlite::Connection::open(path).unwrap().execute_batch(pragma).unwrap();
        let error = match name {
            "journal" => open_journal(&place).await.map(|_| ()).unwrap_err(),
            "counters" => open_counters(&place).await.map(|_| ()).unwrap_err(),
            _ => open_documents(&place).await.map(|_| ()).unwrap_err(),
        };
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_poll_opened_before_a_restart_is_known_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let aggregate = Aggregate::poll(&"bands".parse().unwrap());
    let opened = Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None });
    let envelope = Envelope::new(EventId(Uuid::now_v7()), aggregate.clone(), Timestamp::from_micros(1), &opened);
    let journal = open_journal(&file(folder.path())).await.unwrap();
    let append = Append { envelope: envelope.clone(), expect: Expect::Last(0) };
    journal.append(vec![append, ballot(1)]).await.into_iter().for_each(|answer| assert!(answer.is_ok()));
    drop(journal);
    let journal = open_again(&file(folder.path())).await;
    let ruled = journal.ruled(&aggregate).await.unwrap();
    assert_eq!(ruled.into_iter().map(|event| event.envelope).collect::<Vec<_>>(), [Ok(envelope)]);
    assert_eq!(journal.lane_head(aggregate.lane()).await.unwrap(), 2);
}

#[tokio::test]
async fn so_many_pages_are_kept_for_a_listener_that_stands_still_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_journal(&file(folder.path())).await.unwrap();
    let stop = CancellationToken::new();
    let live = Live::start(journal.clone(), stop.clone()).await.unwrap();
    let (mut still, mut head) = (live.subscribe(), live.head());
    for number in 0..=LIVE_QUEUE_PAGES_MAX {
        let answers = journal.append(vec![ballot(number)]).await;
        let position = answers[0].as_ref().unwrap().position;
        head.wait_for(|head| *head >= position).await.unwrap();
    }
    assert_eq!(still.recv().await.unwrap_err(), RecvError::Lagged(1));
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_writes_beside_the_process_that_the_journal_belongs_to() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let none = cabildo_storage::open_journal_shared(&place).await.err().unwrap();
    assert!(matches!(none, OpenError::Missing(_)), "{none}");
    let owner = open_journal(&place).await.unwrap();
    let tool = cabildo_storage::open_journal_shared(&place).await.unwrap();
    assert!(matches!(open_journal(&place).await.err(), Some(OpenError::InUse(_))), "it has one owner all the same");
    let mut feed = owner.follow(Position::START).await.unwrap();
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 400 {
            seen.extend(feed.next().await.unwrap().unwrap().into_iter().map(|event| event.position.seq));
        }
        seen
    });
    let write = async |journal: &dyn Journal, first: usize| {
        let mut positions = Vec::new();
        for number in 0..200 {
            positions.push(journal.append(vec![ballot(first + number)]).await.remove(0).unwrap().position.seq);
        }
        positions
    };
    let (ours, theirs) = tokio::join!(write(&*owner, 0), write(&*tool, 1_000));
    let mut all = [&ours[..], &theirs].concat();
    all.sort_unstable();
    assert_eq!(all, (1..=400).collect::<Vec<u64>>(), "each has a place of its own, and none is left out");
    assert_eq!(seen.await.unwrap(), all, "a follower of the one sees what the other appends, in order");

    // What the other appended last shows without an append of one's own.
    let last = tool.append(vec![ballot(5_000)]).await.remove(0).unwrap().position;
    while owner.head().await.unwrap() < last {
        tokio::task::yield_now().await;
    }
    let lane = Aggregate::poll(&"bands".parse().unwrap()).lane();
    assert_eq!(owner.lane_head(lane).await.unwrap(), last.seq);
    // An expectation is held against what is there, whoever wrote it.
    let opened = |expect| {
        let event = Event::PollOpened(PollOpened { question: "¿Quién?".parse().unwrap(), options: None, by: None });
        let aggregate = Aggregate::poll(&"other".parse().unwrap());
        let envelope = Envelope::new(EventId(Uuid::now_v7()), aggregate, Timestamp::from_micros(0), &event);
        Append { envelope, expect: Expect::Last(expect) }
    };
    tool.append(vec![opened(0)]).await.remove(0).unwrap();
    assert_eq!(owner.append(vec![opened(0)]).await.remove(0), Err(AppendError::Conflict));
    drop(tool);
    assert_eq!(count(&*owner).await, 402);
}

#[tokio::test]
async fn a_tool_writes_views_beside_the_process_that_they_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let place = file(folder.path());
    let (owner, documents) = (open_counters(&place).await.unwrap(), open_documents(&place).await.unwrap());
    let tool = cabildo_storage::open_counters_shared(&place).await.unwrap();
    let beside = cabildo_storage::open_documents_shared(&place).await.unwrap();
    let lane = cabildo_events::Lane::FIRST;
    let batch = |prev, next| cabildo_storage::LaneBatch { projection: tally::ID, lane, prev, next, changes: vec![] };
    assert_eq!(owner.apply(batch(0, 1)).await.unwrap(), cabildo_storage::Applied::Done);
    assert_eq!(tool.apply(batch(0, 1)).await.unwrap(), cabildo_storage::Applied::Conflict { watermark: 1 });
    assert_eq!(tool.apply(batch(1, 2)).await.unwrap(), cabildo_storage::Applied::Done);
    assert_eq!(owner.watermark(tally::ID, lane).await.unwrap(), 2);

    // A collection that a tool removes is made anew by whoever writes to it next.
    let rooms = cabildo_projections::rooms::ID;
    let key = cabildo_projections::DocumentKey { collection: "rooms", id: "lobby".into() };
    let document = |seq| cabildo_projections::Document {
        key: key.clone(),
        created: Position::at(seq),
        folded: Position::at(seq),
        lane,
        aggregate: "chat/lobby".into(),
        kind: "room".into(),
        actor: None,
        ids: cabildo_projections::Ids::default(),
        time: Timestamp::from_micros(0),
        text: "".into(),
        body: "{}".into(),
    };
    let write = |prev, next| cabildo_storage::LaneBatch {
        projection: rooms,
        lane,
        prev,
        next,
        changes: vec![cabildo_projections::DocumentChange::Append(document(next))],
    };
    assert_eq!(documents.apply(write(0, 1)).await.unwrap(), cabildo_storage::Applied::Done);
    beside.drop_view(rooms).await.unwrap();
    // The first batch after that finds the table gone, and says so; its next try makes it.
    let _ = documents.apply(write(0, 2)).await;
    let again = documents.apply(write(0, 2)).await.unwrap();
    assert!(matches!(again, cabildo_storage::Applied::Done | cabildo_storage::Applied::Conflict { watermark: 2 }));
    let loaded = beside.load(rooms, lane, vec![key]).await.unwrap();
    assert_eq!((loaded.watermark, loaded.rows[0].1.as_ref().map(|found| found.created.seq)), (2, Some(2)));
}

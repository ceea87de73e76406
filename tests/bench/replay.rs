//! Replaying a journal into a fresh view, beside a read of the same journal that does nothing with it.

use std::time::Instant;

use cabildo_events::Position;
use cabildo_projections::{record, tally};
use cabildo_storage::{open_counters, open_documents, open_journal};
use futures::StreamExt;

use crate::apply::project;
use crate::ballots;
use crate::table::{Table, per_second};

pub(crate) async fn embedded(table: &mut Table) {
    if !table.wants("replay") {
        return;
    }
    let events = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let place = format!("file:{}", folder.path().display());
    let journal = open_journal(&place).await.unwrap();
    ballots::fill(&*journal, events).await;

    let head = journal.head().await.unwrap();
    let began = Instant::now();
    let mut pages = journal.read(Position::START, head).await.unwrap();
    let mut read = 0;
    while let Some(page) = pages.next().await {
        read += page.unwrap().len();
    }
    let base = per_second(read, began.elapsed());

    for (id, name, goal) in [
        (tally::ID, "replay of the tally, embedded, 1M events", "≥ 200k/s"),
        (record::ID, "replay of the record, embedded, with full-text index", "≥ 60k/s"),
    ] {
        let counters = open_counters(&place).await.unwrap();
        let documents = open_documents(&place).await.unwrap();
        let rate = per_second(events, project(id, journal.clone(), counters, documents).await);
        table.rate(name, rate, "bare ordered read of the journal", base, goal);
    }
}

//! Whether the journal is what it was: each event is where it belongs, is what the record says it is, and what an earlier export
//! or anchor says it was.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use cabildo_events::limits::READ_PAGE_EVENTS;
use cabildo_events::wire::{self, ChainHead, Chains, Link};
use cabildo_events::{Lane, Position, Recorded};
use cabildo_projections::{Document, ProjectionId, record};
use cabildo_storage::{Documents, Journal, Query, Watermarks};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::Progress;
use crate::Ports;
use crate::compare::CompareError;

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not what it was.
    Changed,
    /// It was there and is not.
    Missing,
    /// It is there and was not.
    Inserted,
    /// It is not where it belongs.
    Misplaced,
}

impl Kind {
    /// Its word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Inserted => "inserted",
            Self::Misplaced => "misplaced",
        }
    }
}

/// The first event of a lane with which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The lane.
    pub lane: Lane,
    /// The event's position.
    pub position: Position,
    /// What is wrong.
    pub kind: Kind,
    /// In words, with what it was compared with.
    pub what: String,
    /// How many more there are in the lane.
    pub more: u64,
}

/// An event of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it stood.
    pub position: Position,
    /// Its lane.
    pub lane: Lane,
    /// What its link would be as the first of its lane: the event and nothing else.
    pub content: Link,
}

/// Events of an export in order, or why there are no more.
pub type KeptEvents<'a> = &'a mut (dyn Iterator<Item = Result<Kept, String>> + Send);

/// What the journal was at an earlier time.
pub enum Against<'a> {
    /// All of its events, in order, from some position to another.
    Export(KeptEvents<'a>),
    /// Where the chain of each lane stood.
    Anchor(BTreeMap<Lane, ChainHead>),
}

/// What was checked.
#[derive(Clone, Debug, Default)]
pub struct JournalChecked {
    /// Events read.
    pub events: u64,
    /// Of which no readable events.
    pub unreadable: u64,
    /// Documents of the record compared.
    pub documents: u64,
    /// The last position read.
    pub until: Position,
    /// Where the chain of each lane stands.
    pub chains: Chains,
    /// What is wrong, by lane.
    pub findings: BTreeMap<Lane, Finding>,
    /// Why the export could not be read to its end.
    pub cut_off: Option<String>,
}

impl JournalChecked {
    fn find(&mut self, lane: Lane, position: Position, kind: Kind, what: impl Into<String>) {
        let what = what.into();
        match self.findings.get_mut(&lane) {
            None => {
                self.findings.insert(lane, Finding { lane, position, kind, what, more: 0 });
            }
            Some(known) if position < known.position => {
                let more = known.more + 1;
                *known = Finding { lane, position, kind, what, more };
            }
            // One event may be wrong in several ways.
            Some(known) => known.more += u64::from(position != known.position),
        }
    }
}

/// Reads the journal from its beginning to its present end.
///
/// `record` is the live view of the record: the second copy of each event. What the view has yet to be brought is not held
/// against it.
///
/// # Errors
/// When the journal or the documents fail, or when told to stop.
pub async fn verify_journal(
    ports: &Ports,
    record: ProjectionId,
    mut against: Option<Against<'_>>,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<JournalChecked, CompareError> {
    // In this order: nothing that comes meanwhile may look as if it were missing.
    let stands = ports.documents.watermarks(record).await?;
    let heads = ports.journal.lane_heads().await?;
    let head = ports.journal.head().await?;
    progress.until.store(head.seq, Ordering::Relaxed);
    let mut checked = JournalChecked::default();
    let mut next = None;
    if let Some(Against::Export(events)) = &mut against {
        next = take(events, &mut checked);
    }
    // What stood before an export begins is not in it.
    let begins = next.map(|kept| kept.position);
    let mut pages = ports.journal.read(Position::START, head).await?;
    while let Some(page) = pages.next().await {
        let page = page?;
        if stop.is_cancelled() {
            return Err(CompareError::Stopped);
        }
        let after = checked.until;
        let Some(last) = page.last().map(|event| event.position) else { continue };
        let mut documents = documents_between(&*ports.documents, record, after, Some(last)).await?;
        for event in &page {
            checked.events += 1;
            structure(&mut checked, event);
            checked.until = event.position;
            checked.chains.add(event);
            let document = documents.remove(&event.position);
            against_record(&mut checked, event, document.as_ref(), &stands);
            match &mut against {
                Some(Against::Export(events)) => {
                    while let Some(kept) = next.filter(|kept| kept.position < event.position) {
                        checked.find(
                            kept.lane,
                            kept.position,
                            Kind::Missing,
                            "it is in the export, not in the journal",
                        );
                        next = take(events, &mut checked);
                    }
                    match next {
                        Some(kept) if kept.position == event.position => {
                            if kept.content != Link::START.next(event) || kept.lane != event.lane {
                                checked.find(event.lane, event.position, Kind::Changed, "the export has it otherwise");
                            }
                            next = take(events, &mut checked);
                        }
                        Some(_) if begins.is_some_and(|first| first < event.position) => {
                            checked.find(event.lane, event.position, Kind::Inserted, "the export does not have it");
                        }
                        _ => {}
                    }
                }
                Some(Against::Anchor(anchors)) => {
                    if let Some(anchor) = anchors.get(&event.lane) {
                        against_anchor(&mut checked, event.lane, *anchor);
                    }
                }
                None => {}
            }
        }
        for (position, document) in documents {
            checked.find(document.lane, position, Kind::Missing, "it is in the record, not in the journal");
        }
        progress.read.store(last.seq, Ordering::Relaxed);
        progress.events.store(checked.events, Ordering::Relaxed);
        progress.rows.store(checked.documents, Ordering::Relaxed);
    }
    for lane in Lane::all() {
        let last = checked.chains.head(lane).last.seq;
        if last < heads[lane] {
            let what = "the journal names it as the last of its lane, and does not have it";
            checked.find(lane, Position::at(heads[lane]), Kind::Missing, what);
        }
    }
    beyond_the_end(&mut checked, &*ports.journal, &*ports.documents, record, head).await?;
    match against {
        Some(Against::Export(mut events)) => {
            while let Some(kept) = next {
                checked.find(kept.lane, kept.position, Kind::Missing, "it is in the export, not in the journal");
                next = take(&mut events, &mut checked);
            }
        }
        Some(Against::Anchor(anchors)) => {
            for (lane, anchor) in anchors {
                let events = checked.chains.head(lane).events;
                if events < anchor.events {
                    let what = format!("the lane had {} events up to here, and has {events}", anchor.events);
                    checked.find(lane, anchor.last, Kind::Missing, what);
                }
            }
        }
        None => {}
    }
    Ok(checked)
}

fn take(events: &mut KeptEvents<'_>, checked: &mut JournalChecked) -> Option<Kept> {
    match events.next()? {
        Ok(kept) => Some(kept),
        Err(reason) => {
            checked.cut_off = Some(reason);
            None
        }
    }
}

/// Whether an event stands where it belongs.
fn structure(checked: &mut JournalChecked, event: &Recorded) {
    if event.position <= checked.until {
        checked.find(event.lane, event.position, Kind::Misplaced, format!("it comes after {}", checked.until));
    }
    match &event.envelope {
        Ok(envelope) if envelope.aggregate.lane() != event.lane => {
            let belongs = format!("{} belongs into lane {}", envelope.aggregate, envelope.aggregate.lane());
            checked.find(event.lane, event.position, Kind::Misplaced, belongs);
        }
        Ok(_) => {}
        Err(_) => checked.unreadable += 1,
    }
}

/// Whether the record's copy of an event is the same.
fn against_record(checked: &mut JournalChecked, event: &Recorded, document: Option<&Document>, stands: &Watermarks) {
    match document {
        Some(document) => {
            checked.documents += 1;
            if *document.body != wire::to_json(event) {
                checked.find(event.lane, event.position, Kind::Changed, format!("the record has {}", document.body));
            }
        }
        None if event.position.seq <= stands[event.lane] => {
            checked.find(event.lane, event.position, Kind::Inserted, "the record does not have it");
        }
        None => {}
    }
}

/// Whether a lane's chain is what it was, as soon as it has as many events.
fn against_anchor(checked: &mut JournalChecked, lane: Lane, anchor: ChainHead) {
    let stands = checked.chains.head(lane);
    if stands.events == anchor.events && stands.link != anchor.link {
        let what = format!("one of the lane's {} events up to here is not what it was", anchor.events);
        checked.find(lane, anchor.last, Kind::Changed, what);
    }
}

/// The record's documents after a position, up to and including another.
async fn documents_between(
    documents: &dyn Documents,
    record: ProjectionId,
    mut after: Position,
    until: Option<Position>,
) -> Result<BTreeMap<Position, Document>, CompareError> {
    let mut found = BTreeMap::new();
    loop {
        let mut query = Query::of(record, record::EVENTS, READ_PAGE_EVENTS);
        query.after = Some(after);
        query.before = until.map(|until| Position { seq: until.seq + 1, ..until });
        let page = documents.find(&query).await?;
        let Some(last) = page.documents.last().map(|document| document.created) else {
            if page.cut_short {
                continue;
            }
            return Ok(found);
        };
        let whole = page.documents.len() < READ_PAGE_EVENTS && !page.cut_short;
        found.extend(page.documents.into_iter().map(|document| (document.created, document)));
        if whole || until.is_none() {
            return Ok(found);
        }
        after = last;
    }
}

/// Whether the record has what stands beyond the end of the journal.
async fn beyond_the_end(
    checked: &mut JournalChecked,
    journal: &dyn Journal,
    documents: &dyn Documents,
    record: ProjectionId,
    head: Position,
) -> Result<(), CompareError> {
    for (position, document) in documents_between(documents, record, head, None).await? {
        if journal.get(position).await?.is_some() {
            // From here on it is what came meanwhile.
            break;
        }
        checked.find(document.lane, position, Kind::Missing, "it is in the record, beyond the end of the journal");
    }
    Ok(())
}

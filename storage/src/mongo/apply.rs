//! The three steps of a batch: where the lane stands, the documents, the watermark. Why in this order: see the module.

use std::collections::BTreeMap;

use ::mongodb::bson::oid::ObjectId;
use ::mongodb::bson::raw::cstr;
use ::mongodb::bson::{Bson, Document as BsonDocument, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use ::mongodb::error::{Error, ErrorKind, WriteFailure};
use ::mongodb::{Collection, Database};
use cabildo_events::limits::{WRITE_BYTES_MAX, WRITE_DOCUMENTS_MAX};
use cabildo_events::{Lane, Position};
use cabildo_projections::{Document, DocumentChange, DocumentKey, ProjectionId};

use super::layout::{self, Layout};
use super::{row, unavailable, within_bound};
use crate::SinkError;

/// Another document with this `_id` is there already.
const DUPLICATE: i32 = 11_000;

/// Where a lane stands, as its document says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    /// The watermark.
    pub(super) seq: u64,
    /// Tells this document from a later one of the same lane, after the first was dropped.
    born: ObjectId,
}

/// The watermarks of a projection.
pub(super) struct Lanes(Collection<BsonDocument>);

impl Lanes {
    pub(super) fn of(database: &Database, projection: ProjectionId) -> Self {
        Self(database.collection(&layout::watermarks(projection)))
    }

    /// Where each lane stands that has begun.
    pub(super) async fn stands(&self) -> Result<Vec<(Lane, u64)>, SinkError> {
        let mut cursor = within_bound(self.0.find(doc! {})).await?;
        let mut stands = Vec::new();
        while within_bound(cursor.advance()).await? {
            let document = cursor.deserialize_current().map_err(|error| unavailable(error.kind.to_string()))?;
            let lane = document.get_i32("_id").ok().and_then(|number| Lane::new(u8::try_from(number).ok()?));
            let lane = lane.ok_or_else(|| unavailable(format!("the watermark {document} is of no lane")))?;
            stands.push((lane, read(&document)?.seq));
        }
        Ok(stands)
    }

    /// Where a lane stands; `None` before its first batch.
    pub(super) async fn stand(&self, lane: Lane) -> Result<Option<Stand>, SinkError> {
        let document = within_bound(self.0.find_one(doc! { "_id": i32::from(lane.number()) })).await?;
        document.as_ref().map(read).transpose()
    }

    /// Puts a lane at its beginning, unless it has one. Done before the first documents are written, so that a database that
    /// is dropped after them can be told by the missing lane.
    pub(super) async fn begin(&self, lane: Lane) -> Result<Stand, SinkError> {
        let beginning = doc! { "_id": i32::from(lane.number()), "seq": 0_i64, "born": ObjectId::new() };
        match within_bound(async { Ok(self.0.insert_one(beginning).await) }).await? {
            Err(error) if !is_duplicate(&error) => Err(unavailable(error.kind.to_string())),
            _ => self.stand(lane).await?.ok_or_else(|| unavailable("the database is being dropped")),
        }
    }

    /// Puts every lane of the view to its beginning, as it is before its rows are removed.
    pub(super) async fn reset(&self) -> Result<(), SinkError> {
        let beginning = doc! { "$set": { "seq": 0_i64, "born": ObjectId::new() } };
        within_bound(self.0.update_many(doc! {}, beginning)).await.map(|_| ())
    }

    /// Moves the watermark, if the lane still stands where it stood.
    pub(super) async fn advance(&self, lane: Lane, from: Stand, next: u64) -> Result<bool, SinkError> {
        let still = doc! { "_id": i32::from(lane.number()), "seq": to_i64(from.seq)?, "born": from.born };
        let moved = within_bound(self.0.update_one(still, doc! { "$set": { "seq": to_i64(next)? } })).await?;
        Ok(moved.matched_count == 1)
    }
}

fn read(document: &BsonDocument) -> Result<Stand, SinkError> {
    let seq = document.get_i64("seq").ok().and_then(|seq| u64::try_from(seq).ok());
    match (seq, document.get_object_id("born")) {
        (Some(seq), Ok(born)) => Ok(Stand { seq, born }),
        _ => Err(unavailable(format!("the watermark {document} is not as it was written"))),
    }
}

fn to_i64(seq: u64) -> Result<i64, SinkError> {
    i64::try_from(seq).map_err(|_| unavailable(format!("sequence {seq} is past what can be kept")))
}

fn is_duplicate(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE)
}

/// The changes of a batch to one collection.
pub(super) struct Writes {
    layout: Layout,
    inserts: Vec<RawDocumentBuf>,
    /// Which of the inserts are of documents that change: these must be as we wrote them if they are there already.
    fresh: BTreeMap<usize, Place>,
    replaces: Vec<Replace>,
    removes: Vec<Place>,
}

struct Replace {
    from: Place,
    row: RawDocumentBuf,
    written: Place,
}

/// A document by its id and the position it was folded to: of an event's document the two are one, and of one to remove any
/// may do.
#[derive(Clone)]
struct Place {
    id: Bson,
    folded: Option<i64>,
}

impl Place {
    fn of(layout: Layout, key: &DocumentKey, folded: Option<Position>) -> Result<Self, SinkError> {
        let id = layout.id(&key.id).ok_or_else(|| unavailable(format!("`{}` names no document", key.id)))?;
        let folded = folded.filter(|_| layout == Layout::Things).map(number).transpose()?;
        Ok(Self { id, folded })
    }

    fn filter(&self) -> RawDocumentBuf {
        let mut filter = RawDocumentBuf::new();
        match &self.id {
            Bson::Int64(id) => filter.append(cstr!("_id"), *id),
            Bson::String(id) => filter.append(cstr!("_id"), id.as_str()),
            // Ids are of no other kind.
            _ => filter.append(cstr!("_id"), ::mongodb::bson::raw::RawBson::MinKey),
        }
        if let Some(folded) = self.folded {
            filter.append(cstr!("folded"), folded);
        }
        filter
    }
}

impl Writes {
    /// Sorts the changes of a batch by collection.
    pub(super) fn sorted(
        projection: ProjectionId,
        changes: &[DocumentChange],
    ) -> Result<BTreeMap<&'static str, Self>, SinkError> {
        let mut sorted = BTreeMap::new();
        for change in changes {
            let collection = change.key().collection;
            let layout = Layout::of(projection, collection);
            let writes = sorted.entry(collection).or_insert_with(|| Self {
                layout,
                inserts: Vec::new(),
                fresh: BTreeMap::new(),
                replaces: Vec::new(),
                removes: Vec::new(),
            });
            writes.add(change)?;
        }
        Ok(sorted)
    }

    fn add(&mut self, change: &DocumentChange) -> Result<(), SinkError> {
        let layout = self.layout;
        let place = |document: &Document| Place::of(layout, &document.key, Some(document.folded));
        match change {
            DocumentChange::Append(document) => self.inserts.push(row::encode(layout, document)?),
            DocumentChange::Write { document, from: None } => {
                self.fresh.insert(self.inserts.len(), place(document)?);
                self.inserts.push(row::encode(layout, document)?);
            }
            DocumentChange::Write { document, from: Some(from) } => self.replaces.push(Replace {
                from: Place::of(layout, &document.key, Some(*from))?,
                row: row::encode(layout, document)?,
                written: place(document)?,
            }),
            DocumentChange::Remove { key, from } => self.removes.push(Place::of(layout, key, *from)?),
        }
        Ok(())
    }

    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    /// Writes the documents; `false` if one of them is not where this batch may take it from, nor where it takes it.
    pub(super) async fn write(self, database: &Database, name: &str) -> Result<bool, SinkError> {
        for chunk in chunks(&self.removes, |_| size_of::<Place>()) {
            if remove(database, name, chunk).await? < chunk.len() && are_there(database, name, chunk).await? {
                return Ok(false);
            }
        }
        let mut in_doubt: Vec<Place> = Vec::new();
        let mut first = 0;
        for chunk in chunks(&self.inserts, |row| row.as_bytes().len()) {
            let there = insert(database, name, chunk).await?;
            in_doubt.extend(there.into_iter().filter_map(|index| self.fresh.get(&(first + index)).cloned()));
            first += chunk.len();
        }
        for chunk in chunks(&self.replaces, |replace| replace.row.as_bytes().len()) {
            if replace(database, name, chunk).await? < chunk.len() {
                in_doubt.extend(chunk.iter().map(|replace| replace.written.clone()));
            }
        }
        are_written(&database.collection(name), &in_doubt).await
    }
}

fn number(position: Position) -> Result<i64, SinkError> {
    layout::number(position).ok_or_else(|| unavailable(format!("position {position} is past what can be kept")))
}

/// Cuts rows into commands.
fn chunks<T>(mut rest: &[T], bytes_of: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fit = rest.iter().take(WRITE_DOCUMENTS_MAX).take_while(|row| {
            bytes += bytes_of(row);
            bytes <= WRITE_BYTES_MAX
        });
        let (chunk, further) = rest.split_at(fit.count().max(1).min(rest.len()));
        rest = further;
        if chunk.is_empty() { None } else { Some(chunk) }
    })
}

/// Inserts what is not there; answers which were there already. A command of our own, because the driver's `insert_many`
/// encodes each document twice more.
async fn insert(database: &Database, name: &str, rows: &[RawDocumentBuf]) -> Result<Vec<usize>, SinkError> {
    let mut documents = RawArrayBuf::new();
    rows.iter().for_each(|row| documents.push(&**row));
    let command = rawdoc! {
        "insert": name,
        "documents": documents,
        "ordered": false,
        "writeConcern": { "w": "majority", "j": true },
    };
    let answer = within_bound(database.run_raw_command(command)).await?;
    if answer.contains_key("writeConcernError") {
        return Err(unavailable(format!("documents are not safe: {answer}")));
    }
    let Ok(errors) = answer.get_array("writeErrors") else { return Ok(Vec::new()) };
    let there = errors.iter().map(|error| {
        let error = error.as_document().filter(|error| error.get_i32("code").is_ok_and(|code| code == DUPLICATE))?;
        usize::try_from(error.get_i32("index").ok()?).ok()
    });
    let refused = || unavailable(format!("documents are refused: {}", errors.first().unwrap_or(&Bson::Null)));
    there.collect::<Option<_>>().ok_or_else(refused)
}

/// Replaces each document that still is the one that was read; answers how many.
async fn replace(database: &Database, name: &str, replaces: &[Replace]) -> Result<usize, SinkError> {
    let mut updates = RawArrayBuf::new();
    for Replace { from, row, .. } in replaces {
        updates.push(rawdoc! { "q": from.filter(), "u": row.clone() });
    }
    counted(database, rawdoc! { "update": name, "updates": updates }).await
}

/// Removes each document that still is the one that was read; answers how many.
async fn remove(database: &Database, name: &str, removes: &[Place]) -> Result<usize, SinkError> {
    let mut deletes = RawArrayBuf::new();
    for place in removes {
        deletes.push(rawdoc! { "q": place.filter(), "limit": 1 });
    }
    counted(database, rawdoc! { "delete": name, "deletes": deletes }).await
}

/// Runs a command that writes; answers how many documents it met.
async fn counted(database: &Database, mut command: RawDocumentBuf) -> Result<usize, SinkError> {
    command.append(cstr!("ordered"), false);
    command.append(cstr!("writeConcern"), rawdoc! { "w": "majority", "j": true });
    let answer = within_bound(database.run_raw_command(command)).await?;
    if answer.contains_key("writeErrors") || answer.contains_key("writeConcernError") {
        return Err(unavailable(format!("documents are refused: {answer}")));
    }
    answer.get_i32("n").ok().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| unavailable(answer.to_string()))
}

/// Whether any of these documents is there, folded to wherever.
async fn are_there(database: &Database, name: &str, places: &[Place]) -> Result<bool, SinkError> {
    let ids: Vec<&Bson> = places.iter().map(|place| &place.id).collect();
    let collection = database.collection::<RawDocumentBuf>(name);
    let found = within_bound(collection.find_one(doc! { "_id": { "$in": ids } })).await?;
    Ok(found.is_some())
}

/// Whether each of these documents is as this batch writes it: the same events give the same document.
async fn are_written(collection: &Collection<RawDocumentBuf>, written: &[Place]) -> Result<bool, SinkError> {
    if written.is_empty() {
        return Ok(true);
    }
    let alternatives = written.iter().map(|written| match written.folded {
        Some(folded) => doc! { "_id": &written.id, "folded": folded },
        None => doc! { "_id": &written.id },
    });
    let alternatives: Vec<_> = alternatives.collect();
    let found = within_bound(collection.count_documents(doc! { "$or": alternatives })).await?;
    Ok(u64::try_from(written.len()).is_ok_and(|expected| found == expected))
}

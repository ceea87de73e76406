//! The port, in MongoDB's operations.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use ::mongodb::Database;
use ::mongodb::bson::{Bson, RawDocumentBuf, doc};
use async_trait::async_trait;
use cabildo_events::{Lane, Position};
use cabildo_projections::{Document, DocumentChange, DocumentKey, ProjectionId};

use super::apply::{Lanes, Writes};
use super::layout::{self, Layout};
use super::{find, row, unavailable, within_bound};
use crate::sink::Place;
use crate::{Applied, Cursor, Documents, Found, LaneBatch, Loaded, Matches, Query, RowPage, Sink, SinkError, Watermarks};

/// Documents in one database.
pub(super) struct MongoDocuments {
    database: Database,
    shown: String,
    /// The collections whose indexes are there.
    indexed: Mutex<HashSet<String>>,
}

impl MongoDocuments {
    pub(super) fn new(database: Database, shown: String) -> Self {
        Self { database, shown, indexed: Mutex::default() }
    }

    /// Makes the indexes of a collection, the first time that it is written to.
    async fn index(&self, name: &str, layout: Layout) -> Result<(), SinkError> {
        let known =
            |names: &Mutex<HashSet<String>>| names.lock().unwrap_or_else(PoisonError::into_inner).contains(name);
        if !known(&self.indexed) {
            let collection = self.database.collection::<RawDocumentBuf>(name);
            within_bound(collection.create_indexes(layout.indexes())).await?;
            self.indexed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        Ok(())
    }

    /// Where a lane begins, nothing may be left of what was known: the database may have been dropped.
    fn forget_indexes(&self, projection: ProjectionId) {
        let prefix = layout::prefix(projection);
        let mut indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        indexed.retain(|name| !name.starts_with(&prefix));
    }

    async fn rows(
        &self,
        projection: ProjectionId,
        collection: &'static str,
        keys: &[DocumentKey],
    ) -> Result<HashMap<Box<str>, Document>, SinkError> {
        let layout = Layout::of(projection, collection);
        let ids: Vec<Bson> = keys.iter().filter_map(|key| layout.id(&key.id)).collect();
        let collection_of_rows = self.database.collection::<RawDocumentBuf>(&layout::name(projection, collection));
        let batch = u32::try_from(ids.len()).unwrap_or(u32::MAX).max(1);
        let asked = collection_of_rows.find(doc! { "_id": { "$in": ids } }).batch_size(batch);
        let mut cursor = within_bound(asked).await?;
        let mut rows = HashMap::with_capacity(keys.len());
        while within_bound(cursor.advance()).await? {
            let document = row::decode(layout, collection, cursor.current())?;
            rows.insert(document.key.id.clone(), document);
        }
        Ok(rows)
    }

    /// Documents of a lane in the order of the events that made them.
    async fn lane_page(
        &self,
        projection: ProjectionId,
        collection: &'static str,
        lane: Lane,
        after: Position,
        limit: usize,
    ) -> Result<Vec<(DocumentKey, Document)>, SinkError> {
        let layout = Layout::of(projection, collection);
        let documents = self.database.collection::<RawDocumentBuf>(&layout::name(projection, collection));
        let of_lane = doc! {
            "lane": i32::from(lane.number()), layout.order(): { "$gt": layout::number_within(after) },
        };
        let batch = u32::try_from(limit).unwrap_or(u32::MAX);
        let asked = documents.find(of_lane).sort(doc! { layout.order(): 1 }).limit(i64::from(batch)).batch_size(batch);
        let mut cursor = within_bound(asked).await?;
        let mut rows = Vec::new();
        while within_bound(cursor.advance()).await? {
            let document = row::decode(layout, collection, cursor.current())?;
            rows.push((document.key.clone(), document));
        }
        Ok(rows)
    }

    async fn conflict(&self, lanes: &Lanes, lane: Lane) -> Result<Applied, SinkError> {
        let watermark = lanes.stand(lane).await?.map_or(0, |stand| stand.seq);
        Ok(Applied::Conflict { watermark })
    }
}

#[async_trait]
impl Sink for MongoDocuments {
    type Key = DocumentKey;
    type Row = Document;
    type Change = DocumentChange;

    async fn watermarks(&self, projection: ProjectionId) -> Result<Watermarks, SinkError> {
        let mut watermarks = Watermarks::default();
        for (lane, seq) in Lanes::of(&self.database, projection).stands().await? {
            watermarks.0[lane.index()] = seq;
        }
        Ok(watermarks)
    }

    async fn watermark(&self, projection: ProjectionId, lane: Lane) -> Result<u64, SinkError> {
        let stand = Lanes::of(&self.database, projection).stand(lane).await?;
        Ok(stand.map_or(0, |stand| stand.seq))
    }

    async fn load(
        &self,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<DocumentKey>,
    ) -> Result<Loaded<DocumentKey, Document>, SinkError> {
        let watermark = self.watermark(projection, lane).await?;
        let mut sorted: BTreeMap<&'static str, Vec<DocumentKey>> = BTreeMap::new();
        for key in keys {
            sorted.entry(key.collection).or_default().push(key);
        }
        let mut rows = Vec::new();
        for (collection, keys) in sorted {
            let mut found = self.rows(projection, collection, &keys).await?;
            rows.extend(keys.into_iter().map(|key| {
                let document = found.remove(&key.id);
                (key, document)
            }));
        }
        Ok(Loaded { watermark, rows })
    }

    /// Documents first, the watermark last; what each step withstands is told in the module.
    ///
    /// A conflict may name the watermark that the batch began at: then another process has written some of its documents
    /// meanwhile. Loading them again and folding what they lack goes on from there.
    async fn apply(&self, batch: LaneBatch<DocumentChange>) -> Result<Applied, SinkError> {
        let lanes = Lanes::of(&self.database, batch.projection);
        let stand = match lanes.stand(batch.lane).await? {
            Some(stand) => stand,
            None if batch.prev == 0 => {
                self.forget_indexes(batch.projection);
                lanes.begin(batch.lane).await?
            }
            None => return Ok(Applied::Conflict { watermark: 0 }),
        };
        if stand.seq != batch.prev {
            return Ok(Applied::Conflict { watermark: stand.seq });
        }
        for (collection, writes) in Writes::sorted(batch.projection, &batch.changes)? {
            let name = layout::name(batch.projection, collection);
            self.index(&name, writes.layout()).await?;
            if !writes.write(&self.database, &name).await? {
                return self.conflict(&lanes, batch.lane).await;
            }
        }
        if lanes.advance(batch.lane, stand, batch.next).await? {
            Ok(Applied::Done)
        } else {
            self.conflict(&lanes, batch.lane).await
        }
    }

    async fn rows(
        &self,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RowPage<DocumentKey, Document>, SinkError> {
        let (collection, after) = match after {
            Some(Cursor(Place::Document { collection, after })) => (collection, after),
            _ => (0, Position::START),
        };
        let Some(name) = tables.get(collection) else { return Ok(RowPage { rows: Vec::new(), next: None }) };
        let rows = self.lane_page(projection, name, lane, after, limit.max(1)).await?;
        let next = match rows.last() {
            Some((_, last)) if rows.len() >= limit => Some((collection, last.created)),
            _ => Some((collection + 1, Position::START)).filter(|(next, _)| *next < tables.len()),
        };
        let next = next.map(|(collection, after)| Cursor(Place::Document { collection, after }));
        Ok(RowPage { rows, next })
    }

    async fn versions(&self, projection: &str) -> Result<Vec<u32>, SinkError> {
        let names = within_bound(self.database.list_collection_names()).await?;
        let version = |name: &String| {
            let version = name.strip_prefix(projection)?.strip_prefix("_v")?.strip_suffix("_watermarks")?;
            version.parse::<u32>().ok()
        };
        let mut versions: Vec<u32> = names.iter().filter_map(version).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    async fn drop_view(&self, projection: ProjectionId) -> Result<(), SinkError> {
        Lanes::of(&self.database, projection).reset().await?;
        let (prefix, watermarks) = (layout::prefix(projection), layout::watermarks(projection));
        for name in within_bound(self.database.list_collection_names()).await? {
            if name.starts_with(&prefix) && name != watermarks {
                within_bound(self.database.collection::<RawDocumentBuf>(&name).drop()).await?;
            }
        }
        within_bound(self.database.collection::<RawDocumentBuf>(&watermarks).drop()).await?;
        self.forget_indexes(projection);
        Ok(())
    }

    async fn describe(&self) -> Result<Vec<(String, String)>, SinkError> {
        let build = within_bound(self.database.run_command(doc! { "buildInfo": 1 })).await?;
        let hello = within_bound(self.database.run_command(doc! { "hello": 1 })).await?;
        let version = build.get_str("version").map_err(|error| unavailable(error.to_string()))?;
        let mode = hello.get_str("setName").map_or("single server".to_owned(), |name| format!("replica set {name}"));
        let mut described = vec![
            ("address".to_owned(), self.shown.clone()),
            ("server".to_owned(), format!("MongoDB {version}")),
            ("mode".to_owned(), mode),
            ("database".to_owned(), self.database.name().to_owned()),
        ];
        // Only who may see the server's status is told this.
        if let Ok(status) = within_bound(self.database.run_command(doc! { "serverStatus": 1 })).await
            && let Ok(engine) = status.get_document("storageEngine").and_then(|engine| engine.get_str("name"))
        {
            described.push(("storage engine".to_owned(), engine.to_owned()));
        }
        let mut names = within_bound(self.database.list_collection_names()).await?;
        names.retain(|name| name.contains("_v") && !name.ends_with("_watermarks"));
        names.sort_unstable();
        for name in names {
            let collection = self.database.collection::<RawDocumentBuf>(&name);
            let count = within_bound(collection.estimated_document_count()).await?;
            described.push((name, format!("about {count} documents")));
        }
        Ok(described)
    }
}

#[async_trait]
impl Documents for MongoDocuments {
    async fn find(&self, query: &Query) -> Result<Found, SinkError> {
        find::find(&self.database, query).await
    }

    async fn positions(&self, query: &Query) -> Result<Matches, SinkError> {
        find::positions(&self.database, query).await
    }
}

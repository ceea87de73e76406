//! What brings a database of an older build up to this one's schema. Each step may be taken again, by itself or by another
//! process at the same time: it only adds what is missing.

use ::mongodb::Database;
use ::mongodb::bson::{Bson, Document, RawArrayBuf, doc, rawdoc};
use cabildo_events::limits::WRITE_DOCUMENTS_MAX;
use cabildo_events::{Aggregate, Lane};
use cabildo_projections::record;

use super::{unavailable, within_bound};
use crate::SinkError;

/// To schema 2: every document has a lane.
pub(super) async fn add_lanes(database: &Database) -> Result<(), SinkError> {
    for name in within_bound(database.list_collection_names()).await? {
        if name.contains("_v") && !name.ends_with("_watermarks") {
            let mut after = Bson::MinKey;
            while let Some(last) = add_some_lanes(database, &name, after).await? {
                after = last;
            }
        }
    }
    Ok(())
}

/// To schema 3: the record has the ids of its events and the words of their data. It is folded anew from the journal: its
/// watermarks go first, so that a step that is broken off leaves nothing that passes for whole.
pub(super) async fn begin_record(database: &Database) -> Result<(), SinkError> {
    let mut names = within_bound(database.list_collection_names()).await?;
    names.retain(|name| name.starts_with(&format!("{}_v", record::ID.name)));
    names.sort_by_key(|name| !name.ends_with("_watermarks"));
    for name in names {
        within_bound(database.collection::<Document>(&name).drop()).await?;
    }
    Ok(())
}

/// Gives some documents that have none their lane; the last of them, if there were any.
async fn add_some_lanes(database: &Database, name: &str, after: Bson) -> Result<Option<Bson>, SinkError> {
    let collection = database.collection::<Document>(name);
    let asked = collection
        .find(doc! { "_id": { "$gt": after }, "lane": { "$exists": false } })
        .projection(doc! { "aggregate": 1, "body.lane": 1 })
        .sort(doc! { "_id": 1 })
        .limit(i64::try_from(WRITE_DOCUMENTS_MAX).unwrap_or(i64::MAX));
    let mut cursor = within_bound(asked).await?;
    let (mut updates, mut last) = (RawArrayBuf::new(), None);
    while within_bound(cursor.advance()).await? {
        let document = cursor.deserialize_current().map_err(|error| unavailable(error.kind.to_string()))?;
        let Some(id) = document.get("_id").cloned() else { continue };
        let set = rawdoc! { "$set": { "lane": i32::from(lane_of(&document).number()) } };
        let this = ::mongodb::bson::RawDocumentBuf::try_from(&doc! { "_id": &id });
        let this = this.map_err(|error| unavailable(error.to_string()))?;
        updates.push(rawdoc! { "q": this, "u": set });
        last = Some(id);
    }
    if last.is_some() {
        let write_concern = rawdoc! { "w": "majority", "j": true };
        let command = rawdoc! { "update": name, "updates": updates, "ordered": false, "writeConcern": write_concern };
        let answer = within_bound(database.run_raw_command(command)).await?;
        if answer.contains_key("writeErrors") || answer.contains_key("writeConcernError") {
            return Err(unavailable(format!("documents are refused: {answer}")));
        }
    }
    Ok(last)
}

/// The aggregate's; what is no event may be of no aggregate, and its body tells.
fn lane_of(document: &Document) -> Lane {
    let aggregate = document.get_str("aggregate").ok().and_then(|text| text.parse::<Aggregate>().ok());
    let told = || {
        let number = document.get_document("body").ok()?.get("lane")?;
        let number = number.as_i64().or_else(|| number.as_i32().map(i64::from))?;
        Lane::new(u8::try_from(number).ok()?)
    };
    aggregate.map(|aggregate| aggregate.lane()).or_else(told).unwrap_or(Lane::FIRST)
}

//! `cabildo projections rows`: what a view holds, whichever view it is.

use cabildo_events::limits::PAGE_ROWS_MAX;
use cabildo_events::{Aggregate, Lane};
use cabildo_projections::tally::INDEX_KEY;
use cabildo_projections::{Cell, Document, ProjectionId, tables_of};
use cabildo_storage::{Cursor, RowPage, Sink, SinkError, Views};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::replay::projection;
use crate::connect::open_read_only;
use crate::exit::{Exit, Usage};
use crate::output;
use crate::settings::{PlaceOptions, Settings};

/// Print the rows of a view, one JSON object a line
///
/// Of the live view, or of any other: one that is being built, one that was read before, a scratch view of a part of the
/// journal (`cabildo replay PROJECTION --from … --to …`).
#[derive(clap::Args, Debug)]
pub(crate) struct Rows {
    /// Which projection: tally, activity, rooms, lists or record
    projection: String,
    /// Which view [default: the live one]
    #[arg(long, value_name = "VIEW")]
    view: Option<u32>,
    /// Only rows of this aggregate, for example poll/bands-2026
    #[arg(long, value_name = "AGGREGATE")]
    key: Option<Aggregate>,
    /// Only rows of this table or collection, for example votes
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    #[command(flatten)]
    places: PlaceOptions,
}

#[derive(Serialize)]
struct CellRow<'a> {
    table: &'a str,
    key: &'a str,
    field: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct DocumentRow<'a> {
    collection: &'a str,
    id: &'a str,
    created: String,
    folded: String,
    aggregate: &'a str,
    body: Option<&'a RawValue>,
}

/// Prints them until there are no more, or until `stop`.
pub(crate) async fn run(settings: &Settings, rows: &Rows, stop: CancellationToken) -> anyhow::Result<Exit> {
    let first = projection(&rows.projection)?;
    let tables = tables_of(first.name);
    if let Some(table) = rows.table.as_ref().filter(|table| !tables.contains(&table.as_str())) {
        return Err(Usage(format!("{} has no table `{table}`: it has {}", first.name, tables.join(", "))).into());
    }
    let opened = open_read_only(&settings.places(&rows.places)?).await?;
    let decided = Views::read(&*opened.journal).await?.of(first.name);
    let version = rows.view.unwrap_or_else(|| decided.live());
    if !decided.views().contains_key(&version) {
        let there: Vec<_> = decided.views().keys().map(u32::to_string).collect();
        return Err(Usage(format!("{} has no view {version}: there are {}", first.name, there.join(", "))).into());
    }
    let view = ProjectionId { version, ..first };
    let printing = async {
        match view.keeps_counters() {
            true => {
                let wanted = |cell: &Cell| rows.wants_cell(cell);
                each(&*opened.counters, view, tables, rows.key.as_ref(), |(cell, value)| match wanted(&cell) {
                    true => {
                        output::json(&CellRow { table: cell.table, key: &cell.key, field: &cell.field, value: &value })
                    }
                    false => Ok(()),
                })
                .await
            }
            false => {
                each(&*opened.documents, view, tables, rows.key.as_ref(), |(_, document)| {
                    match rows.wants_document(&document) {
                        true => print_document(&document),
                        false => Ok(()),
                    }
                })
                .await
            }
        }
    };
    stop.run_until_cancelled(printing).await.transpose()?;
    Ok(Exit::Ok)
}

impl Rows {
    fn wants_cell(&self, cell: &Cell) -> bool {
        let of_key = |key: &Aggregate| match &*cell.key == INDEX_KEY {
            // The index names every aggregate of the lane.
            true => &*cell.field == key.id(),
            false => &*cell.key == key.id(),
        };
        self.table.as_ref().is_none_or(|table| table == cell.table) && self.key.as_ref().is_none_or(of_key)
    }

    fn wants_document(&self, document: &Document) -> bool {
        self.table.as_ref().is_none_or(|table| table == document.key.collection)
            && self.key.as_ref().is_none_or(|key| *document.aggregate == key.to_string())
    }
}

/// Takes every row of a view in, lane by lane; of an aggregate's lane alone, if there is one.
async fn each<S: Sink + ?Sized>(
    sink: &S,
    view: ProjectionId,
    tables: &'static [&'static str],
    only: Option<&Aggregate>,
    mut take: impl FnMut((S::Key, S::Row)) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for lane in Lane::all().filter(|lane| only.is_none_or(|only| only.lane() == *lane)) {
        let mut after: Option<Cursor> = None;
        loop {
            let page: Result<RowPage<S::Key, S::Row>, SinkError> =
                sink.rows(view, lane, tables, after, PAGE_ROWS_MAX).await;
            let RowPage { rows, next } = page?;
            rows.into_iter().try_for_each(&mut take)?;
            after = next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(())
}

fn print_document(document: &Document) -> anyhow::Result<()> {
    output::json(&DocumentRow {
        collection: document.key.collection,
        id: &document.key.id,
        created: document.created.to_string(),
        folded: document.folded.to_string(),
        aggregate: &document.aggregate,
        body: serde_json::from_str(&document.body).ok(),
    })
}

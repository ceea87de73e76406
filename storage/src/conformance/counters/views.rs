//! Views as a whole: all rows of a lane, which versions there are, removing and mending.

use std::collections::BTreeMap;
use std::time::Duration;

use cabildo_events::Lane;
use cabildo_projections::{Cell, CellChange, ProjectionId};

use super::{add, batch, done, hash, map, put};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{fresh, lane};
use crate::{Applied, Counters, LaneBatch, Watermarks};

type Fixture = dyn SinkFixture<dyn Counters>;

const TABLES: &[&str] = &["votes", "poll"];

/// Every cell of a lane; `between` is called before each page but the first.
async fn every_cell(
    counters: &dyn Counters,
    id: ProjectionId,
    on: Lane,
    between: impl AsyncFn(usize),
) -> BTreeMap<Cell, Box<str>> {
    let (mut cells, mut after) = (BTreeMap::new(), None);
    for page in 1.. {
        let read = counters.rows(id, on, TABLES, after, 100).await.unwrap();
        cells.extend(read.rows);
        after = read.next;
        if after.is_none() {
            return cells;
        }
        between(page).await;
    }
    cells
}

/// A hash of 3,000 cells and 300 of two, under names of all kinds.
fn many() -> Vec<CellChange> {
    let large = (0..3_000).map(|number| add("votes", "a:b {07}*", &format!("option {number}"), number));
    let small = (0..300).flat_map(|number| {
        let key = format!("poll:{number}?");
        [put("poll", &key, "", "ñ"), add("poll", &key, "a:b", number)]
    });
    large.chain(small).collect()
}

/// Whatever is written meanwhile; those of other lanes, versions and tables are not.
pub async fn every_cell_of_a_lane_is_on_some_page(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("rows"));
    let other = fresh("rows");
    done(&*counters, batch(id, 0, 1, many())).await;
    done(&*counters, batch(id, 1, 2, vec![put("hidden", "poll:1?", "a", "in no table that is asked for")])).await;
    done(&*counters, batch(other, 0, 1, vec![put("poll", "x", "of", "another version")])).await;
    let elsewhere = vec![put("poll", "x", "of", "another lane")];
    done(&*counters, LaneBatch { projection: id, lane: lane(8), prev: 0, next: 1, changes: elsewhere }).await;

    let expected: BTreeMap<Cell, Box<str>> = many()
        .into_iter()
        .map(|change| match change {
            CellChange::Add(cell, count) => (cell, count.to_string().into()),
            CellChange::Put(cell, text) => (cell, text),
            CellChange::Remove(cell) => (cell, "".into()),
        })
        .collect();
    assert!(every_cell(&*counters, id, lane(7), async |_| {}).await == expected);
    assert_eq!(every_cell(&*counters, id, lane(8), async |_| {}).await.len(), 1);
    assert_eq!(every_cell(&*counters, id, lane(9), async |_| {}).await.len(), 0);

    let writing = async |page: usize| {
        let stands = counters.watermark(id, lane(7)).await.unwrap();
        let fresh = (0..50).map(|number| add("votes", "a:b {07}*", &format!("page {page}, {number}"), 1));
        done(&*counters, batch(id, stands, stands + 1, fresh.collect())).await;
    };
    let seen = every_cell(&*counters, id, lane(7), writing).await;
    assert!(expected.iter().all(|(cell, text)| seen.get(cell) == Some(text)), "what was there all the time is seen");
}

/// In order, each once, whichever lanes stand where.
pub async fn the_versions_of_a_projection_are_told(place: &Fixture) {
    let counters = place.open().await;
    let (second, first) = (fresh("told"), fresh("told2"));
    let third = fresh("told");
    assert_eq!(counters.versions("told").await.unwrap(), [0_u32; 0]);
    for (id, on) in [(third, 0), (second, 63), (third, 63), (first, 7)] {
        let changes = vec![add("votes", "1:watermark", "watermark", 1), put("watermark", "9", "told", "no")];
        done(&*counters, LaneBatch { projection: id, lane: lane(on), prev: 0, next: 9, changes }).await;
    }
    assert_eq!(counters.versions("told").await.unwrap(), [second.version, third.version]);
    assert_eq!(counters.versions("told2").await.unwrap(), [first.version]);
}

/// Rows and watermarks; another version stays as it is, and so may the same one begin anew.
pub async fn a_view_is_removed_whole(place: &Fixture) {
    let counters = place.open().await;
    let (gone, kept) = (fresh("removed"), fresh("removed"));
    for id in [gone, kept] {
        for on in [0, 7, 63] {
            done(&*counters, LaneBatch { projection: id, lane: lane(on), prev: 0, next: 5, changes: many() }).await;
        }
    }
    let before = every_cell(&*counters, kept, lane(7), async |_| {}).await;
    counters.drop_view(gone).await.unwrap();
    counters.drop_view(gone).await.unwrap();
    assert_eq!(counters.versions("removed").await.unwrap(), [kept.version]);
    assert_eq!(counters.watermarks(gone).await.unwrap(), Watermarks::default());
    for on in [0, 7, 63] {
        assert_eq!(every_cell(&*counters, gone, lane(on), async |_| {}).await.len(), 0);
    }
    assert!(every_cell(&*counters, kept, lane(7), async |_| {}).await == before);
    assert_eq!(counters.watermark(kept, lane(63)).await.unwrap(), 5);
    done(&*counters, batch(gone, 0, 1, vec![add("votes", "bands", "Alux", 1)])).await;
    assert_eq!(hash(&*counters, gone, lane(7), "votes", "bands").await, (1, map(&[("Alux", "1")])));
}

/// However far it got: what lacks a row stands at the beginning, and is removed by another go.
pub async fn a_removal_that_was_interrupted_leaves_no_view_that_looks_whole(place: &Fixture) {
    let counters = place.open().await;
    for wait_us in [0, 100, 400, 1_000, 3_000, 10_000, 30_000] {
        let id = fresh("interrupted");
        for on in [7, 8, 9] {
            done(&*counters, LaneBatch { projection: id, lane: lane(on), prev: 0, next: 5, changes: many() }).await;
        }
        let _ = tokio::time::timeout(Duration::from_micros(wait_us), counters.drop_view(id)).await;
        for on in [7, 8, 9] {
            let left = every_cell(&*counters, id, lane(on), async |_| {}).await.len();
            let stands = counters.watermark(id, lane(on)).await.unwrap();
            assert!(left == many().len() || stands == 0, "{left} cells at {stands} after {wait_us} us");
        }
        counters.drop_view(id).await.unwrap();
        assert!(!counters.versions("interrupted").await.unwrap().contains(&id.version));
        assert_eq!(every_cell(&*counters, id, lane(7), async |_| {}).await.len(), 0);
    }
}

/// Written absolutely, where the view stands; once or twice, and a count goes on being one.
pub async fn a_view_is_mended_where_it_stands(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("mended"));
    let wrong = vec![
        add("votes", "bands", "Alux", 40),
        add("votes", "bands", "Ghost", 3),
        put("poll", "bands", "state", "opne"),
        add("votes", "empty", "only", 1),
    ];
    done(&*counters, batch(id, 0, 9, wrong)).await;
    let mended = || {
        vec![
            put("votes", "bands", "Alux", "4"),
            CellChange::Remove(Cell::new("votes", "bands", "Ghost")),
            put("poll", "bands", "state", "open"),
            CellChange::Remove(Cell::new("votes", "empty", "only")),
            CellChange::Remove(Cell::new("votes", "never", "there")),
        ]
    };
    assert_eq!(counters.apply(batch(id, 8, 8, mended())).await.unwrap(), Applied::Conflict { watermark: 9 });
    done(&*counters, batch(id, 9, 9, mended())).await;
    done(&*counters, batch(id, 9, 9, mended())).await;
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (9, map(&[("Alux", "4")])));
    assert_eq!(hash(&*counters, id, lane(7), "votes", "empty").await, (9, map(&[])));
    done(&*counters, batch(id, 9, 10, vec![add("votes", "bands", "Alux", 1), add("votes", "bands", "Ghost", 1)])).await;
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (10, map(&[("Alux", "5"), ("Ghost", "1")])));
    assert_eq!(hash(&*counters, id, lane(7), "poll", "bands").await, (10, map(&[("state", "open")])));
}

/// As many as a whole lane may have wrong.
pub async fn thousands_of_cells_are_removed_at_once(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("taken"));
    done(&*counters, batch(id, 0, 1, (0..9_000).map(|field| add("votes", "bands", &field.to_string(), 1)).collect()))
        .await;
    let gone = (0..8_999).map(|field| CellChange::Remove(Cell::new("votes", "bands", &field.to_string())));
    let rest = [add("votes", "bands", "8999", 1), put("votes", "bands", "last", "1")];
    done(&*counters, batch(id, 1, 2, gone.chain(rest).collect())).await;
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (2, map(&[("8999", "2"), ("last", "1")])));
}

//! What a reader sees.

use std::sync::atomic::{AtomicBool, Ordering};

use cabildo_events::Lane;
use cabildo_projections::{Cell, CellChange};

use super::{add, batch, done, map, put};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{fresh, lane};
use crate::{Counters, LaneBatch};

type Fixture = dyn SinkFixture<dyn Counters>;

/// Each cell once, with its text if there is one.
pub async fn a_load_tells_rows_and_watermark(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("load"));
    let changes = vec![
        add("votes", "bands", "Alux", 2),
        put("poll", "bands", "state", "open"),
        put("poll", "other", "state", ""),
    ];
    done(&*counters, batch(id, 0, 9, changes)).await;
    let cells = [
        (Cell::new("votes", "bands", "Alux"), Some("2")),
        (Cell::new("poll", "bands", "state"), Some("open")),
        (Cell::new("votes", "bands", "Malacates"), None),
        (Cell::new("poll", "other", "state"), Some("")),
        (Cell::new("votes", "none", "Alux"), None),
    ];
    let loaded = counters.load(id, lane(7), cells.iter().map(|(cell, _)| cell.clone()).collect()).await.unwrap();
    assert_eq!(loaded.watermark, 9);
    let mut rows: Vec<_> = loaded.rows.iter().map(|(cell, text)| (cell.clone(), text.as_deref())).collect();
    let mut expected = cells.to_vec();
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected);
    let nothing = counters.load(id, lane(8), vec![]).await.unwrap();
    assert_eq!((nothing.watermark, nothing.rows), (0, vec![]));
}

/// A batch may need thousands of cells of many hashes.
pub async fn a_load_of_many_cells_tells_each(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("loads"));
    let cell = |number: i64| Cell::new("votes", &format!("poll {}", number % 50), &format!("option {number}"));
    let changes = (0..10_000).map(|number| CellChange::Add(cell(number), number));
    done(&*counters, batch(id, 0, 1, changes.collect())).await;
    let loaded = counters.load(id, lane(7), (0..10_050).map(cell).collect()).await.unwrap();
    assert_eq!(loaded.rows.len(), 10_050);
    for (cell, text) in loaded.rows {
        let number: i64 = cell.field.strip_prefix("option ").unwrap().parse().unwrap();
        let expected = (number < 10_000).then(|| number.to_string());
        assert_eq!(text.as_deref(), expected.as_deref(), "{cell:?}");
    }
}

/// In the order asked for, empty where there is none.
pub async fn whole_hashes_are_read_at_one_watermark(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("hashes"));
    let changes = vec![add("votes", "bands", "Alux", 2), put("poll", "bands", "state", "open")];
    done(&*counters, batch(id, 0, 9, changes)).await;
    let wanted = [("poll", "bands"), ("votes", "none"), ("votes", "bands"), ("poll", "bands")];
    let read = counters.hashes(id, lane(7), &wanted).await.unwrap();
    assert_eq!(read.watermark, 9);
    let poll = map(&[("state", "open")]);
    assert_eq!(read.hashes, [poll.clone(), map(&[]), map(&[("Alux", "2")]), poll]);
    assert_eq!(counters.hashes(id, lane(8), &wanted).await.unwrap().hashes, [map(&[]), map(&[]), map(&[]), map(&[])]);
}

/// One hash per lane, lane 0 first.
pub async fn a_hash_is_read_across_lanes_in_their_order(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("across"));
    for number in [0, 7, 63] {
        let changes = vec![put("index", "polls", &format!("poll of {number}"), "?")];
        done(&*counters, LaneBatch { projection: id, lane: lane(number), prev: 0, next: 1, changes }).await;
    }
    let read = counters.across_lanes(id, "index", "polls").await.unwrap();
    assert_eq!(read.len(), Lane::all().len());
    for (number, hash) in read.into_iter().enumerate() {
        let expected =
            if [0, 7, 63].contains(&number) { map(&[(&format!("poll of {number}"), "?")]) } else { map(&[]) };
        assert_eq!(hash, expected);
    }
}

/// While batches go in, whatever is read at a watermark is what the batches up to it gave: all of each, none of the next.
pub async fn a_reader_never_sees_a_torn_batch(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("torn"));
    let written = AtomicBool::new(false);
    let write = async {
        for round in 0..200_u64 {
            let counts = (0..50)
                .flat_map(|field: u64| ["votes", "minutes"].map(|table| add(table, "bands", &field.to_string(), 1)));
            let text = put("poll", "bands", "round", &(round + 1).to_string());
            done(&*counters, batch(id, round, round + 1, counts.chain([text]).collect())).await;
        }
        written.store(true, Ordering::Release);
    };
    let read = async {
        let mut looks = 0;
        while !written.load(Ordering::Acquire) || looks == 0 {
            let wanted = [("votes", "bands"), ("minutes", "bands"), ("poll", "bands")];
            let read = counters.hashes(id, lane(7), &wanted).await.unwrap();
            let fields = if read.watermark == 0 { [0, 0, 0] } else { [50, 50, 1] };
            for (hash, fields) in read.hashes.iter().zip(fields) {
                assert_eq!(hash.len(), fields, "at {}", read.watermark);
                assert!(
                    hash.values().all(|value| *value == read.watermark.to_string()),
                    "at {}: {hash:?}",
                    read.watermark
                );
            }
            looks += 1;
        }
    };
    tokio::join!(write, read);
}

/// `cabildo doctor` has something to show.
pub async fn it_tells_what_it_is(place: &Fixture) {
    let described = place.open().await.describe().await.unwrap();
    assert!(!described.is_empty());
    assert!(described.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "{described:?}");
}

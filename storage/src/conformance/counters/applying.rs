//! What a batch does.

use cabildo_events::limits::INCREMENT_MAX;
use cabildo_projections::ProjectionId;
use futures::future::join_all;

use super::{add, batch, done, hash, map, put};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{fresh, lane};
use crate::{Applied, Counters, LaneBatch, Watermarks};

type Fixture = dyn SinkFixture<dyn Counters>;

/// The watermark is 0 at first, and then where the last batch led.
pub async fn a_batch_moves_the_watermark(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("moves"));
    assert_eq!(counters.watermarks(id).await.unwrap(), Watermarks::default());
    done(&*counters, batch(id, 0, 12, vec![add("votes", "bands", "Alux", 2)])).await;
    done(&*counters, batch(id, 12, 13, vec![add("votes", "bands", "Alux", 3)])).await;
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (13, map(&[("Alux", "5")])));
    let mut expected = Watermarks::default();
    expected.0[7] = 13;
    assert_eq!(counters.watermarks(id).await.unwrap(), expected);
}

/// Events that change nothing are passed over all the same.
pub async fn a_batch_without_changes_moves_the_watermark(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("nothing"));
    done(&*counters, batch(id, 0, 5, vec![])).await;
    assert_eq!(counters.watermark(id, lane(7)).await.unwrap(), 5);
}

/// The second time is told where the first led.
pub async fn a_batch_applied_twice_counts_once(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("twice"));
    let once = batch(id, 0, 10, vec![add("votes", "bands", "Alux", 1)]);
    done(&*counters, once.clone()).await;
    assert_eq!(counters.apply(once).await.unwrap(), Applied::Conflict { watermark: 10 });
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (10, map(&[("Alux", "1")])));
}

/// Whoever slept through other batches comes too late, with texts and with counts.
pub async fn a_zombie_with_an_old_batch_changes_nothing(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("zombie"));
    let changes = |text| vec![add("votes", "bands", "Alux", 1), put("poll", "bands", "state", text)];
    done(&*counters, batch(id, 0, 10, changes("open"))).await;
    let zombie = batch(id, 10, 20, changes("zombie"));
    done(&*counters, batch(id, 10, 15, changes("open"))).await;
    done(&*counters, batch(id, 15, 30, changes("closed"))).await;
    assert_eq!(counters.apply(zombie).await.unwrap(), Applied::Conflict { watermark: 30 });
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (30, map(&[("Alux", "3")])));
    assert_eq!(hash(&*counters, id, lane(7), "poll", "bands").await, (30, map(&[("state", "closed")])));
}

/// All others are told where that one led.
pub async fn of_sixteen_writers_from_the_same_place_one_is_done(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("race"));
    for round in 0..10 {
        let race = (1..=16).map(|writer| {
            let changes = vec![add("votes", "bands", "Alux", 1), put("poll", "bands", "by", &writer.to_string())];
            let batch = batch(id, round * 100, (round + 1) * 100, changes);
            async { counters.apply(batch).await.unwrap() }
        });
        let answers = join_all(race).await;
        assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
        let told = Applied::Conflict { watermark: (round + 1) * 100 };
        assert_eq!(answers.iter().filter(|answer| **answer == told).count(), 15);
    }
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (1_000, map(&[("Alux", "10")])));
}

/// The same table and key of another lane, projection or version is another hash, at another watermark.
pub async fn lanes_projections_and_versions_are_apart(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("apart"));
    let version = fresh("apart");
    let name = ProjectionId { name: "apart2", ..id };
    let places = [(id, lane(0)), (id, lane(63)), (version, lane(0)), (name, lane(0))];
    for (count, (projection, on)) in (1..).zip(places) {
        let changes = vec![add("votes", "bands", "Alux", count)];
        let next = u64::try_from(count).unwrap();
        done(&*counters, LaneBatch { projection, lane: on, prev: 0, next, changes }).await;
    }
    for (count, (projection, on)) in (1..).zip(places) {
        let expected = (count, map(&[("Alux", &count.to_string())]));
        assert_eq!(hash(&*counters, projection, on, "votes", "bands").await, expected);
    }
}

/// Sequences that are the same as 64-bit floats are not the same.
pub async fn a_watermark_is_compared_to_the_last_digit(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("digits"));
    let far = (1 << 53) + 1;
    done(&*counters, batch(id, 0, far, vec![])).await;
    let near = batch(id, far - 1, far + 1, vec![add("votes", "bands", "Alux", 1)]);
    assert_eq!(counters.apply(near).await.unwrap(), Applied::Conflict { watermark: far });
    done(&*counters, batch(id, far, far + 1, vec![])).await;
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (far + 1, map(&[])));
}

/// An option without votes is an option.
pub async fn adding_nothing_makes_a_cell(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("zero"));
    done(&*counters, batch(id, 0, 1, vec![add("votes", "bands", "Alux", 0)])).await;
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (1, map(&[("Alux", "0")])));
}

/// Counts are 64-bit integers with a sign.
pub async fn a_count_goes_below_zero_and_up_to_the_bound(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("counts"));
    let most = i64::try_from(INCREMENT_MAX).unwrap() - 1;
    let changes = |more: i64| vec![add("votes", "bands", "low", -more), add("votes", "bands", "high", more)];
    done(&*counters, batch(id, 0, 1, changes(3))).await;
    done(&*counters, batch(id, 1, 2, changes(most - 3))).await;
    let (low, high) = ((-most).to_string(), most.to_string());
    let expected = map(&[("low", &low), ("high", &high)]);
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (2, expected));
    done(&*counters, batch(id, 2, 3, changes(-most))).await;
    assert_eq!(hash(&*counters, id, lane(7), "votes", "bands").await, (3, map(&[("low", "0"), ("high", "0")])));
}

/// The last text stands.
pub async fn a_text_is_written_over(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("texts"));
    done(&*counters, batch(id, 0, 1, vec![put("poll", "bands", "state", "open"), put("poll", "bands", "by", "ana")]))
        .await;
    done(&*counters, batch(id, 1, 2, vec![put("poll", "bands", "state", "")])).await;
    let expected = map(&[("state", ""), ("by", "ana")]);
    assert_eq!(hash(&*counters, id, lane(7), "poll", "bands").await, (2, expected));
}

/// Spaces, colons, braces, quotes, other scripts, 128 bytes: nothing is taken for something else.
pub async fn any_text_is_a_key_a_field_or_a_value(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("names"));
    let long = "ñ".repeat(64);
    let names = [
        "a b",
        "a:b",
        "{07}",
        "}{",
        "a}:b{",
        "%",
        "*",
        "\\",
        "'",
        "\"",
        "watermark",
        "Malacates Trébol Shop",
        "音楽 🎸",
        "0",
        "-1",
        "nil",
        &long,
    ];
    let changes =
        names.iter().flat_map(|key| names.iter().map(move |field| put("poll", key, field, &format!("{field}|{key}"))));
    done(&*counters, batch(id, 0, 1, changes.collect())).await;
    let wanted: Vec<_> = names.iter().map(|key| ("poll", *key)).collect();
    let read = counters.hashes(id, lane(7), &wanted).await.unwrap();
    for (key, hash) in names.iter().zip(&read.hashes) {
        let texts: Vec<_> = names.iter().map(|field| (*field, format!("{field}|{key}"))).collect();
        let expected: Vec<_> = texts.iter().map(|(field, text)| (*field, &**text)).collect();
        assert_eq!(*hash, map(&expected), "{key}");
    }
}

/// However large, it is applied as a whole.
pub async fn twenty_thousand_changes_are_one_batch(place: &Fixture) {
    let (counters, id) = (place.open().await, fresh("large"));
    let changes = |round: &str| {
        let counts = (0..10_000).map(|field| add("votes", "bands", &field.to_string(), 1));
        counts.chain((0..10_000).map(|field| put("voters", "bands", &field.to_string(), round))).collect()
    };
    done(&*counters, batch(id, 0, 1, changes("first"))).await;
    done(&*counters, batch(id, 1, 2, changes("second"))).await;
    let read = counters.hashes(id, lane(7), &[("votes", "bands"), ("voters", "bands")]).await.unwrap();
    assert_eq!(read.watermark, 2);
    for (hash, expected) in read.hashes.iter().zip(["2", "second"]) {
        assert_eq!(hash.len(), 10_000);
        assert!(hash.values().all(|value| value == expected));
    }
}

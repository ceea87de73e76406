//! The columns answer as a look at every event would.

use cabildo_events::poll::PollClosed;
use cabildo_events::{Aggregate, Envelope, Event, EventId, Lane, Position, Recorded, Timestamp, Unreadable};
use cabildo_storage::{Clause, Compare, Condition, KindPattern, Order};
use proptest::prelude::*;
use proptest::sample::select;

use super::store::Gathered;
use super::{Ask, Columns, Field, Set};
use crate::query::matches;

const KINDS: [&str; 4] = ["poll.opened", "poll.ballot.cast", "chat.message.posted", "chat.room.opened"];
const AGGREGATES: [&str; 4] = ["poll/bands", "poll/b", "chat/lobby", "task/l"];
const TEXTS: [&str; 5] = ["Marimba o rock", "ROCK, claro", "son y rock y Ñandú", "x1 x2 x3 x4 x5 x6 x7 x8 x9", ""];
const ACTORS: [&str; 3] = ["ana", "luis", ""];

fn event() -> impl Strategy<Value = (&'static str, &'static str, &'static str, &'static str, i64, u64, bool)> {
    let unreadable = prop::bool::weighted(0.1);
    let texts = select(&TEXTS[..]);
    (select(&KINDS[..]), select(&AGGREGATES[..]), select(&ACTORS[..]), texts, 0..50_i64, 1..4_u64, unreadable)
}

/// Events at growing positions, with gaps.
fn events() -> impl Strategy<Value = Vec<Recorded>> {
    prop::collection::vec(event(), 0..60).prop_map(|drawn| {
        let mut seq = 0;
        let recorded = drawn.into_iter().map(|(kind, aggregate, actor, text, second, gap, unreadable)| {
            seq += gap;
            let aggregate: Aggregate = aggregate.parse().unwrap();
            let time = Timestamp::from_micros(second * 1_000_000);
            let id = EventId(uuid::Uuid::from_u128(u128::from(seq)));
            let mut envelope = Envelope::new(id, aggregate.clone(), time, &Event::PollClosed(PollClosed {}));
            envelope.kind = kind.into();
            envelope.data = serde_json::to_vec(&serde_json::json!({ "text": text, "n": seq % 3 })).unwrap().into();
            envelope.actor = actor.to_owned().try_into().ok();
            let lane = aggregate.lane();
            let aggregate = (seq % 2 == 0).then_some(aggregate);
            let broken = Unreadable { reason: "?".to_owned(), aggregate, data: bytes::Bytes::new() };
            let envelope = if unreadable { Err(broken) } else { Ok(envelope) };
            Recorded { position: Position::at(seq), lane, recorded: time, envelope }
        });
        recorded.collect()
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let compare = select(vec![Compare::Below, Compare::AtMost, Compare::Equal, Compare::AtLeast, Compare::Above]);
    let kinds = [&KINDS[..], &["cabildo.unreadable", "never"]].concat();
    prop_oneof![
        select(kinds).prop_map(|kind| Condition::Kind(KindPattern::Exactly(kind.to_owned()))),
        select(vec!["poll.", "chat", "", "x"]).prop_map(|stem| Condition::Kind(KindPattern::Prefix(stem.to_owned()))),
        select(vec!["poll", "chat", "identity"]).prop_map(|context| Condition::Context(context.to_owned())),
        select(&AGGREGATES[..]).prop_map(|aggregate| Condition::Aggregate(aggregate.to_owned())),
        select(vec!["ana", "luis", "nobody"]).prop_map(|actor| Condition::Actor(actor.to_owned())),
        select(&AGGREGATES[..]).prop_map(|name| Condition::Lane(name.parse::<Aggregate>().unwrap().lane())),
        select(vec![
            "rock",
            "ROCK cl",
            "ñan so",
            "marimba 2",
            "x1 x2 x3 x4 x5 x6 x7 x8 x9",
            "x9 x8 x7 x6 x5 x4 x3 x2 x1 0",
            "!",
            "rockero"
        ])
        .prop_map(|text| Condition::Text(text.to_owned())),
        (compare.clone(), 0..100_u64).prop_map(|(compare, seq)| Condition::Position(compare, Position::at(seq))),
        (compare, 0..50_i64)
            .prop_map(|(compare, second)| Condition::Time(compare, Timestamp::from_micros(second * 1_000_000))),
    ]
}

fn clause() -> impl Strategy<Value = Clause> {
    (any::<bool>(), prop::collection::vec(condition(), 1..4)).prop_map(|(negated, any)| Clause { negated, any })
}

/// The columns as they come to be: some events live, older ones gathered behind them in pieces.
fn columns(events: &[Recorded], live_from: usize, cut: usize) -> Columns {
    let position = |count: usize| count.checked_sub(1).map_or(Position::START, |last| events[last].position);
    let mut columns = Columns::at(position(live_from));
    let mut end = live_from;
    for begin in [cut.min(live_from), 0] {
        let mut gathered = Gathered::default();
        for page in events[begin..end].chunks(7) {
            columns.gather(&mut gathered, page);
        }
        columns.prepend(position(begin), position(end), gathered);
        end = begin;
    }
    for page in events[live_from..].chunks(5) {
        columns.append(page);
        // The same page again changes nothing.
        columns.append(page);
    }
    columns
}

proptest! {
    #[test]
    fn columns_answer_as_a_look_at_every_event_does(
        events in events(),
        clauses in prop::collection::vec(clause(), 0..4),
        (live_from, cut, limit) in (0..60_usize, 0..60_usize, 1..20_usize),
        (after, before) in (prop::option::of(0..100_u64), prop::option::of(0..100_u64)),
        set in prop::option::of((any::<bool>(), prop::collection::btree_set(0..100_u64, 0..30), 0..40_u64)),
    ) {
        let columns = columns(&events, live_from.min(events.len()), cut);
        let sets: Vec<_> = set.into_iter().map(|(negated, seqs, from)| Set {
            negated,
            positions: seqs.into_iter().map(Position::at).collect(),
            from: Position::at(from),
        }).collect();
        let naive: Vec<&Recorded> = events
            .iter()
            .filter(|event| matches(&clauses, event))
            .filter(|event| after.is_none_or(|after| event.position.seq > after))
            .filter(|event| before.is_none_or(|before| event.position.seq < before))
            .filter(|event| sets.iter().all(|set| {
                event.position > set.from && set.positions.contains(&event.position) != set.negated
            }))
            .collect();
        let ask = Ask { clauses, sets, after: after.map(Position::at), before: before.map(Position::at) };
        let positions: Vec<_> = naive.iter().map(|event| event.position).collect();
        let first: Vec<_> = positions.iter().copied().take(limit).collect();
        prop_assert_eq!(columns.first(&ask, Order::Oldest, limit), first);
        let last: Vec<_> = positions.iter().rev().copied().take(limit).collect();
        prop_assert_eq!(columns.first(&ask, Order::Newest, limit), last);
        for field in Field::ALL {
            let mut counted = vec![0; columns.values(field)];
            let mut nobody = 0;
            columns.visit(&ask, |matching| for number in matching.numbers(field) {
                match counted.get_mut(number as usize) {
                    Some(count) => *count += 1,
                    None => nobody += 1,
                }
            });
            let value = |event: &Recorded| -> Option<String> {
                let envelope = event.envelope.as_ref().ok();
                match field {
                    Field::Type => Some(envelope.map_or("cabildo.unreadable".to_owned(), |e| e.kind.clone().into_owned())),
                    Field::Context => event.aggregate().map(|aggregate| aggregate.context().name().to_owned()),
                    Field::Aggregate => event.aggregate().map(ToString::to_string),
                    Field::Actor => envelope?.actor.as_ref().map(|actor| actor.as_str().to_owned()),
                    Field::Lane => Some(event.lane.to_string()),
                }
            };
            let mut expected = std::collections::BTreeMap::new();
            naive.iter().for_each(|event| *expected.entry(value(event)).or_insert(0) += 1);
            prop_assert_eq!(nobody, expected.remove(&None).unwrap_or(0));
            let counted: std::collections::BTreeMap<_, _> = (0..)
                .zip(counted)
                .filter(|(_, count)| *count > 0)
                .map(|(number, count)| (Some(columns.value(field, number)), count))
                .collect();
            prop_assert_eq!(counted, expected);
        }
    }
}

#[test]
fn the_lanes_of_events_are_theirs() {
    assert_eq!(AGGREGATES[2].parse::<Aggregate>().unwrap().lane(), Lane::new(19).unwrap());
}

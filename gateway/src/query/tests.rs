//! What the language takes, what it refuses and where, and that it is the same read and printed.

use cabildo_events::limits::{QUERY_CHARS_MAX, QUERY_VALUES_MAX};
use cabildo_events::{EventId, Lane, Position, Timestamp};
use cabildo_storage::{Clause, Compare, Condition, KindPattern};
use proptest::prelude::*;

use super::{BadQuery, parse, print};

const NOW: Timestamp = Timestamp::from_micros(1_795_255_200_000_000);

fn read(query: &str) -> Vec<Clause> {
    parse(query, NOW).unwrap_or_else(|error| panic!("{query}: {error:?}"))
}

#[test]
fn every_field_is_read() {
    let uuid = "019a9f0e-5d5c-7c3a-9d3e-2f1b8c6a4e10";
    let id: EventId = uuid.parse().unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let aggregate = |text: &str| Condition::Aggregate(text.to_owned());
    let cases = [
        ("type:poll.ballot.cast", Condition::Kind(KindPattern::Exactly("poll.ballot.cast".into()))),
        ("type:chat.*", Condition::Kind(KindPattern::Prefix("chat.".into()))),
        ("room:lobby", aggregate("chat/lobby")),
        ("room:\"Sala José\"", aggregate("chat/Sala José")),
        ("poll:bands", aggregate("poll/bands")),
        ("list:l1", aggregate("task/l1")),
        ("user:Ana", aggregate("identity/ana")),
        ("projection:tally", aggregate("operation/tally")),
        ("aggregate:poll/bands", aggregate("poll/bands")),
        ("context:chat", Condition::Context("chat".into())),
        ("actor:alice", Condition::Actor("alice".into())),
        ("actor:\"a (b) \\\"c\\\"\"", Condition::Actor("a (b) \"c\"".into())),
        ("lane:07", Condition::Lane(Lane::new(7).unwrap())),
        (&*format!("id:{uuid}"), Condition::Event(id)),
        (&*format!("correlation:{uuid}"), Condition::Correlation(id)),
        (&*format!("causation:{uuid}"), Condition::Causation(id)),
        ("position:0-12", Condition::Position(Compare::Equal, Position::at(12))),
        ("position:>0-1000", Condition::Position(Compare::Above, Position::at(1_000))),
        ("position:<=0-7", Condition::Position(Compare::AtMost, Position::at(7))),
        ("time:>2026-11-21T10:00Z", Condition::Time(Compare::Above, at("2026-11-21T10:00:00Z"))),
        ("time:<2026-11-21", Condition::Time(Compare::Below, at("2026-11-21T00:00:00Z"))),
        ("time:-15m", Condition::Time(Compare::AtLeast, at("2026-11-21T09:45:00Z"))),
        ("time:<-1h", Condition::Time(Compare::Below, at("2026-11-21T09:00:00Z"))),
        ("alux", Condition::Text("alux".into())),
        ("\"free text\"", Condition::Text("free text".into())),
        ("\"type:x\"", Condition::Text("type:x".into())),
    ];
    for (query, expected) in cases {
        assert_eq!(read(query), [Clause::only(expected.clone())], "{query}");
        assert_eq!(read(&format!("-{query}")), [Clause::not(expected)], "-{query}");
    }
}

#[test]
fn terms_and_alternatives_are_told_apart() {
    let text = |text: &str| Condition::Text(text.to_owned());
    let actor = |name: &str| Condition::Actor(name.to_owned());
    let expected = [
        Clause::only(text("alux")),
        Clause { negated: true, any: vec![actor("ana"), actor("luis p")] },
        Clause::one_of(vec![text("a"), text("b c")]),
    ];
    assert_eq!(read("  alux -actor:(ana OR \"luis p\")\t(a OR \"b c\") "), expected);
    assert_eq!(read(""), []);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let cases = [
        ("type:poll.* romo:lobby", 12, 4, "did you mean room?"),
        ("año -actr:ana", 5, 4, "did you mean actor?"),
        ("http://x", 0, 4, "put it in quotes"),
        ("actor:", 6, 0, "the value of actor is missing"),
        ("actor: ana", 6, 0, "the value of actor is missing"),
        ("x \"abc", 2, 4, "never closed"),
        ("actor:(a OR b", 6, 7, "never closed"),
        ("actor:(a b)", 9, 1, "expected OR or )"),
        ("actor:(OR b)", 7, 2, "before OR"),
        ("actor:(a OR )", 12, 1, "before the )"),
        ("actor:()", 7, 1, "before the )"),
        ("((a))", 1, 1, "brackets do not stand in brackets"),
        ("a)", 1, 1, "no ("),
        ("-", 0, 1, "right before"),
        ("--a", 0, 3, "one - negates"),
        ("a AND b", 2, 3, "must hold already"),
        ("a OR b", 2, 2, "alternatives"),
        ("NOT b", 0, 3, "negates"),
        ("-lane:64", 6, 2, "00 to 63"),
        ("lane:(1 OR x)", 11, 1, "00 to 63"),
        ("id:7", 3, 1, "a UUID"),
        ("position:7", 9, 1, "0-1234"),
        ("time:>soon", 5, 5, "is no time"),
        ("type:*chat", 5, 5, "no event type"),
        ("aggregate:lobby", 10, 5, "CONTEXT/ID"),
        ("context:chatt", 8, 5, "is no context"),
        ("...", 0, 3, "no letter"),
    ];
    for (query, offset, length, reason) in cases {
        let error = parse(query, NOW).unwrap_err();
        assert_eq!((error.offset, error.length), (offset, length), "{query}: {error:?}");
        assert!(error.reason.contains(reason), "{query}: {error:?}");
    }
    let BadQuery { allowed, .. } = parse("romo:lobby", NOW).unwrap_err();
    assert!(allowed.contains(&"room".to_owned()));
}

#[test]
fn a_query_has_bounds() {
    assert!(parse(&"a".repeat(QUERY_CHARS_MAX + 1), NOW).is_err());
    assert!(parse(&"a ".repeat(QUERY_VALUES_MAX), NOW).is_ok());
    assert!(parse(&"a ".repeat(QUERY_VALUES_MAX + 1), NOW).unwrap_err().reason.contains("leave some out"));
}

fn condition() -> impl Strategy<Value = Vec<Condition>> {
    let some = 1..4_usize;
    let text = "[ -~ñ\u{1F600}]{0,12}[a-z0-9]";
    let compare = prop_oneof![
        Just(Compare::Below),
        Just(Compare::AtMost),
        Just(Compare::Equal),
        Just(Compare::AtLeast),
        Just(Compare::Above)
    ];
    let id = any::<u128>().prop_map(|bits| EventId(uuid::Uuid::from_u128(bits)));
    let kind = ("[a-z._-]{1,9}", any::<bool>()).prop_map(|(kind, exactly)| {
        Condition::Kind(if exactly { KindPattern::Exactly(kind) } else { KindPattern::Prefix(kind) })
    });
    prop_oneof![
        prop::collection::vec(kind, some.clone()),
        prop::collection::vec(text.prop_map(Condition::Text), some.clone()),
        prop::collection::vec(text.prop_map(Condition::Actor), some.clone()),
        prop::collection::vec(text.prop_map(|id| Condition::Aggregate(format!("poll/{id}"))), some.clone()),
        prop::collection::vec((0..64_u8).prop_map(|lane| Condition::Lane(Lane::new(lane).unwrap())), some.clone()),
        prop::collection::vec(id.clone().prop_map(Condition::Event), some.clone()),
        prop::collection::vec(id.clone().prop_map(Condition::Correlation), some.clone()),
        prop::collection::vec(id.prop_map(Condition::Causation), some.clone()),
        prop::collection::vec(
            (compare.clone(), any::<u16>(), any::<u64>())
                .prop_map(|(compare, shard, seq)| Condition::Position(compare, Position { shard, seq })),
            some.clone()
        ),
        prop::collection::vec(
            (compare, 0..2_000_000_000_000_000_i64)
                .prop_map(|(compare, micros)| Condition::Time(compare, Timestamp::from_micros(micros))),
            some
        ),
        Just(vec![Condition::Context("task".into())]),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(clauses in prop::collection::vec((any::<bool>(), condition()), 0..5)) {
        let clauses: Vec<_> = clauses.into_iter().map(|(negated, any)| Clause { negated, any }).collect();
        let printed = print(&clauses);
        prop_assert_eq!(parse(&printed, NOW).map_err(|error| format!("{printed}: {error:?}")), Ok(clauses));
    }

    #[test]
    fn no_input_panics_and_errors_lie_within_it(query in "(type|actor|time|-|:|\\(|\\)|\"|\\\\| |OR|[a-z>0-9ñ\\PC]){0,40}") {
        if let Err(error) = parse(&query, NOW) {
            prop_assert!(error.offset + error.length <= query.chars().count(), "{}: {:?}", query, error);
            prop_assert!(!error.reason.is_empty());
        }
    }
}

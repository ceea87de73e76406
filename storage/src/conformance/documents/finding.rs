//! What a query finds.

use cabildo_events::{Aggregate, EventId, Position, RoomId, Timestamp};
use cabildo_projections::{Document, DocumentKey, Ids, ProjectionId, record};

use super::{BEGAN_MICROS, THINGS, append, batch, document, done};
use crate::conformance::SinkFixture;
use crate::conformance::sink::{fresh, lane};
use crate::{Clause, Compare, Condition, Documents, KindPattern, LaneBatch, Order, Query};

type Fixture = dyn SinkFixture<dyn Documents>;

async fn filled(documents: &dyn Documents, id: ProjectionId, made: &[Document]) {
    done(documents, batch(id, 0, 1_000, made.iter().map(append).collect())).await;
}

/// The sequences of the documents that a query finds.
async fn seqs(documents: &dyn Documents, query: &Query) -> Vec<u64> {
    let found = documents.find(query).await.unwrap();
    assert!(!found.cut_short);
    found.documents.into_iter().map(|document| document.created.seq).collect()
}

/// By the position of the event that made them, however they were written.
pub async fn documents_are_found_in_order_both_ways(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("order"));
    let made = [30, 4, 200, 5, 100].map(|seq| document(&format!("{}", 1_000 - seq), seq));
    filled(&*documents, id, &made).await;
    let query = |order, limit| Query { order, ..Query::of(id, THINGS, limit) };
    assert_eq!(seqs(&*documents, &query(Order::Oldest, 10)).await, [4, 5, 30, 100, 200]);
    assert_eq!(seqs(&*documents, &query(Order::Newest, 10)).await, [200, 100, 30, 5, 4]);
    assert_eq!(seqs(&*documents, &query(Order::Oldest, 2)).await, [4, 5]);
    assert_eq!(seqs(&*documents, &query(Order::Newest, 2)).await, [200, 100]);
    assert_eq!(seqs(&*documents, &query(Order::Newest, 0)).await, [0; 0]);
}

/// After one, before another, both bounds left out; a page goes on where the last one ended.
pub async fn documents_are_found_by_position(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("position"));
    filled(&*documents, id, &[10, 20, 30, 40].map(|seq| document(&seq.to_string(), seq))).await;
    let between = |after: Option<u64>, before: Option<u64>| Query {
        after: after.map(Position::at),
        before: before.map(Position::at),
        ..Query::of(id, THINGS, 10)
    };
    assert_eq!(seqs(&*documents, &between(Some(10), Some(40))).await, [20, 30]);
    assert_eq!(seqs(&*documents, &between(Some(0), None)).await, [10, 20, 30, 40]);
    assert_eq!(seqs(&*documents, &between(Some(40), None)).await, [0; 0]);
    assert_eq!(seqs(&*documents, &between(None, Some(10))).await, [0; 0]);
    assert_eq!(seqs(&*documents, &between(None, Some(u64::MAX))).await, [10, 20, 30, 40]);
    assert_eq!(seqs(&*documents, &between(Some(u64::MAX), None)).await, [0; 0]);
    let newest = Query { order: Order::Newest, limit: 2, ..between(None, Some(40)) };
    assert_eq!(seqs(&*documents, &newest).await, [30, 20]);
}

/// Kinds are alternatives, exactly or by how they begin; everything else narrows.
pub async fn documents_are_found_by_aggregate_kind_and_actor(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("which"));
    let made = [
        (1, "chat/lobby", "chat.message.posted", Some("ana")),
        (2, "chat/lobby", "chat.message.edited", Some("luis")),
        (3, "chat/lobby 2", "chat.room.opened", None),
        (4, "poll/lobby", "poll.opened", Some("ana")),
        (5, "poll/lobby", "poll.ballot.cast", Some("Ana")),
        (6, "chat/lobby", "chatter", Some("ana")),
    ];
    let made = made.map(|(seq, aggregate, kind, actor)| Document {
        aggregate: aggregate.into(),
        kind: kind.into(),
        actor: actor.map(Into::into),
        ..document(&seq.to_string(), seq)
    });
    filled(&*documents, id, &made).await;
    let every = || Query::of(id, THINGS, 10);
    let exactly = |kind: &str| KindPattern::Exactly(kind.to_owned());
    let prefix = |kind: &str| KindPattern::Prefix(kind.to_owned());
    let kinds = |kinds: Vec<KindPattern>| Query { kinds, ..every() };
    let lobby = Some(Aggregate::room(&"lobby".parse::<RoomId>().unwrap()));
    let in_lobby = Query { aggregate: lobby.clone(), ..every() };
    assert_eq!(seqs(&*documents, &in_lobby).await, [1, 2, 6]);
    assert_eq!(seqs(&*documents, &kinds(vec![exactly("poll.opened")])).await, [4]);
    assert_eq!(seqs(&*documents, &kinds(vec![prefix("chat.")])).await, [1, 2, 3]);
    assert_eq!(seqs(&*documents, &kinds(vec![prefix("chat")])).await, [1, 2, 3, 6]);
    assert_eq!(seqs(&*documents, &kinds(vec![prefix("poll."), exactly("chatter")])).await, [4, 5, 6]);
    assert_eq!(seqs(&*documents, &kinds(vec![exactly("chat."), prefix("c.*")])).await, [0; 0]);
    let by = |actor: &str| Query { actor: Some(actor.to_owned()), ..every() };
    assert_eq!(seqs(&*documents, &by("ana")).await, [1, 4, 6]);
    assert_eq!(seqs(&*documents, &by("Ana")).await, [5]);
    let narrow = Query { kinds: vec![prefix("chat.")], aggregate: lobby, ..by("ana") };
    assert_eq!(seqs(&*documents, &narrow).await, [1]);
}

/// From a moment on, until before another, to the microsecond.
pub async fn documents_are_found_by_time(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("time"));
    let at = |micros: i64| Timestamp::from_micros(BEGAN_MICROS + micros);
    let made = [(1, 0), (2, 1), (3, 999), (4, 1_000), (5, 1_001), (6, 5_000_000)];
    let made = made.map(|(seq, micros)| Document { time: at(micros), ..document(&seq.to_string(), seq) });
    filled(&*documents, id, &made).await;
    let between = |since: Option<i64>, until: Option<i64>| Query {
        since: since.map(at),
        until: until.map(at),
        ..Query::of(id, THINGS, 10)
    };
    assert_eq!(seqs(&*documents, &between(Some(1), Some(1_001))).await, [2, 3, 4]);
    assert_eq!(seqs(&*documents, &between(Some(1_001), None)).await, [5, 6]);
    assert_eq!(seqs(&*documents, &between(None, Some(1))).await, [1]);
    assert_eq!(seqs(&*documents, &between(Some(5_000_001), None)).await, [0; 0]);
}

/// Each word asked for begins a word of the text, in any order and case; nothing in it is a pattern.
pub async fn documents_are_found_by_words_in_their_text(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("words"));
    let texts = [
        (1, "Alux Nahual toca en el Parque Central"),
        (2, "nahual, alux: ¡qué concierto!"),
        (3, "Luz Nahualate"),
        (4, "ÑANDÚ (2026) a.b* [x] $y"),
        (5, ""),
    ];
    let made = texts.map(|(seq, text)| Document { text: text.into(), ..document(&seq.to_string(), seq) });
    filled(&*documents, id, &made).await;
    let cases: [(&str, &[u64]); 14] = [
        ("alux", &[1, 2]),
        ("NAHUAL", &[1, 2, 3]),
        ("nahual alux", &[1, 2]),
        ("nah al parq", &[1]),
        ("ahual", &[]),
        ("nahualate", &[3]),
        ("ñandú", &[4]),
        ("2026", &[4]),
        ("a.b", &[4]),
        (".*", &[1, 2, 3, 4, 5]),
        ("(nahual", &[1, 2, 3]),
        ("alux|luz", &[]),
        ("\"alux\" -nahual*", &[1, 2]),
        ("tocan", &[]),
    ];
    for (text, expected) in cases {
        let query = Query { text: Some(text.to_owned()), ..Query::of(id, THINGS, 10) };
        assert_eq!(seqs(&*documents, &query).await, expected, "{text}");
    }
    let newest = Query { text: Some("nahual".into()), order: Order::Newest, ..Query::of(id, THINGS, 2) };
    assert_eq!(seqs(&*documents, &newest).await, [3, 2]);
}

/// An event of the record.
fn event(seq: u64) -> Document {
    let id = Position::at(seq).to_string();
    let key = DocumentKey { collection: record::EVENTS, id: id.as_str().into() };
    Document { key, ..document(&id, seq) }
}

fn ids(event: u128, correlation: Option<u128>, causation: Option<u128>) -> Ids {
    let id = |number: u128| EventId(uuid::Uuid::from_u128(number));
    Ids { event: Some(id(event)), correlation: correlation.map(id), causation: causation.map(id) }
}

/// The sequences of the events that a query finds; where they are is the same either way, in either order, and cut at any limit.
async fn event_seqs(documents: &dyn Documents, id: ProjectionId, clauses: &[Clause]) -> Vec<u64> {
    let query = Query { clauses: clauses.to_vec(), ..Query::of(id, record::EVENTS, 100) };
    let found = seqs(documents, &query).await;
    let positions = async |query: &Query| {
        let matches = documents.positions(query).await.unwrap();
        assert!(!matches.cut_short);
        matches.positions.into_iter().map(|position| position.seq).collect::<Vec<_>>()
    };
    assert_eq!(positions(&query).await, found, "{clauses:?}");
    let newest = Query { order: Order::Newest, limit: 2, ..query.clone() };
    let two: Vec<_> = found.iter().rev().take(2).copied().collect();
    assert_eq!(positions(&newest).await, two, "{clauses:?}");
    let between = Query { after: Some(Position::at(1)), before: Some(Position::at(5)), ..query };
    let inside: Vec<_> = found.iter().filter(|seq| (2..5).contains(*seq)).copied().collect();
    assert_eq!(positions(&between).await, inside, "{clauses:?}");
    found
}

/// Every condition, its negation, and alternatives.
pub async fn events_are_found_by_clauses(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("record"));
    let made = [
        ("chat/lobby", "chat.message.posted", Some("ana"), 19, ids(1, Some(7), None), "uno"),
        ("chat/lobby 2", "chat.room.opened", None, 3, ids(2, Some(7), Some(1)), "dos uno"),
        ("poll/lobby", "poll.opened", Some("Ana"), 19, ids(3, None, Some(1)), "tres"),
        ("poll/lobby", "poll.ballot.cast", Some("luis"), 19, ids(4, None, Some(3)), ""),
        ("", "cabildo.unreadable", None, 63, Ids::default(), "roto"),
        ("chatter/x", "chatter", Some("luis"), 0, ids(6, None, None), "seis"),
    ];
    let made: Vec<_> = (1..)
        .zip(made)
        .map(|(seq, (aggregate, kind, actor, on, ids, text))| Document {
            aggregate: aggregate.into(),
            kind: kind.into(),
            actor: actor.map(Into::into),
            lane: lane(on),
            ids,
            text: text.into(),
            ..event(seq)
        })
        .collect();
    filled(&*documents, id, &made).await;
    let number = |number: u128| EventId(uuid::Uuid::from_u128(number));
    let kind = |kind: &str| Condition::Kind(KindPattern::Exactly(kind.to_owned()));
    let time = |compare, seq: usize| Condition::Time(compare, made[seq - 1].time);
    let at = |compare, seq| Condition::Position(compare, Position::at(seq));
    let cases: [(Vec<Condition>, &[u64]); 24] = [
        (vec![kind("poll.opened"), kind("chatter")], &[3, 6]),
        (vec![Condition::Kind(KindPattern::Prefix("chat.".into())), kind("poll.opened")], &[1, 2, 3]),
        (vec![Condition::Context("chat".into())], &[1, 2]),
        (vec![Condition::Context("poll".into()), Condition::Context("chatter".into())], &[3, 4, 6]),
        (vec![Condition::Aggregate("chat/lobby".into())], &[1]),
        (vec![Condition::Aggregate("chat/lobby 2".into()), Condition::Aggregate("poll/lobby".into())], &[2, 3, 4]),
        (vec![Condition::Actor("ana".into())], &[1]),
        (vec![Condition::Actor("luis".into()), Condition::Actor("nobody".into())], &[4, 6]),
        (vec![Condition::Lane(lane(19))], &[1, 3, 4]),
        (vec![Condition::Lane(lane(63)), Condition::Lane(lane(0))], &[5, 6]),
        (vec![Condition::Event(number(2))], &[2]),
        (vec![Condition::Event(number(9)), Condition::Event(number(6))], &[6]),
        (vec![Condition::Correlation(number(7))], &[1, 2]),
        (vec![Condition::Causation(number(1))], &[2, 3]),
        (vec![Condition::Causation(number(3)), Condition::Causation(number(1))], &[2, 3, 4]),
        (vec![Condition::Text("uno".into())], &[1, 2]),
        (vec![Condition::Text("dos un".into()), Condition::Text("SEI".into())], &[2, 6]),
        (vec![at(Compare::Above, 4)], &[5, 6]),
        (vec![at(Compare::AtMost, 2), at(Compare::Equal, 5)], &[1, 2, 5]),
        (vec![at(Compare::AtLeast, u64::MAX)], &[]),
        (vec![Condition::Position(Compare::Below, Position { shard: u16::MAX, seq: 1 })], &[1, 2, 3, 4, 5, 6]),
        (vec![time(Compare::Above, 4)], &[5, 6]),
        (vec![time(Compare::AtMost, 2), time(Compare::Equal, 4)], &[1, 2, 4]),
        (vec![], &[]),
    ];
    for (any, expected) in cases {
        let clause = Clause { negated: false, any };
        assert_eq!(event_seqs(&*documents, id, std::slice::from_ref(&clause)).await, expected, "{clause:?}");
        let negated = Clause { negated: true, ..clause };
        let others: Vec<_> = (1..=6).filter(|seq| !expected.contains(seq)).collect();
        assert_eq!(event_seqs(&*documents, id, std::slice::from_ref(&negated)).await, others, "{negated:?}");
    }
    let text = |text: &str| Condition::Text(text.to_owned());
    let both = [Clause::only(text("uno")), Clause::not(text("dos")), Clause::only(Condition::Lane(lane(19)))];
    assert_eq!(event_seqs(&*documents, id, &both).await, [1]);
    let linked = [Clause::only(Condition::Causation(number(1))), Clause::not(Condition::Correlation(number(7)))];
    assert_eq!(event_seqs(&*documents, id, &linked).await, [3]);
    // What is found comes back with its ids.
    let query = Query { clauses: vec![Clause::only(Condition::Event(number(2)))], ..Query::of(id, record::EVENTS, 9) };
    assert_eq!(documents.find(&query).await.unwrap().documents, [made[1].clone()]);
}

/// As those of other documents, though an adapter may keep the words of the record in its own way.
pub async fn events_are_found_by_words_in_their_text(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("record"));
    let texts = ["Alux Nahual toca en el Parque Central", "nahual, alux: ¡qué concierto!", "Luz Nahualate", "ÑANDÚ (2026) a.b* [x] $y", ""];
    let made: Vec<_> = (1..).zip(texts).map(|(seq, text)| Document { text: text.into(), ..event(seq) }).collect();
    filled(&*documents, id, &made).await;
    let cases: [(&str, &[u64]); 10] = [
        ("alux", &[1, 2]),
        ("NAHUAL", &[1, 2, 3]),
        ("nah al parq", &[1]),
        ("ahual", &[]),
        ("ñandú", &[4]),
        ("2026", &[4]),
        ("a.b", &[4]),
        (".*", &[1, 2, 3, 4, 5]),
        ("(nahual", &[1, 2, 3]),
        ("alux|luz", &[]),
    ];
    for (text, expected) in cases {
        let clauses = [Clause::only(Condition::Text(text.to_owned()))];
        assert_eq!(event_seqs(&*documents, id, &clauses).await, expected, "{text}");
    }
}

/// An event whose lane lands later than those of its neighbours is found from then on, in its place.
pub async fn events_that_come_between_are_not_missed(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("record"));
    let of = |on: u8, seqs: &[u64]| LaneBatch {
        projection: id,
        lane: lane(on),
        prev: 0,
        next: 9,
        changes: seqs.iter().map(|seq| append(&Document { lane: lane(on), text: "uno".into(), ..event(*seq) })).collect(),
    };
    done(&*documents, of(1, &[1, 4, 6])).await;
    let uno = [Clause::only(Condition::Text("uno".into()))];
    assert_eq!(event_seqs(&*documents, id, &uno).await, [1, 4, 6]);
    done(&*documents, of(2, &[2, 5, 7])).await;
    assert_eq!(event_seqs(&*documents, id, &uno).await, [1, 2, 4, 5, 6, 7]);
}

/// A collection that was never written to is empty.
pub async fn nothing_is_found_where_nothing_is(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("empty"));
    assert_eq!(seqs(&*documents, &Query::of(id, THINGS, 10)).await, [0; 0]);
    let text = Query { text: Some("alux".into()), ..Query::of(id, THINGS, 10) };
    assert_eq!(seqs(&*documents, &text).await, [0; 0]);
}

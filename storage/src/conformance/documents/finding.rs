//! What a query finds.

use cabildo_events::{Aggregate, Position, RoomId, Timestamp};
use cabildo_projections::{Document, ProjectionId};

use super::{BEGAN_MICROS, THINGS, append, batch, document, done};
use crate::conformance::SinkFixture;
use crate::conformance::sink::fresh;
use crate::{Documents, KindPattern, Order, Query};

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

/// A collection that was never written to is empty.
pub async fn nothing_is_found_where_nothing_is(place: &Fixture) {
    let (documents, id) = (place.open().await, fresh("empty"));
    assert_eq!(seqs(&*documents, &Query::of(id, THINGS, 10)).await, [0; 0]);
    let text = Query { text: Some("alux".into()), ..Query::of(id, THINGS, 10) };
    assert_eq!(seqs(&*documents, &text).await, [0; 0]);
}

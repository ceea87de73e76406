//! The folds: a batch of a thousand events over rows that are there already.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use cabildo_events::chat::MessagePosted;
use cabildo_events::poll::BallotCast;
use cabildo_events::{Aggregate, Envelope, Event, EventId, MessageId, Position, Recorded, Timestamp};
use cabildo_projections::activity::Activity;
use cabildo_projections::record::Record;
use cabildo_projections::rooms::Rooms;
use cabildo_projections::tally::{POLL, Tally};
use cabildo_projections::{Cell, Projection, Rows};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use uuid::Uuid;

const EVENTS: u64 = 1_000;

fn recorded(seq: u64, aggregate: &Aggregate, event: &Event) -> Recorded {
    let time = Timestamp::from_micros(1_795_255_200_000_000 + i64::try_from(seq).unwrap());
    let envelope = Envelope::new(EventId(Uuid::from_u128(seq.into())), aggregate.clone(), time, event);
    Recorded { position: Position::at(seq), lane: aggregate.lane(), recorded: time, envelope: Ok(envelope) }
}

fn ballots() -> Vec<Recorded> {
    let poll = Aggregate::poll(&"bands".parse().unwrap());
    let ballot = |seq: u64| {
        let choices = vec![format!("Band number {}", seq % 31).parse().unwrap()];
        Event::BallotCast(BallotCast {
            voter: format!("voter-{seq}").parse().unwrap(),
            choices,
            fields: Default::default(),
        })
    };
    (1..=EVENTS).map(|seq| recorded(seq, &poll, &ballot(seq))).collect()
}

fn messages() -> Vec<Recorded> {
    let room = Aggregate::room(&"lobby".parse().unwrap());
    let message = |seq: u64| {
        let (text, author) = ("¿Quién viene a la plaza esta noche?".parse().unwrap(), "Ana".parse().unwrap());
        Event::MessagePosted(MessagePosted { message: MessageId(Uuid::from_u128(seq.into())), text, author, by: None })
    };
    (1..=EVENTS).map(|seq| recorded(seq, &room, &message(seq))).collect()
}

/// Reads, folds and takes the changes out, as a worker does between loading and writing.
fn fold<P: Projection>(projection: &P, mut rows: P::Rows, events: &[Recorded]) -> usize {
    let mut keys = Vec::new();
    for event in events {
        if let Some(step) = projection.step(event).unwrap() {
            projection.reads(&step, &mut keys);
            rows.begin(event.position);
            projection.fold(step, &mut rows).unwrap();
        }
    }
    keys.len() + rows.into_changes().len()
}

fn folds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold 1000 events");
    group.throughput(Throughput::Elements(EVENTS));
    let (ballots, messages) = (ballots(), messages());
    let open_poll = || {
        let mut cells = cabildo_projections::Cells::default();
        cells.load(Cell::new(POLL, "bands", "state"), Some("any".into()));
        cells
    };
    group.bench_function("tally", |bench| {
        bench.iter_batched(open_poll, |cells| fold(&Tally, cells, &ballots), BatchSize::SmallInput);
    });
    group.bench_function("activity", |bench| bench.iter(|| fold(&Activity, Default::default(), &ballots)));
    group.bench_function("rooms", |bench| bench.iter(|| fold(&Rooms, Default::default(), &messages)));
    group.bench_function("record", |bench| bench.iter(|| fold(&Record, Default::default(), &ballots)));
    group.finish();
}

criterion_group!(benches, folds);
criterion_main!(benches);

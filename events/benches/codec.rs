//! The persisted form: writing and reading one ballot.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use cabildo_events::poll::BallotCast;
use cabildo_events::{Aggregate, Envelope, Event, EventId, Lane, Position, Recorded, Timestamp, wire};
use criterion::{Criterion, criterion_group, criterion_main};
use uuid::Uuid;

fn ballot() -> Envelope {
    let event = Event::BallotCast(BallotCast {
        voter: "voter-4711".parse().unwrap(),
        choices: vec!["Bohemia Suburbana".parse().unwrap()],
        fields: [("album", "Sombras en el jardín"), ("year", "1993"), ("rank", "1")]
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .into(),
    });
    let aggregate = Aggregate::poll(&"bands-2026".parse().unwrap());
    let mut envelope =
        Envelope::new(EventId(Uuid::from_u128(7)), aggregate, Timestamp::from_micros(1_795_255_200_000_000), &event);
    envelope.actor = Some("voter-4711".parse().unwrap());
    envelope
}

fn codec(criterion: &mut Criterion) {
    let envelope = ballot();
    let headers = wire::to_headers(&envelope);
    let get = |name: &str| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
    let recorded = Recorded {
        position: Position::at(1_234),
        lane: Lane::FIRST,
        recorded: envelope.time,
        envelope: Ok(envelope.clone()),
    };
    let json = wire::to_json(&recorded);
    criterion.bench_function("envelope to headers", |bench| bench.iter(|| wire::to_headers(black_box(&envelope))));
    criterion.bench_function("envelope from headers", |bench| {
        bench.iter(|| wire::from_headers(get, black_box(envelope.data.clone())).unwrap());
    });
    criterion.bench_function("event to JSON object", |bench| bench.iter(|| wire::to_json(black_box(&recorded))));
    criterion
        .bench_function("event from JSON object", |bench| bench.iter(|| wire::from_json(black_box(&json)).unwrap()));
    criterion.bench_function("ballot from data", |bench| bench.iter(|| black_box(&envelope).event().unwrap()));
}

criterion_group!(benches, codec);
criterion_main!(benches);

//! Looking through the columns.

use std::borrow::Cow;

use cabildo_events::Position;
use cabildo_storage::{Clause, Compare, Condition, KindPattern, Order, lower_words};

use super::store::{Chunk, Columns, Field, NOBODY};

/// Events that the view found: what no column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// Whether the events asked for are the others.
    pub(crate) negated: bool,
    /// In order.
    pub(crate) positions: Vec<Position>,
    /// The set is known for what stands after this.
    pub(crate) from: Position,
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// All must hold; none asks for what no column holds.
    pub(crate) clauses: Vec<Clause>,
    /// All must hold.
    pub(crate) sets: Vec<Set>,
    /// Only what stands after this.
    pub(crate) after: Option<Position>,
    /// Only what stands before this.
    pub(crate) before: Option<Position>,
}

impl Ask {
    /// After where the sets are known and events are asked for.
    pub(crate) fn floor(&self) -> Position {
        let sets = self.sets.iter().map(|set| set.from).max().unwrap_or_default();
        sets.max(self.after.unwrap_or_default())
    }
}

/// Rows of a chunk that match.
pub(crate) struct Matching<'c> {
    chunk: &'c Chunk,
    columns: &'c Columns,
    /// In order.
    pub(crate) rows: &'c [u32],
}

impl<'c> Matching<'c> {
    pub(crate) fn time(&self, row: u32) -> i64 {
        self.chunk.times.get(row as usize).copied().unwrap_or_default()
    }

    /// The numbers of a field's values, in the order of the rows; [`NOBODY`] where there is none.
    pub(crate) fn numbers(&self, field: Field) -> impl Iterator<Item = u32> + 'c {
        let (chunk, columns) = (self.chunk, self.columns);
        self.rows.iter().map(move |row| {
            let row = *row as usize;
            let number = match field {
                Field::Type => chunk.kinds.get(row).copied(),
                Field::Aggregate => chunk.aggregates.get(row).copied(),
                Field::Context => chunk
                    .aggregates
                    .get(row)
                    .and_then(|aggregate| columns.names.context_of.get(*aggregate as usize))
                    .copied(),
                Field::Actor => chunk.actors.get(row).copied(),
                Field::Lane => chunk.lanes.get(row).map(|lane| u32::from(*lane)),
            };
            number.unwrap_or(NOBODY)
        })
    }
}

impl Columns {
    /// Shows all that matches, chunk by chunk.
    pub(crate) fn visit(&self, ask: &Ask, mut see: impl FnMut(&Matching<'_>)) {
        let plan = Plan::of(self, ask);
        let mut rows = Vec::new();
        for chunk in &self.chunks {
            plan.select(chunk, &mut rows);
            if !rows.is_empty() {
                see(&Matching { chunk, columns: self, rows: &rows });
            }
        }
    }

    /// The first events that match, in this order.
    pub(crate) fn first(&self, ask: &Ask, order: Order, limit: usize) -> Vec<Position> {
        let plan = Plan::of(self, ask);
        let (mut rows, mut found) = (Vec::new(), Vec::new());
        let mut look = |chunk: &Chunk| {
            plan.select(chunk, &mut rows);
            let left = limit - found.len();
            match order {
                Order::Oldest => found.extend(rows.iter().take(left).map(|row| chunk.position(*row as usize))),
                Order::Newest => found.extend(rows.iter().rev().take(left).map(|row| chunk.position(*row as usize))),
            }
            found.len() >= limit
        };
        match order {
            Order::Oldest => _ = self.chunks.iter().any(&mut look),
            Order::Newest => _ = self.chunks.iter().rev().any(&mut look),
        }
        found
    }
}

/// What is asked, in the numbers of the columns.
struct Plan<'a> {
    ask: &'a Ask,
    tests: Vec<Test>,
    /// Of all the times asked for, the first and the last.
    times: (i64, i64),
    floor: Position,
}

/// Alternatives of one field.
struct Test {
    negated: bool,
    any: Vec<Among>,
}

/// Sets of numbers are tables, by number.
enum Among {
    Kind(u32),
    Kinds(Vec<bool>),
    Aggregate(u32),
    Aggregates(Vec<bool>),
    Actor(u32),
    Lane(u8),
    Time(Compare, i64),
    Position(Compare, Position),
    /// All of these must hold.
    Words(Vec<Beginnings>),
    Never,
}

impl<'a> Plan<'a> {
    fn of(columns: &Columns, ask: &'a Ask) -> Self {
        let mut times = (i64::MIN, i64::MAX);
        for clause in &ask.clauses {
            if let (false, [Condition::Time(compare, time)]) = (clause.negated, &clause.any[..]) {
                match compare {
                    Compare::Below | Compare::AtMost => times.1 = times.1.min(time.micros()),
                    Compare::AtLeast | Compare::Above => times.0 = times.0.max(time.micros()),
                    Compare::Equal => times = (times.0.max(time.micros()), times.1.min(time.micros())),
                }
            }
        }
        let test = |clause: &Clause| Test {
            negated: clause.negated,
            any: clause.any.iter().map(|condition| among(columns, condition)).collect(),
        };
        Self { ask, tests: ask.clauses.iter().map(test).collect(), times, floor: ask.floor() }
    }

    /// The rows of a chunk that match.
    fn select(&self, chunk: &Chunk, rows: &mut Vec<u32>) {
        rows.clear();
        if chunk.span.1 < self.times.0 || chunk.span.0 > self.times.1 {
            return;
        }
        let until = |position: Position, including: bool| {
            if position.shard != chunk.shard {
                return if position.shard > chunk.shard { chunk.len() } else { 0 };
            }
            chunk.offsets.partition_point(|offset| {
                let seq = chunk.base + u64::from(*offset);
                seq < position.seq || (including && seq == position.seq)
            })
        };
        let begin = until(self.floor, true);
        let end = self.ask.before.map_or(chunk.len(), |before| until(before, false));
        let (Ok(begin), Ok(end)) = (u32::try_from(begin), u32::try_from(end)) else { return };
        rows.extend(begin..end.max(begin));
        for set in &self.ask.sets {
            keep_set(chunk, set, rows);
        }
        for test in &self.tests {
            if rows.is_empty() {
                return;
            }
            test.keep(chunk, rows);
        }
    }
}

fn among(columns: &Columns, condition: &Condition) -> Among {
    let names = &columns.names;
    match condition {
        Condition::Kind(KindPattern::Exactly(kind)) => names.kinds.find(kind).map_or(Among::Never, Among::Kind),
        Condition::Kind(pattern) => Among::Kinds(names.kinds.all().map(|kind| pattern.matches(kind)).collect()),
        Condition::Context(context) => match names.contexts.find(context) {
            Some(context) => Among::Aggregates(names.context_of.iter().map(|of| *of == context).collect()),
            None => Among::Never,
        },
        Condition::Aggregate(name) => names.aggregates.find(name).map_or(Among::Never, Among::Aggregate),
        Condition::Actor(name) => names.actors.find(name).map_or(Among::Never, Among::Actor),
        Condition::Lane(lane) => Among::Lane(lane.number()),
        Condition::Time(compare, time) => Among::Time(*compare, time.micros()),
        Condition::Position(compare, position) => Among::Position(*compare, *position),
        Condition::Text(text) => with_words(columns, text),
        // No column holds these: whoever asks has made sets of them.
        Condition::Event(_) | Condition::Correlation(_) | Condition::Causation(_) => Among::Never,
    }
}

/// Some words that are looked for, a bit each.
struct Beginnings {
    /// Of each word, by number, which of them begin it.
    of: Vec<u8>,
    all: u8,
}

fn with_words(columns: &Columns, text: &str) -> Among {
    let mut wanted: Vec<_> = lower_words(text).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let some = |wanted: &[Cow<'_, str>]| {
        let bit = |(wanted, bit): (&Cow<'_, str>, u8), word: &str| if word.starts_with(&**wanted) { bit } else { 0 };
        let bits = || wanted.iter().zip((0..8).map(|place| 1_u8 << place));
        let of = columns.names.words.all().map(|word| bits().fold(0, |found, each| found | bit(each, word))).collect();
        Beginnings { of, all: bits().fold(0, |all, (_, bit)| all | bit) }
    };
    Among::Words(wanted.chunks(8).map(some).collect())
}

impl Beginnings {
    fn hold(&self, chunk: &Chunk, row: usize) -> bool {
        let mut found = 0;
        chunk.words(row).iter().any(|word| {
            found |= self.of.get(*word as usize).copied().unwrap_or(0);
            found == self.all
        })
    }
}

impl Test {
    fn keep(&self, chunk: &Chunk, rows: &mut Vec<u32>) {
        // The usual ones, each in a loop of its own: a match in every row would take as long as the rest.
        let negated = self.negated;
        match &self.any[..] {
            [Among::Kind(kind)] => keep(rows, negated, |row| chunk.kinds.get(row) == Some(kind)),
            [Among::Aggregate(aggregate)] => keep(rows, negated, |row| chunk.aggregates.get(row) == Some(aggregate)),
            [Among::Actor(actor)] => keep(rows, negated, |row| chunk.actors.get(row) == Some(actor)),
            [Among::Kinds(kinds)] => keep(rows, negated, |row| holds(kinds, chunk.kinds.get(row))),
            [Among::Words(words)] => keep(rows, negated, |row| words.iter().all(|some| some.hold(chunk, row))),
            [Among::Aggregates(some)] => keep(rows, negated, |row| holds(some, chunk.aggregates.get(row))),
            any => keep(rows, negated, |row| any.iter().any(|among| among.has(chunk, row))),
        }
    }
}

impl Among {
    fn has(&self, chunk: &Chunk, row: usize) -> bool {
        match self {
            Self::Kind(kind) => chunk.kinds.get(row) == Some(kind),
            Self::Kinds(kinds) => holds(kinds, chunk.kinds.get(row)),
            Self::Aggregate(aggregate) => chunk.aggregates.get(row) == Some(aggregate),
            Self::Aggregates(some) => holds(some, chunk.aggregates.get(row)),
            Self::Actor(actor) => chunk.actors.get(row) == Some(actor),
            Self::Lane(lane) => chunk.lanes.get(row) == Some(lane),
            Self::Time(compare, bound) => chunk.times.get(row).is_some_and(|time| compare.holds(time, bound)),
            Self::Position(compare, bound) => compare.holds(&chunk.position(row), bound),
            Self::Words(words) => words.iter().all(|some| some.hold(chunk, row)),
            Self::Never => false,
        }
    }
}

fn holds(set: &[bool], number: Option<&u32>) -> bool {
    number.and_then(|number| set.get(*number as usize)).copied().unwrap_or(false)
}

fn keep(rows: &mut Vec<u32>, negated: bool, holds: impl Fn(usize) -> bool) {
    rows.retain(|row| holds(*row as usize) != negated);
}

/// Rows and set are both in order: one pass over both.
fn keep_set(chunk: &Chunk, set: &Set, rows: &mut Vec<u32>) {
    let Some(first) = rows.first() else { return };
    let first = chunk.position(*first as usize);
    let mut rest = set.positions.get(set.positions.partition_point(|position| *position < first)..).unwrap_or_default();
    rows.retain(|row| {
        let position = chunk.position(*row as usize);
        while let Some((next, further)) = rest.split_first() {
            if *next >= position {
                break;
            }
            rest = further;
        }
        (rest.first() == Some(&position)) != set.negated
    });
}

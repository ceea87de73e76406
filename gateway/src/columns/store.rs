//! The columns, chunk by chunk.

use std::collections::VecDeque;

use cabildo_events::limits::{DOCUMENT_WORDS_MAX, INDEX_CHUNK_EVENTS, INDEX_EVENTS_MAX, INDEX_NAMES_MAX};
use cabildo_events::{Position, Recorded};
use cabildo_projections::activity::UNREADABLE;
use cabildo_projections::record;
use cabildo_storage::lower_words;

use super::names::Names;

/// The number of no aggregate, no actor, no context.
pub(crate) const NOBODY: u32 = u32::MAX;

/// What events are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Type,
    Context,
    Aggregate,
    Actor,
    Lane,
}

impl Field {
    /// In the order in which facets list them.
    pub(crate) const ALL: [Self; 5] = [Self::Type, Self::Context, Self::Aggregate, Self::Actor, Self::Lane];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Context => "context",
            Self::Aggregate => "aggregate",
            Self::Actor => "actor",
            Self::Lane => "lane",
        }
    }
}

impl std::str::FromStr for Field {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|field| field.name() == text);
        known.ok_or_else(|| format!("`{text}` is no field: {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Events in a row, in order.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) shard: u16,
    pub(super) base: u64,
    /// Sequences, less the base.
    pub(super) offsets: Vec<u32>,
    pub(super) times: Vec<i64>,
    pub(super) kinds: Vec<u32>,
    pub(super) aggregates: Vec<u32>,
    pub(super) actors: Vec<u32>,
    pub(super) lanes: Vec<u8>,
    /// The words of all texts, each once a text, text after text.
    words: Vec<u32>,
    /// Where each text's words end among them.
    word_ends: Vec<u32>,
    /// Of the times, the first and the last.
    pub(super) span: (i64, i64),
}

impl Chunk {
    fn new(first: Position) -> Self {
        Self {
            shard: first.shard,
            base: first.seq,
            offsets: Vec::new(),
            times: Vec::new(),
            kinds: Vec::new(),
            aggregates: Vec::new(),
            actors: Vec::new(),
            lanes: Vec::new(),
            words: Vec::new(),
            word_ends: Vec::new(),
            span: (i64::MAX, i64::MIN),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(super) fn position(&self, row: usize) -> Position {
        let offset = self.offsets.get(row).copied().unwrap_or(0);
        Position { shard: self.shard, seq: self.base + u64::from(offset) }
    }

    fn takes(&self, position: Position) -> bool {
        let near = position.shard == self.shard
            && position.seq.checked_sub(self.base).is_some_and(|offset| u32::try_from(offset).is_ok());
        near && (self.len() as u64) < INDEX_CHUNK_EVENTS
    }

    fn shrink(&mut self) {
        self.offsets.shrink_to_fit();
        self.times.shrink_to_fit();
        self.kinds.shrink_to_fit();
        self.aggregates.shrink_to_fit();
        self.actors.shrink_to_fit();
        self.lanes.shrink_to_fit();
        self.words.shrink_to_fit();
        self.word_ends.shrink_to_fit();
    }

    /// The words of a row's text.
    pub(super) fn words(&self, row: usize) -> &[u32] {
        let end = |row: usize| self.word_ends.get(row).map_or(0, |end| *end as usize);
        let begin = row.checked_sub(1).map_or(0, end);
        self.words.get(begin..end(row)).unwrap_or_default()
    }
}

/// The dictionaries of all chunks.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    pub(super) kinds: Names,
    pub(super) aggregates: Names,
    pub(super) actors: Names,
    pub(super) contexts: Names,
    /// In lower case.
    pub(super) words: Names,
    /// The context of each aggregate.
    pub(super) context_of: Vec<u32>,
}

impl Dictionaries {
    fn len(&self) -> usize {
        self.kinds.len() + self.aggregates.len() + self.actors.len() + self.words.len()
    }

    /// Numbers the words of a text, each once.
    fn read(&mut self, text: &str, into: &mut Vec<u32>) {
        let begin = into.len();
        for word in lower_words(text) {
            if into.len() - begin == DOCUMENT_WORDS_MAX {
                break;
            }
            let number = self.words.number(&word);
            if !into.iter().skip(begin).any(|known| *known == number) {
                into.push(number);
            }
        }
    }

    fn aggregate(&mut self, name: &str) -> u32 {
        let number = self.aggregates.number(name);
        if number as usize == self.context_of.len() {
            let context = name.split_once('/').map(|(context, _)| context);
            self.context_of.push(context.map_or(NOBODY, |context| self.contexts.number(context)));
        }
        number
    }
}

/// Events that are not in the index yet, gathered chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Gathered(Vec<Chunk>);

impl Gathered {
    fn push(&mut self, names: &mut Dictionaries, event: &Recorded) {
        if !self.0.last().is_some_and(|chunk| chunk.takes(event.position)) {
            self.0.push(Chunk::new(event.position));
        }
        let Some(chunk) = self.0.last_mut() else { return };
        push(chunk, names, event);
    }
}

fn push(chunk: &mut Chunk, names: &mut Dictionaries, event: &Recorded) {
    let envelope = event.envelope.as_ref().ok();
    let time = envelope.map_or(event.recorded, |envelope| envelope.time).micros();
    chunk.offsets.push(u32::try_from(event.position.seq - chunk.base).unwrap_or(u32::MAX));
    chunk.times.push(time);
    chunk.kinds.push(names.kinds.number(envelope.map_or(UNREADABLE, |envelope| &envelope.kind)));
    chunk.aggregates.push(event.aggregate().map_or(NOBODY, |aggregate| names.aggregate(&aggregate.to_string())));
    let actor = envelope.and_then(|envelope| envelope.actor.as_ref());
    chunk.actors.push(actor.map_or(NOBODY, |actor| names.actors.number(actor.as_str())));
    chunk.lanes.push(event.lane.number());
    names.read(&record::text(event), &mut chunk.words);
    chunk.word_ends.push(u32::try_from(chunk.words.len()).unwrap_or(u32::MAX));
    chunk.span = (chunk.span.0.min(time), chunk.span.1.max(time));
}

/// The newest events: all after `from` up to and including `to`.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) names: Dictionaries,
    pub(super) events: usize,
    from: Position,
    to: Position,
}

impl Columns {
    /// None yet, at a position of the journal from which they grow both ways.
    pub(crate) fn at(position: Position) -> Self {
        Self { from: position, to: position, ..Self::default() }
    }

    /// Every event after this one is here.
    pub(crate) const fn from(&self) -> Position {
        self.from
    }

    /// The newest event that is here, or the one after which the next is expected.
    pub(crate) const fn to(&self) -> Position {
        self.to
    }

    /// Whether older events may still be taken in.
    pub(crate) fn has_room(&self) -> bool {
        self.from.seq > 0
            && self.events + usize::try_from(INDEX_CHUNK_EVENTS).unwrap_or(usize::MAX) <= INDEX_EVENTS_MAX
            && self.names.len() < INDEX_NAMES_MAX / 4 * 3
    }

    /// Puts older events aside, in order, until all of a range are together.
    pub(crate) fn gather(&mut self, gathered: &mut Gathered, page: &[Recorded]) {
        page.iter().for_each(|event| gathered.push(&mut self.names, event));
    }

    /// Takes in what was gathered: all events after `from` up to `until`, where the columns begin. If they have let go of
    /// events meanwhile there is no place for older ones.
    pub(crate) fn prepend(&mut self, from: Position, until: Position, Gathered(chunks): Gathered) {
        if self.from != until {
            return;
        }
        for mut chunk in chunks.into_iter().rev() {
            chunk.shrink();
            self.events += chunk.len();
            self.chunks.push_front(chunk);
        }
        self.from = from;
    }

    /// Takes in the newest events, in order; what is here already is passed over.
    pub(crate) fn append(&mut self, page: &[Recorded]) {
        for event in page.iter().filter(|event| event.position > self.to) {
            if !self.chunks.back().is_some_and(|chunk| chunk.takes(event.position)) {
                self.chunks.push_back(Chunk::new(event.position));
            }
            if let Some(chunk) = self.chunks.back_mut() {
                push(chunk, &mut self.names, event);
            }
            self.events += 1;
        }
        self.to = page.last().map_or(self.to, |last| last.position.max(self.to));
        while self.events > INDEX_EVENTS_MAX && self.drop_oldest() {}
        if self.names.len() > INDEX_NAMES_MAX {
            self.turn_over();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        if self.chunks.len() < 2 {
            return false;
        }
        let Some(chunk) = self.chunks.pop_front() else { return false };
        self.events -= chunk.len();
        self.from = chunk.position(chunk.len().saturating_sub(1));
        true
    }

    /// Drops the older half and the names that went with it.
    fn turn_over(&mut self) {
        for _ in 0..self.chunks.len() / 2 {
            self.drop_oldest();
        }
        let old = std::mem::take(&mut self.names);
        let names = &mut self.names;
        for chunk in &mut self.chunks {
            let renamed = |number: &mut u32, old: &Names, new: &mut dyn FnMut(&str) -> u32| {
                if *number != NOBODY {
                    *number = new(old.name(*number));
                }
            };
            chunk.kinds.iter_mut().for_each(|n| renamed(n, &old.kinds, &mut |name| names.kinds.number(name)));
            chunk.aggregates.iter_mut().for_each(|n| renamed(n, &old.aggregates, &mut |name| names.aggregate(name)));
            chunk.actors.iter_mut().for_each(|n| renamed(n, &old.actors, &mut |name| names.actors.number(name)));
            chunk.words.iter_mut().for_each(|n| renamed(n, &old.words, &mut |word| names.words.number(word)));
        }
    }

    /// How many values a field has.
    pub(crate) fn values(&self, field: Field) -> usize {
        match field {
            Field::Type => self.names.kinds.len(),
            Field::Context => self.names.contexts.len(),
            Field::Aggregate => self.names.aggregates.len(),
            Field::Actor => self.names.actors.len(),
            Field::Lane => usize::from(cabildo_events::LANES),
        }
    }

    /// A value of a field by its number.
    pub(crate) fn value(&self, field: Field, number: u32) -> String {
        match field {
            Field::Type => self.names.kinds.name(number).to_owned(),
            Field::Context => self.names.contexts.name(number).to_owned(),
            Field::Aggregate => self.names.aggregates.name(number).to_owned(),
            Field::Actor => self.names.actors.name(number).to_owned(),
            Field::Lane => format!("{number:02}"),
        }
    }
}

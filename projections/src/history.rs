//! A poll's tally as it was after any of its events.
//!
//! The same fold as the live tally's, one event at a time; what each event changed of the poll's small tables is kept in a few
//! bytes, and now and then the tables as they stood. A tally of any moment is the last tables kept before it and what changed
//! since: it costs what the distance between two of them costs, wherever it is. A history can be thrown away at any time: it is
//! folded again from the journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cabildo_events::limits::HISTORY_MARKS_MAX;
use cabildo_events::{PollId, Position, Recorded};

use crate::tally::{MINUTES, POLL, PollTally, Tally, VOTERS, VOTES};
use crate::{Cell, CellChange, Cells, Projection, Rows};

/// A text's or a cell's number, in the order of first use.
type Number = u32;

/// The tables as they stood: by the cell's number, its count, or the number of its text. A cell that is not there yet has a
/// number past the end.
type Tables = Vec<i64>;

/// Where a reader of the log may begin.
#[derive(Debug)]
struct Mark {
    /// The sequence of the last event before it.
    seq: u64,
    /// Where the log goes on.
    offset: usize,
    tables: Tables,
}

/// A poll's tally through time, as far as its events were taken in.
#[derive(Debug)]
pub struct History {
    poll: PollId,
    left_out: BTreeSet<Position>,
    reached: Position,
    /// The first event that cannot be folded: it and those after it are parked, as in the live view.
    parked: Option<Position>,
    since: Option<Position>,
    now: Tables,
    cells: Vec<Cell>,
    numbers: HashMap<Cell, Number>,
    texts: Vec<Box<str>>,
    text_numbers: HashMap<Box<str>, Number>,
    text_bytes: usize,
    /// The last ballot of each voter that counts, by its text's number.
    voters: HashMap<Box<str>, Number>,
    voter_bytes: usize,
    /// Per event that changed something: sequence (less the one before), number of changes, and each change.
    log: Vec<u8>,
    logged: u64,
    marks: Vec<Mark>,
    since_mark: usize,
    spacing: usize,
}

impl History {
    /// An empty one, which leaves these events out and keeps the tables every so many events.
    #[must_use]
    pub fn new(poll: PollId, left_out: BTreeSet<Position>, spacing: usize) -> Self {
        Self {
            poll,
            left_out,
            reached: Position::START,
            parked: None,
            since: None,
            now: Tables::new(),
            cells: Vec::new(),
            numbers: HashMap::new(),
            texts: Vec::new(),
            text_numbers: HashMap::new(),
            text_bytes: 0,
            voters: HashMap::new(),
            voter_bytes: 0,
            log: Vec::new(),
            logged: 0,
            marks: vec![Mark { seq: 0, offset: 0, tables: Tables::new() }],
            since_mark: 0,
            spacing: spacing.max(1),
        }
    }

    /// The events that it leaves out.
    #[must_use]
    pub const fn left_out(&self) -> &BTreeSet<Position> {
        &self.left_out
    }

    /// The position up to which it has every event of the poll.
    #[must_use]
    pub const fn reached(&self) -> Position {
        self.reached
    }

    /// Says that it has every event of the poll up to a position.
    pub fn reach(&mut self, position: Position) {
        self.reached = self.reached.max(position);
    }

    /// The event that opened the poll.
    #[must_use]
    pub const fn since(&self) -> Option<Position> {
        self.since
    }

    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A row of a hash map: its key and value, its place in a table that is two thirds full, the allocator's share.
        const ROW: usize = 64;
        let marks: usize = self.marks.iter().map(|mark| mark.tables.len() * 8 + 48).sum();
        let cells = self.cells.len() * (3 * ROW + 64);
        let texts = self.texts.len() * 2 * ROW + 2 * self.text_bytes;
        self.log.capacity() + marks + cells + texts + self.voters.capacity() * ROW + self.voter_bytes
    }

    /// Takes the poll's next event in. One that it has already changes nothing.
    pub fn take(&mut self, event: &Recorded) {
        if event.position <= self.reached {
            return;
        }
        self.reached = event.position;
        if self.parked.is_some() || self.left_out.contains(&event.position) {
            return;
        }
        match self.fold(event) {
            Some(changes) => self.keep(event.position.seq, changes),
            None => self.parked = Some(event.position),
        }
    }

    /// What an event changes; `None` if it cannot be folded.
    fn fold(&self, event: &Recorded) -> Option<Vec<CellChange>> {
        let Some(step) = Tally.step(event).ok()? else { return Some(vec![]) };
        let (mut keys, mut cells) = (Vec::new(), Cells::default());
        Tally.reads(&step, &mut keys);
        cells.begin(event.position);
        for key in keys {
            let row = self.row(&key);
            cells.load(key, row);
        }
        Tally.fold(step, &mut cells).ok()?;
        Some(cells.into_changes())
    }

    fn row(&self, cell: &Cell) -> Option<Box<str>> {
        let text = |number: Number| self.texts.get(usize::try_from(number).ok()?).cloned();
        if cell.table == VOTERS {
            return self.voters.get(&cell.field).and_then(|number| text(*number));
        }
        let number = usize::try_from(*self.numbers.get(cell)?).ok()?;
        self.shown(number, *self.now.get(number)?)
    }

    /// What a cell holds, as a text.
    fn shown(&self, number: usize, value: i64) -> Option<Box<str>> {
        if is_text(self.cells.get(number)?) {
            return self.texts.get(usize::try_from(value).ok()?).cloned();
        }
        Some(value.to_string().into())
    }

    fn keep(&mut self, seq: u64, changes: Vec<CellChange>) {
        let mut kept: Vec<(Number, i64)> = Vec::with_capacity(changes.len());
        for change in changes {
            let cell = change.cell();
            match cell.table {
                VOTERS => {
                    if let CellChange::Put(cell, text) = change {
                        self.put_voter(cell.field, &text);
                    }
                }
                POLL | VOTES | MINUTES => {
                    let number = self.number(cell);
                    let value = match &change {
                        CellChange::Put(_, text) => i64::from(self.text(text)),
                        CellChange::Add(_, more) => *more,
                        // A fold takes nothing away.
                        CellChange::Remove(_) => continue,
                    };
                    kept.push((number, value));
                }
                // The list of polls is no part of one.
                _ => {}
            }
        }
        if kept.is_empty() {
            return;
        }
        // A cell's first change makes it: numbers must come in their order.
        kept.sort_unstable();
        if self.since.is_none() && self.numbers.contains_key(&Cell::new(POLL, self.poll.as_str(), "state")) {
            self.since = Some(Position::at(seq));
        }
        if self.since_mark >= self.spacing {
            self.mark();
        }
        self.since_mark += 1;
        write(&mut self.log, seq - self.logged);
        write(&mut self.log, kept.len() as u64);
        for (number, value) in &kept {
            write(&mut self.log, u64::from(*number));
            write(&mut self.log, zigzag(*value));
        }
        self.logged = seq;
        for (number, value) in kept {
            change(&mut self.now, &self.cells, number, value);
        }
    }

    fn mark(&mut self) {
        if self.marks.len() >= HISTORY_MARKS_MAX {
            // Half as many, twice as far apart.
            let mut index = 0;
            self.marks.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.spacing *= 2;
        }
        self.marks.push(Mark { seq: self.logged, offset: self.log.len(), tables: self.now.clone() });
        self.since_mark = 0;
    }

    fn number(&mut self, cell: &Cell) -> Number {
        if let Some(number) = self.numbers.get(cell) {
            return *number;
        }
        let number = Number::try_from(self.cells.len()).unwrap_or(Number::MAX);
        self.cells.push(cell.clone());
        self.numbers.insert(cell.clone(), number);
        number
    }

    fn text(&mut self, text: &str) -> Number {
        if let Some(number) = self.text_numbers.get(text) {
            return *number;
        }
        let number = Number::try_from(self.texts.len()).unwrap_or(Number::MAX);
        self.texts.push(text.into());
        self.text_numbers.insert(text.into(), number);
        self.text_bytes += text.len();
        number
    }

    fn put_voter(&mut self, voter: Box<str>, ballot: &str) {
        let ballot = self.text(ballot);
        let bytes = voter.len();
        if self.voters.insert(voter, ballot).is_none() {
            self.voter_bytes += bytes;
        }
    }

    /// The tally right after an event, or at any position that was reached; `None` before the poll was opened.
    #[must_use]
    pub fn at(&self, position: Position) -> Option<PollTally> {
        let seq = position.seq;
        let after = self.marks.partition_point(|mark| mark.seq <= seq);
        let mark = self.marks.get(after.checked_sub(1)?)?;
        let (mut tables, mut log, mut at) = (mark.tables.clone(), self.log.get(mark.offset..)?, mark.seq);
        while !log.is_empty() {
            at += read(&mut log);
            if at > seq {
                break;
            }
            for _ in 0..read(&mut log) {
                let number = Number::try_from(read(&mut log)).ok()?;
                let value = unzigzag(read(&mut log));
                change(&mut tables, &self.cells, number, value);
            }
        }
        let (mut meta, mut votes, mut minutes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (number, value) in tables.into_iter().enumerate() {
            let cell = self.cells.get(number)?;
            let hash = match cell.table {
                POLL => &mut meta,
                VOTES => &mut votes,
                _ => &mut minutes,
            };
            hash.insert(String::from(&*cell.field), self.shown(number, value)?.into());
        }
        PollTally::from_hashes(self.poll.clone(), &meta, votes, minutes)
    }
}

/// Whether a cell is written over, not counted.
fn is_text(cell: &Cell) -> bool {
    cell.table == POLL && !matches!(&*cell.field, "voters" | "options" | "spoilt")
}

fn change(tables: &mut Tables, cells: &[Cell], number: Number, value: i64) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let text = cells.get(number).is_some_and(is_text);
    match tables.get_mut(number) {
        Some(held) if text => *held = value,
        Some(held) => *held += value,
        None => tables.push(value),
    }
}

/// Writes a number in groups of seven bits, the lowest first; all but the last have the high bit set.
fn write(log: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        log.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    log.push((number & 0x7f) as u8);
}

fn read(log: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = log.split_first() {
        *log = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    number
}

/// Small numbers of either sign in few bytes.
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{fold, recorded};
    use cabildo_events::poll::{BallotCast, PollClosed, PollOpened};
    use cabildo_events::{Aggregate, Event};
    use proptest::prelude::*;

    fn poll() -> PollId {
        "bands".parse().unwrap()
    }
    fn opened(options: Option<&[&str]>) -> Event {
        let options = options.map(|options| options.iter().map(|option| option.parse().unwrap()).collect());
        Event::PollOpened(PollOpened { question: "¿Quién toca?".parse().unwrap(), options, by: None })
    }
    fn ballot(voter: u32, choice: u32) -> Event {
        let (voter, choices) = (format!("v{voter}").parse().unwrap(), vec![format!("o{choice}").parse().unwrap()]);
        Event::BallotCast(BallotCast { voter, choices, fields: BTreeMap::new() })
    }

    /// The events, three sequences apart: others stand in between.
    fn story(events: &[Event]) -> Vec<Recorded> {
        let aggregate = Aggregate::poll(&poll());
        (1..).zip(events).map(|(number, event)| recorded(number * 3, &aggregate, event)).collect()
    }

    fn history(events: &[Recorded], spacing: usize) -> History {
        let mut history = History::new(poll(), BTreeSet::new(), spacing);
        events.iter().for_each(|event| history.take(event));
        history
    }

    /// The tally of a fold from the start.
    fn afresh(events: &[Recorded]) -> Option<PollTally> {
        let (mut meta, mut votes, mut minutes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for change in fold(&Tally, events).into_changes() {
            let (cell, text) = match change {
                CellChange::Add(cell, count) => (cell, count.to_string()),
                CellChange::Put(cell, text) => (cell, text.into()),
                CellChange::Remove(_) => unreachable!("a fold takes nothing away"),
            };
            let hash = match cell.table {
                POLL => &mut meta,
                VOTES => &mut votes,
                MINUTES => &mut minutes,
                _ => continue,
            };
            hash.insert(cell.field.into(), text);
        }
        PollTally::from_hashes(poll(), &meta, votes, minutes)
    }

    fn check(events: &[Event], spacing: usize) {
        let events = story(events);
        let history = history(&events, spacing);
        for seq in 0..=events.len() as u64 * 3 + 1 {
            let so_far = events.iter().filter(|event| event.position.seq <= seq).count();
            assert_eq!(history.at(Position::at(seq)), afresh(&events[..so_far]), "at {seq}, marks every {spacing}");
        }
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            1 => Just(opened(None)),
            1 => Just(opened(Some(&["o1", "o2", "o3"]))),
            1 => Just(Event::PollClosed(PollClosed {})),
            30 => (0..12_u32, 0..6_u32).prop_map(|(voter, choice)| ballot(voter, choice)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

        #[test]
        fn at_any_position_it_equals_a_fold_from_the_start(
            events in prop::collection::vec(any_event(), 0..60),
            options in any::<bool>(),
            spacing in 1_usize..9,
        ) {
            let first = opened(options.then_some(&["o1", "o2"]));
            check(&[&[first], &events[..]].concat(), spacing);
        }

        #[test]
        fn numbers_come_back(value in any::<i64>(), number in any::<u64>()) {
            let mut log = Vec::new();
            write(&mut log, zigzag(value));
            write(&mut log, number);
            let mut log = &log[..];
            prop_assert_eq!((unzigzag(read(&mut log)), read(&mut log), log.len()), (value, number, 0));
        }
    }

    #[test]
    fn it_knows_since_when_there_is_a_poll() {
        let events = story(&[ballot(1, 1), opened(None), ballot(1, 1)]);
        let history = history(&events, 1);
        assert_eq!((history.since(), history.at(Position::at(5))), (Some(Position::at(6)), None));
        assert_eq!(history.at(Position::at(6)).map(|tally| (tally.spoilt, tally.voters)), Some((1, 0)));
    }

    #[test]
    fn what_operators_left_out_is_left_out_and_what_cannot_be_folded_holds_up_the_rest() {
        let mut events = story(&[opened(None), ballot(1, 1), ballot(2, 1), ballot(3, 1)]);
        events[2].envelope.as_mut().unwrap().kind = "poll.melted".into();
        let voters = |history: &History| history.at(Position::at(12)).unwrap().voters;
        assert_eq!(voters(&history(&events, 1)), 1);
        let mut without = History::new(poll(), BTreeSet::from([Position::at(9)]), 1);
        events.iter().for_each(|event| without.take(event));
        assert_eq!(voters(&without), 2);
    }

    #[test]
    fn the_tables_kept_are_bounded_and_any_moment_is_still_right() {
        let ballots = (0..u32::try_from(HISTORY_MARKS_MAX).unwrap() * 3).map(|number| ballot(number, number % 4));
        let events = story(&std::iter::once(opened(None)).chain(ballots).collect::<Vec<_>>());
        let history = history(&events, 1);
        assert!(history.marks.len() <= HISTORY_MARKS_MAX && history.spacing > 1);
        for count in [1, 2, events.len() / 2, events.len()] {
            let at = events[count - 1].position;
            assert_eq!(history.at(at), afresh(&events[..count]));
        }
    }
}

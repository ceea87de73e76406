//! The working set of a counter projection: cells of hashes, as in Redis.

use std::collections::HashMap;

use cabildo_events::Position;

use crate::Rows;

/// One field of one hash: `table` says what kind of hash, `key` which one (for example a poll), `field` which place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The kind of hash.
    pub table: &'static str,
    /// Which hash of that kind.
    pub key: Box<str>,
    /// The field in it.
    pub field: Box<str>,
}

impl Cell {
    /// Names a cell.
    #[must_use]
    pub fn new(table: &'static str, key: &str, field: &str) -> Self {
        Self { table, key: key.into(), field: field.into() }
    }
}

/// What a batch does to a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellChange {
    /// Adds to a count (a missing cell counts 0). Adding 0 makes the cell exist.
    Add(Cell, i64),
    /// Writes a text over whatever is there. One that is a number may be added to afterwards.
    Put(Cell, Box<str>),
    /// Takes a cell away, if it is there. No fold does: a view is mended with it.
    Remove(Cell),
}

impl CellChange {
    /// The cell it changes.
    #[must_use]
    pub const fn cell(&self) -> &Cell {
        match self {
            Self::Add(cell, _) | Self::Put(cell, _) | Self::Remove(cell) => cell,
        }
    }
}

#[derive(Debug)]
enum Pending {
    Add(i64),
    Put(Box<str>),
}

/// Cells as loaded, and the increments and texts that folding adds up. A cell is either counted or written, never both.
#[derive(Debug, Default)]
pub struct Cells {
    loaded: HashMap<Cell, Box<str>>,
    pending: HashMap<Cell, Pending>,
}

impl Cells {
    /// The text of a cell that was loaded or written since.
    #[must_use]
    pub fn text(&self, cell: &Cell) -> Option<&str> {
        match self.pending.get(cell) {
            Some(Pending::Put(text)) => Some(text),
            _ => self.loaded.get(cell).map(AsRef::as_ref),
        }
    }

    /// The count of a cell that was loaded, with what was added since. A missing cell counts 0.
    #[must_use]
    pub fn count(&self, cell: &Cell) -> i64 {
        let loaded = self.loaded.get(cell).and_then(|text| text.parse().ok()).unwrap_or(0);
        match self.pending.get(cell) {
            Some(Pending::Add(more)) => loaded + more,
            _ => loaded,
        }
    }

    /// Whether the cell was loaded with a value or changed since.
    #[must_use]
    pub fn exists(&self, cell: &Cell) -> bool {
        self.pending.contains_key(cell) || self.loaded.contains_key(cell)
    }

    /// Adds to a count.
    pub fn add(&mut self, cell: Cell, more: i64) {
        if let Pending::Add(sum) = self.pending.entry(cell).or_insert(Pending::Add(0)) {
            *sum += more;
        }
    }

    /// Writes a text.
    pub fn put(&mut self, cell: Cell, text: &str) {
        self.pending.insert(cell, Pending::Put(text.into()));
    }
}

impl Rows for Cells {
    type Key = Cell;
    type Row = Box<str>;
    type Change = CellChange;

    fn begin(&mut self, _position: Position) {}

    fn load(&mut self, key: Cell, row: Option<Box<str>>) {
        if let Some(row) = row {
            self.loaded.insert(key, row);
        }
    }

    fn into_changes(self) -> Vec<CellChange> {
        let mut changes: Vec<_> = self
            .pending
            .into_iter()
            .map(|(cell, pending)| match pending {
                Pending::Add(sum) => CellChange::Add(cell, sum),
                Pending::Put(text) => CellChange::Put(cell, text),
            })
            .collect();
        changes.sort_unstable_by(|left, right| left.cell().cmp(right.cell()));
        changes
    }

    fn into_rows(self) -> Vec<(Cell, Box<str>)> {
        let row = |change| match change {
            CellChange::Add(cell, sum) => Some((cell, sum.to_string().into_boxed_str())),
            CellChange::Put(cell, text) => Some((cell, text)),
            CellChange::Remove(_) => None,
        };
        self.into_changes().into_iter().filter_map(row).collect()
    }

    fn write(key: Cell, row: Box<str>, _there: Option<&Box<str>>) -> CellChange {
        CellChange::Put(key, row)
    }

    fn remove(key: Cell, _there: &Box<str>) -> CellChange {
        CellChange::Remove(key)
    }
}

//! Names as numbers: every name once, its text beside the others' in one piece of memory.

use std::hash::{BuildHasher, RandomState};

/// A place in the table where there is no number.
const FREE: u32 = u32::MAX;

/// A dictionary. Numbers are given in the order of first sight.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<usize>,
    /// Numbers by the hash of their names, each at the first free place from there on; as many places as a power of two, half
    /// of them free at least.
    table: Vec<u32>,
    hasher: RandomState,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name with a number; empty for a number that was not given.
    pub(super) fn name(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(number).and_then(|end| self.text.get(begin..*end)).unwrap_or_default()
    }

    /// The number of a name, if it has one.
    pub(super) fn find(&self, wanted: &str) -> Option<u32> {
        let number = self.table.get(self.place(wanted)).copied();
        number.filter(|number| *number != FREE)
    }

    /// The number of a name, which it is given if it has none.
    pub(super) fn number(&mut self, wanted: &str) -> u32 {
        if let Some(number) = self.find(wanted) {
            return number;
        }
        // `INDEX_NAMES_MAX` is far below.
        let number = u32::try_from(self.ends.len()).unwrap_or(FREE - 1);
        self.text.push_str(wanted);
        self.ends.push(self.text.len());
        if self.ends.len() * 2 > self.table.len() {
            self.spread();
        } else {
            self.put(number);
        }
        number
    }

    /// All names, by number.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|number| self.name(u32::try_from(number).unwrap_or(FREE)))
    }

    /// Doubles the table.
    fn spread(&mut self) {
        self.table = vec![FREE; (self.table.len() * 2).max(16)];
        for number in 0..self.ends.len() {
            self.put(u32::try_from(number).unwrap_or(FREE));
        }
    }

    fn put(&mut self, number: u32) {
        let place = self.place(self.name(number));
        if let Some(free) = self.table.get_mut(place) {
            *free = number;
        }
    }

    /// Where a name is in the table, or would be.
    fn place(&self, name: &str) -> usize {
        let Some(mask) = self.table.len().checked_sub(1) else { return 0 };
        let hash = usize::try_from(self.hasher.hash_one(name) & u64::from(u32::MAX)).unwrap_or(0);
        let places = (0..=mask).map(|step| (hash + step) & mask);
        let is_it = |place: &usize| {
            self.table.get(*place).is_none_or(|number| *number == FREE || self.name(*number) == name)
        };
        // Half of the places are free: one is always found.
        places.into_iter().find(is_it).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_number_and_comes_back() {
        let mut names = Names::default();
        assert_eq!((names.find("a"), names.name(0)), (None, ""));
        let given: Vec<_> = (0..5_000).map(|number| names.number(&format!("voter-{number}"))).collect();
        assert_eq!(given, (0..5_000).collect::<Vec<_>>());
        assert_eq!(names.number(""), 5_000);
        for number in (0..5_000).rev() {
            assert_eq!(names.number(&format!("voter-{number}")), number);
            assert_eq!(names.name(number), format!("voter-{number}"));
        }
        assert_eq!((names.len(), names.find("voter-5000"), names.all().nth(7)), (5_001, None, Some("voter-7")));
    }
}

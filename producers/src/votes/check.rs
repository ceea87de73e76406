//! Does the tally show what was acknowledged?

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Outcome, Plan, Tally};

/// An option whose votes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The option.
    pub option: String,
    /// Its votes by the file, if every ballot had been acknowledged, with those of before.
    pub file: i64,
    /// Its votes by the acknowledgements, with those of before.
    pub acknowledged: i64,
    /// Its votes in the tally.
    pub tally: i64,
    /// Whether acknowledged votes are missing from the tally.
    pub lost: bool,
}

/// Compares the tally, option by option, with the acknowledgements, and these (if none is missing) with the file's own
/// counts. `before` is the tally from before the first ballot. Options that were not voted for must not have changed.
#[must_use]
pub fn compare(plan: &Plan, before: &Tally, outcome: &Outcome, after: &Tally) -> Vec<Difference> {
    let mut indices: BTreeMap<&str, Option<usize>> =
        before.votes.keys().chain(after.votes.keys()).map(|option| (option.as_str(), None)).collect();
    indices.extend(plan.votes.options.iter().enumerate().map(|(index, option)| (option.as_str(), Some(index))));
    let planned = plan.votes_of_options();
    let complete = outcome.acknowledged == plan.count;
    let mut differences = Vec::new();
    for (option, index) in indices {
        let of = |votes: &[i64]| index.map_or(0, |index| votes[index]);
        let was = before.votes.get(option).copied().unwrap_or(0);
        let tally = after.votes.get(option).copied().unwrap_or(0);
        let (file, acknowledged) = (was + of(&planned), was + of(&outcome.votes));
        let lost = tally < acknowledged - of(&outcome.maybe_fewer);
        let more = tally > acknowledged + of(&outcome.maybe_more);
        if lost || more || (complete && acknowledged != file) {
            differences.push(Difference { option: option.to_owned(), file, acknowledged, tally, lost });
        }
    }
    differences
}

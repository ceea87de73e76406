//! Who casts which ballot, and when.

use std::time::Duration;

use cabildo_events::{BadText, PollId, VoterId};

use super::{Row, Votes};

/// What is to be cast. Ballot `i` is row `i mod rows` (or one picked by the seed) and comes from voter `i mod voters`. All
/// ballots of a voter are cast by the same client, one after another, so that the voter's last one is known.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The poll.
    pub poll: PollId,
    /// The ballots to draw from; not empty.
    pub votes: Votes,
    /// How many ballots to cast.
    pub count: u64,
    /// How many clients cast them at the same time; at least 1.
    pub users: u64,
    /// How many voters there are; at least 1.
    pub voters: u64,
    /// Voters are called `{prefix}-{number}`.
    pub voter_prefix: String,
    /// Picks rows at random by this seed instead of in order.
    pub seed: Option<u64>,
    /// Ballots a second; `None`: as fast as they are answered.
    pub rate: Option<f64>,
    /// Names this run: a ballot that is sent again carries the same key.
    pub run: String,
}

impl Plan {
    /// The row of a ballot.
    #[must_use]
    pub fn row(&self, ballot: u64) -> &Row {
        let pick = self.seed.map_or(ballot, |seed| mix(seed ^ mix(ballot)));
        let rows = self.votes.rows.len().max(1);
        let index = pick % u64::try_from(rows).unwrap_or(u64::MAX);
        &self.votes.rows[usize::try_from(index).unwrap_or(0)]
    }

    /// The voter of a ballot.
    ///
    /// # Errors
    /// When the prefix makes no voter id.
    pub fn voter(&self, ballot: u64) -> Result<VoterId, BadText> {
        VoterId::try_from(format!("{}-{}", self.voter_prefix, ballot % self.voters))
    }

    /// The ballots of one client, in the order in which it casts them.
    pub fn ballots_of(&self, user: u64) -> impl Iterator<Item = u64> + use<> {
        let (count, users, voters) = (self.count, self.users, self.voters);
        let own = usize::try_from(users).unwrap_or(usize::MAX);
        (0..count.div_ceil(voters))
            .flat_map(move |round| (user..voters).step_by(own).map(move |voter| round * voters + voter))
            .filter(move |ballot| *ballot < count)
    }

    /// How many votes each option has when every ballot is in: only the last one of a voter counts.
    #[must_use]
    pub fn votes_of_options(&self) -> Vec<i64> {
        let mut votes = vec![0; self.votes.options.len()];
        for last in self.count.saturating_sub(self.voters)..self.count {
            votes[self.row(last).option] += 1;
        }
        votes
    }

    /// How long after the start the n-th ballot is due.
    #[must_use]
    pub fn due(&self, ticket: u64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "a due time to the microsecond is enough")]
        self.rate.map(|rate| Duration::try_from_secs_f64(ticket as f64 / rate).unwrap_or(Duration::MAX))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood): a good hash of a number.
const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn plan(rows: usize, count: u64, users: u64, voters: u64, seed: Option<u64>) -> Plan {
        let options = (0..rows).map(|row| format!("o{row}").parse().unwrap()).collect();
        let rows = (0..rows).map(|option| Row { option, fields: BTreeMap::new() }).collect();
        let votes = Votes { options, rows };
        let (poll, voter_prefix, run) = ("p".parse().unwrap(), "voter".to_owned(), "run".to_owned());
        Plan { poll, votes, count, users, voters, voter_prefix, seed, rate: None, run }
    }

    proptest! {
        #[test]
        fn every_ballot_is_cast_once_and_a_voter_stays_with_one_client_in_order(
            rows in 1..5_usize, count in 0..200_u64, users in 1..20_u64, voters in 1..60_u64, seed in any::<Option<u64>>(),
        ) {
            let plan = plan(rows, count, users, voters, seed);
            let mut all = Vec::new();
            let mut last = BTreeMap::new();
            for user in 0..users {
                let own: Vec<_> = plan.ballots_of(user).collect();
                prop_assert!(own.iter().all(|ballot| ballot % voters % users == user));
                own.iter().for_each(|ballot| {
                    let before = last.insert(plan.voter(*ballot).unwrap(), *ballot);
                    assert!(before < Some(*ballot));
                });
                all.extend(own);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            let mut votes = vec![0; rows];
            last.values().for_each(|ballot| votes[plan.row(*ballot).option] += 1);
            prop_assert_eq!(votes, plan.votes_of_options());
        }
    }

    #[test]
    fn rows_come_in_order_or_by_the_seed() {
        let rows = |plan: &Plan| (0..6).map(|ballot| plan.row(ballot).option).collect::<Vec<_>>();
        assert_eq!(rows(&plan(3, 6, 1, 6, None)), [0, 1, 2, 0, 1, 2]);
        assert_eq!(rows(&plan(3, 6, 1, 6, Some(1))), rows(&plan(3, 6, 1, 6, Some(1))));
        assert_ne!(rows(&plan(99, 6, 1, 6, Some(1))), rows(&plan(99, 6, 1, 6, Some(2))));
    }
}

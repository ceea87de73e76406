//! Brakes on guessing: so many tries under one name and from one address, then one now and then.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use cabildo_events::PersonName;
use cabildo_events::limits::{ADDRESS_TRIES_BURST, ADDRESS_TRY_MS, NAME_TRIES_BURST, NAME_TRY_MS};
use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// How many tries are let through; by default what `limits` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Under one name at once.
    pub name_burst: u32,
    /// Then one in so long.
    pub name_every: Duration,
    /// From one address at once.
    pub address_burst: u32,
    /// Then one in so long.
    pub address_every: Duration,
}

impl Default for Tries {
    fn default() -> Self {
        Self {
            name_burst: NAME_TRIES_BURST,
            name_every: Duration::from_millis(NAME_TRY_MS),
            address_burst: ADDRESS_TRIES_BURST,
            address_every: Duration::from_millis(ADDRESS_TRY_MS),
        }
    }
}

pub(super) struct Brakes {
    names: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Brakes {
    pub(super) fn new(tries: Tries) -> Self {
        Self {
            names: RateLimiter::keyed(quota(tries.name_burst, tries.name_every)),
            addresses: RateLimiter::keyed(quota(tries.address_burst, tries.address_every)),
        }
    }

    /// Takes one try from an address; an error says how long to wait for the next one.
    pub(super) fn from(&self, address: IpAddr) -> Result<(), Duration> {
        take(&self.addresses, &network(address))
    }

    /// Takes one try under a name.
    pub(super) fn under(&self, name: &PersonName) -> Result<(), Duration> {
        take(&self.names, &name.as_str().to_lowercase())
    }

    /// Forgets who has been quiet for long enough to have all tries again.
    pub(super) fn sweep(&self) {
        self.names.retain_recent();
        self.addresses.retain_recent();
        self.names.shrink_to_fit();
        self.addresses.shrink_to_fit();
    }
}

fn quota(burst: u32, every: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(every).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
}

fn take<K: Clone + Eq + std::hash::Hash>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Duration> {
    limiter.check_key(key).map_err(|until| until.wait_time_from(limiter.clock().now()))
}

/// An IPv6 client has a whole /64 to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn tries_are_counted_by_name_without_regard_to_case_and_by_network() {
        let hour = Duration::from_secs(3_600);
        let brakes = Brakes::new(Tries { name_burst: 2, name_every: hour, address_burst: 1, address_every: hour });
        let name = |text: &str| text.parse::<PersonName>().unwrap();
        assert!(brakes.under(&name("Ana")).is_ok() && brakes.under(&name("ANA")).is_ok());
        let wait = brakes.under(&name("ana")).unwrap_err();
        assert!(wait > hour / 2 && wait <= hour, "{wait:?}");
        assert!(brakes.under(&name("Ben")).is_ok());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(brakes.from(address("2001:db8::1")).is_ok());
        assert!(brakes.from(address("2001:db8::2")).is_err());
        assert!(brakes.from(address("2001:db8:0:1::2")).is_ok());
        assert!(brakes.from(address("192.0.2.1")).is_ok());
        assert!(brakes.from(address("::ffff:192.0.2.1")).is_err());
    }

    #[test]
    fn who_has_been_quiet_is_forgotten() {
        let soon = Duration::from_millis(1);
        let brakes = Brakes::new(Tries { name_burst: 1, name_every: soon, address_burst: 1, address_every: soon });
        brakes.from("192.0.2.1".parse().unwrap()).unwrap();
        let began = Instant::now();
        while !brakes.addresses.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "it is kept for ever");
            brakes.sweep();
        }
    }
}

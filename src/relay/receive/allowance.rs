//! How many requests are taken: of a source that are verified, and of an address that are not.
//!
//! # Invariants
//! - What is refused here uses nothing up: who waits as long as he is told is taken.
//! - Memory is bounded whoever calls: addresses share [`PLACES`] places by a hash that nobody can
//!   foresee. Two that meet in one share an allowance; what is verified needs none.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use jiff::Timestamp;

use super::RateLimit;
use crate::clock::{Clock, until};

/// What an address may send that does not verify.
const OF_AN_ADDRESS: RateLimit = RateLimit {
    per_minute: NonZeroU32::new(60).expect("60 is not zero"),
    burst: NonZeroU32::new(60).expect("60 is not zero"),
};
/// Of addresses: about a MiB.
const PLACES: NonZeroU16 = NonZeroU16::new(16_384).expect("16,384 is not zero");
/// With one more in a minute, so many at once take two years to be there again.
const MOST_AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000_000).expect("a million is not zero");

/// So many requests a minute.
pub(super) struct Allowance(RateLimiter<NotKeyed, InMemoryState, Time, NoOpMiddleware<Duration>>);

/// So many requests a minute of each address.
pub(super) struct ByAddress {
    places: RateLimiter<u16, HashMapStateStore<u16>, Time, NoOpMiddleware<Duration>>,
    hash: RandomState,
}

impl Allowance {
    pub(super) fn new(limit: RateLimit, clock: &Clock) -> Self {
        Self(RateLimiter::direct_with_clock(
            quota(limit),
            Time::new(clock),
        ))
    }

    /// Uses up one, or says how long to wait for one.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.0.check().map_err(|not| wait(&not, self.0.clock()))
    }
}

impl ByAddress {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            places: RateLimiter::hashmap_with_clock(quota(OF_AN_ADDRESS), Time::new(clock)),
            hash: RandomState::new(),
        }
    }

    /// Uses up one of this address, or says how long to wait for one.
    pub(super) fn take(&self, address: IpAddr) -> Result<(), Duration> {
        let [high, low, ..] = self.hash.hash_one(network(address)).to_be_bytes();
        let place = u16::from_be_bytes([high, low]) % PLACES;
        let taken = self.places.check_key(&place);
        taken.map_err(|not| wait(&not, self.places.clock()))
    }
}

/// Whose allowance an address uses: of IPv6 a customer has a network of 64 bits at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn quota(limit: RateLimit) -> Quota {
    let each = Duration::from_mins(1) / limit.per_minute.get();
    let quota = Quota::with_period(each).expect("a minute has more nanoseconds than a u32 counts");
    quota.allow_burst(limit.burst.min(MOST_AT_ONCE))
}

fn wait(not: &NotUntil<Duration>, time: &Time) -> Duration {
    not.wait_time_from(governor::clock::Clock::now(time))
}

/// Our steady clock, since the limiter was made.
#[derive(Clone, Debug)]
struct Time {
    clock: Clock,
    begin: Timestamp,
}

impl Time {
    fn new(clock: &Clock) -> Self {
        Self {
            begin: clock.steady(),
            clock: clock.clone(),
        }
    }
}

impl governor::clock::Clock for Time {
    type Instant = Duration;

    fn now(&self) -> Duration {
        until(self.begin, self.clock.steady())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limit(per_minute: u32, burst: u32) -> RateLimit {
        RateLimit {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    #[test]
    fn so_many_at_once_and_then_so_many_a_minute() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let allowance = Allowance::new(limit(6, 3), &clock);
        for _ in 0..3 {
            assert_eq!(allowance.take(), Ok(()));
        }
        assert_eq!(allowance.take(), Err(10 * SECOND));
        hand.advance(4 * SECOND);
        assert_eq!(
            allowance.take(),
            Err(6 * SECOND),
            "what was refused used nothing"
        );
        hand.advance(6 * SECOND);
        assert_eq!(allowance.take(), Ok(()));
        assert_eq!(allowance.take(), Err(10 * SECOND));
        hand.advance(60 * SECOND);
        for _ in 0..3 {
            assert_eq!(allowance.take(), Ok(()));
        }
        assert!(allowance.take().is_err(), "never more than at once");
    }

    #[test]
    fn a_wall_clock_that_jumps_gives_and_takes_nothing() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let allowance = Allowance::new(limit(1, 1), &clock);
        assert_eq!(allowance.take(), Ok(()));
        hand.set_wall(Timestamp::MAX);
        assert_eq!(allowance.take(), Err(60 * SECOND));
    }

    #[test]
    fn no_limit_is_too_large_or_too_small() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        for (per_minute, burst) in [(1, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX, 1), (1, 1)] {
            let allowance = Allowance::new(limit(per_minute, burst), &clock);
            assert_eq!(allowance.take(), Ok(()), "{per_minute} {burst}");
            hand.advance(SECOND);
            allowance.take().ok();
        }
    }

    #[test]
    fn an_address_has_sixty_at_once_and_one_a_second_and_leaves_others_theirs() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let unverified = ByAddress::new(&clock);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = address("192.0.2.1");
        for _ in 0..60 {
            assert_eq!(unverified.take(one), Ok(()));
        }
        assert_eq!(unverified.take(one), Err(SECOND));
        assert_eq!(unverified.take(address("::ffff:192.0.2.1")), Err(SECOND));
        assert_eq!(unverified.take(address("2001:db8::1")), Ok(()));
        hand.advance(SECOND);
        assert_eq!(unverified.take(one), Ok(()));
        assert_eq!(unverified.take(one), Err(SECOND));
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn a_hundred_thousand_addresses_take_bounded_memory() {
        let (clock, _hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let unverified = ByAddress::new(&clock);
        for n in 0..100_000_u32 {
            unverified
                .take(std::net::Ipv4Addr::from_bits(n).into())
                .ok();
        }
        let places = unverified.places.len();
        assert!(places <= usize::from(PLACES.get()), "{places}");
        assert!(places > 10_000, "{places}: they are spread");
    }
}

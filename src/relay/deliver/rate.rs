//! How many posts go out in a time: evenly spaced, so that no stretch of time sees more.
//!
//! # Invariants
//! - Pure: time is an argument.
//! - In any stretch of time no more go out than the rate allows for it and [`TOLERANCE`].

use std::time::Duration;

use jiff::Timestamp;

use super::Rate;
use crate::clock::later;

/// Timers are no finer than a millisecond or so: what was late by less may be caught up.
const TOLERANCE: Duration = Duration::from_millis(20);

/// One destination's rate; without a limit everything may go at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limiter {
    spacing: Option<Duration>,
    next_at: Timestamp,
}

impl Limiter {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self {
            spacing: rate.map(|rate| rate.per / rate.count.max(1)),
            next_at: Timestamp::MIN,
        }
    }

    /// When the next post may go out: now, or later.
    pub(super) fn next_at(&self, now: Timestamp) -> Timestamp {
        match self.spacing {
            None => now,
            Some(_) => self.next_at.max(now),
        }
    }

    /// A post goes out now.
    pub(super) fn count(&mut self, now: Timestamp) {
        if let Some(spacing) = self.spacing {
            let not_before = now.checked_sub(TOLERANCE).unwrap_or(now);
            self.next_at = later(self.next_at.max(not_before), spacing);
        }
    }

    /// How many may go out within this time.
    pub(super) fn within(&self, time: Duration) -> usize {
        let Some(spacing) = self.spacing else {
            return usize::MAX;
        };
        let n = time.as_nanos() / spacing.as_nanos().max(1);
        usize::try_from(n).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_the_rate_allows(
            count in 1u32..200, waits in prop::collection::vec(0u64..200, 1..300)
        ) {
            let rate = Rate { count, per: Duration::from_secs(1) };
            let mut limiter = Limiter::new(Some(rate));
            let (mut now, mut sent) = (Timestamp::UNIX_EPOCH, Vec::new());
            for wait in waits {
                now = later(now, Duration::from_millis(wait)).max(limiter.next_at(now));
                if limiter.next_at(now) <= now {
                    limiter.count(now);
                    sent.push(now);
                }
            }
            for (i, from) in sent.iter().enumerate() {
                let second = later(*from, Duration::from_secs(1));
                let within = sent[i..].iter().filter(|at| **at < second).count();
                let tolerated = count / 50 + 2;
                prop_assert!(within <= usize::try_from(count + tolerated).unwrap());
            }
        }
    }

    #[test]
    fn without_a_limit_everything_goes_at_once() {
        let mut limiter = Limiter::new(None);
        let now = Timestamp::UNIX_EPOCH;
        for _ in 0..1000 {
            assert_eq!(limiter.next_at(now), now);
            limiter.count(now);
        }
    }
}

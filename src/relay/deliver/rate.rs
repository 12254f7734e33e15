//! How many requests go out in a time: evenly spaced, so that no stretch of time sees more.
//!
//! # Invariants
//! - Pure: time is an argument.
//! - In any stretch of time no more go out than the rate allows for it and [`TOLERANCE`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Rate;
use crate::clock::later;

/// Timers are no finer than a millisecond or so: what was late by less may be caught up.
const TOLERANCE: Duration = Duration::from_millis(20);

/// One destination's rate, which all copies share; without a limit everything may go at once.
#[derive(Clone, Debug)]
pub struct Limiter {
    spacing: Option<Duration>,
    next_at: Arc<Mutex<Timestamp>>,
}

impl Limiter {
    /// Nothing has gone out yet.
    pub fn new(rate: Option<Rate>) -> Self {
        Self {
            spacing: rate.map(|rate| rate.per / rate.count.max(1)),
            next_at: Arc::new(Mutex::new(Timestamp::MIN)),
        }
    }

    /// Counts a request that goes out now; or says when one may.
    pub fn take(&self, now: Timestamp) -> Result<(), Timestamp> {
        match self.next_at(now) {
            at if at <= now => {
                self.count(now);
                Ok(())
            }
            at => Err(at),
        }
    }

    /// When the next post may go out: now, or later.
    pub(super) fn next_at(&self, now: Timestamp) -> Timestamp {
        match self.spacing {
            None => now,
            Some(_) => (*self.shared()).max(now),
        }
    }

    /// A post goes out now.
    pub(super) fn count(&self, now: Timestamp) {
        if let Some(spacing) = self.spacing {
            let not_before = now.checked_sub(TOLERANCE).unwrap_or(now);
            let mut next_at = self.shared();
            *next_at = later((*next_at).max(not_before), spacing);
        }
    }

    fn shared(&self) -> MutexGuard<'_, Timestamp> {
        self.next_at.lock().unwrap_or_else(PoisonError::into_inner)
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
            let limiter = Limiter::new(Some(rate));
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
    fn posts_and_questions_share_one_rate() {
        let rate = Rate {
            count: 10,
            per: Duration::from_secs(1),
        };
        let posts = Limiter::new(Some(rate));
        let questions = posts.clone();
        let now = Timestamp::UNIX_EPOCH;
        posts.count(now);
        let next = questions.take(now).unwrap_err();
        assert_eq!(questions.take(next), Ok(()));
        assert!(posts.next_at(next) > next);
    }

    #[test]
    fn without_a_limit_everything_goes_at_once() {
        let limiter = Limiter::new(None);
        let now = Timestamp::UNIX_EPOCH;
        for _ in 0..1000 {
            assert_eq!(limiter.next_at(now), now);
            limiter.count(now);
        }
    }
}

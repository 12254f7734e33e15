//! How long to wait before the next try: exponential backoff with jitter.
//!
//! # Invariants
//! - Pure: randomness is an argument.
//! - A delay lies between `first` and `longest` plus the jitter; before jitter it never shrinks
//!   from one try to the next.

use std::time::Duration;

/// Delays that double from `first` to `longest`, with up to `jitter` of the delay added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The delay after the first failure.
    pub first: Duration,
    /// No delay before jitter is longer.
    pub longest: Duration,
    /// The part of the delay that chance may add, 0 to 1.
    pub jitter: f64,
}

impl Schedule {
    /// From a second to a minute, up to a fifth added so that a herd spreads out.
    pub const SECOND_TO_MINUTE: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_mins(1),
        jitter: 0.2,
    };

    /// The wait after `failures` failures in a row (1 is the first). `chance` lies in 0..1.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let base = self.first.saturating_mul(1 << doublings).min(self.longest);
        base.mul_f64(1.0 + self.jitter * chance.clamp(0.0, 1.0))
    }
}

/// A number in 0..1 from the system's random source, to be passed to [`Schedule::delay`].
///
/// Where that source fails the jitter is left out: a retry must go out all the same.
pub fn chance() -> f64 {
    let random = getrandom::u32().unwrap_or(0);
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_stays_within_its_bounds(failures: u32, chance in 0.0..1.0) {
            let schedule = Schedule::SECOND_TO_MINUTE;
            let delay = schedule.delay(failures, chance);
            prop_assert!(delay >= schedule.first);
            prop_assert!(delay <= schedule.longest.mul_f64(1.2));
        }

        #[test]
        fn a_delay_never_shrinks_before_jitter(failures in 0u32..u32::MAX) {
            let schedule = Schedule::SECOND_TO_MINUTE;
            prop_assert!(schedule.delay(failures, 0.0) <= schedule.delay(failures + 1, 0.0));
        }
    }

    #[test]
    fn delays_double_from_a_second_to_a_minute() {
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60].map(Duration::from_secs);
        for (failures, expected) in (1u32..).zip(seconds) {
            assert_eq!(Schedule::SECOND_TO_MINUTE.delay(failures, 0.0), expected);
        }
    }
}

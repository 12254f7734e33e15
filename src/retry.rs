//! How long to wait before the next try: exponential backoff or a schedule, with jitter.
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

/// When a delivery is tried again, and when it is given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The waits before the first, the second … retry.
    pub schedule: Vec<Duration>,
    /// The wait before each further one.
    pub then_every: Duration,
    /// Given up when it has waited so long while the destination worked; none: never.
    pub give_up_after: Option<Duration>,
    /// The part of a wait that chance may add, 0 to 1.
    pub jitter: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            schedule: [0, 5, 30, 120, 600, 1800].map(Duration::from_secs).to_vec(),
            then_every: Duration::from_mins(30),
            give_up_after: Some(Duration::from_hours(75)),
            jitter: 0.2,
        }
    }
}

impl Plan {
    /// The wait after `failures` failures in a row (1 is the first). `chance` lies in 0..1.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        let base = self.schedule.get(step).copied().unwrap_or(self.then_every);
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
    fn a_plan_goes_through_its_schedule_and_then_on_at_one_pace() {
        let seconds = [0, 5, 30, 120, 600, 1800, 1800, 1800].map(Duration::from_secs);
        for (failures, expected) in (1u32..).zip(seconds) {
            assert_eq!(Plan::default().delay(failures, 0.0), expected);
        }
    }

    proptest! {
        #[test]
        fn a_planned_wait_is_its_step_and_at_most_the_jitter_more(
            steps in prop::collection::vec(0u64..100_000, 0..9), every in 1u64..100_000,
            jitter in 0.0..1.0, failures in 1u32..20, chance in 0.0..1.0
        ) {
            let plan = Plan {
                schedule: steps.iter().copied().map(Duration::from_secs).collect(),
                then_every: Duration::from_secs(every),
                give_up_after: None,
                jitter,
            };
            let base = plan.delay(failures, 0.0);
            let delay = plan.delay(failures, chance);
            prop_assert!(delay >= base && delay <= base.mul_f64(1.0 + jitter));
        }

        #[test]
        fn the_default_plan_never_shrinks_before_jitter(failures in 0u32..50) {
            let plan = Plan::default();
            prop_assert!(plan.delay(failures, 0.0) <= plan.delay(failures + 1, 0.0));
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

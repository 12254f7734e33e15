//! How often somebody may try a password or a set-up code. Whoever may try holds a [`Leave`], and
//! nothing that costs anything is done without one.
//!
//! # Invariants
//! - Pure: the time is an argument, of a clock that never jumps.
//! - A try counts as failed from its beginning, so that tries side by side are counted too; one
//!   that was right takes that back.
//! - Whoever is refused uses nothing up: who waits as long as he is told may try.
//! - Bounded: no more names than [`MOST_IN_ALL`] are held, since a name is forgotten sooner than a
//!   try in all.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{later, until};

/// So many failures of a name cost nothing.
const FREE: u32 = 5;
/// What the next one costs; each further one costs twice as much.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// But not more than this.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// So long after its wait a name's failures are forgotten.
const FORGOTTEN: Duration = Duration::from_mins(15);
/// So many failures of all names together are taken within [`HOUR`].
const MOST_IN_ALL: usize = 60;
const HOUR: Duration = Duration::from_hours(1);

/// Failures, per name and in all.
#[derive(Debug, Default)]
pub(super) struct Limits {
    names: HashMap<String, Failures>,
    all: VecDeque<Timestamp>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    /// When the next try is taken.
    until: Timestamp,
}

/// The right to make one try. It has failed unless [`Limits::right`] hears of it.
#[derive(Debug)]
#[must_use]
pub(super) struct Leave {
    name: String,
    at: Timestamp,
}

impl Limits {
    /// Lets this name try once, or says how long it must wait.
    pub(super) fn ask(&mut self, name: &str, now: Timestamp) -> Result<Leave, Duration> {
        self.forget(now);
        let of_all = match self.all.front() {
            Some(first) if self.all.len() >= MOST_IN_ALL => until(now, later(*first, HOUR)),
            _ => Duration::ZERO,
        };
        let failures = self.names.get(name);
        let of_name = failures.map_or(Duration::ZERO, |failures| until(now, failures.until));
        match of_all.max(of_name) {
            Duration::ZERO => {}
            wait => return Err(wait),
        }
        let count = failures.map_or(0, |failures| failures.count) + 1;
        let until = later(now, wait_after(count));
        self.names
            .insert(name.to_owned(), Failures { count, until });
        self.all.push_back(now);
        Ok(Leave {
            name: name.to_owned(),
            at: now,
        })
    }

    /// The try was right: the name begins anew.
    pub(super) fn right(&mut self, leave: &Leave) {
        self.names.remove(&leave.name);
        if let Some(place) = self.all.iter().rposition(|at| *at == leave.at) {
            self.all.remove(place);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.names
            .retain(|_, failures| now < later(failures.until, FORGOTTEN));
        while self.all.front().is_some_and(|at| later(*at, HOUR) <= now) {
            self.all.pop_front();
        }
    }
}

/// How long to wait after so many failures.
fn wait_after(count: u32) -> Duration {
    let Some(doublings) = count.checked_sub(FREE) else {
        return Duration::ZERO;
    };
    let factor = 2_u32.saturating_pow(doublings);
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(seconds: u64) -> Timestamp {
        later(NOW, Duration::from_secs(seconds))
    }

    /// Fails once, and says how long it had to wait.
    fn fail(limits: &mut Limits, name: &str, now: Timestamp) -> Option<u64> {
        limits.ask(name, now).err().map(|wait| wait.as_secs())
    }

    #[test]
    fn the_sixth_try_waits_and_each_further_one_twice_as_long_up_to_15_minutes() {
        let mut limits = Limits::default();
        for _ in 0..5 {
            assert_eq!(fail(&mut limits, "ann", NOW), None);
        }
        let mut now = 0;
        for wait in [30, 60, 120, 240, 480, 900, 900, 900] {
            assert_eq!(fail(&mut limits, "ann", at(now)), Some(wait));
            assert_eq!(fail(&mut limits, "ann", at(now + wait - 1)), Some(1));
            now += wait;
            assert_eq!(fail(&mut limits, "ann", at(now)), None, "after {wait} s");
        }
    }

    #[test]
    fn a_name_has_its_own_failures() {
        let mut limits = Limits::default();
        for _ in 0..6 {
            fail(&mut limits, "ann", NOW);
        }
        assert!(fail(&mut limits, "ann", NOW).is_some());
        assert_eq!(fail(&mut limits, "ben", NOW), None);
    }

    #[test]
    fn who_was_right_begins_anew_and_used_up_nothing_of_all() {
        let mut limits = Limits::default();
        for _ in 0..4 {
            fail(&mut limits, "ann", NOW);
        }
        let leave = limits.ask("ann", NOW).unwrap();
        limits.right(&leave);
        assert_eq!(limits.all.len(), 4);
        for _ in 0..5 {
            assert_eq!(fail(&mut limits, "ann", NOW), None);
        }
        assert_eq!(fail(&mut limits, "ann", NOW), Some(30));
    }

    #[test]
    fn failures_are_forgotten_after_15_minutes() {
        let mut limits = Limits::default();
        for _ in 0..5 {
            fail(&mut limits, "ann", NOW);
        }
        let forgotten = 30 + 15 * 60;
        assert_eq!(fail(&mut limits, "ann", at(forgotten - 1)), None);
        assert_eq!(fail(&mut limits, "ann", at(forgotten - 1)), Some(60));
        assert_eq!(fail(&mut limits, "ben", NOW), None);
        limits.forget(at(60 * 60 * 24));
        assert!(limits.names.is_empty() && limits.all.is_empty());
    }

    #[test]
    fn sixty_failures_an_hour_are_all_and_no_more_names_are_held() {
        let mut limits = Limits::default();
        for n in 0..60 {
            assert_eq!(fail(&mut limits, &format!("name-{n}"), at(n)), None);
        }
        for n in 60..100_000_u64 {
            assert!(fail(&mut limits, &format!("name-{n}"), at(60)).is_some());
        }
        assert_eq!(fail(&mut limits, "another", at(60)), Some(60 * 60 - 60));
        assert!(limits.names.len() <= MOST_IN_ALL && limits.all.len() == MOST_IN_ALL);
        assert_eq!(fail(&mut limits, "another", at(60 * 60)), None);
        assert_eq!(fail(&mut limits, "another", at(60 * 60)), Some(1));
    }

    #[test]
    fn tries_side_by_side_are_counted_before_they_end() {
        let mut limits = Limits::default();
        let leaves: Vec<_> = (0..10).map(|_| limits.ask("ann", NOW)).collect();
        assert_eq!(leaves.iter().filter(|leave| leave.is_ok()).count(), 5);
    }
}

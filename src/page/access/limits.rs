//! How often somebody may try a password or a set-up code. Whoever may try holds a [`Leave`], and
//! nothing that costs anything is done without one.
//!
//! # Invariants
//! - Pure: the time is an argument, of a clock that never jumps.
//! - A try counts as failed from its beginning, so that tries side by side are counted too; one
//!   that was right takes that back.
//! - Whoever is refused uses nothing up: who waits as long as he is told may try.
//! - Strangers have a rate in all, and no more: nobody can shut everybody out for longer than
//!   [`WINDOW`], and whoever has a session is not counted with them.
//! - Bounded: by that rate a name is new, and each is forgotten half an hour later at most; who has
//!   a session has an account.

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
/// So many failures of all strangers together are taken within [`WINDOW`].
const MOST_IN_ALL: usize = 60;
const WINDOW: Duration = Duration::from_mins(1);

/// Whose try it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    /// A stranger's, by this name.
    Name(&'a str),
    /// A stranger's, of the set-up code. It has 40 bits: the rate in all is enough, and whoever
    /// has the code is not to be shut out.
    Code,
    /// Of the account that somebody is logged in with.
    Session(&'a str),
}

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
    name: Option<String>,
    /// Where it counts in all.
    at: Option<Timestamp>,
}

impl Limits {
    /// Lets somebody try once, or says how long they must wait.
    pub(super) fn ask(&mut self, of: Of<'_>, now: Timestamp) -> Result<Leave, Duration> {
        self.forget(now);
        let name = match of {
            Of::Name(name) => Some(name.to_owned()),
            Of::Code => None,
            // No account has such a name, so that a stranger's tries are not counted here.
            Of::Session(name) => Some(format!("session of {name}")),
        };
        let counts_in_all = !matches!(of, Of::Session(_));
        let of_all = match self.all.front() {
            Some(first) if counts_in_all && self.all.len() >= MOST_IN_ALL => {
                until(now, later(*first, WINDOW))
            }
            _ => Duration::ZERO,
        };
        let failures = name.as_ref().and_then(|name| self.names.get(name));
        let of_name = failures.map_or(Duration::ZERO, |failures| until(now, failures.until));
        match of_all.max(of_name) {
            Duration::ZERO => {}
            wait => return Err(wait),
        }
        let count = failures.map_or(0, |failures| failures.count) + 1;
        if let Some(name) = &name {
            let until = later(now, wait_after(count));
            self.names.insert(name.clone(), Failures { count, until });
        }
        if counts_in_all {
            self.all.push_back(now);
        }
        let at = counts_in_all.then_some(now);
        Ok(Leave { name, at })
    }

    /// The try was right: the name begins anew.
    pub(super) fn right(&mut self, leave: &Leave) {
        if let Some(name) = &leave.name {
            self.names.remove(name);
        }
        if let Some(place) = self.all.iter().rposition(|at| Some(*at) == leave.at) {
            self.all.remove(place);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.names
            .retain(|_, failures| now < later(failures.until, FORGOTTEN));
        while self.all.front().is_some_and(|at| later(*at, WINDOW) <= now) {
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
        limits
            .ask(Of::Name(name), now)
            .err()
            .map(|wait| wait.as_secs())
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
        let leave = limits.ask(Of::Name("ann"), NOW).unwrap();
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
    fn strangers_have_a_rate_in_all_and_the_set_up_code_no_other() {
        let mut limits = Limits::default();
        for n in 0..60 {
            assert!(limits.ask(Of::Code, at(n)).is_ok(), "{n}");
        }
        assert_eq!(
            limits.ask(Of::Code, at(59)).unwrap_err(),
            Duration::from_secs(1)
        );
        assert_eq!(fail(&mut limits, "ann", at(59)), Some(1));
        assert!(limits.ask(Of::Code, at(60)).is_ok());
        assert_eq!(fail(&mut limits, "ann", at(60)), Some(1));
    }

    #[test]
    fn no_stranger_shuts_out_who_has_a_session() {
        let mut limits = Limits::default();
        for n in 0..100 {
            limits.ask(Of::Name("ann"), NOW).ok();
            limits.ask(Of::Name(&format!("name-{n}")), NOW).ok();
        }
        assert!(fail(&mut limits, "ann", NOW).is_some());
        for _ in 0..5 {
            assert!(limits.ask(Of::Session("ann"), NOW).is_ok());
        }
        assert!(
            limits.ask(Of::Session("ann"), NOW).is_err(),
            "by its own tries"
        );
        assert_eq!(limits.all.len(), MOST_IN_ALL);
    }

    #[test]
    fn as_many_names_are_held_as_come_in_half_an_hour() {
        let mut limits = Limits::default();
        for n in 0..60 * 60 * 3 {
            fail(&mut limits, &format!("name-{n}"), at(n));
        }
        assert!(limits.names.len() <= 30 * 60 && limits.all.len() <= MOST_IN_ALL);
    }

    #[test]
    fn tries_side_by_side_are_counted_before_they_end() {
        let mut limits = Limits::default();
        let leaves: Vec<_> = (0..10).map(|_| limits.ask(Of::Name("ann"), NOW)).collect();
        assert_eq!(leaves.iter().filter(|leave| leave.is_ok()).count(), 5);
    }
}

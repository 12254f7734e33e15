//! How far backfill is, and where the next look begins.
//!
//! # Invariants
//! - Pure. All times are Orbit's, but for when it was last looked through.
//! - A look begins [`OVERLAP`] before the end of the last one, and before the earliest time that
//!   Orbit may have given to anything since: its clock may have been set back. Never before the
//!   floor.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::First;
use crate::clock::shifted;

/// The journal's note.
pub const NOTE: &str = "backfill";
/// What Orbit stores late, or with a clock that is a little off, is looked at again.
const OVERLAP: Duration = Duration::from_mins(15);
/// So little is no set clock.
const DRIFT: Duration = Duration::from_secs(1);
/// By no more than this does a clock that was set back lower the floor: what was there before the
/// install is not to come by a clock that was wrong.
const LOWERED_AT_MOST: Duration = Duration::from_hours(24);

/// How far it is.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(super) struct Mark {
    /// When the first install was, on our wall clock.
    installed_at: Timestamp,
    /// Nothing was to be taken that Orbit stored before then.
    first: Option<Timestamp>,
    /// Nothing is: as `first`, or earlier where Orbit's clock was set back.
    floor: Option<Timestamp>,
    /// What a webhook should have brought begins here.
    since: Option<Timestamp>,
    /// All before then was looked at.
    cursor: Option<Timestamp>,
    /// When it was last looked through to the end, on our wall clock and on Orbit's.
    looked_at: Option<Timestamp>,
    looked_until: Option<Timestamp>,
    /// By how many milliseconds Orbit's clock was ahead of our wall clock.
    skew_ms: Option<i64>,
    /// What Orbit's clock showed when the look under way began.
    #[serde(skip)]
    now: Timestamp,
    /// Whether that was learnt just then.
    #[serde(skip)]
    fresh: bool,
}

/// What Orbit's clock shows, and what tells whether it was set back since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// What it shows; our wall clock where it is not known.
    pub(super) at: Timestamp,
    /// By how many milliseconds it is ahead of our wall clock, where that is known.
    pub(super) skew_ms: Option<i64>,
    /// Whether that was learnt just now. Otherwise it may have been set since.
    pub(super) fresh: bool,
    /// By how many milliseconds it was set back since the last look of this process: our wall clock
    /// has no part in that. None for the first one, for which only the wall clock can tell.
    pub(super) set_back_ms: Option<i64>,
    /// By how many milliseconds it was lower than now, at some time since the last look.
    pub(super) was_lower_ms: i64,
    /// When the first install was, on Orbit's clock, where this process made it: our wall clock may
    /// have been set since.
    pub(super) installed_at: Option<Timestamp>,
}

/// Where a look begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) from: Timestamp,
    /// Orbit's clock was set back by this much, and what it stored since may lie before the floor.
    pub(super) set_back_too_far: Option<Duration>,
    /// Orbit's clock shows a time before the floor: nothing can be found.
    pub(super) blind: bool,
}

impl Mark {
    pub(super) fn of_a_first_install(now: Timestamp) -> Self {
        Self {
            installed_at: now,
            first: None,
            floor: None,
            since: None,
            cursor: None,
            looked_at: None,
            looked_until: None,
            skew_ms: None,
            now,
            fresh: false,
        }
    }

    pub(super) fn read(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok()
    }

    pub(super) fn text(&self) -> String {
        // Times and numbers only: it can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Where the next look begins. From then on a clock that was set back is accounted for.
    pub(super) fn begin(&mut self, first: First, now: Now) -> Begin {
        let rule = |installed_at: Timestamp| match first {
            First::Now => installed_at,
            First::Ago(ago) => before(installed_at, ago),
            First::At(at) => at,
        };
        let by_wall = shifted(self.installed_at, now.skew_ms.unwrap_or(0));
        let installed_at = now.installed_at.unwrap_or(by_wall);
        self.installed_at = shifted(installed_at, -now.skew_ms.unwrap_or(0));
        let since = *self.since.get_or_insert(installed_at);
        let first = *self.first.get_or_insert(rule(since));
        // However Orbit's clock is set, and however often.
        let lowest = before(first.min(rule(self.installed_at)), LOWERED_AT_MOST);
        let mut floor = self.floor.unwrap_or(first);
        if floor > now.at {
            // Orbit's clock was ahead at the install, and is right now.
            floor = floor.min(rule(installed_at)).max(lowest);
        }
        self.floor = Some(floor);
        let by_wall_ms = match (self.skew_ms, now.skew_ms) {
            (Some(then), Some(skew_ms)) => then
                .saturating_sub(skew_ms)
                .saturating_add(now.was_lower_ms),
            _ => 0,
        };
        let set_back_ms = now.set_back_ms.unwrap_or(by_wall_ms).max(0);
        let set_back_ms = if now.fresh { set_back_ms } else { 0 };
        let set_back = Duration::from_millis(set_back_ms.unsigned_abs());
        let mut earliest = self.cursor.unwrap_or(floor).min(now.at);
        // On the clock as it is now, whether or not this look comes to its end.
        let looked_until = shifted(self.looked_until.unwrap_or(earliest), -set_back_ms);
        self.looked_until = Some(looked_until);
        // The floor may lie within the overlap.
        if set_back > DRIFT {
            self.floor = Some(floor.min(before(first, set_back).max(lowest)));
        }
        let floor = self.floor();
        // What is less is within the overlap.
        if set_back > OVERLAP {
            earliest = earliest.min(looked_until);
            self.floor = Some(floor.min(before(earliest, OVERLAP).max(lowest)));
        }
        self.cursor = Some(earliest);
        self.now = now.at;
        self.fresh = now.fresh;
        if now.fresh {
            self.skew_ms = now.skew_ms;
        }
        let from = before(earliest, OVERLAP);
        Begin {
            from: from.max(self.floor()),
            set_back_too_far: (set_back > OVERLAP && from < self.floor()).then_some(set_back),
            blind: now.at < self.floor(),
        }
    }

    /// All that Orbit stored before then was looked at. A time that is yet to come says nothing
    /// about what comes before it.
    pub(super) fn advance(&mut self, at: Timestamp) {
        self.cursor = self.cursor.max(Some(at.min(self.now)));
    }

    /// The look is over that began at this time of our wall clock.
    pub(super) fn ended(&mut self, began_at: Timestamp) {
        self.looked_at = Some(began_at);
        // By a clock that was set since, it would say too much.
        if self.fresh {
            self.looked_until = Some(self.now);
        }
    }

    pub(super) fn cursor(&self) -> Option<Timestamp> {
        self.cursor
    }

    pub(super) fn looked_at(&self) -> Option<Timestamp> {
        self.looked_at
    }

    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    pub(super) fn floor(&self) -> Timestamp {
        self.floor.unwrap_or(Timestamp::MAX)
    }
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// What Orbit's clock shows after a restart, when ours shows `second`.
    fn now(second: i64, skew_s: i64) -> Now {
        Now {
            at: at(second + skew_s),
            skew_ms: Some(skew_s * 1000),
            fresh: true,
            set_back_ms: None,
            was_lower_ms: 0,
            installed_at: None,
        }
    }

    fn begin(mark: &mut Mark, now: Now) -> i64 {
        let begin = mark.begin(First::Now, now);
        begin.from.as_second() - 1_800_000_000
    }

    /// Installed at 0, with an event of Orbit's each second, looked through until then.
    fn looked(until: i64, skew_s: i64) -> Mark {
        let mut mark = Mark::of_a_first_install(at(0));
        begin(&mut mark, now(until, skew_s));
        mark.advance(at(until + skew_s));
        mark.ended(at(until));
        mark
    }

    #[test]
    fn a_first_install_takes_nothing_older_than_itself_on_orbits_clock() {
        for skew_s in [0, -HOUR, HOUR] {
            let mut mark = Mark::of_a_first_install(at(0));
            assert_eq!(begin(&mut mark, now(60, skew_s)), skew_s);
        }
        let from = |first| Mark::of_a_first_install(at(0)).begin(first, now(0, 0)).from;
        assert_eq!(from(First::Ago(Duration::from_mins(1))), at(-60));
        assert_eq!(from(First::At(at(-5))), at(-5));
    }

    #[test]
    fn a_look_begins_a_quarter_of_an_hour_before_what_was_looked_at() {
        let mut mark = looked(10 * HOUR, 0);
        assert_eq!(begin(&mut mark, now(20 * HOUR, 0)), 10 * HOUR - 900);
    }

    #[test]
    fn a_look_that_is_cut_short_goes_on_where_it_was() {
        let mut mark = looked(10 * HOUR, 0);
        begin(&mut mark, now(90 * DAY, 0));
        mark.advance(at(60 * DAY));
        let mut read = Mark::read(&mark.text()).unwrap();
        assert_eq!(begin(&mut read, now(90 * DAY + 60, 0)), 60 * DAY - 900);
    }

    #[test]
    fn a_clock_that_was_set_back_by_hours_while_nobody_looked_hides_nothing() {
        // Looked until 10 h; at 11 h the clock shows 9 h; the next look is three hours later.
        let mut mark = looked(10 * HOUR, 0);
        let from = begin(&mut mark, now(14 * HOUR, -2 * HOUR));
        assert!(from <= 8 * HOUR, "{from}");
        // The next look has taken that into account.
        mark.advance(at(12 * HOUR));
        mark.ended(at(14 * HOUR));
        assert_eq!(begin(&mut mark, now(15 * HOUR, -2 * HOUR)), 12 * HOUR - 900);
    }

    #[test]
    fn a_clock_that_is_set_back_twice_while_looks_fail_hides_nothing() {
        let mut mark = looked(10 * HOUR, 0);
        begin(&mut mark, now(11 * HOUR, -2 * HOUR));
        let from = begin(&mut mark, now(12 * HOUR, -5 * HOUR));
        assert!(from <= 5 * HOUR, "{from}");
    }

    #[test]
    fn a_look_by_a_clock_that_was_set_since_hides_nothing() {
        let mut mark = looked(10 * HOUR, 0);
        // Set back by two hours at 10 h 30, and not learnt before the look at 11 h.
        let stale = Now {
            fresh: false,
            ..now(11 * HOUR, 0)
        };
        begin(&mut mark, stale);
        mark.ended(at(11 * HOUR));
        let from = begin(&mut mark, now(12 * HOUR, -2 * HOUR));
        assert!(from <= 8 * HOUR, "{from}");
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_soon_after_the_install_hides_nothing() {
        // Ten minutes ahead at the install, and set right two minutes later.
        let mut mark = Mark::of_a_first_install(at(0));
        assert_eq!(begin(&mut mark, now(0, 600)), 600);
        mark.ended(at(0));
        assert!(begin(&mut mark, now(640, 0)) <= 120);
    }

    #[test]
    fn a_wall_clock_that_is_set_between_install_and_first_look_moves_no_floor() {
        for years in [-50, 3] {
            let mut mark = Mark::of_a_first_install(at(years * 365 * DAY));
            let seen = Now {
                installed_at: Some(at(-60)),
                ..now(0, 0)
            };
            assert_eq!(begin(&mut mark, seen), -60);
        }
    }

    #[test]
    fn a_clock_that_was_back_for_a_while_before_the_first_look_of_a_process_hides_nothing() {
        let mut mark = looked(10 * HOUR, 0);
        let seen = Now {
            was_lower_ms: 2 * HOUR * 1000,
            ..now(10 * HOUR + 600, 0)
        };
        assert!(begin(&mut mark, seen) <= 8 * HOUR);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_while_does_not_carry_the_cursor_into_the_future() {
        let mut mark = looked(10 * HOUR, DAY);
        // Set right an hour later, while nobody looked; then nobody looks for three hours.
        let from = begin(&mut mark, now(14 * HOUR, 0));
        assert!(from <= 10 * HOUR, "{from}");
        mark.advance(at(34 * HOUR));
        mark.ended(at(14 * HOUR));
        assert_eq!(begin(&mut mark, now(17 * HOUR, 0)), 14 * HOUR - 900);
    }

    #[test]
    fn the_floor_is_lowered_only_by_a_clock_that_was_set_back_and_never_by_more_than_a_day() {
        let mut mark = looked(60, 0);
        let set_back = begin(&mut mark, now(120, -2 * HOUR));
        assert_eq!(set_back, 60 - 2 * HOUR - 900);
        for _ in 0..9 {
            let from = begin(&mut mark, now(130, -2 * HOUR));
            assert!(
                from >= -3 * HOUR,
                "looks that fail lower it no further: {from}"
            );
        }
        let mut mark = looked(60, 0);
        for flap in 0..40 {
            let years = 9 * 365 * DAY;
            let begin = mark.begin(
                First::Now,
                now(60, if flap % 2 == 0 { -years } else { years }),
            );
            assert!(begin.from >= at(-DAY), "however often: {begin:?}");
            assert_eq!(begin.set_back_too_far.is_some(), flap % 2 == 0, "{flap}");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_at_the_install_and_is_set_right_leaves_no_floor_in_the_future() {
        let mut mark = Mark::of_a_first_install(at(0));
        assert_eq!(begin(&mut mark, now(10, 3 * DAY)), 3 * DAY);
        mark.ended(at(10));
        let begin = mark.begin(First::Now, now(60, 0));
        assert!(!begin.blind && begin.from >= at(-900), "{begin:?}");
    }

    #[test]
    fn a_clock_that_shows_a_time_before_the_install_is_said_to_blind() {
        let mut mark = looked(60, 0);
        let begin = mark.begin(First::Now, now(120, -3 * DAY));
        assert!(begin.blind && begin.from >= at(-DAY), "{begin:?}");
    }

    #[test]
    fn our_own_clock_has_no_part_in_what_orbits_was_set_back_by_while_the_process_lives() {
        let mut mark = looked(60, 0);
        // Ours was at 1970 and is set: Orbit's seems to be years behind, and is not.
        let seen = Now {
            set_back_ms: Some(0),
            ..now(120, -50 * 365 * DAY)
        };
        let seen = Now {
            at: at(120),
            ..seen
        };
        assert_eq!(begin(&mut mark, seen), 0);
    }

    #[test]
    fn what_is_noted_is_read_again() {
        let mark = looked(60, 5);
        let read = Mark::read(&mark.text()).unwrap();
        assert_eq!(read.text(), mark.text());
    }
}

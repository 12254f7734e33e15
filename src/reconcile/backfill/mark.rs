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
/// By no more than this does a clock that was set back lower the floor: what was there before the
/// install is not to come by a clock that was wrong.
const LOWERED_AT_MOST: Duration = Duration::from_hours(24);

/// How far it is.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(super) struct Mark {
    /// When the first install was, on our wall clock.
    installed_at: Timestamp,
    /// Nothing is taken that Orbit stored before then.
    floor: Option<Timestamp>,
    /// What a webhook should have brought begins here.
    since: Option<Timestamp>,
    /// All before then was looked at.
    cursor: Option<Timestamp>,
    /// When it was last looked through to the end, on our wall clock.
    looked_at: Option<Timestamp>,
    /// By how many milliseconds Orbit's clock was ahead of our wall clock.
    skew_ms: Option<i64>,
    /// What Orbit's clock showed when the look under way began.
    #[serde(skip)]
    now: Timestamp,
}

/// Where a look begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) from: Timestamp,
    /// Orbit's clock was set back by this much, which is more than the floor is lowered by.
    pub(super) set_back_too_far: Option<Duration>,
}

impl Mark {
    pub(super) fn of_a_first_install(now: Timestamp) -> Self {
        Self {
            installed_at: now,
            floor: None,
            since: None,
            cursor: None,
            looked_at: None,
            skew_ms: None,
            now,
        }
    }

    pub(super) fn read(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok()
    }

    pub(super) fn text(&self) -> String {
        // Times and numbers only: it can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Where the next look begins, when Orbit's clock shows `now` and is ahead of our wall clock by
    /// `skew_ms`. From then on a clock that was set back is accounted for.
    pub(super) fn begin(&mut self, first: First, now: Timestamp, skew_ms: Option<i64>) -> Begin {
        let installed_at = shifted(self.installed_at, skew_ms.unwrap_or(0));
        let since = *self.since.get_or_insert(installed_at);
        let floor = *self.floor.get_or_insert(match first {
            First::Now => since,
            First::Ago(ago) => before(since, ago),
            First::At(at) => at,
        });
        let cursor = self.cursor.unwrap_or(floor);
        // What the clock showed at the end of the last look, and what it may have shown since.
        let looked_at = self
            .looked_at
            .map_or(cursor, |at| shifted(at, self.skew_ms.unwrap_or(0)));
        let set_back_ms = match (self.skew_ms, skew_ms) {
            (Some(then), Some(now)) => then.saturating_sub(now).max(0),
            _ => 0,
        };
        let earliest = shifted(looked_at, -set_back_ms).min(now).min(cursor);
        let from = before(earliest, OVERLAP);
        // A drift of the clocks is within the overlap, and lowers nothing.
        let set_back = Duration::from_millis(set_back_ms.unsigned_abs());
        if set_back > OVERLAP {
            self.floor = Some(floor.min(from.max(before(floor, LOWERED_AT_MOST))));
        }
        self.cursor = Some(earliest);
        self.now = now;
        self.skew_ms = skew_ms.or(self.skew_ms);
        Begin {
            from: from.max(self.floor()),
            set_back_too_far: (set_back > LOWERED_AT_MOST && from < self.floor())
                .then_some(set_back),
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

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn begin(mark: &mut Mark, second: i64, skew_s: i64) -> i64 {
        let begin = mark.begin(First::Now, at(second), Some(skew_s * 1000));
        begin.from.as_second() - 1_800_000_000
    }

    /// Installed at 0, with an event of Orbit's each second, looked through until then.
    fn looked(until: i64, skew_s: i64) -> Mark {
        let mut mark = Mark::of_a_first_install(at(0));
        begin(&mut mark, until + skew_s, skew_s);
        mark.advance(at(until + skew_s));
        mark.ended(at(until));
        mark
    }

    #[test]
    fn a_first_install_takes_nothing_older_than_itself_on_orbits_clock() {
        for skew_s in [0, -HOUR, HOUR] {
            let mut mark = Mark::of_a_first_install(at(0));
            assert_eq!(begin(&mut mark, 60 + skew_s, skew_s), skew_s);
        }
        let ago = First::Ago(Duration::from_mins(1));
        let mut mark = Mark::of_a_first_install(at(0));
        assert_eq!(mark.begin(ago, at(0), None).from, at(-60));
        let then = First::At(at(-5));
        assert_eq!(
            Mark::of_a_first_install(at(0))
                .begin(then, at(0), None)
                .from,
            at(-5)
        );
    }

    #[test]
    fn a_look_begins_a_quarter_of_an_hour_before_the_last_ones_end() {
        let mut mark = looked(10 * HOUR, 0);
        assert_eq!(begin(&mut mark, 20 * HOUR, 0), 10 * HOUR - 900);
    }

    #[test]
    fn a_clock_that_was_set_back_by_hours_while_nobody_looked_hides_nothing() {
        // Looked until 10 h; at 11 h the clock shows 9 h; the next look is three hours later.
        let mut mark = looked(10 * HOUR, 0);
        let from = begin(&mut mark, 12 * HOUR, -2 * HOUR);
        assert!(from <= 8 * HOUR, "{from}");
        // The next look has taken that into account.
        mark.advance(at(12 * HOUR));
        mark.ended(at(14 * HOUR));
        assert_eq!(begin(&mut mark, 13 * HOUR, -2 * HOUR), 12 * HOUR - 900);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_while_does_not_carry_the_cursor_into_the_future() {
        let mut mark = looked(10 * HOUR, 24 * HOUR);
        // Set right an hour later, while nobody looked; then nobody looks for three hours.
        let from = begin(&mut mark, 14 * HOUR, 0);
        assert!(from <= 10 * HOUR, "{from}");
        mark.advance(at(34 * HOUR));
        mark.ended(at(14 * HOUR));
        assert_eq!(begin(&mut mark, 17 * HOUR, 0), 14 * HOUR - 900);
    }

    #[test]
    fn the_floor_is_lowered_only_by_a_clock_that_was_set_back_and_never_by_more_than_a_day() {
        let mut mark = looked(60, 0);
        assert_eq!(
            begin(&mut mark, 120 - 2 * HOUR, -2 * HOUR),
            60 - 2 * HOUR - 900
        );
        for _ in 0..9 {
            let from = begin(&mut mark, 130 - 2 * HOUR, -2 * HOUR);
            assert!(
                from >= -3 * HOUR,
                "looks that fail lower it no further: {from}"
            );
        }
        let mut mark = looked(60, 0);
        let years = 9 * 365 * 24 * HOUR;
        let begin = mark.begin(First::Now, at(60 - years), Some(-years * 1000));
        assert_eq!(begin.from, at(-24 * HOUR));
        assert!(begin.set_back_too_far.is_some());
    }

    #[test]
    fn what_is_noted_is_read_again() {
        let mark = looked(60, 5);
        let read = Mark::read(&mark.text()).unwrap();
        assert_eq!(read.text(), mark.text());
    }
}

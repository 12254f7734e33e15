//! Who comes on which mission, and who is silent for longer than usual.
//!
//! # Invariants
//! - Pure. Nothing is said of what is known for too short, or too seldom.
//! - The longest gap of this week and of the last one is what is usual; so what was usual once is
//!   forgotten.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{later, until};

/// Nothing is said before so many events came, over so long a time.
const FEWEST: u64 = 5;
const SHORTEST: Duration = Duration::from_hours(24);
/// It is late by at least so much, whatever is usual; and by half of what is usual.
const LATE: Duration = Duration::from_mins(10);
/// Weeks of seven days, counted from 1970.
const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A robot on a mission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The robot's nickname.
    pub robot: String,
    /// The mission's name, where there is one.
    pub mission: Option<String>,
    /// How many events came.
    pub n: u64,
    /// When the first inspection was that counts.
    pub first_at: Timestamp,
    /// When the last one was.
    pub last_at: Timestamp,
    /// The longest time between two of them in the last two weeks in which there were some.
    pub usual_gap: Option<Duration>,
}

impl Route {
    /// Whether nothing came for longer than is usual.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.silent_from().is_some_and(|from| now > from)
    }

    /// From when on that is; none while too little is known.
    pub fn silent_from(&self) -> Option<Timestamp> {
        let known = self.n >= FEWEST && until(self.first_at, self.last_at) >= SHORTEST;
        let usual = self.usual_gap.filter(|_| known)?;
        Some(later(self.last_at, usual + (usual / 2).max(LATE)))
    }
}

/// What the journal has of a route, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::relay::journal) struct Heard {
    pub(in crate::relay::journal) n: i64,
    pub(in crate::relay::journal) first_at: i64,
    pub(in crate::relay::journal) last_at: i64,
    /// The week of `gap`.
    pub(in crate::relay::journal) week: i64,
    /// The longest gap that ended in that week, and in the one before it.
    pub(in crate::relay::journal) gap: i64,
    pub(in crate::relay::journal) gap_before: i64,
}

/// What it has once there was another inspection at that time.
pub(in crate::relay::journal) fn heard(before: Option<Heard>, at: i64) -> Heard {
    let week = at.div_euclid(WEEK_MS);
    let Some(mut heard) = before else {
        return Heard {
            n: 1,
            first_at: at,
            last_at: at,
            week,
            gap: 0,
            gap_before: 0,
        };
    };
    heard.n = heard.n.saturating_add(1);
    // What comes late says nothing about silence.
    let gap = at.saturating_sub(heard.last_at);
    if gap <= 0 {
        return heard;
    }
    heard.last_at = at;
    if week == heard.week {
        heard.gap = heard.gap.max(gap);
    } else {
        let is_next = week == heard.week.saturating_add(1);
        heard.gap_before = if is_next { heard.gap } else { 0 };
        (heard.week, heard.gap) = (week, gap);
    }
    heard
}

impl Heard {
    pub(in crate::relay::journal) fn usual_gap(&self) -> Option<Duration> {
        let longest = u64::try_from(self.gap.max(self.gap_before)).ok()?;
        (longest > 0).then(|| Duration::from_millis(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    /// The beginning of a week.
    const START: i64 = 2900 * 7 * DAY;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    /// The route of inspections at these seconds.
    fn route(seconds: impl IntoIterator<Item = i64>) -> Route {
        let all = seconds.into_iter().fold(None, |before, second| {
            Some(heard(before, (START + second) * 1000))
        });
        let all = all.unwrap();
        Route {
            robot: "spot".into(),
            mission: None,
            n: all.n.try_into().unwrap(),
            first_at: Timestamp::from_millisecond(all.first_at).unwrap(),
            last_at: Timestamp::from_millisecond(all.last_at).unwrap(),
            usual_gap: all.usual_gap(),
        }
    }

    /// A round of four inspections a minute apart.
    fn round(start: i64) -> impl Iterator<Item = i64> {
        (0..4).map(move |n| start + n * MINUTE)
    }

    fn rounds(count: i64, every: i64) -> Vec<i64> {
        (0..count).flat_map(|n| round(n * every)).collect()
    }

    #[track_caller]
    fn silent(seconds: Vec<i64>, table: &[(i64, bool)]) {
        let route = route(seconds);
        for (second, expected) in table {
            let is = route.is_silent(at(*second));
            assert_eq!(is, *expected, "{second} s: {route:?}");
        }
    }

    #[test]
    fn a_daily_round_is_silent_half_a_day_after_it_was_to_come() {
        let last = 9 * DAY + 3 * MINUTE;
        silent(
            rounds(10, DAY),
            &[
                (last, false),
                (last + DAY, false),
                (last + 35 * HOUR, false),
                (last + 36 * HOUR, true),
                (last + 300 * DAY, true),
                // The wall clock was set back.
                (-DAY, false),
            ],
        );
    }

    #[test]
    fn nothing_is_said_of_what_came_too_seldom_or_is_known_for_too_short() {
        let later = 900 * DAY;
        silent(vec![0], &[(later, false)]);
        silent(vec![0, DAY, 2 * DAY, 3 * DAY], &[(later, false)]);
        silent(vec![0, DAY, 2 * DAY, 3 * DAY, 4 * DAY], &[(later, true)]);
        // The first round alone is no habit.
        silent((0..50).map(|n| n * MINUTE).collect(), &[(later, false)]);
        silent(vec![7; 100], &[(later, false)]);
    }

    #[test]
    fn a_weekly_round_is_no_silence_in_between() {
        let last = 21 * DAY + 3 * MINUTE;
        silent(
            rounds(4, 7 * DAY),
            &[(last + 7 * DAY, false), (last + 11 * DAY, true)],
        );
    }

    #[test]
    fn the_weekend_of_last_week_is_usual() {
        let mut days: Vec<i64> = (0..5).flat_map(|n| round(n * DAY)).collect();
        days.extend((7..12).flat_map(|n| round(n * DAY)));
        silent(days, &[(14 * DAY, false), (17 * DAY, true)]);
    }

    #[test]
    fn what_was_usual_two_weeks_ago_is_forgotten() {
        // Silent for five days once, hourly since.
        let mut all = rounds(6, HOUR);
        let again = 5 * DAY;
        all.extend((0..24 * 16).map(|n| again + n * HOUR));
        let last = *all.last().unwrap();
        silent(all, &[(last + HOUR, false), (last + 2 * HOUR, true)]);
    }

    #[test]
    fn what_comes_late_counts_and_changes_nothing_else() {
        let mut all = rounds(10, DAY);
        let before = route(all.clone());
        all.extend([3 * DAY, 0, -900 * DAY]);
        let after = route(all);
        assert_eq!(after.n, before.n + 3);
        assert_eq!(
            Route {
                n: before.n,
                ..after
            },
            before
        );
    }

    #[test]
    fn many_within_minutes_are_late_by_ten_minutes_at_least() {
        let all: Vec<i64> = (0..3 * 24 * 60).map(|n| n * MINUTE).collect();
        let last = *all.last().unwrap();
        silent(
            all,
            &[(last + 11 * MINUTE, false), (last + 12 * MINUTE, true)],
        );
    }

    #[test]
    fn extreme_times_do_no_harm() {
        let mut route = None;
        for at in [0, i64::MAX, i64::MIN, -1, i64::MAX] {
            route = Some(heard(route, at));
        }
        assert_eq!(route.unwrap().n, 5);
        assert!(route.unwrap().usual_gap().is_some());
    }
}

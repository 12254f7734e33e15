//! What came in the last day and by the hour, and what became of it.
//!
//! # Invariants
//! - Of an answer all is of one moment, and for each destination accepted = kept + expired + the sum
//!   over the states; what does not add up is said.
//! - States are as they are shown: what waits for a destination that is paused or no longer
//!   configured is parked.
//! - Nothing but the few rows of the hours is read, however many deliveries there are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{ReadError, Reader, timestamp};
use crate::relay::journal::State;
use crate::relay::journal::filter::{Scope, scopes};
use crate::relay::journal::store::{self, EXPIRED_IN_HOUR, HOUR_MS, HOURS};

/// The hour that is under way, and so many before it.
const DAY_HOURS: i64 = 24;
const DUPLICATE: &str = "duplicate";
const REJECTED: &str = "rejected:";

/// What was received in the last 24 hours, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// From when on: 24 whole hours and the one that is under way; later where a journal of an
    /// earlier version did not tell more.
    pub since: Timestamp,
    /// From when on duplicates and refused requests are counted; later than `since` only in the
    /// first day of a journal, or of this version of it.
    pub requests_since: Timestamp,
    /// Events taken into the journal.
    pub accepted: u64,
    /// Requests with an event that was there already.
    pub duplicate: u64,
    /// Requests refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// What became of these events, by destination, in the order of their numbers.
    pub destinations: Vec<DayDestination>,
}

/// What became of the events of some hours at one destination.
/// `accepted` of all = `kept` + `expired` + the sum over `states`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayDestination {
    /// The destination's id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Deliveries by state, as it is shown; a state without any may be missing.
    pub states: BTreeMap<State, u64>,
    /// Events that came while it was not configured, also those that are gone by age.
    pub kept: u64,
    /// Events that were kept and asked for, but were gone by age.
    pub expired: u64,
}

/// What was received in one hour of the wall clock, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// When it began.
    pub at: Timestamp,
    /// Events taken into the journal.
    pub accepted: u64,
    /// Requests with an event that was there already.
    pub duplicate: u64,
    /// Requests refused.
    pub rejected: u64,
    /// Their deliveries at all destinations, by state, as it is shown.
    pub states: BTreeMap<State, u64>,
}

impl Day {
    /// Requests that brought an event or tried to.
    pub fn received(&self) -> u64 {
        self.accepted + self.duplicate + self.rejected.values().sum::<u64>()
    }

    /// What does not add up, in words; empty when all is well.
    pub fn mistakes(&self) -> Vec<String> {
        let wrong = self.destinations.iter().filter(|d| {
            let (kept, expired) = (d.kept, d.expired);
            kept + expired + d.total() != self.accepted
        });
        wrong
            .map(|d| {
                let (name, kept, expired) = (&d.name, d.kept, d.expired);
                let (total, accepted, since) = (d.total(), self.accepted, self.since);
                format!(
                    "destination {name}, since {since}: kept {kept} + expired {expired} + \
                     deliveries {total} ≠ accepted {accepted}"
                )
            })
            .collect()
    }
}

impl DayDestination {
    /// Deliveries in this state.
    pub fn of(&self, state: State) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }

    /// Deliveries that go by themselves: pending, being tried, postponed.
    pub fn waiting(&self) -> u64 {
        self.of(State::Pending) + self.of(State::Sending) + self.of(State::Postponed)
    }

    /// Deliveries that go only when a person does something: parked, dead.
    pub fn needs_you(&self) -> u64 {
        self.of(State::Parked) + self.of(State::Dead)
    }

    /// Deliveries in all states.
    pub fn total(&self) -> u64 {
        self.states.values().sum()
    }

    fn add(&mut self, state: State, n: i64) {
        if n != 0 {
            *self.states.entry(state).or_insert(0) += unsigned(n);
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.kept += other.kept;
        self.expired += other.expired;
        for (state, n) in &other.states {
            *self.states.entry(*state).or_insert(0) += n;
        }
    }
}

/// One row of `hour`.
struct Row {
    no: i64,
    at: i64,
    first_seq: i64,
    last_seq: i64,
}

impl Row {
    fn begins(&self) -> i64 {
        floor(self.at)
    }

    fn accepted(&self) -> u64 {
        unsigned(self.last_seq - self.first_seq + 1)
    }
}

impl Reader {
    /// The sums of the last 24 hours. What came under a clock that was ahead is among them.
    pub fn day(&mut self, now: Timestamp) -> Result<Day, ReadError> {
        let transaction = self.0.transaction()?;
        let scopes = scopes(&transaction)?;
        let rows = rows(&transaction)?;
        let begins = floor(now.as_millisecond()) - DAY_HOURS * HOUR_MS;
        // Before the first hour, unless that is where the journal begins, all is unknown.
        let known = rows.first().filter(|first| first.first_seq > 1);
        let known = known.map_or(begins, |first| first.at);
        let counted = store::note(&transaction, HOURS)?;
        let counted = counted.and_then(|at| at.parse().ok()).unwrap_or(begins);
        let mut day = Day {
            since: timestamp(known.max(begins)),
            requests_since: timestamp(counted.max(begins)),
            destinations: scopes.iter().map(named).collect(),
            ..Day::default()
        };
        for row in rows.iter().filter(|row| row.begins() >= begins) {
            day.accepted += row.accepted();
            for (name, n) in requests(&transaction, row)? {
                match name.strip_prefix(REJECTED) {
                    Some(reason) => *day.rejected.entry(reason.to_owned()).or_insert(0) += n,
                    None => day.duplicate += n,
                }
            }
            let of_hour = destinations(&transaction, &scopes, row)?;
            for (sum, of_hour) in day.destinations.iter_mut().zip(&of_hour) {
                sum.add_all(of_hour);
            }
        }
        Ok(day)
    }

    /// The hours since then, the oldest first, as far as anything came in them; at most those of
    /// the last eight days.
    pub fn hours(&mut self, since: Timestamp) -> Result<Vec<Hour>, ReadError> {
        let transaction = self.0.transaction()?;
        let scopes = scopes(&transaction)?;
        let begins = floor(since.as_millisecond());
        let mut hours: BTreeMap<i64, Hour> = BTreeMap::new();
        for row in rows(&transaction)? {
            if row.begins() < begins {
                continue;
            }
            // A clock that was set back comes to an hour twice.
            let hour = hours.entry(row.begins()).or_default();
            hour.at = timestamp(row.begins());
            hour.accepted += row.accepted();
            for (name, n) in requests(&transaction, &row)? {
                if name == DUPLICATE {
                    hour.duplicate += n;
                } else {
                    hour.rejected += n;
                }
            }
            for destination in destinations(&transaction, &scopes, &row)? {
                for (state, n) in destination.states {
                    *hour.states.entry(state).or_insert(0) += n;
                }
            }
        }
        Ok(hours.into_values().collect())
    }
}

fn rows(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let last: Option<i64> =
        connection.query_row("SELECT max(seq) FROM event", [], |row| row.get(0))?;
    let mut rows = connection
        .prepare_cached("SELECT no, at, first_seq FROM hour ORDER BY no DESC")?
        .query_map([], |row| {
            Ok(Row {
                no: row.get(0)?,
                at: row.get(1)?,
                first_seq: row.get(2)?,
                last_seq: 0,
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut last_seq = last.unwrap_or(0);
    for row in &mut rows {
        row.last_seq = last_seq;
        last_seq = row.first_seq - 1;
    }
    rows.reverse();
    Ok(rows)
}

/// Requests that brought nothing new, by name.
fn requests(connection: &Connection, row: &Row) -> rusqlite::Result<Vec<(String, u64)>> {
    connection
        .prepare_cached("SELECT name, n FROM hour_event WHERE hour = ?1")?
        .query_map([row.no], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?
        .collect()
}

/// What became of the events of an hour, in the order of `scopes`.
fn destinations(
    connection: &Connection,
    scopes: &[Scope],
    row: &Row,
) -> rusqlite::Result<Vec<DayDestination>> {
    let (from, to) = (row.first_seq, row.last_seq);
    let mut sums: Vec<_> = scopes
        .iter()
        .map(|scope| {
            let fresh = scope.fresh(from, to);
            let fresh = fresh.iter().map(|(from, to)| to - from + 1).sum();
            let mut sum = named(scope);
            sum.kept = unsigned(scope.kept_within(from, to));
            sum.add(scope.shown(State::Pending), fresh);
            sum
        })
        .collect();
    let mut statement =
        connection.prepare_cached("SELECT destination, state, n FROM hour_sum WHERE hour = ?1")?;
    let mut counted = statement.query([row.no])?;
    while let Some(counted) = counted.next()? {
        let (no, word, n): (i64, String, i64) = (counted.get(0)?, counted.get(1)?, counted.get(2)?);
        let mut both = scopes.iter().zip(&mut sums);
        let Some((scope, sum)) = both.find(|(scope, _)| scope.no == no) else {
            continue;
        };
        match State::from_word(&word) {
            Some(state) => sum.add(scope.shown(state), n),
            None if word == EXPIRED_IN_HOUR => sum.expired += unsigned(n),
            None => {}
        }
    }
    Ok(sums)
}

fn named(scope: &Scope) -> DayDestination {
    DayDestination {
        id: scope.id.clone(),
        name: scope.name.clone(),
        ..DayDestination::default()
    }
}

/// When the hour began.
fn floor(ms: i64) -> i64 {
    ms - ms.rem_euclid(HOUR_MS)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
impl Reader {
    pub(in crate::relay::journal) fn recount_hours(&self) {
        recount(&self.0);
    }
}

/// Counts anew what the sums of each hour are about, and says where they are wrong.
#[cfg(test)]
pub(in crate::relay::journal) fn recount(connection: &Connection) {
    let scopes = scopes(connection).unwrap();
    let rows = rows(connection).unwrap();
    let counts = |sql: &str, values: &[i64]| -> BTreeMap<(i64, String), i64> {
        let mut statement = connection.prepare_cached(sql).unwrap();
        let counts = statement.query_map(rusqlite::params_from_iter(values), |row| {
            Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
        });
        let counts = counts.unwrap().map(Result::unwrap);
        counts.filter(|(_, n)| *n != 0).collect()
    };
    let mut all = BTreeMap::new();
    for row in &rows {
        for sums in destinations(connection, &scopes, row).unwrap() {
            let sum = sums.kept + sums.expired + sums.total();
            assert_eq!(sum, row.accepted(), "hour {} of {}", row.no, sums.id);
        }
        let sql = "SELECT destination, state, n FROM hour_sum WHERE hour = ?1";
        let mut sums = counts(sql, &[row.no]);
        sums.retain(|(_, state), _| state != EXPIRED_IN_HOUR);
        for (key, n) in &sums {
            *all.entry(key.clone()).or_insert(0) += n;
        }
        let sql = "SELECT d.destination, d.state, count(*) FROM destination t
             JOIN delivery d ON d.destination = t.no AND d.seq BETWEEN ?1 AND ?2 GROUP BY 1, 2";
        let counted = counts(sql, &[row.first_seq, row.last_seq]);
        let keys: std::collections::BTreeSet<_> = sums.keys().chain(counted.keys()).collect();
        for key in keys {
            let n = |of: &BTreeMap<_, i64>| of.get(key).copied().unwrap_or(0);
            let may_be_gone = ["delivered", "skipped", "discarded"].contains(&&*key.1);
            let is_right = n(&sums) == n(&counted) || may_be_gone && n(&sums) > n(&counted);
            assert!(is_right, "hour {}: {key:?} {sums:?} {counted:?}", row.no);
        }
    }
    if rows.first().is_some_and(|first| first.first_seq == 1) {
        let ever = counts("SELECT destination, state, n FROM delivery_sum", &[]);
        all.retain(|_, n| *n != 0);
        assert_eq!(all, ever, "all hours together");
    }
}

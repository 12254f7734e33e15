//! Sums by hour of the wall clock: what was received in it, and what became of that.
//!
//! An hour is a row of its own and stands in the order of arrival, whatever the clock does: it
//! holds the events from its `first_seq` on, up to the first of the next row.
//!
//! # Invariants
//! - Every event since the first row is in exactly one hour.
//! - `hour_sum` counts the deliveries that have a row, or had one and are gone by age; what is above
//!   the cursor and what is kept is arithmetic, as it is in the sums of all time.
//! - Memory holds no counts, only what this transaction changed; that is written before the commit.
//! - There are at most [`MOST`] hours; what is older goes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::relay::journal::State;

/// The note of when requests were first counted by the hour, in milliseconds.
pub(in crate::relay::journal) const HOURS: &str = "hours";
/// The state of what was kept, asked for, and is gone by age.
pub(in crate::relay::journal) const EXPIRED: &str = "expired";
/// An hour in milliseconds.
pub(in crate::relay::journal) const HOUR_MS: i64 = 3_600_000;

/// Eight days and a little; a few in a test, so that some go.
const MOST: usize = if cfg!(test) { 30 } else { 200 };
/// What began so long before the hour counts in it: requests end in another order than they begin.
const SLACK_MS: i64 = 600_000;
/// A journal of an earlier version is looked back over for so long, and over so many deliveries:
/// while that lasts, which is under a second, no event is taken.
const BACK_MS: i64 = 8 * 24 * HOUR_MS;
const BACK_DELIVERIES: usize = 50_000;

/// The hours, and what the open transaction changed of their sums.
#[derive(Clone, Default)]
pub(super) struct Hours {
    rows: Vec<Hour>,
    /// By hour, destination and state; none for what expired.
    deliveries: BTreeMap<(i64, i64, Option<State>), i64>,
    /// By hour and name.
    events: BTreeMap<(i64, String), i64>,
}

#[derive(Clone, Copy)]
struct Hour {
    no: i64,
    at: i64,
    first_seq: i64,
}

impl Hours {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let rows = connection
            .prepare_cached("SELECT no, at, first_seq FROM hour ORDER BY no")?
            .query_map([], |row| {
                Ok(Hour {
                    no: row.get(0)?,
                    at: row.get(1)?,
                    first_seq: row.get(2)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(Self {
            rows,
            ..Self::default()
        })
    }

    /// Deliveries of these events changed state; a new row comes from none.
    pub(super) fn moved(&mut self, destination: i64, from: Option<State>, to: State, seqs: &[i64]) {
        for seq in seqs {
            if let Some(hour) = self.holding(*seq) {
                if from.is_some() {
                    self.add((hour, destination, from), -1);
                }
                self.add((hour, destination, Some(to)), 1);
            }
        }
    }

    /// Of these events, which were kept for the destination, all are gone by age but those that
    /// are `left` (in order).
    pub(super) fn expired(&mut self, destination: i64, (first, last): (i64, i64), left: &[i64]) {
        let ends = self.rows.iter().skip(1).map(|next| next.first_seq - 1);
        let ends: Vec<i64> = ends.chain([i64::MAX]).collect();
        for (hour, end) in self.rows.clone().iter().zip(ends) {
            let (from, to) = (first.max(hour.first_seq), last.min(end));
            let here = left.iter().filter(|seq| (from..=to).contains(seq));
            let here = i64::try_from(here.count()).unwrap_or(0);
            let gone = (to - from + 1).max(0) - here;
            if gone > 0 {
                self.add((hour.no, destination, None), gone);
            }
        }
    }

    fn add(&mut self, key: (i64, i64, Option<State>), n: i64) {
        *self.deliveries.entry(key).or_insert(0) += n;
    }

    /// The hour that this event came in, unless that is gone.
    fn holding(&self, seq: i64) -> Option<i64> {
        let after = self.rows.partition_point(|hour| hour.first_seq <= seq);
        let place = after.checked_sub(1)?;
        self.rows.get(place).map(|hour| hour.no)
    }

    /// The last hour, if what happens now belongs to it.
    fn under_way(&self, at: i64) -> Option<i64> {
        let last = self.rows.last()?;
        let began = last.at - last.at.rem_euclid(HOUR_MS);
        let ends = began.saturating_add(HOUR_MS);
        (began.saturating_sub(SLACK_MS)..ends)
            .contains(&at)
            .then_some(last.no)
    }

    fn begin(&mut self, at: i64, first_seq: i64) -> Hour {
        let no = self.rows.last().map_or(1, |last| last.no + 1);
        let hour = Hour { no, at, first_seq };
        self.rows.push(hour);
        hour
    }

    /// Forgets the hours that are too many; gives the first that is not.
    fn forget(&mut self) -> Option<i64> {
        let many = self.rows.len().checked_sub(MOST).filter(|many| *many > 0)?;
        self.rows.drain(..many);
        let first = self.rows.first()?.no;
        self.deliveries.retain(|(hour, ..), _| *hour >= first);
        self.events.retain(|(hour, _), _| *hour >= first);
        Some(first)
    }

    /// What is to be counted, once.
    fn take_changes(&mut self) -> Changes {
        Changes {
            deliveries: std::mem::take(&mut self.deliveries),
            events: std::mem::take(&mut self.events),
        }
    }
}

struct Changes {
    deliveries: BTreeMap<(i64, i64, Option<State>), i64>,
    events: BTreeMap<(i64, String), i64>,
}

impl Store {
    /// What happens at this time, on the wall clock, belongs to an hour: gives its number. One that
    /// begins now begins with the next event.
    pub(super) fn hour_at(&mut self, at: Timestamp) -> Result<i64, StoreError> {
        let at = at.as_millisecond();
        match self.memory.hours.under_way(at) {
            Some(no) => Ok(no),
            None => self.begin_hour(at, self.memory.last_seq + 1),
        }
    }

    fn begin_hour(&mut self, at: i64, first_seq: i64) -> Result<i64, StoreError> {
        let hour = self.memory.hours.begin(at, first_seq);
        self.connection
            .prepare_cached("INSERT INTO hour (no, at, first_seq) VALUES (?1, ?2, ?3)")?
            .execute([hour.no, hour.at, hour.first_seq])?;
        if let Some(first) = self.memory.hours.forget() {
            for sql in [
                "DELETE FROM hour_sum WHERE hour < ?1",
                "DELETE FROM hour_event WHERE hour < ?1",
                "DELETE FROM hour WHERE no < ?1",
            ] {
                self.connection.prepare_cached(sql)?.execute([first])?;
            }
        }
        Ok(hour.no)
    }

    /// Counts requests that brought nothing new.
    pub(super) fn count_in_hour(
        &mut self,
        at: Timestamp,
        name: String,
        n: i64,
    ) -> Result<(), StoreError> {
        let hour = self.hour_at(at)?;
        let events = &mut self.memory.hours.events;
        *events.entry((hour, name)).or_insert(0) += n;
        Ok(())
    }

    /// Writes what this transaction has changed so far.
    pub(super) fn write_hours(&mut self) -> Result<(), StoreError> {
        let Changes { deliveries, events } = self.memory.hours.take_changes();
        for ((hour, destination, state), n) in deliveries.into_iter().filter(|(_, n)| *n != 0) {
            self.connection
                .prepare_cached(
                    "INSERT INTO hour_sum (hour, destination, state, n) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (hour, destination, state) DO UPDATE SET n = n + excluded.n",
                )?
                .execute(params![
                    hour,
                    destination,
                    state.map_or(EXPIRED, State::as_str),
                    n
                ])?;
        }
        for ((hour, name), n) in events {
            self.connection
                .prepare_cached(
                    "INSERT INTO hour_event (hour, name, n) VALUES (?1, ?2, ?3)
                     ON CONFLICT (hour, name) DO UPDATE SET n = n + excluded.n",
                )?
                .execute(params![hour, name, n])?;
        }
        Ok(())
    }

    /// Counts what a journal of an earlier version holds of the last days, once.
    pub(super) fn fill_hours(&mut self, wall: Timestamp) -> Result<(), StoreError> {
        if self.note(HOURS)?.is_some() {
            return Ok(());
        }
        self.set_note(HOURS, &wall.as_millisecond().to_string())?;
        for (seq, at) in self.latest()?.into_iter().rev() {
            if self.memory.hours.under_way(at).is_none() {
                self.begin_hour(at, seq)?;
            }
        }
        let rows = self.memory.hours.rows.clone();
        let ends = rows.iter().skip(1).map(|next| next.first_seq - 1);
        let ends = ends.chain([self.memory.last_seq]);
        let mut fill = self.connection.prepare_cached(
            "INSERT INTO hour_sum (hour, destination, state, n)
             SELECT ?1, destination, state, count(*) FROM delivery
             WHERE destination = ?2 AND seq BETWEEN ?3 AND ?4 GROUP BY state",
        )?;
        for (hour, last_seq) in rows.iter().zip(ends) {
            for destination in &self.memory.destinations {
                fill.execute([hour.no, destination.no, hour.first_seq, last_seq])?;
            }
        }
        Ok(())
    }

    /// The latest events and when they came, the newest first, as far back as none is gone by age:
    /// what became of those that are gone is not known.
    fn latest(&self) -> Result<Vec<(i64, i64)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, received_at FROM event ORDER BY seq DESC LIMIT ?1")?;
        let most = BACK_DELIVERIES / self.memory.destinations.len().max(1);
        let mut rows = statement.query([i64::try_from(most).unwrap_or(i64::MAX)])?;
        let mut latest: Vec<(i64, i64)> = Vec::new();
        while let Some(row) = rows.next()? {
            let (seq, at) = (row.get(0)?, row.get(1)?);
            let follows = latest.last().is_none_or(|(after, _)| *after == seq + 1);
            let newest = latest.first().map_or(at, |(_, newest)| *newest);
            if !follows || at < newest.saturating_sub(BACK_MS) {
                break;
            }
            latest.push((seq, at));
        }
        Ok(latest)
    }
}

#[cfg(test)]
mod tests;

//! What an earlier process left is made ready for this one: leases, and times that are due.
//!
//! # Invariants
//! - A time that is due is moved by as much as the steady clock of the earlier process differs from
//!   ours.

use jiff::Timestamp;
use rusqlite::params;

use super::{Store, StoreError};
use crate::clock::Clock;
use crate::relay::journal::{Registered, State};

/// The note of what the clocks showed: wall and steady, in milliseconds.
pub(in crate::relay::journal) const CLOCK: &str = "clock";
/// A smaller difference of clocks is none.
const LEAST_SHIFT_MS: i64 = 1000;
/// A due time further ahead was written under a clock that nobody knows.
pub(super) const FAR_AHEAD_MS: i64 = 120_000;

impl Store {
    /// Makes what an earlier process left ready for this one: its leases are free, its due times
    /// are moved by as much as its clock differs from ours.
    pub(in crate::relay::journal) fn take_over(
        &mut self,
        clock: &Clock,
        first: bool,
        destinations: Option<&[Registered]>,
    ) -> Result<(), StoreError> {
        let now = clock.steady();
        self.begin()?;
        self.fill_hours(clock.wall())?;
        if let Some(registered) = destinations {
            self.register(registered)?;
        }
        if first {
            let noted = self.note(CLOCK)?;
            let shift = noted.and_then(|noted| shift_of(&noted, now.as_millisecond()));
            for no in self.numbers() {
                self.free_leases(no)?;
                self.shift(no, now, shift)?;
            }
            self.take_over_gates(now.as_millisecond(), shift)?;
            self.shift_orders(now, shift)?;
            self.note_clock(now, now)?;
        }
        self.commit()
    }

    fn numbers(&self) -> Vec<i64> {
        self.memory.destinations.iter().map(|d| d.no).collect()
    }

    fn free_leases(&mut self, no: i64) -> Result<(), StoreError> {
        let freed: Vec<i64> = self
            .connection
            .prepare_cached(
                "UPDATE delivery INDEXED BY delivery_leased
                 SET state = 'pending', lease = NULL, lease_until = NULL, due_at = 0, not_before = 0
                 WHERE destination = ?1 AND state = 'sending' RETURNING seq",
            )?
            .query_map([no], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        self.moved(no, Some(State::Sending), State::Pending, &freed);
        Ok(())
    }

    /// Where it is not known how the clocks differ, nobody waits for a time that is far ahead.
    fn shift(&mut self, no: i64, now: Timestamp, shift: Option<i64>) -> Result<(), StoreError> {
        let now = now.as_millisecond();
        self.shift_enriching(no, now, shift)?;
        let Some(shift) = shift else {
            self.connection.execute(
                "UPDATE delivery INDEXED BY delivery_due SET due_at = ?2, not_before = 0
                 WHERE destination = ?1 AND replayed IN (0, 1) AND due_at > ?3
                 AND state IN ('pending', 'postponed') AND waits_for IS NULL",
                params![no, now, now + FAR_AHEAD_MS],
            )?;
            return Ok(());
        };
        if shift.abs() < LEAST_SHIFT_MS {
            return Ok(());
        }
        self.connection.execute(
            "UPDATE delivery INDEXED BY delivery_due SET due_at = max(due_at + ?2, 0),
             not_before = CASE not_before WHEN 0 THEN 0 ELSE max(not_before + ?2, 0) END
             WHERE destination = ?1 AND replayed IN (0, 1) AND due_at > 0
             AND state IN ('pending', 'postponed') AND waits_for IS NULL",
            [no, shift],
        )?;
        let mut destinations = self.memory.destinations.iter_mut();
        if let Some(destination) = destinations.find(|d| d.no == no && d.hold_until > 0) {
            destination.hold_until = (destination.hold_until + shift).max(0);
            destination.changed = true;
        }
        Ok(())
    }

    /// Since when it is that something waits for Orbit; since now where that cannot be told.
    fn shift_enriching(&self, no: i64, now: i64, shift: Option<i64>) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE delivery INDEXED BY delivery_enriching
             SET enrich_since = coalesce(max(enrich_since + ?3, 0), ?2)
             WHERE destination = ?1 AND enrich_since IS NOT NULL
             AND state IN ('pending', 'sending', 'postponed', 'parked')",
            params![no, now, shift],
        )?;
        Ok(())
    }

    /// Notes what both clocks show, so that the next process can tell how its own differs.
    pub(in crate::relay::journal) fn note_clock(
        &mut self,
        wall: Timestamp,
        steady: Timestamp,
    ) -> Result<(), StoreError> {
        let (wall, steady) = (wall.as_millisecond(), steady.as_millisecond());
        self.set_note(CLOCK, &format!("{wall} {steady}"))
    }
}

/// By how much due times move: the steady clock of the earlier process went on, as far as the wall
/// clock can tell, and ours begins at the wall clock.
fn shift_of(clock: &str, now: i64) -> Option<i64> {
    let (wall, steady) = clock.split_once(' ')?;
    let (wall, steady): (i64, i64) = (wall.parse().ok()?, steady.parse().ok()?);
    let passed = (now - wall).max(0);
    Some(now - (steady + passed))
}

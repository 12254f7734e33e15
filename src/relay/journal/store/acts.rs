//! What people did, and what the relay did in their place: who, when, what; and the two acts that
//! are one row each, pause and resume.
//!
//! # Invariants
//! - An act is written in the transaction that does it: neither is there without the other.
//! - A pause that a person asked for is not replaced by one that the relay finds reason for; and
//!   of a pause that a person puts on top of another, both reasons are kept.

use jiff::Timestamp;
use rusqlite::params;

use super::memory::destinations;
use super::{Store, StoreError};
use crate::own::Own;
use crate::relay::journal::{Paused, WriteError};

/// The word for a pause in `act.what`.
pub(super) const PAUSE: &str = "pause";
/// The word for its end.
pub(super) const RESUME: &str = "resume";

impl Store {
    /// Keeps who did what, and when (wall clock); gives the act's number.
    pub(in crate::relay::journal) fn act(
        &mut self,
        at: Timestamp,
        who: &str,
        what: &str,
        destination: Option<i64>,
        detail: &str,
    ) -> Result<i64, StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO act (at, who, what, destination, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![at.as_millisecond(), who, what, destination, detail])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Stops claims for a destination, in one row. `trouble` says what the relay found and waits
    /// to see mended; none when a person asked. False if it was paused by a person already, and
    /// the relay asks.
    pub(in crate::relay::journal) fn pause(
        &mut self,
        at: Timestamp,
        id: &str,
        who: &str,
        why: &str,
        trouble: Option<&str>,
    ) -> Result<bool, StoreError> {
        let no = self.number(id)?;
        let (who, why) = (&one_line(who), &one_line(why));
        let why = &self.with_the_reason_before(no, why);
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE destination SET paused_at = coalesce(paused_at, ?2), paused_by = ?3,
                 paused_why = ?4, paused_trouble = ?5
                 WHERE no = ?1 AND (?5 IS NULL OR paused_at IS NULL)",
            )?
            .execute(params![no, at.as_millisecond(), who, why, trouble])?;
        if changed == 0 {
            return Ok(false);
        }
        let act = self.act(at, who, PAUSE, Some(no), why)?;
        self.reread_destinations()?;
        self.say_pause(Own::Paused, no, (act, who, why), at)?;
        Ok(true)
    }

    fn with_the_reason_before(&self, no: i64, why: &str) -> String {
        let mut destinations = self.memory.destinations.iter();
        let paused = destinations
            .find(|d| d.no == no)
            .and_then(|d| d.paused.as_ref());
        match paused {
            None => why.to_owned(),
            Some(Paused { why: before, .. }) if why.is_empty() => before.clone(),
            Some(Paused {
                by, why: before, ..
            }) => format!("{why}; paused before by {by}: {before}"),
        }
    }

    /// Ends a pause, and the time that the destination asked for. False if there was neither.
    pub(in crate::relay::journal) fn resume(
        &mut self,
        at: Timestamp,
        id: &str,
        who: &str,
        why: &str,
    ) -> Result<bool, StoreError> {
        let no = self.number(id)?;
        let resumed = self
            .connection
            .prepare_cached(
                "UPDATE destination SET paused_at = NULL, paused_by = NULL, paused_why = NULL,
                 paused_trouble = NULL WHERE no = ?1 AND paused_at IS NOT NULL",
            )?
            .execute([no])?;
        let held = self.end_hold(no)?;
        if resumed == 0 && !held {
            return Ok(false);
        }
        let act = self.act(at, who, RESUME, Some(no), why)?;
        self.reread_destinations()?;
        if resumed > 0 {
            self.say_pause(Own::Resumed, no, (act, who, why), at)?;
        }
        Ok(true)
    }

    fn end_hold(&mut self, no: i64) -> Result<bool, StoreError> {
        let mut destinations = self.memory.destinations.iter_mut();
        let Some(held) = destinations.find(|d| d.no == no && d.hold_until > 0) else {
            return Ok(false);
        };
        held.hold_until = 0;
        held.changed = true;
        self.connection.execute(
            "UPDATE delivery INDEXED BY delivery_due SET not_before = 0, due_at = 0
             WHERE destination = ?1 AND replayed IN (0, 1) AND not_before > 0
             AND state IN ('pending', 'postponed') AND waits_for IS NULL",
            [no],
        )?;
        Ok(true)
    }

    pub(in crate::relay::journal) fn number(&self, id: &str) -> Result<i64, StoreError> {
        let mut destinations = self.memory.destinations.iter();
        destinations
            .find(|d| d.id == id)
            .map(|d| d.no)
            .ok_or_else(|| StoreError::Refused(WriteError::NoDestination(id.to_owned())))
    }

    /// Reads the destinations anew. What others in this transaction moved stands in memory only,
    /// so it is written first.
    pub(super) fn reread_destinations(&mut self) -> Result<(), StoreError> {
        self.write_sums()?;
        self.memory.destinations = destinations(&self.connection)?;
        self.sums_changed = true;
        Ok(())
    }
}

/// What a person wrote is shown in lists, and moves no terminal's cursor.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

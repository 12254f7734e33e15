//! What was delivered goes after its time.
//!
//! # Invariants
//! - An event goes with all its deliveries, with what Orbit said of it and with what the catalogue
//!   has of it, in one commit, and only when every destination is through with it: each has it
//!   delivered, skipped or discarded, or keeps it; one at least has not only kept it.
//! - Never the last event, from which the numbers go on; never the last one that Orbit sent,
//!   which says since when there is silence.
//! - Its dedupe key stays. What was counted of it stays counted; what was kept and is gone is
//!   counted as expired.
//! - A work order of which Orbit has heard goes after the same time; one that is open stays, without
//!   its event.
//! - A step looks at a bounded number of events, and removes about as many bytes as one commit
//!   may.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::memory::{EXPIRED, unsigned};
use super::{Store, StoreError};
use crate::event::{ALERT, COMPLETED, inspection_key};
use crate::relay::journal::{Expired, State};

/// One step looks at so many events; at few in a test, so that it makes many.
const STEP: usize = if cfg!(test) { 7 } else { 500 };
/// One step removes about as many bytes, or one event.
const STEP_BYTES: u64 = 4 * 1024 * 1024;

/// An event that a step looks at.
struct Looked {
    seq: i64,
    received_at: i64,
    body_bytes: u64,
}

/// How the destinations stand to an event that every one of them is through with.
#[derive(Default)]
struct Through {
    /// Those that have a row for it, by number, with its state.
    rows: Vec<(i64, State)>,
    /// Those that keep it, by number.
    kept: Vec<i64>,
}

impl Store {
    /// Lets go of what was received before `before`, as far as one step behind `after` comes.
    pub(in crate::relay::journal) fn let_go(
        &mut self,
        after: i64,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<Expired, StoreError> {
        let (before, now) = (before.as_millisecond(), now.as_millisecond());
        if after == 0 {
            self.let_orders_go(before)?;
            self.let_routes_go(before)?;
        }
        let looked = self.look_behind(after)?;
        let mut next = looked
            .get(STEP - 1)
            .map(|last| last.seq)
            // Where all are younger, so is what came after them; a time that is still to come
            // was noted under a clock that was wrong, and says nothing of the others.
            .filter(|_| {
                looked.iter().any(|event| event.received_at < before)
                    || looked.iter().all(|event| event.received_at > now)
            });
        let (mut gone, mut bytes) = (0, 0);
        for event in looked {
            if event.received_at >= before || event.seq == self.memory.last_sent_seq {
                continue;
            }
            let Some(through) = self.through(event.seq)? else {
                continue;
            };
            bytes += event.body_bytes + self.remove_event(event.seq, &through)?;
            gone += 1;
            if bytes >= STEP_BYTES {
                next = Some(event.seq);
                break;
            }
        }
        Ok(Expired { gone, next })
    }

    fn look_behind(&self, after: i64) -> Result<Vec<Looked>, StoreError> {
        let most = i64::try_from(STEP).unwrap_or(i64::MAX);
        let looked = self
            .connection
            .prepare_cached(
                "SELECT seq, received_at, length(body) FROM event WHERE seq > ?1 AND seq < ?2
                 ORDER BY seq LIMIT ?3",
            )?
            .query_map([after, self.memory.last_seq, most], |row| {
                Ok(Looked {
                    seq: row.get(0)?,
                    received_at: row.get(1)?,
                    body_bytes: unsigned(row.get(2)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(looked)
    }

    /// None where a destination is not through with it, or where all only keep it.
    fn through(&self, seq: i64) -> Result<Option<Through>, StoreError> {
        let mut through = Through::default();
        let mut state = self
            .connection
            .prepare_cached("SELECT state FROM delivery WHERE destination = ?1 AND seq = ?2")?;
        for destination in &self.memory.destinations {
            let word: Option<String> = state
                .query_row([destination.no, seq], |row| row.get(0))
                .optional()?;
            match word.map(|word| State::from_word(&word)) {
                Some(Some(state @ (State::Delivered | State::Skipped | State::Discarded))) => {
                    through.rows.push((destination.no, state));
                }
                None if destination.keeps(seq) => through.kept.push(destination.no),
                _ => return Ok(None),
            }
        }
        Ok((!through.rows.is_empty()).then_some(through))
    }

    /// Gives about how many bytes the catalogue had of it.
    fn remove_event(&mut self, seq: i64, through: &Through) -> Result<u64, StoreError> {
        // First: where that fails, the event stays as it is.
        let bytes = self.take_out(seq)?;
        for (no, state) in &through.rows {
            if *state != State::Delivered {
                self.forget_inspection(*no, seq)?;
            }
            self.connection
                .prepare_cached("DELETE FROM delivery WHERE destination = ?1 AND seq = ?2")?
                .execute([*no, seq])?;
        }
        for sql in [
            "DELETE FROM enrichment WHERE seq = ?1",
            "DELETE FROM event WHERE seq = ?1",
        ] {
            self.connection.prepare_cached(sql)?.execute([seq])?;
        }
        for destination in &mut self.memory.destinations {
            if through.kept.contains(&destination.no) {
                destination.expired_kept += 1;
                destination.changed = true;
            }
        }
        self.memory.count(EXPIRED, 1);
        self.sums_changed = true;
        Ok(bytes)
    }

    /// A delivery that came to nothing does not stand for its inspection when it is gone: the row
    /// of one that is gone is taken for delivered.
    fn forget_inspection(&self, no: i64, seq: i64) -> Result<(), StoreError> {
        let (source, event_type, identity): (String, String, String) = self
            .connection
            .prepare_cached("SELECT source, type, identity FROM event WHERE seq = ?1")?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut destinations = self.memory.destinations.iter();
        let destination = destinations.find(|d| d.no == no);
        if let Some(destination) = destination
            && [COMPLETED, ALERT].contains(&event_type.as_str())
        {
            let key = inspection_key(&source, &identity, &destination.id);
            self.connection
                .prepare_cached(
                    "DELETE FROM inspection WHERE destination = ?1 AND key = ?2 AND seq = ?3",
                )?
                .execute(params![no, key, seq])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

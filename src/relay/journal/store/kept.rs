//! Kept events that a person asks for.
//!
//! # Invariants
//! - A delivery is made only of an event that is still there; what is gone stays counted as
//!   expired.
//! - An event that is gone and lies above the cursor stays in a range: the cursor steps over it.

use jiff::Timestamp;
use rusqlite::params;

use super::memory::unsigned;
use super::{Store, StoreError};
use crate::relay::journal::State;

/// The word in `act.what` for one kept event that a person sends to a destination.
const SEND: &str = "send";

impl Store {
    /// Makes up to `limit` kept events pending; gives how many it made, 0 when none is left.
    pub(in crate::relay::journal) fn replay_kept(
        &mut self,
        id: &str,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
        let destination = self.destination(id)?;
        let (no, cursor) = (destination.no, destination.cursor);
        for (first, last) in destination.kept.clone() {
            let made = match last {
                Some(last) if last <= cursor => self.make_pending(no, first, last, limit)?,
                _ => self.release_kept(no, first, last, limit)?,
            };
            if made > 0 {
                return Ok(unsigned(made));
            }
        }
        Ok(0)
    }

    /// Makes one kept event pending, for whoever asks for it; false where it is not kept, as where
    /// the destination has a delivery of it already.
    pub(in crate::relay::journal) fn take_kept(
        &mut self,
        at: Timestamp,
        who: &str,
        id: &str,
        seq: i64,
    ) -> Result<bool, StoreError> {
        let destination = self.destination(id)?;
        let (no, cursor) = (destination.no, destination.cursor);
        let holds = |first: i64, last: i64| (first..=last).contains(&seq);
        let mut ranges = destination.kept.iter();
        // An open range is one that is no longer configured: nothing would take it from there.
        let range = ranges.find_map(|(first, last)| {
            last.map(|last| (*first, last))
                .filter(|(first, last)| holds(*first, *last))
        });
        let Some((first, last)) = range else {
            return Ok(false);
        };
        if self.events_left(seq, seq, 1)?.is_empty() {
            return Ok(false);
        }
        let act = self.act(at, who, SEND, Some(no), &format!("{id}:{seq}"))?;
        let around = [(first, Some(seq - 1)), (seq + 1, Some(last))];
        self.replace_range(no, first, &around)?;
        // Above the cursor it is enough that it is no longer kept.
        if seq <= cursor {
            self.connection
                .prepare_cached(
                    "INSERT INTO delivery (destination, seq, state, attempts, due_at, replayed,
                     changed_at, act) VALUES (?1, ?2, 'pending', 0, 0, 1, 0, ?3)",
                )?
                .execute([no, seq, act])?;
            self.moved(no, None, State::Pending, &[seq]);
        }
        Ok(true)
    }

    /// Below the cursor a kept event needs a row to be pending.
    fn make_pending(
        &mut self,
        no: i64,
        first: i64,
        last: i64,
        limit: i64,
    ) -> Result<i64, StoreError> {
        let seqs = self.events_left(first, last, limit)?;
        let made = count(&seqs);
        let end = match seqs.last() {
            Some(seq) if made == limit => *seq,
            _ => last,
        };
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO delivery (destination, seq, state, attempts, due_at, replayed, changed_at)
             VALUES (?1, ?2, 'pending', 0, 0, 1, 0)",
        )?;
        for seq in &seqs {
            insert.execute([no, *seq])?;
        }
        drop(insert);
        self.replace_range(no, first, &[(end + 1, Some(last))])?;
        let gone = end - first + 1 - made;
        let mut destinations = self.memory.destinations.iter_mut();
        if let Some(destination) = destinations.find(|d| d.no == no) {
            destination.expired_kept -= gone;
            destination.expired += gone;
        }
        self.memory.hours.expired(no, (first, end), &seqs);
        self.moved(no, None, State::Pending, &seqs);
        Ok(made)
    }

    /// Above the cursor it is enough that an event is no longer kept.
    fn release_kept(
        &mut self,
        no: i64,
        first: i64,
        last: Option<i64>,
        limit: i64,
    ) -> Result<i64, StoreError> {
        let upto = last.unwrap_or(self.memory.last_seq);
        let seqs = self.events_left(first, upto, limit)?;
        let Some(from) = seqs.first().copied() else {
            return Ok(0);
        };
        let run = (from..).zip(&seqs).take_while(|(next, seq)| next == *seq);
        let Some((to, _)) = run.last() else {
            return Ok(0);
        };
        self.replace_range(no, first, &[(first, Some(from - 1)), (to + 1, last)])?;
        Ok(to - from + 1)
    }

    fn events_left(&self, first: i64, last: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        let seqs = self
            .connection
            .prepare_cached(
                "SELECT seq FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq LIMIT ?3",
            )?
            .query_map([first, last, limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(seqs)
    }

    /// Puts these ranges, as far as they hold anything, in the place of the one that begins there.
    fn replace_range(
        &mut self,
        no: i64,
        first: i64,
        ranges: &[(i64, Option<i64>)],
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM kept WHERE destination = ?1 AND first_seq = ?2")?
            .execute([no, first])?;
        let ranges = ranges.iter().copied();
        let ranges: Vec<_> = ranges
            .filter(|(first, last)| last.is_none_or(|last| *first <= last))
            .collect();
        for (first, last) in &ranges {
            self.connection
                .prepare_cached(
                    "INSERT INTO kept (destination, first_seq, last_seq) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![no, first, last])?;
        }
        let mut destinations = self.memory.destinations.iter_mut();
        if let Some(destination) = destinations.find(|d| d.no == no) {
            destination.kept.retain(|(from, _)| *from != first);
            destination.kept.extend(ranges);
            destination.kept.sort_unstable_by_key(|(from, _)| *from);
        }
        self.sums_changed = true;
        Ok(())
    }
}

fn count(seqs: &[i64]) -> i64 {
    i64::try_from(seqs.len()).unwrap_or(i64::MAX)
}

//! Which deliveries go next: retries that are due, and events that the cursor has not passed; and
//! kept events that a person asks for.
//!
//! # Invariants
//! - A claim takes turns between due retries and fresh events, so neither starves the other.
//! - The cursor moves only over events that got a row, or that are kept.

use jiff::Timestamp;
use rusqlite::OptionalExtension as _;

use super::memory::unsigned;
use super::{Store, StoreError};
use crate::event::Origin;
use crate::relay::journal::{Claim, Claims, Lease, State, WriteError};

impl Store {
    pub(in crate::relay::journal) fn claim(
        &mut self,
        id: &str,
        limit: usize,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claims, StoreError> {
        let Some(index) = self.memory.destinations.iter().position(|d| d.id == id) else {
            return Err(StoreError::Refused(WriteError::NoDestination(
                id.to_owned(),
            )));
        };
        let no = self.memory.destinations.get(index).map_or(0, |d| d.no);
        self.expire(no, now)?;
        let mut due = self.due(no, limit, now)?.into_iter();
        let mut claims = Claims::default();
        for turn in 0..limit {
            let fresh_turn = (turn % 2 == 0) == self.fresh_first;
            let seq = if fresh_turn {
                self.take_fresh(index)?.or_else(|| due.next())
            } else {
                match due.next() {
                    Some(seq) => Some(seq),
                    None => self.take_fresh(index)?,
                }
            };
            let Some(seq) = seq else { break };
            claims.now.push(self.lease(no, id, seq, until)?);
        }
        self.fresh_first = !self.fresh_first;
        claims.next_due = self.next_due(index, now)?;
        Ok(claims)
    }

    /// A lease that ran out belongs to a try that was lost: the delivery is pending again.
    fn expire(&mut self, no: i64, now: Timestamp) -> Result<(), StoreError> {
        let expired = self
            .connection
            .prepare_cached(
                "UPDATE delivery INDEXED BY delivery_leased
                 SET state = 'pending', due_at = 0, lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND state = 'sending' AND lease_until < ?2",
            )?
            .execute([no, now.as_millisecond()])?;
        if expired > 0 {
            let expired = i64::try_from(expired).unwrap_or(0);
            self.moved(no, Some(State::Sending), State::Pending, expired);
        }
        Ok(())
    }

    fn due(&mut self, no: i64, limit: usize, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = self
            .connection
            .prepare_cached(
                "SELECT seq FROM delivery INDEXED BY delivery_due
                 WHERE destination = ?1 AND replayed IN (0, 1) AND due_at <= ?2
                 AND state IN ('pending', 'postponed') AND waits_for IS NULL
                 ORDER BY due_at LIMIT ?3",
            )?
            .query_map([no, now.as_millisecond(), limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(due)
    }

    /// Moves the cursor over the next event and gives it a row; none when there is none.
    fn take_fresh(&mut self, index: usize) -> Result<Option<i64>, StoreError> {
        let last_seq = self.memory.last_seq;
        let Some(destination) = self.memory.destinations.get_mut(index) else {
            return Ok(None);
        };
        let seq = destination.first_fresh();
        if seq > last_seq {
            return Ok(None);
        }
        destination.cursor = seq;
        destination.count(State::Pending, 1);
        self.connection
            .prepare_cached(
                "INSERT INTO delivery (destination, seq, state, attempts, due_at, replayed, changed_at)
                 VALUES (?1, ?2, 'pending', 0, 0, 0, 0)",
            )?
            .execute([destination.no, seq])?;
        self.sums_changed = true;
        Ok(Some(seq))
    }

    fn lease(
        &mut self,
        no: i64,
        id: &str,
        seq: i64,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let token = self.next_token;
        self.next_token += 1;
        let from: String = self
            .connection
            .prepare_cached("SELECT state FROM delivery WHERE destination = ?1 AND seq = ?2")?
            .query_row([no, seq], |row| row.get(0))?;
        let from = State::from_word(&from).filter(|from| from.may_become(State::Sending));
        if from.is_none() {
            return Err(StoreError::Refused(WriteError::LeaseLost(seq)));
        }
        self.connection
            .prepare_cached(
                "UPDATE delivery SET state = 'sending', attempts = attempts + 1, lease = ?3,
                 lease_until = ?4 WHERE destination = ?1 AND seq = ?2",
            )?
            .execute([no, seq, token, until.as_millisecond()])?;
        self.moved(no, from, State::Sending, 1);
        let lease = Lease {
            seq,
            until,
            destination: no,
            token,
        };
        let claim = self
            .connection
            .prepare_cached(
                "SELECT e.source, e.type, e.identity, e.origin, e.received_at, e.body,
                 d.attempts, d.relay, d.replayed
                 FROM delivery d JOIN event e ON e.seq = d.seq
                 WHERE d.destination = ?1 AND d.seq = ?2",
            )?
            .query_row([no, seq], |row| {
                let origin: String = row.get(3)?;
                let replayed: bool = row.get(8)?;
                Ok(Claim {
                    lease,
                    destination_id: id.to_owned(),
                    source: row.get(0)?,
                    event_type: row.get(1)?,
                    identity: row.get(2)?,
                    origin: match origin.as_str() {
                        _ if replayed => Origin::Replay,
                        "backfill" => Origin::Backfill,
                        _ => Origin::Webhook,
                    },
                    received_at: Timestamp::from_millisecond(row.get(4)?)
                        .unwrap_or(Timestamp::UNIX_EPOCH),
                    body: row.get(5)?,
                    attempt: row.get(6)?,
                    frozen: row.get(7)?,
                })
            })?;
        Ok(claim)
    }

    fn next_due(&mut self, index: usize, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let Some(destination) = self.memory.destinations.get(index) else {
            return Ok(None);
        };
        if destination.first_fresh() <= self.memory.last_seq {
            return Ok(Some(now));
        }
        let next: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT due_at FROM delivery INDEXED BY delivery_due WHERE destination = ?1
                 AND replayed IN (0, 1) AND state IN ('pending', 'postponed') AND waits_for IS NULL
                 ORDER BY due_at LIMIT 1",
            )?
            .query_row([destination.no], |row| row.get(0))
            .optional()?;
        Ok(next.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }

    pub(in crate::relay::journal) fn replay_kept(
        &mut self,
        id: &str,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
        let last_seq = self.memory.last_seq;
        let Some(destination) = self.memory.destinations.iter_mut().find(|d| d.id == id) else {
            return Err(StoreError::Refused(WriteError::NoDestination(
                id.to_owned(),
            )));
        };
        let Some((first, last)) = destination.kept.first().copied() else {
            return Ok(0);
        };
        let end = last
            .unwrap_or(last_seq)
            .min(first.saturating_add(limit - 1));
        if end < first {
            return Ok(0);
        }
        // Below the cursor a kept event needs a row; above it, no longer being kept is enough.
        let passed = end <= destination.cursor;
        if passed {
            self.connection.execute(
                "INSERT INTO delivery
                 (destination, seq, state, attempts, due_at, replayed, changed_at)
                 SELECT ?1, seq, 'pending', 0, 0, 1, 0 FROM event WHERE seq BETWEEN ?2 AND ?3",
                [destination.no, first, end],
            )?;
        }
        if last == Some(end) {
            self.connection.execute(
                "DELETE FROM kept WHERE destination = ?1 AND first_seq = ?2",
                [destination.no, first],
            )?;
            destination.kept.remove(0);
        } else {
            self.connection.execute(
                "UPDATE kept SET first_seq = ?3 WHERE destination = ?1 AND first_seq = ?2",
                [destination.no, first, end + 1],
            )?;
            if let Some(range) = destination.kept.first_mut() {
                range.0 = end + 1;
            }
        }
        let made = end - first + 1;
        if passed {
            destination.count(State::Pending, made);
        }
        self.sums_changed = true;
        Ok(unsigned(made))
    }
}

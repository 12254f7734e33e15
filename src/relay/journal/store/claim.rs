//! Which deliveries go next: retries that are due, events that the cursor has not passed, and what
//! a person asked for again.
//!
//! # Invariants
//! - A claim takes turns between due retries and fresh events, so neither starves the other;
//!   where deliveries keep an order, retries go first.
//! - What a person asked for again goes only where nothing else waits.
//! - The cursor moves only over events that got a row, or that are kept.
//! - Nothing is claimed for a destination that is paused, or that asked for time.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};

use super::memory::{Destination, unsigned};
use super::{Store, StoreError};
use crate::event::Origin;
use crate::relay::journal::{Claim, Claims, Enrichment, Lease, State, Want, WriteError};

/// Bodies of one claim come to about this much, or to one body.
const CLAIM_BYTES: usize = 4 * 1024 * 1024;
/// One claim brings forward so many retries.
const HASTEN: i64 = 1000;

const CLAIMED: &str =
    "e.source, e.type, e.identity, e.origin, e.received_at, e.body, r.run, r.anomaly";

impl Store {
    pub(in crate::relay::journal) fn claim(&mut self, want: &Want) -> Result<Claims, StoreError> {
        let index = self.index_of(&want.destination)?;
        let Some(destination) = self.memory.destinations.get_mut(index) else {
            return Ok(Claims::default());
        };
        destination.worked_ms += millis(want.worked);
        let fresh_first = destination.fresh_first;
        destination.fresh_first = !fresh_first;
        let no = destination.no;
        let served = destination.is_served();
        let hold_until = timestamp(destination.hold_until);
        self.expire(no, want.now)?;
        let mut claims = Claims {
            closed: !served || hold_until > want.now,
            ..Claims::default()
        };
        if !served {
            return Ok(claims);
        }
        if claims.closed {
            claims.next_due = Some(hold_until);
            return Ok(claims);
        }
        self.unhold(index);
        if want.hasten {
            claims.more_to_hasten = self.hasten(no, want.now)? == HASTEN;
        }
        let retries = if want.probe {
            self.next_retry(no, want.now)?
        } else {
            self.due(no, false, want.limit, want.now)?
        };
        let mut retries = retries.into_iter();
        let mut bytes = 0;
        for turn in 0..want.limit {
            if bytes >= CLAIM_BYTES {
                break;
            }
            let in_order = want.in_order && !want.probe;
            let retry_turn = in_order || (turn % 2 == 1) == fresh_first;
            let retry = if retry_turn { retries.next() } else { None };
            let claim = match retry {
                Some(seq) => Some(self.lease(index, seq, want)?),
                None => match self.lease_fresh(index, want)? {
                    Some(claim) => Some(claim),
                    None => match retries.next() {
                        Some(seq) => Some(self.lease(index, seq, want)?),
                        None => None,
                    },
                },
            };
            let Some(claim) = claim else { break };
            bytes += claim.body.len();
            claims.now.push(claim);
        }
        let room = want
            .limit
            .saturating_sub(claims.now.len())
            .min(want.replays);
        if room > 0 && bytes < CLAIM_BYTES {
            for seq in self.due(no, true, room, want.now)? {
                let claim = self.lease(index, seq, want)?;
                claims.now.push(claim);
            }
        }
        claims.now.sort_unstable_by_key(|claim| claim.lease.seq);
        claims.next_due = self.next_due(index, want.now)?;
        Ok(claims)
    }

    /// The time that the destination asked for is over.
    fn unhold(&mut self, index: usize) {
        let mut destinations = self.memory.destinations.iter_mut().skip(index);
        if let Some(destination) = destinations.next().filter(|d| d.hold_until > 0) {
            destination.hold_until = 0;
            destination.changed = true;
            self.sums_changed = true;
        }
    }

    pub(super) fn index_of(&self, id: &str) -> Result<usize, StoreError> {
        self.memory
            .destinations
            .iter()
            .position(|d| d.id == id)
            .ok_or_else(|| StoreError::Refused(WriteError::NoDestination(id.to_owned())))
    }

    pub(super) fn destination(&mut self, id: &str) -> Result<&mut Destination, StoreError> {
        self.memory
            .destinations
            .iter_mut()
            .find(|d| d.id == id)
            .ok_or_else(|| StoreError::Refused(WriteError::NoDestination(id.to_owned())))
    }

    /// A lease that ran out belongs to a try that was lost: the delivery is pending again.
    fn expire(&mut self, no: i64, now: Timestamp) -> Result<(), StoreError> {
        let expired: Vec<i64> = self
            .connection
            .prepare_cached(
                "UPDATE delivery INDEXED BY delivery_leased
                 SET state = 'pending', due_at = 0, not_before = 0, lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND state = 'sending' AND lease_until < ?2 RETURNING seq",
            )?
            .query_map([no, now.as_millisecond()], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if !expired.is_empty() {
            self.moved(no, Some(State::Sending), State::Pending, &expired);
        }
        Ok(())
    }

    /// Brings forward what waits for a later step of its schedule, but not what the destination
    /// itself asked to wait, nor what waits for Orbit or for a gate.
    fn hasten(&mut self, no: i64, now: Timestamp) -> Result<i64, StoreError> {
        let now = now.as_millisecond();
        let hastened = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET due_at = max(not_before, ?2)
                 WHERE destination = ?1 AND seq IN (
                     SELECT seq FROM delivery INDEXED BY delivery_due
                     WHERE destination = ?1 AND replayed IN (0, 1) AND due_at > ?2
                     AND state IN ('pending', 'postponed') AND waits_for IS NULL
                     AND due_at > not_before AND for_orbit = 0 AND gate IS NULL LIMIT ?3)",
            )?
            .execute([no, now, HASTEN])?;
        Ok(i64::try_from(hastened).unwrap_or(0))
    }

    fn due(
        &mut self,
        no: i64,
        replayed: bool,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = self
            .connection
            .prepare_cached(
                "SELECT seq FROM delivery INDEXED BY delivery_due
                 WHERE destination = ?1 AND replayed = ?2 AND due_at <= ?3
                 AND state IN ('pending', 'postponed') AND waits_for IS NULL
                 ORDER BY due_at, seq LIMIT ?4",
            )?
            .query_map(params![no, replayed, now.as_millisecond(), limit], |row| {
                row.get(0)
            })?
            .collect::<Result<_, _>>()?;
        Ok(due)
    }

    /// The retry that a probe is made of: the next in turn, due or not, unless the destination
    /// asked it to wait, or it waits for Orbit or for a gate.
    fn next_retry(&mut self, no: i64, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        let next = self
            .connection
            .prepare_cached(
                "SELECT seq FROM delivery INDEXED BY delivery_due
                 WHERE destination = ?1 AND replayed IN (0, 1) AND not_before <= ?2
                 AND (for_orbit = 0 AND gate IS NULL OR due_at <= ?2)
                 AND state IN ('pending', 'postponed') AND waits_for IS NULL
                 ORDER BY replayed, due_at LIMIT 1",
            )?
            .query_row([no, now.as_millisecond()], |row| row.get(0))
            .optional()?;
        Ok(next.into_iter().collect())
    }

    /// Moves the cursor over the next event and leases its delivery; none when there is none.
    fn lease_fresh(&mut self, index: usize, want: &Want) -> Result<Option<Claim>, StoreError> {
        let last_seq = self.memory.last_seq;
        let token = self.next_token;
        let Some(destination) = self.memory.destinations.get_mut(index) else {
            return Ok(None);
        };
        let seq = destination.first_fresh();
        if seq > last_seq {
            return Ok(None);
        }
        let lease = lease(destination.no, seq, token, want);
        destination.cursor = seq;
        destination.count(State::Sending, 1);
        let hours = &mut self.memory.hours;
        hours.moved(lease.destination, None, State::Sending, &[seq]);
        self.next_token += 1;
        self.sums_changed = true;
        self.connection
            .prepare_cached(
                "INSERT INTO delivery
                 (destination, seq, state, attempts, due_at, lease, lease_until, replayed, changed_at)
                 VALUES (?1, ?2, 'sending', 1, 0, ?3, ?4, 0, 0)",
            )?
            .execute([lease.destination, seq, token, lease.until.as_millisecond()])?;
        let claim = self
            .connection
            .prepare_cached(&format!(
                "SELECT {CLAIMED} FROM event e LEFT JOIN enrichment r ON r.seq = e.seq
                 WHERE e.seq = ?1"
            ))?
            .query_row([seq], |row| claimed(row, lease, &want.destination))?;
        Ok(Some(claim))
    }

    /// Leases a delivery that has a row.
    fn lease(&mut self, index: usize, seq: i64, want: &Want) -> Result<Claim, StoreError> {
        let (no, worked_ms) = self
            .memory
            .destinations
            .get(index)
            .map_or((0, 0), |d| (d.no, d.worked_ms));
        let lease = lease(no, seq, self.next_token, want);
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
                 lease_until = ?4, for_orbit = 0 WHERE destination = ?1 AND seq = ?2",
            )?
            .execute([no, seq, lease.token, lease.until.as_millisecond()])?;
        self.moved(no, from, State::Sending, &[seq]);
        let claim = self
            .connection
            .prepare_cached(&format!(
                "SELECT {CLAIMED}, d.attempts, d.failures, d.waiting_since_ms, d.relay, d.replayed,
                 d.message, d.progress, d.enrich_since
                 FROM delivery d JOIN event e ON e.seq = d.seq
                 LEFT JOIN enrichment r ON r.seq = d.seq
                 WHERE d.destination = ?1 AND d.seq = ?2"
            ))?
            .query_row([no, seq], |row| {
                let mut claim = claimed(row, lease, &want.destination)?;
                claim.attempt = row.get(8)?;
                claim.failures = row.get(9)?;
                let since: Option<i64> = row.get(10)?;
                let waited = since.map_or(0, |since| unsigned(worked_ms - since));
                claim.waited = Duration::from_millis(waited);
                claim.frozen = row.get(11)?;
                claim.replayed = row.get(12)?;
                claim.message = row.get(13)?;
                claim.progress = row.get(14)?;
                claim.enrich_since = row.get::<_, Option<i64>>(15)?.map(timestamp);
                if claim.replayed && claim.origin != Origin::Sample {
                    claim.origin = Origin::Replay;
                }
                Ok(claim)
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
                "SELECT due_at FROM delivery INDEXED BY delivery_due
                 WHERE destination = ?1 AND replayed = 0
                 AND state IN ('pending', 'postponed') AND waits_for IS NULL
                 ORDER BY due_at LIMIT 1",
            )?
            .query_row([destination.no], |row| row.get(0))
            .optional()?;
        Ok(next.map(timestamp))
    }
}

fn lease(destination: i64, seq: i64, token: i64, want: &Want) -> Lease {
    Lease {
        seq,
        until: crate::clock::later(want.now, want.lease),
        destination,
        token,
    }
}

/// The claim of a delivery that was never tried.
fn claimed(row: &Row<'_>, lease: Lease, destination: &str) -> rusqlite::Result<Claim> {
    let origin: String = row.get(3)?;
    Ok(Claim {
        lease,
        destination_id: destination.to_owned(),
        source: row.get(0)?,
        event_type: row.get(1)?,
        identity: row.get(2)?,
        origin: super::own::origin(&origin),
        received_at: timestamp(row.get(4)?),
        body: row.get(5)?,
        attempt: 1,
        failures: 0,
        waited: Duration::ZERO,
        replayed: false,
        frozen: None,
        message: None,
        progress: None,
        enrichment: Enrichment {
            run: row.get(6)?,
            anomaly: row.get(7)?,
        },
        enrich_since: None,
    })
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

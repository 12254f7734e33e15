//! The SQL of events, deliveries and sums, inside the writer's transaction.
//!
//! ```text
//! mod    the transaction, events, the ends of tries, sums
//! claim  which deliveries go next, and kept events that are asked for
//! dedupe which events were seen before
//! ```
//!
//! # Invariants
//! - Every change by the holder of a lease checks that exactly one row changed.
//! - A read or change of what is open names its index: without it the statement is refused, so
//!   none of them ever walks through what is finished.
//! - `memory` equals what the open transaction would read; a rollback restores it.

mod claim;
mod dedupe;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use self::dedupe::Recent;
use super::{Appended, DestinationSums, Disposition, Lease, State, Sums, WriteError};
use crate::event::Event;

/// What ended a transaction, or one call in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed: the whole group fails with it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The call itself is refused; others in its group are not concerned.
    #[error("{0}")]
    Refused(WriteError),
}

impl StoreError {
    /// The disk or the file's allowance is full: nothing is broken, and space may come back.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Sqlite(e)
            if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}

/// The open database, with what is asked for at every event kept in memory.
pub(super) struct Store {
    connection: Connection,
    memory: Memory,
    before: Memory,
    recent: Recent,
    written: u64,
    sums_changed: bool,
    next_token: i64,
    fresh_first: bool,
}

/// What the tables say, so that an insert need not ask them.
#[derive(Clone, Default)]
struct Memory {
    last_seq: i64,
    last_event_at: Option<Timestamp>,
    events: BTreeMap<String, i64>,
    changed_events: Vec<String>,
    destinations: Vec<Destination>,
}

#[derive(Clone)]
struct Destination {
    no: i64,
    id: String,
    cursor: i64,
    /// Ranges of events that are not this destination's, in order; the last may be open.
    kept: Vec<(i64, Option<i64>)>,
    states: BTreeMap<State, i64>,
    changed: bool,
}

/// What a commit writes to the log beside event bodies: a few pages.
const COMMIT_BYTES: u64 = 32 * 1024;

const ACCEPTED: &str = "accepted";
const DUPLICATE: &str = "duplicate";
const REJECTED: &str = "rejected:";

impl Store {
    /// Reads what the tables say.
    pub(super) fn load(connection: Connection) -> Result<Self, StoreError> {
        let memory = Memory::read(&connection)?;
        let recent = Recent::load(&connection)?;
        // Tokens of different openings never meet: each begins somewhere else.
        let next_token = i64::from(getrandom::u32().unwrap_or(0)) << 30;
        Ok(Self {
            connection,
            before: memory.clone(),
            memory,
            recent,
            written: 0,
            sums_changed: true,
            next_token,
            fresh_first: false,
        })
    }

    /// Makes what an earlier process left ready for this one.
    pub(super) fn take_over(
        &mut self,
        now: Timestamp,
        free_leases: bool,
        destinations: Option<&[String]>,
    ) -> Result<(), StoreError> {
        self.begin()?;
        if let Some(ids) = destinations {
            self.register(ids)?;
        }
        for no in self
            .memory
            .destinations
            .iter()
            .map(|d| d.no)
            .collect::<Vec<_>>()
        {
            if free_leases {
                let freed = self.connection.execute(
                    "UPDATE delivery INDEXED BY delivery_leased
                     SET state = 'pending', lease = NULL, lease_until = NULL, due_at = 0
                     WHERE destination = ?1 AND state = 'sending'",
                    [no],
                )?;
                let freed = i64::try_from(freed).unwrap_or(0);
                self.moved(no, Some(State::Sending), State::Pending, freed);
            }
            // A due time far ahead was written under another wall clock: nobody waits for that.
            let latest = crate::clock::later(now, std::time::Duration::from_mins(2));
            self.connection.execute(
                "UPDATE delivery INDEXED BY delivery_due
                 SET due_at = ?2 WHERE destination = ?1 AND due_at > ?3
                 AND state IN ('pending', 'postponed')",
                params![no, now.as_millisecond(), latest.as_millisecond()],
            )?;
        }
        self.commit()
    }

    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        self.before.clone_from(&self.memory);
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.write_sums()?;
        self.recent.move_some(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.recent.committed(self.memory.last_seq);
        self.written += COMMIT_BYTES;
        Ok(())
    }

    pub(super) fn rollback(&mut self) -> Result<(), StoreError> {
        self.memory.clone_from(&self.before);
        self.recent.rolled_back();
        if !self.connection.is_autocommit() {
            self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        }
        Ok(())
    }

    /// Writes something, to find out whether that is possible.
    pub(super) fn probe(&mut self) -> Result<(), StoreError> {
        self.begin()?;
        self.set_note("probe", &self.memory.last_seq.to_string())?;
        self.commit()
    }

    /// About how many bytes the log has grown since this was last asked.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn close(self) -> Result<(), StoreError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn pragma(&self, name: &str) -> String {
        let value = self
            .connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        match value.unwrap() {
            rusqlite::types::Value::Integer(n) => n.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    /// Makes the database as full as a disk may be: `SQLITE_FULL` beyond what it has now.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, spare: Option<u32>) -> Result<(), StoreError> {
        let pages: u32 = self.pragma("page_count").parse().unwrap();
        let most = spare.map_or(u32::MAX - 1, |spare| pages + spare);
        let set = format!("PRAGMA max_page_count = {most}");
        Ok(self.connection.query_row(&set, [], |_| Ok(()))?)
    }

    pub(super) fn append(&mut self, event: &Event) -> Result<Appended, StoreError> {
        let seq = self.memory.last_seq + 1;
        if !self.recent.add(&self.connection, event.dedupe_key(), seq)? {
            self.memory.count(DUPLICATE, 1);
            self.sums_changed = true;
            return Ok(Appended::Duplicate);
        }
        self.connection
            .prepare_cached(
                "INSERT INTO event (seq, source, type, identity, origin, received_at, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                seq,
                event.source,
                event.event_type,
                event.identity.text(),
                event.origin.as_str(),
                event.received_at.as_millisecond(),
                event.body,
            ])?;
        self.written += u64::try_from(event.body.len()).unwrap_or(0);
        self.memory.last_seq = seq;
        self.memory.last_event_at = Some(event.received_at);
        self.memory.count(ACCEPTED, 1);
        self.sums_changed = true;
        Ok(Appended::Accepted(seq))
    }

    fn register(&mut self, ids: &[String]) -> Result<(), StoreError> {
        let last_seq = self.memory.last_seq;
        for id in ids {
            if !self.memory.destinations.iter().any(|d| d.id == *id) {
                self.connection.execute(
                    "INSERT INTO destination (id, cursor) VALUES (?1, ?2)",
                    params![id, last_seq],
                )?;
                let no = self.connection.last_insert_rowid();
                if last_seq > 0 {
                    self.connection.execute(
                        "INSERT INTO kept (destination, first_seq, last_seq) VALUES (?1, 1, ?2)",
                        [no, last_seq],
                    )?;
                }
            }
        }
        self.connection.execute(
            "DELETE FROM kept WHERE last_seq IS NULL AND first_seq > ?1",
            [last_seq],
        )?;
        for destination in destinations(&self.connection)? {
            let gone = !ids.contains(&destination.id);
            let open = destination
                .kept
                .last()
                .is_some_and(|(_, last)| last.is_none());
            if gone && !open {
                self.connection.execute(
                    "INSERT INTO kept (destination, first_seq, last_seq) VALUES (?1, ?2, NULL)",
                    [destination.no, last_seq + 1],
                )?;
            } else if !gone && open {
                self.connection.execute(
                    "UPDATE kept SET last_seq = ?2 WHERE destination = ?1 AND last_seq IS NULL",
                    [destination.no, last_seq],
                )?;
            }
        }
        self.memory.destinations = destinations(&self.connection)?;
        self.sums_changed = true;
        Ok(())
    }

    pub(super) fn freeze(
        &mut self,
        lease: Lease,
        relay: &str,
        asset: Option<&str>,
    ) -> Result<(), StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET relay = ?4, asset = ?5
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                relay,
                asset
            ])?;
        held(changed, lease)
    }

    pub(super) fn record(
        &mut self,
        lease: Lease,
        disposition: &Disposition,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (due_at, reason) = match disposition {
            Disposition::Delivered | Disposition::Released => (0, None),
            Disposition::Postponed { due_at, reason } => {
                (due_at.as_millisecond(), Some(reason.as_str()))
            }
            Disposition::Dead { reason } | Disposition::Skipped { reason } => {
                (0, Some(reason.as_str()))
            }
        };
        let state = disposition.state();
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = ?4, due_at = ?5, reason = ?6, changed_at = ?7,
                 lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                state.as_str(),
                due_at,
                reason,
                at.as_millisecond(),
            ])?;
        held(changed, lease)?;
        self.moved(lease.destination, Some(State::Sending), state, 1);
        Ok(())
    }

    pub(super) fn count_rejected(&mut self, by_reason: &BTreeMap<String, u64>) {
        for (reason, n) in by_reason {
            let n = i64::try_from(*n).unwrap_or(i64::MAX);
            self.memory.count(&format!("{REJECTED}{reason}"), n);
        }
        self.sums_changed = true;
    }

    pub(super) fn note(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let value = self
            .connection
            .query_row("SELECT value FROM note WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(value)
    }

    pub(super) fn set_note(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO note (name, value) VALUES (?1, ?2)")?
            .execute([name, value])?;
        Ok(())
    }

    /// The sums, if they changed since they were last asked for.
    pub(super) fn changed_sums(&mut self) -> Result<Option<Sums>, StoreError> {
        if !std::mem::take(&mut self.sums_changed) {
            return Ok(None);
        }
        Ok(Some(self.memory.sums(&self.connection)?))
    }

    /// Counts `n` deliveries that changed state; a new row comes from none, which takes it from
    /// what the cursor had not passed.
    fn moved(&mut self, destination: i64, from: Option<State>, to: State, n: i64) {
        if let Some(destination) = self
            .memory
            .destinations
            .iter_mut()
            .find(|d| d.no == destination)
        {
            if let Some(from) = from {
                destination.count(from, -n);
            }
            destination.count(to, n);
        }
        self.sums_changed = true;
    }

    fn write_sums(&mut self) -> Result<(), StoreError> {
        let mut event_sum = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO event_sum (name, n) VALUES (?1, ?2)")?;
        for name in self.memory.changed_events.drain(..) {
            if let Some(n) = self.memory.events.get(&name) {
                event_sum.execute(params![name, n])?;
            }
        }
        for destination in self.memory.destinations.iter_mut().filter(|d| d.changed) {
            self.connection
                .prepare_cached("UPDATE destination SET cursor = ?2 WHERE no = ?1")?
                .execute([destination.no, destination.cursor])?;
            let mut delivery_sum = self.connection.prepare_cached(
                "INSERT OR REPLACE INTO delivery_sum (destination, state, n) VALUES (?1, ?2, ?3)",
            )?;
            for (state, n) in &destination.states {
                delivery_sum.execute(params![destination.no, state.as_str(), n])?;
            }
            destination.changed = false;
        }
        Ok(())
    }
}

fn held(changed: usize, lease: Lease) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Refused(WriteError::LeaseLost(lease.seq)))
    }
}

impl Memory {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let last: Option<(i64, i64)> = connection
            .query_row(
                "SELECT seq, received_at FROM event ORDER BY seq DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (last_seq, last_at) = last.unzip();
        let events = connection
            .prepare("SELECT name, n FROM event_sum")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self {
            last_seq: last_seq.unwrap_or(0),
            last_event_at: last_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
            events,
            changed_events: Vec::new(),
            destinations: destinations(connection)?,
        })
    }

    fn count(&mut self, name: &str, n: i64) {
        if let Some(sum) = self.events.get_mut(name) {
            *sum += n;
        } else {
            self.events.insert(name.to_owned(), n);
        }
        if !self.changed_events.iter().any(|changed| changed == name) {
            self.changed_events.push(name.to_owned());
        }
    }

    fn sums(&self, connection: &Connection) -> rusqlite::Result<Sums> {
        let of = |name: &str| self.events.get(name).copied().map_or(0, unsigned);
        Ok(Sums {
            accepted: of(ACCEPTED),
            duplicate: of(DUPLICATE),
            rejected: self
                .events
                .iter()
                .filter_map(|(name, n)| Some((name.strip_prefix(REJECTED)?, n)))
                .map(|(reason, n)| (reason.to_owned(), unsigned(*n)))
                .collect(),
            last_event_at: self.last_event_at,
            destinations: self
                .destinations
                .iter()
                .map(|d| d.sums(connection, self.last_seq))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Destination {
    fn count(&mut self, state: State, n: i64) {
        *self.states.entry(state).or_insert(0) += n;
        self.changed = true;
    }

    /// How many events in `first..=last` are kept rather than this destination's.
    fn kept_within(&self, first: i64, last: i64) -> i64 {
        self.kept
            .iter()
            .map(|(from, to)| (to.unwrap_or(i64::MAX).min(last) - (*from).max(first) + 1).max(0))
            .sum()
    }

    fn sums(&self, connection: &Connection, last_seq: i64) -> rusqlite::Result<DestinationSums> {
        let above_cursor = self.cursor.saturating_add(1);
        let fresh = last_seq - self.cursor - self.kept_within(above_cursor, last_seq);
        let mut states: BTreeMap<_, _> = self
            .states
            .iter()
            .map(|(state, n)| (*state, unsigned(*n)))
            .collect();
        *states.entry(State::Pending).or_insert(0) += unsigned(fresh);
        Ok(DestinationSums {
            id: self.id.clone(),
            kept: unsigned(self.kept_within(1, last_seq)),
            states,
            oldest_undelivered_at: self.oldest_undelivered(connection, last_seq)?,
        })
    }

    fn first_fresh(&self) -> i64 {
        let mut seq = self.cursor + 1;
        for (from, to) in &self.kept {
            if (*from..=to.unwrap_or(i64::MAX)).contains(&seq) {
                seq = to.unwrap_or(i64::MAX - 1) + 1;
            }
        }
        seq
    }

    fn oldest_undelivered(
        &self,
        connection: &Connection,
        last_seq: i64,
    ) -> rusqlite::Result<Option<Timestamp>> {
        let open: Option<i64> = connection
            .prepare_cached(
                "SELECT min(seq) FROM delivery INDEXED BY delivery_open WHERE destination = ?1
                 AND state IN ('pending', 'sending', 'postponed', 'parked')",
            )?
            .query_row([self.no], |row| row.get(0))?;
        let fresh = Some(self.first_fresh()).filter(|seq| *seq <= last_seq);
        let Some(seq) = open.into_iter().chain(fresh).min() else {
            return Ok(None);
        };
        let at: Option<i64> = connection
            .prepare_cached("SELECT received_at FROM event WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }
}

/// The sums as the tables hold them, for a reader in a process of its own.
pub(super) fn read_sums(connection: &Connection) -> rusqlite::Result<Sums> {
    Memory::read(connection)?.sums(connection)
}

fn destinations(connection: &Connection) -> rusqlite::Result<Vec<Destination>> {
    let mut destinations = connection
        .prepare_cached("SELECT no, id, cursor FROM destination ORDER BY no")?
        .query_map([], |row| {
            Ok(Destination {
                no: row.get(0)?,
                id: row.get(1)?,
                cursor: row.get(2)?,
                kept: Vec::new(),
                states: BTreeMap::new(),
                changed: false,
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for destination in &mut destinations {
        destination.kept = connection
            .prepare_cached(
                "SELECT first_seq, last_seq FROM kept WHERE destination = ?1 ORDER BY first_seq",
            )?
            .query_map([destination.no], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let states: Vec<(String, i64)> = connection
            .prepare_cached("SELECT state, n FROM delivery_sum WHERE destination = ?1")?
            .query_map([destination.no], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        destination.states = states
            .into_iter()
            .filter_map(|(word, n)| Some((State::from_word(&word)?, n)))
            .collect();
    }
    Ok(destinations)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

//! The SQL of events, deliveries and sums, inside the writer's transaction.
//!
//! ```text
//! mod    the transaction, opening, events, sums
//! acts   who did what; pause and resume
//! bulk   what is done to many deliveries, in steps
//! catalogue what events are about
//! claim  which deliveries go next
//! kept   kept events that are asked for
//! orders work orders
//! settle what becomes of them, and of their destination
//! turns  whose turn it is
//! gates  who is asked before a delivery goes
//! own    what the relay itself says of all that
//! enrich what Orbit said, and what waits for it or for an asset
//! expire what was delivered long ago goes
//! hours  sums by hour
//! dedupe which events were seen before
//! take_over what an earlier process left
//! memory cursors and sums, as the tables have them
//! ```
//!
//! # Invariants
//! - A read or change of what is open names its index: without it the statement is refused, so
//!   none of them ever walks through what is finished.
//! - `memory` equals what the open transaction would read; a rollback restores it.

mod acts;
mod bulk;
mod catalogue;
mod claim;
mod dedupe;
mod enrich;
mod expire;
mod gates;
mod hours;
mod kept;
mod memory;
mod orders;
mod own;
mod settle;
mod take_over;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

pub(super) use self::catalogue::mark;
use self::dedupe::Recent;
pub(super) use self::gates::Unanswered;
pub(super) use self::hours::{EXPIRED as EXPIRED_IN_HOUR, HOUR_MS, HOURS};
pub(super) use self::memory::read_sums;
use self::memory::unsigned;
use self::memory::{ACCEPTED, BACKFILLED, DUPLICATE, EXPIRED, Memory, REJECTED, destinations};
pub(super) use self::take_over::CLOCK;
use super::{Appended, Missing, Registered, State, Sums, WriteError};
use crate::event::{DedupeKey, Event, NOTICE, ORBIT, Origin, RELAY};
use crate::own::Own;

/// What ended a transaction, or one call in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed: the whole group fails with it.
    #[error(transparent)]
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
    /// Why no new event is taken.
    full: Option<String>,
    /// The kinds of own events that some destination takes.
    says: Vec<Own>,
    /// The destinations that are waited for as gates, or were.
    gates: BTreeSet<i64>,
    /// Whether a gate ever cancelled an event that is here still.
    cancels: bool,
    /// This transaction let some go that waited for a gate.
    released: bool,
    /// What this transaction parked because a gate gave no answer.
    unanswered: Vec<Unanswered>,
}

/// What a commit writes to the log beside event bodies: a few pages.
const COMMIT_BYTES: u64 = 32 * 1024;

impl Store {
    /// Reads what the tables say. Own events of these kinds are made.
    pub(super) fn load(connection: Connection, says: &[Own]) -> Result<Self, StoreError> {
        let memory = Memory::read(&connection)?;
        let gates = gates::waited_for(&connection)?;
        let cancels = gates::there_are_cancels(&connection)?;
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
            full: None,
            says: says.to_vec(),
            gates,
            cancels,
            released: false,
            unanswered: Vec::new(),
        })
    }

    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        self.before.clone_from(&self.memory);
        self.released = false;
        self.unanswered.clear();
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

    /// Whether the last transaction let some go that waited for a gate.
    pub(super) fn has_released(&self) -> bool {
        self.released
    }

    /// What the last transaction parked because a gate gave no answer.
    pub(super) fn take_unanswered(&mut self) -> Vec<Unanswered> {
        std::mem::take(&mut self.unanswered)
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

    /// Bytes of the pages that hold something; what was freed is used again.
    pub(super) fn used_bytes(&self) -> Result<u64, StoreError> {
        let ask = |pragma: &str| -> rusqlite::Result<u64> {
            let mut statement = self.connection.prepare_cached(pragma)?;
            Ok(unsigned(statement.query_row([], |row| row.get(0))?))
        };
        let free = ask("PRAGMA freelist_count")?;
        let pages = ask("PRAGMA page_count")?.saturating_sub(free);
        Ok(pages * ask("PRAGMA page_size")?)
    }

    /// From now on new events are refused for this reason, or taken.
    pub(super) fn set_full(&mut self, why: Option<String>) {
        self.full = why;
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
        let appended = self.admit(event)?;
        if appended == Appended::Duplicate {
            self.count_duplicate(event.received_at)?;
        }
        Ok(appended)
    }

    /// `at` is when the request came.
    pub(super) fn count_duplicate(&mut self, at: Timestamp) -> Result<(), StoreError> {
        self.memory.count(DUPLICATE, 1);
        self.sums_changed = true;
        self.count_in_hour(at, DUPLICATE.to_owned(), 1)
    }

    /// Keeps what is not here yet. What is here is no request that came twice: it is not counted.
    pub(super) fn append_missing(
        &mut self,
        missing: &[Missing],
    ) -> Result<Vec<Appended>, StoreError> {
        let mut all = Vec::with_capacity(missing.len());
        for Missing { event, covered_by } in missing {
            let covered = match covered_by {
                Some(key) => self.knows(*key)?,
                None => false,
            };
            let appended = if covered {
                Appended::Duplicate
            } else {
                self.admit(event)?
            };
            if let Appended::Accepted(_) = appended {
                self.memory.count(BACKFILLED, 1);
            }
            all.push(appended);
        }
        self.say_found(missing, &all)?;
        Ok(all)
    }

    /// Whether an event with this key was ever taken.
    pub(super) fn knows(&self, key: DedupeKey) -> Result<bool, StoreError> {
        Ok(self.recent.knows(&self.connection, key)?)
    }

    fn admit(&mut self, event: &Event) -> Result<Appended, StoreError> {
        let seq = self.memory.last_seq + 1;
        let key = event.dedupe_key();
        if let Some(why) = self.full.as_ref().filter(|_| !is_grave(event))
            && !self.recent.knows(&self.connection, key)?
        {
            return Err(StoreError::Refused(WriteError::Full(why.clone())));
        }
        if !self.recent.add(&self.connection, key, seq)? {
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
        self.hour_at(event.received_at)?;
        self.memory.last_seq = seq;
        if event.source == ORBIT && event.origin != Origin::Sample {
            self.memory.last_sent_seq = seq;
            self.memory.last_event_at = Some(event.received_at);
        }
        self.memory.count(ACCEPTED, 1);
        self.sums_changed = true;
        self.say_received(seq, event)?;
        Ok(Appended::Accepted(seq))
    }

    fn register(&mut self, registered: &[Registered]) -> Result<(), StoreError> {
        let last_seq = self.memory.last_seq;
        let expired = self.memory.events.get(EXPIRED).copied().unwrap_or(0);
        for Registered { id, name } in registered {
            if self.memory.destinations.iter().any(|d| d.id == *id) {
                self.connection
                    .execute("UPDATE destination SET name = ?2 WHERE id = ?1", [id, name])?;
                continue;
            }
            self.connection.execute(
                "INSERT INTO destination (id, name, cursor, expired_kept) VALUES (?1, ?2, ?3, ?4)",
                params![id, name, last_seq, expired],
            )?;
            let no = self.connection.last_insert_rowid();
            if last_seq > 0 {
                self.connection.execute(
                    "INSERT INTO kept (destination, first_seq, last_seq) VALUES (?1, 1, ?2)",
                    [no, last_seq],
                )?;
            }
        }
        self.connection.execute(
            "DELETE FROM kept WHERE last_seq IS NULL AND first_seq > ?1",
            [last_seq],
        )?;
        for destination in destinations(&self.connection)? {
            let gone = !registered.iter().any(|r| r.id == destination.id);
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

    /// `at` is about when the requests came.
    pub(super) fn count_rejected(
        &mut self,
        by_reason: &BTreeMap<String, u64>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.sums_changed = true;
        for (reason, n) in by_reason {
            let n = i64::try_from(*n).unwrap_or(i64::MAX);
            let name = format!("{REJECTED}{reason}");
            self.memory.count(&name, n);
            self.count_in_hour(at, name, n)?;
        }
        Ok(())
    }

    pub(super) fn note(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(note(&self.connection, name)?)
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

    /// Counts the deliveries of these events, which changed state; a new row comes from none,
    /// which takes it from what the cursor had not passed.
    fn moved(&mut self, destination: i64, from: Option<State>, to: State, seqs: &[i64]) {
        self.memory.hours.moved(destination, from, to, seqs);
        if let Some(destination) = self
            .memory
            .destinations
            .iter_mut()
            .find(|d| d.no == destination)
        {
            let n = i64::try_from(seqs.len()).unwrap_or(i64::MAX);
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
                .prepare_cached(
                    "UPDATE destination SET cursor = ?2, hold_until = ?3, worked_ms = ?4,
                     expired = ?5, expired_kept = ?6, died = ?7, died_why = ?8,
                     unanswered = ?9, unanswered_why = ?10 WHERE no = ?1",
                )?
                .execute(params![
                    destination.no,
                    destination.cursor,
                    destination.hold_until,
                    destination.worked_ms,
                    destination.expired,
                    destination.expired_kept,
                    destination.died,
                    destination.died_why,
                    destination.unanswered,
                    destination.unanswered_why,
                ])?;
            let mut delivery_sum = self.connection.prepare_cached(
                "INSERT OR REPLACE INTO delivery_sum (destination, state, n) VALUES (?1, ?2, ?3)",
            )?;
            for (state, n) in &destination.states {
                delivery_sum.execute(params![destination.no, state.as_str(), n])?;
            }
            destination.changed = false;
        }
        drop(event_sum);
        self.write_hours()
    }
}

/// Whether it is kept where there is no room for new events: what the relay itself says of that,
/// and of what stopped, is little.
fn is_grave(event: &Event) -> bool {
    let grave = |own: Own| own.is_grave();
    event.source == RELAY
        && event.origin == Origin::Relay
        && (event.event_type == NOTICE || Own::of_type(&event.event_type).is_some_and(grave))
}

pub(super) fn note(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM note WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()
}

#[cfg(test)]
mod tests;

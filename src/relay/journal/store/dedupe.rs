//! Which events were seen before.
//!
//! Dedupe keys are random, so inserting each into an index at once dirties one index page for
//! each event. Instead the latest keys are held in memory, and in a table in order of arrival
//! from which memory is filled again at start. When there are enough, they move into the index
//! in key order, a few with each commit, so that one index page takes many keys.
//!
//! # Invariants
//! - A key is durable with its event: in `recent_key` or in `dedupe_key`, never in memory alone.
//! - What a rolled back transaction added or moved is as if it had never been.
//! - Memory is bounded by two batches, and by what comes in while one of them moves; a restart
//!   loses nothing of a move.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::event::DedupeKey;

/// As many keys move together, but in a test.
const BATCH: usize = 32_768;
/// For each key that comes in this many move, so that a batch is gone before the next is full.
const MOVED_FOR_ONE: usize = 2;

/// The keys that are not in the index yet.
pub(super) struct Recent {
    /// As many keys move together.
    batch: usize,
    keys: HashSet<DedupeKey>,
    /// Those that this transaction added, and a rollback takes out again.
    added: Vec<DedupeKey>,
    moving: Moving,
}

/// A batch on its way into the index, in key order.
#[derive(Default)]
struct Moving {
    keys: Vec<DedupeKey>,
    done: usize,
    done_before: usize,
    /// Every key of the batch belongs to an event up to this one.
    last_seq: i64,
}

impl Recent {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        // What a move had brought over before a restart cut it short is done.
        connection.execute(
            "DELETE FROM recent_key WHERE key IN (SELECT key FROM dedupe_key)",
            [],
        )?;
        let keys = connection
            .prepare("SELECT key FROM recent_key")?
            .query_map([], |row| row.get(0).map(DedupeKey))?
            .collect::<Result<_, _>>()?;
        Ok(Self {
            batch: BATCH,
            keys,
            added: Vec::new(),
            moving: Moving::default(),
        })
    }

    /// Whether a key is there.
    pub(super) fn knows(&self, connection: &Connection, key: DedupeKey) -> rusqlite::Result<bool> {
        if self.keys.contains(&key) || self.moving.keys.binary_search(&key).is_ok() {
            return Ok(true);
        }
        let indexed = connection
            .prepare_cached("SELECT 1 FROM dedupe_key WHERE key = ?1")?
            .query_row([key.0], |_| Ok(()))
            .optional()?;
        Ok(indexed.is_some())
    }

    /// Adds a key; false if it was there.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        key: DedupeKey,
        seq: i64,
    ) -> rusqlite::Result<bool> {
        if self.knows(connection, key)? {
            return Ok(false);
        }
        connection
            .prepare_cached("INSERT INTO recent_key (seq, key) VALUES (?1, ?2)")?
            .execute(params![seq, key.0])?;
        self.keys.insert(key);
        self.added.push(key);
        Ok(true)
    }

    /// Moves some keys into the index, within the transaction that is about to be committed.
    pub(super) fn move_some(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let moving = &mut self.moving;
        let some = self.added.len() * MOVED_FOR_ONE;
        let mut insert = connection
            .prepare_cached("INSERT INTO dedupe_key (key) VALUES (?1) ON CONFLICT DO NOTHING")?;
        let next = moving.keys.iter().skip(moving.done).take(some);
        for key in next {
            insert.execute([key.0])?;
            moving.done += 1;
        }
        if moving.is_done() {
            connection
                .prepare_cached("DELETE FROM recent_key WHERE seq <= ?1")?
                .execute([moving.last_seq])?;
        }
        Ok(())
    }

    pub(super) fn committed(&mut self, last_seq: i64) {
        self.added.clear();
        if self.moving.is_done() {
            self.moving = Moving::default();
        }
        self.moving.done_before = self.moving.done;
        if self.moving.keys.is_empty() && self.keys.len() >= self.batch {
            let mut keys: Vec<_> = self.keys.drain().collect();
            keys.sort_unstable();
            self.moving = Moving {
                keys,
                done: 0,
                done_before: 0,
                last_seq,
            };
        }
    }

    pub(super) fn rolled_back(&mut self) {
        for key in self.added.drain(..) {
            self.keys.remove(&key);
        }
        self.moving.done = self.moving.done_before;
    }
}

impl Moving {
    fn is_done(&self) -> bool {
        !self.keys.is_empty() && self.done == self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tables() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("../../../../migrations/0001.sql"))
            .unwrap();
        connection
    }

    fn load(connection: &Connection) -> Recent {
        Recent {
            batch: 8,
            ..Recent::load(connection).unwrap()
        }
    }

    /// What happens to a group of keys.
    #[derive(Clone, Copy, Debug)]
    enum End {
        Commit,
        Rollback,
        CommitAndRestart,
    }

    fn end() -> impl Strategy<Value = End> {
        prop_oneof![6 => Just(End::Commit), 2 => Just(End::Rollback), 1 => Just(End::CommitAndRestart)]
    }

    proptest! {
        #[test]
        fn a_key_is_new_exactly_once_whatever_moves_rolls_back_or_restarts(
            groups in prop::collection::vec((prop::collection::vec(0u8..120, 1..12), end()), 1..60)
        ) {
            let connection = tables();
            let mut recent = load(&connection);
            let mut known = HashSet::new();
            let mut last_seq = 0;
            for (keys, end) in groups {
                connection.execute_batch("BEGIN").unwrap();
                let (before, seq_before) = (known.clone(), last_seq);
                for key in keys {
                    let new = recent.add(&connection, DedupeKey([key; 16]), last_seq + 1).unwrap();
                    prop_assert_eq!(new, known.insert(key), "key {}", key);
                    last_seq += i64::from(new);
                }
                recent.move_some(&connection).unwrap();
                if matches!(end, End::Rollback) {
                    connection.execute_batch("ROLLBACK").unwrap();
                    recent.rolled_back();
                    (known, last_seq) = (before, seq_before);
                } else {
                    connection.execute_batch("COMMIT").unwrap();
                    recent.committed(last_seq);
                }
                if matches!(end, End::CommitAndRestart) {
                    recent = load(&connection);
                }
                let held = recent.keys.len() + recent.moving.keys.len();
                prop_assert!(held <= 3 * (8 + 12), "{} keys", held);
            }
        }
    }
}

//! Gates: destinations that are asked first (docs/decisions/0027).
//!
//! What a gate makes of an event is its own delivery of that event; others wait for its end.
//!
//! # Invariants
//! - Who waits for a gate is let go in the commit in which the gate's delivery ends.
//! - A wait is over at its limit at the latest, whatever becomes of the gate; it goes on over a
//!   restart from when it began.
//! - What waits for a gate was not tried: it spends no try and no step of its schedule.
//! - Neither what was frozen nor what a person asked for again is asked about.
//! - A gate that cancelled an event has done so for good: also where it is gone or renamed since.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::settle::held;
use super::{Store, StoreError};
use crate::relay::journal::{Asked, Fate, Lease, State, WriteError};

/// How far a claimed delivery has come.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub(super) frozen: bool,
    pub(super) replayed: bool,
    /// Since when it waits for gates, in milliseconds of the steady clock.
    gate_since: Option<i64>,
}

/// A delivery that was parked because a gate gave no answer.
pub(in crate::relay::journal) struct Unanswered {
    pub(in crate::relay::journal) seq: i64,
    pub(in crate::relay::journal) destination: String,
    pub(in crate::relay::journal) reason: String,
}

/// What a gate says of one event.
enum Verdict {
    Pass,
    /// The gate gave no answer and is not to be passed without.
    Hold(String),
    Wait(Wait),
}

struct Wait {
    gate: i64,
    name: String,
    due_at: i64,
}

/// Which destinations are waited for as gates.
pub(super) fn waited_for(connection: &Connection) -> rusqlite::Result<BTreeSet<i64>> {
    connection
        .prepare_cached(
            "SELECT DISTINCT gate FROM delivery INDEXED BY delivery_gate WHERE gate IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Whether any event that is here was cancelled by a gate.
pub(super) fn there_are_cancels(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM delivery INDEXED BY delivery_cancelled WHERE cancels IS NOT NULL LIMIT 1",
        )?
        .exists([])
}

impl Store {
    /// How far a delivery has come that is under this lease.
    pub(super) fn stage(&self, lease: Lease) -> Result<Stage, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT relay IS NOT NULL, replayed, gate_since FROM delivery
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .query_row([lease.destination, lease.seq, lease.token], |row| {
                Ok(Stage {
                    frozen: row.get(0)?,
                    replayed: row.get(1)?,
                    gate_since: row.get(2)?,
                })
            })
            .optional()?
            .ok_or(StoreError::Refused(WriteError::LeaseLost(lease.seq)))
    }

    /// Asks the gates; none where all of them let it go. `place` is the line that it stands in
    /// while it waits, and its asset.
    pub(super) fn ask_gates(
        &mut self,
        lease: Lease,
        gates: Option<&[Asked]>,
        stage: Stage,
        place: (Option<&str>, Option<&str>),
        (at, now): (Timestamp, Timestamp),
    ) -> Result<Option<Fate>, StoreError> {
        let Some(gates) = gates.filter(|_| !stage.frozen && !stage.replayed) else {
            return Ok(None);
        };
        if let Some(reason) = self.cancelled(lease)? {
            return self.end(lease, State::Skipped, &reason, at).map(Some);
        }
        let now = now.as_millisecond();
        let since = stage.gate_since.unwrap_or(now);
        let (mut hold, mut wait): (Option<String>, Option<Wait>) = (None, None);
        for asked in gates {
            match self.verdict(asked, lease, since, now)? {
                Verdict::Pass => {}
                Verdict::Hold(reason) => hold = hold.or(Some(reason)),
                // The one whose limit comes first: what it comes to is known first.
                Verdict::Wait(next) => {
                    wait = match wait {
                        Some(wait) if wait.due_at <= next.due_at => Some(wait),
                        _ => Some(next),
                    }
                }
            }
        }
        match (hold, wait) {
            (Some(reason), _) => self.hold_back(lease, &reason, at).map(Some),
            (None, Some(wait)) => self.wait_for_gate(lease, &wait, since, place).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Why the event goes nowhere, if a gate said so.
    fn cancelled(&self, lease: Lease) -> Result<Option<String>, StoreError> {
        let reason = self
            .connection
            .prepare_cached(
                "SELECT d.name, c.cancels FROM delivery c INDEXED BY delivery_cancelled
                 JOIN destination d ON d.no = c.destination
                 WHERE c.seq = ?1 AND c.cancels IS NOT NULL LIMIT 1",
            )?
            .query_row([lease.seq], |row| {
                let (name, why): (String, String) = (row.get(0)?, row.get(1)?);
                Ok(format!("cancelled by the gate {name}: {why}"))
            })
            .optional()?;
        Ok(reason)
    }

    fn verdict(
        &self,
        asked: &Asked,
        lease: Lease,
        since: i64,
        now: i64,
    ) -> Result<Verdict, StoreError> {
        let mut destinations = self.memory.destinations.iter();
        let gate = destinations.find(|d| d.id == asked.gate && d.no != lease.destination);
        let Some(gate) = gate.filter(|gate| !gate.is_removed()) else {
            return Ok(Verdict::Pass);
        };
        let row: Option<(String, Option<String>)> = self
            .connection
            .prepare_cached(
                "SELECT state, reason FROM delivery WHERE destination = ?1 AND seq = ?2",
            )?
            .query_row([gate.no, lease.seq], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let name = &gate.name;
        let no_answer = |why: &str| {
            if asked.passes {
                Verdict::Pass
            } else {
                Verdict::Hold(format!("the gate {name} gave no answer: {why}"))
            }
        };
        let state = row.as_ref().and_then(|(word, ..)| State::from_word(word));
        let reason = row.and_then(|(_, reason)| reason);
        Ok(match state {
            Some(State::Delivered | State::Skipped | State::Discarded) => Verdict::Pass,
            Some(State::Dead) => no_answer(reason.as_deref().unwrap_or("it was given up")),
            // It is not the gate's: it came before the gate, or while that was away.
            None if gate.cursor >= lease.seq || gate.keeps(lease.seq) => Verdict::Pass,
            None | Some(State::Pending | State::Sending | State::Postponed | State::Parked) => {
                let due_at = since.saturating_add(millis(asked.limit));
                if now >= due_at {
                    no_answer(&format!("not within {}", in_words(asked.limit)))
                } else {
                    Verdict::Wait(Wait {
                        gate: gate.no,
                        name: name.clone(),
                        due_at,
                    })
                }
            }
        })
    }

    /// Untried: it is asked about again when the gate's delivery has ended, or at the limit.
    fn wait_for_gate(
        &mut self,
        lease: Lease,
        wait: &Wait,
        since: i64,
        (line, asset): (Option<&str>, Option<&str>),
    ) -> Result<Fate, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = 'postponed', attempts = attempts - 1, due_at = ?4,
                 not_before = 0, gate = ?5, gate_since = ?6, reason = ?7, line = ?8, asset = ?9,
                 lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                wait.due_at,
                wait.gate,
                since,
                format!("waits for the gate {}", wait.name),
                line,
                asset,
            ])?;
        held(changed, lease)?;
        self.moved(
            lease.destination,
            Some(State::Sending),
            State::Postponed,
            &[lease.seq],
        );
        self.gates.insert(wait.gate);
        Ok(Fate::Settled)
    }

    /// Untried: it waits for a person. It leaves its line, and those that wait for it go.
    fn hold_back(&mut self, lease: Lease, reason: &str, at: Timestamp) -> Result<Fate, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = 'parked', attempts = attempts - 1, due_at = 0,
                 not_before = 0, line = NULL, gate = NULL, gate_since = NULL, reason = ?4,
                 changed_at = ?5, lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                reason,
                at.as_millisecond(),
            ])?;
        held(changed, lease)?;
        self.moved(
            lease.destination,
            Some(State::Sending),
            State::Parked,
            &[lease.seq],
        );
        self.count_unanswered(lease, reason)?;
        self.release_waiting(lease.destination, lease.seq)?;
        Ok(Fate::Settled)
    }

    fn count_unanswered(&mut self, lease: Lease, reason: &str) -> Result<(), StoreError> {
        let is_told_of = self.is_told_of(lease.seq)?;
        let mut destinations = self.memory.destinations.iter_mut();
        if let Some(destination) = destinations.find(|d| d.no == lease.destination) {
            self.unanswered.push(Unanswered {
                seq: lease.seq,
                destination: destination.name.clone(),
                reason: reason.to_owned(),
            });
            if is_told_of {
                destination.unanswered += 1;
                destination.unanswered_why = Some(reason.to_owned());
                destination.changed = true;
            }
        }
        Ok(())
    }

    /// Lets all go that wait for any gate to say something of this event: one has cancelled it.
    pub(super) fn release_cancelled(&mut self, seq: i64) -> Result<(), StoreError> {
        for gate in self.gates.clone() {
            self.release_gated(gate, seq)?;
        }
        Ok(())
    }

    /// Lets those go that wait for what this destination, a gate, makes of this event.
    pub(super) fn release_gated(&mut self, gate: i64, seq: i64) -> Result<(), StoreError> {
        if !self.gates.contains(&gate) {
            return Ok(());
        }
        let released = self
            .connection
            .prepare_cached(
                "UPDATE delivery INDEXED BY delivery_gate SET due_at = 0
                 WHERE gate = ?1 AND seq = ?2 AND state = 'postponed' AND for_orbit = 0",
            )?
            .execute([gate, seq])?;
        self.released |= released > 0;
        Ok(())
    }

    /// At start: gates may have come, gone or changed, so all that wait are asked about again; and
    /// the time since which they wait is on the clock of an earlier process.
    pub(super) fn take_over_gates(&self, now: i64, shift: Option<i64>) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE delivery INDEXED BY delivery_gate
             SET gate_since = coalesce(max(gate_since + ?2, 0), ?1) WHERE gate IS NOT NULL",
            params![now, shift],
        )?;
        self.connection.execute(
            "UPDATE delivery INDEXED BY delivery_gate SET due_at = 0
             WHERE gate IS NOT NULL AND state = 'postponed' AND for_orbit = 0",
            [],
        )?;
        Ok(())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn in_words(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| "ever".to_owned(), |d| format!("{d:#}"))
}

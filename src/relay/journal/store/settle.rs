//! What becomes of claimed deliveries, and of the destination that they go to.
//!
//! # Invariants
//! - Every change by the holder of a lease checks that exactly one row changed.
//! - A delivery that waits for another (`waits_for`) is let go in the commit in which that one ends.

use jiff::Timestamp;
use rusqlite::{ToSql, params};

use super::turns::Turn;
use super::{Store, StoreError};
use crate::event::{NOTICE, Origin, RELAY};
use crate::own::{End, Own};
use crate::relay::journal::{
    Disposition, Down, Ended, Fate, Lease, Paused, State, Step, WhileOpen, WriteError,
};

impl Store {
    pub(in crate::relay::journal) fn prepare(
        &mut self,
        steps: &[(Lease, Step)],
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Fate>, StoreError> {
        let mut fates = Vec::with_capacity(steps.len());
        for (lease, step) in steps {
            let fate = match self.take(*lease, step, at, now) {
                Ok(fate) => fate,
                Err(StoreError::Refused(_)) => Fate::Lost,
                Err(error) => return Err(error),
            };
            fates.push(fate);
        }
        Ok(fates)
    }

    fn take(
        &mut self,
        lease: Lease,
        step: &Step,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Fate, StoreError> {
        match step {
            Step::Skip { reason } => self.end(lease, State::Skipped, reason, at),
            Step::Bury { reason } => self.end(lease, State::Dead, reason, at),
            Step::Wait { due_at, reason } => self.wait_for_orbit(lease, *due_at, reason, now),
            Step::Park {
                reason,
                map,
                action,
            } => self.park(lease, reason, map.as_deref(), action.as_deref(), at),
            Step::Freeze {
                relay,
                asset,
                line,
                once,
                message,
                map,
                template,
                action,
                while_open,
                gates,
            } => {
                let while_open = while_open.as_ref();
                let in_line = line.as_deref().filter(|_| while_open.is_none());
                let says = self.says(Own::BeforeDeliver);
                let mut fresh = false;
                let gated = |gates: &Vec<_>| !gates.is_empty() || self.cancels;
                if says || gates.as_ref().is_some_and(gated) {
                    let stage = self.stage(lease)?;
                    fresh = !stage.frozen;
                    let place = (in_line, asset.as_deref());
                    if let Some(fate) =
                        self.ask_gates(lease, gates.as_deref(), stage, place, (at, now))?
                    {
                        return Ok(fate);
                    }
                }
                match self.turn(lease, once.as_ref(), line.as_deref(), while_open)? {
                    Turn::Never(reason) => self.end(lease, State::Skipped, &reason, at),
                    Turn::After(seq) => self.wait_for(lease, seq, in_line, asset.as_deref()),
                    Turn::Now(open) => {
                        let Lease {
                            destination,
                            seq,
                            token,
                            ..
                        } = lease;
                        self.freeze(params![
                            destination,
                            seq,
                            token,
                            relay,
                            asset,
                            line,
                            message,
                            map,
                            template,
                            action
                        ])
                        .and_then(|changed| held(changed, lease))?;
                        self.wrote(message.as_deref());
                        if says && fresh {
                            self.say_before(lease, at)?;
                        }
                        Ok(Fate::Send { open })
                    }
                }
            }
        }
    }

    fn freeze(&self, values: &[&dyn ToSql]) -> Result<usize, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET relay = ?4, asset = ?5, line = ?6,
                 message = coalesce(?7, message), map = coalesce(?8, map),
                 template = coalesce(?9, template), action = coalesce(?10, action),
                 gate = NULL, gate_since = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(values)?;
        Ok(changed)
    }

    fn turn(
        &mut self,
        lease: Lease,
        once: Option<&[u8; 16]>,
        line: Option<&str>,
        while_open: Option<&WhileOpen>,
    ) -> Result<Turn, StoreError> {
        if let Some(key) = once {
            let turn = self.turn_of_once(lease, key)?;
            if !matches!(turn, Turn::Now(_)) {
                return Ok(turn);
            }
        }
        let turn = match (line, while_open) {
            (None, _) => Turn::Now(None),
            (Some(line), None) => self.turn_in_line(lease, line)?,
            (Some(line), Some(_)) => self.turn_among(lease, line)?,
        };
        match (turn, while_open) {
            (Turn::Now(_), Some(while_open)) => self.turn_while_open(lease, while_open),
            (turn, _) => Ok(turn),
        }
    }

    /// Untried: it is frozen when its turn comes.
    fn wait_for(
        &mut self,
        lease: Lease,
        seq: i64,
        line: Option<&str>,
        asset: Option<&str>,
    ) -> Result<Fate, StoreError> {
        let reason = format!("waits for number {seq}, which goes first");
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = 'postponed', attempts = attempts - 1, due_at = 0,
                 waits_for = ?4, line = ?5, asset = ?6, reason = ?7, lease = NULL,
                 lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                seq,
                line,
                asset,
                reason
            ])?;
        held(changed, lease)?;
        self.moved(
            lease.destination,
            Some(State::Sending),
            State::Postponed,
            &[lease.seq],
        );
        Ok(Fate::Settled)
    }

    pub(super) fn end(
        &mut self,
        lease: Lease,
        state: State,
        reason: &str,
        at: Timestamp,
    ) -> Result<Fate, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = ?4, attempts = attempts - 1, reason = ?5,
                 changed_at = ?6, gate = NULL, gate_since = NULL, lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                state.as_str(),
                reason,
                at.as_millisecond(),
            ])?;
        held(changed, lease)?;
        self.moved(lease.destination, Some(State::Sending), state, &[lease.seq]);
        if state == State::Dead {
            self.count_death(lease, reason)?;
            let end = End {
                dead: true,
                reason: Some(reason),
                answer: None,
            };
            self.say_end(lease, end, at)?;
        }
        self.release_waiting(lease.destination, lease.seq)?;
        Ok(Fate::Settled)
    }

    /// Lets those go that wait for this delivery: of this destination, and of others, where it is
    /// a gate's. Mostly there are none, and a look is cheap; the change makes a table of what it is to change, however little that is.
    pub(super) fn release_waiting(&mut self, destination: i64, seq: i64) -> Result<(), StoreError> {
        self.release_gated(destination, seq)?;
        let waited_for = self
            .connection
            .prepare_cached(
                "SELECT 1 FROM delivery INDEXED BY delivery_waiting
                 WHERE destination = ?1 AND waits_for = ?2 LIMIT 1",
            )?
            .exists([destination, seq])?;
        if !waited_for {
            return Ok(());
        }
        self.connection
            .prepare_cached(
                "UPDATE delivery INDEXED BY delivery_waiting SET waits_for = NULL, due_at = 0
                 WHERE destination = ?1 AND waits_for = ?2",
            )?
            .execute([destination, seq])?;
        Ok(())
    }

    pub(in crate::relay::journal) fn release(
        &mut self,
        leases: &[Lease],
    ) -> Result<(), StoreError> {
        for lease in leases {
            let released = self
                .connection
                .prepare_cached(
                    "UPDATE delivery SET state = 'pending', attempts = attempts - 1, due_at = 0,
                     not_before = 0, lease = NULL, lease_until = NULL
                     WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
                )?
                .execute([lease.destination, lease.seq, lease.token])?;
            // One whose lease ran out is pending already.
            if released == 1 {
                self.moved(
                    lease.destination,
                    Some(State::Sending),
                    State::Pending,
                    &[lease.seq],
                );
            }
        }
        Ok(())
    }

    pub(in crate::relay::journal) fn record(
        &mut self,
        ends: &[(Lease, Ended)],
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        let mut lost = Vec::new();
        for (lease, ended) in ends {
            match self.settle(*lease, ended, now) {
                Ok(()) => {}
                Err(StoreError::Refused(_)) => lost.push(*lease),
                Err(error) => return Err(error),
            }
        }
        Ok(lost)
    }

    fn settle(&mut self, lease: Lease, ended: &Ended, now: Timestamp) -> Result<(), StoreError> {
        let (due_at, not_before, reason) = match &ended.disposition {
            Disposition::Delivered => (0, None, None),
            Disposition::Waiting { due_at, reason } => {
                return self.wait_for_orbit(lease, *due_at, reason, now).map(drop);
            }
            Disposition::Postponed {
                due_at,
                not_before,
                reason,
            } => (
                due_at.as_millisecond() + i64::from(not_before.is_some()),
                *not_before,
                Some(reason),
            ),
            Disposition::Parked { reason } | Disposition::Dead { reason } => {
                (0, None, Some(reason))
            }
        };
        let state = ended.disposition.state();
        let failed = matches!(ended.disposition, Disposition::Postponed { .. });
        let worked_ms = self.worked_ms(lease.destination);
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = ?4, due_at = ?5, not_before = ?6, reason = ?7,
                 answer = ?8, changed_at = ?9, failures = failures + ?10,
                 waiting_since_ms = coalesce(waiting_since_ms, ?11), cancels = ?12,
                 lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                state.as_str(),
                due_at,
                not_before.map_or(0, at_or_after),
                reason,
                ended.answer,
                ended.at.as_millisecond(),
                failed,
                failed.then_some(worked_ms),
                ended.cancels.as_ref().filter(|_| state == State::Delivered),
            ])?;
        held(changed, lease)?;
        self.moved(lease.destination, Some(State::Sending), state, &[lease.seq]);
        if let Disposition::Dead { reason } = &ended.disposition {
            self.count_death(lease, reason)?;
        }
        if let Some(order) = ended.order.as_deref()
            && !self.is_sample(lease.seq)?
        {
            self.add_order(lease, order, ended.at)?;
        }
        if let Some(until) = ended.hold_until {
            self.hold(lease.destination, until);
        }
        if !matches!(state, State::Pending | State::Postponed) {
            self.release_waiting(lease.destination, lease.seq)?;
        }
        if state == State::Delivered && ended.cancels.is_some() {
            self.cancels = true;
            self.release_cancelled(lease.seq)?;
        }
        self.say_settled(lease, ended)
    }

    fn count_death(&mut self, lease: Lease, reason: &str) -> Result<(), StoreError> {
        if self.is_told_of(lease.seq)? {
            let mut destinations = self.memory.destinations.iter_mut();
            if let Some(destination) = destinations.find(|d| d.no == lease.destination) {
                destination.died += 1;
                destination.died_why = Some(reason.to_owned());
                destination.changed = true;
            }
        }
        Ok(())
    }

    /// Whether people are told what becomes of it: of all but the relay's notices, and samples.
    pub(super) fn is_told_of(&self, seq: i64) -> Result<bool, StoreError> {
        let is_told_of = self
            .connection
            .prepare_cached(
                "SELECT NOT (source = ?2 AND type = ?3) AND origin <> ?4 FROM event
                 WHERE seq = ?1",
            )?
            .query_row(
                params![seq, RELAY, NOTICE, Origin::Sample.as_str()],
                |row| row.get(0),
            )?;
        Ok(is_told_of)
    }

    fn hold(&mut self, no: i64, until: Timestamp) {
        let mut destinations = self.memory.destinations.iter_mut();
        if let Some(destination) = destinations.find(|d| d.no == no) {
            destination.hold_until = destination.hold_until.max(at_or_after(until));
            destination.changed = true;
        }
    }

    fn worked_ms(&self, no: i64) -> i64 {
        let mut destinations = self.memory.destinations.iter();
        destinations.find(|d| d.no == no).map_or(0, |d| d.worked_ms)
    }

    pub(in crate::relay::journal) fn set_down(
        &mut self,
        id: &str,
        down: Option<&Down>,
    ) -> Result<(), StoreError> {
        let destination = self.destination(id)?;
        destination.down = down.cloned();
        let no = destination.no;
        self.sums_changed = true;
        self.connection.execute(
            "UPDATE destination SET down_at = ?2, down_why = ?3 WHERE no = ?1",
            params![
                no,
                down.map(|down| down.at.as_millisecond()),
                down.map(|down| &down.why),
            ],
        )?;
        Ok(())
    }

    pub(in crate::relay::journal) fn pause_and_revive(
        &mut self,
        id: &str,
        paused: Paused,
        refused: &[i64],
    ) -> Result<(), StoreError> {
        let no = self.destination(id)?.no;
        for seq in refused {
            let revived = self
                .connection
                .prepare_cached(
                    "UPDATE delivery SET state = 'pending', due_at = 0
                     WHERE destination = ?1 AND seq = ?2 AND state = 'dead'",
                )?
                .execute([no, *seq])?;
            if revived == 1 {
                self.moved(no, Some(State::Dead), State::Pending, &[*seq]);
                if self.is_told_of(*seq)? {
                    self.destination(id)?.died -= 1;
                }
            }
        }
        let Paused {
            at,
            by,
            why,
            trouble,
        } = paused;
        self.pause(at, id, &by, &why, trouble.as_deref())?;
        Ok(())
    }
}

pub(super) fn held(changed: usize, lease: Lease) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Refused(WriteError::LeaseLost(lease.seq)))
    }
}

/// The column holds milliseconds, and nothing may be earlier than asked.
fn at_or_after(at: Timestamp) -> i64 {
    at.as_millisecond() + 1
}

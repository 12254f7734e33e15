//! What a person does to many deliveries at once: jobs in the journal, done in steps
//! (docs/decisions/0010).
//!
//! # Invariants
//! - A step looks at a bounded number of deliveries and changes no more than that.
//! - How far a job is stands in the commit that holds what it did: wherever it is cut short, it
//!   goes on behind the last delivery that it changed, and comes to none twice.
//! - A job never passes the last event of the time at which it was asked for.
//! - Only changes that [`State::may_become`] allows are made.

use jiff::Timestamp;
use rusqlite::params;

use super::{Store, StoreError};
use crate::relay::journal::filter::{Candidate, Scope, candidates, scopes};
use crate::relay::journal::{Bulk, Filter, Kind, State, Worked};

/// One step looks at so many deliveries; at few in a test, so that it makes many.
const STEP: usize = if cfg!(test) { 7 } else { 500 };
/// A paced replay waits while so many replayed deliveries of its destination wait.
const MOST_WAITING: i64 = if cfg!(test) { 20 } else { 1000 };

/// A job that is not done.
struct Job {
    no: i64,
    destination: i64,
    at_seq: i64,
    last_seq: i64,
    bulk: Bulk,
}

impl Store {
    pub(in crate::relay::journal) fn begin_bulk(
        &mut self,
        at: Timestamp,
        who: &str,
        bulk: &Bulk,
    ) -> Result<Vec<i64>, StoreError> {
        // What this transaction moved stands in memory only, and a filter reads the tables.
        self.write_sums()?;
        let wanted = bulk.effective();
        let last_seq = self.memory.last_seq;
        let mut begun = Vec::new();
        if wanted.states.is_empty() {
            return Ok(begun);
        }
        for scope in scopes(&self.connection)? {
            let Some(filter) = for_one(&wanted, &scope) else {
                continue;
            };
            let range = (1, last_seq);
            if candidates(&self.connection, &scope, &filter, range, false, 1)?.is_empty() {
                continue;
            }
            let how = if bulk.as_sent { " (as sent)" } else { "" };
            let detail = format!("{filter}{how}");
            let no = self.act(at, who, bulk.kind.as_str(), Some(scope.no), &detail)?;
            let filter = serde_json::to_string(&filter)
                .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
            self.connection
                .prepare_cached(
                    "INSERT INTO job (no, kind, filter, as_sent, last_seq, destination, at_seq, done)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0)",
                )?
                .execute(params![
                    no,
                    bulk.kind.as_str(),
                    filter,
                    bulk.as_sent,
                    last_seq,
                    scope.no
                ])?;
            begun.push(no);
        }
        Ok(begun)
    }

    /// A step of the oldest job that need not wait.
    pub(in crate::relay::journal) fn work(
        &mut self,
        at: Timestamp,
        paced: bool,
    ) -> Result<Worked, StoreError> {
        let jobs = self.jobs()?;
        if jobs.is_empty() {
            return Ok(Worked::Nothing);
        }
        self.write_sums()?;
        let scopes = scopes(&self.connection)?;
        let mut worked = Worked::Nothing;
        for job in jobs {
            let Some(scope) = scopes.iter().find(|scope| scope.no == job.destination) else {
                continue;
            };
            // Nothing flows off from one that is halted, so waiting for that would not end.
            let flows = paced && !scope.is_halted();
            if flows && job.bulk.kind == Kind::Replay && self.is_sated(scope.no)? {
                worked = Worked::Waits(scope.id.clone());
                continue;
            }
            self.step(&job, scope, at)?;
            return Ok(Worked::Step);
        }
        Ok(worked)
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT no, kind, filter, as_sent, last_seq, destination, at_seq
             FROM job INDEXED BY job_open WHERE ended_at IS NULL ORDER BY no",
        )?;
        let mut rows = statement.query([])?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            let (kind, filter): (String, String) = (row.get(1)?, row.get(2)?);
            // What another version wrote is left to that version.
            let (Some(kind), Ok(filter)) = (Kind::from_word(&kind), serde_json::from_str(&filter))
            else {
                continue;
            };
            jobs.push(Job {
                no: row.get(0)?,
                last_seq: row.get(4)?,
                destination: row.get(5)?,
                at_seq: row.get(6)?,
                bulk: Bulk {
                    kind,
                    filter,
                    as_sent: row.get(3)?,
                },
            });
        }
        Ok(jobs)
    }

    fn is_sated(&self, no: i64) -> Result<bool, StoreError> {
        let waiting: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_due
                 WHERE destination = ?1 AND replayed = 1 AND state IN ('pending', 'postponed')
                 AND waits_for IS NULL LIMIT ?2)",
            )?
            .query_row([no, MOST_WAITING], |row| row.get(0))?;
        Ok(waiting >= MOST_WAITING)
    }

    fn step(&mut self, job: &Job, scope: &Scope, at: Timestamp) -> Result<(), StoreError> {
        let filter = &job.bulk.filter;
        let range = (job.at_seq.saturating_add(1), job.last_seq);
        let found = candidates(&self.connection, scope, filter, range, false, STEP)?;
        let Some(last) = found.last() else {
            self.connection
                .prepare_cached("UPDATE job SET ended_at = ?2 WHERE no = ?1")?
                .execute([job.no, at.as_millisecond()])?;
            return Ok(());
        };
        let mut at_seq = last.seq;
        let (mut done, mut rows) = (0, STEP);
        for candidate in found.iter().filter(|c| filter.takes(scope, c)) {
            if !candidate.has_row && !self.give_rows(scope.no, candidate.seq, &mut rows)? {
                // The next step gives more, and then comes to this one.
                at_seq = candidate.seq - 1;
                break;
            }
            done += self.change(job, candidate, at)?;
        }
        self.connection
            .prepare_cached("UPDATE job SET at_seq = ?2, done = done + ?3 WHERE no = ?1")?
            .execute([job.no, at_seq, done])?;
        Ok(())
    }

    /// Moves the cursor up to `seq` and gives a row to each delivery on the way, at most `most`;
    /// whether it came there.
    fn give_rows(&mut self, no: i64, seq: i64, most: &mut usize) -> Result<bool, StoreError> {
        let mut destinations = self.memory.destinations.iter_mut();
        let Some(destination) = destinations.find(|d| d.no == no) else {
            return Ok(false);
        };
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO delivery (destination, seq, state, attempts, due_at, replayed, changed_at)
             VALUES (?1, ?2, 'pending', 0, 0, 0, 0)",
        )?;
        loop {
            let next = destination.first_fresh();
            if next > seq {
                return Ok(true);
            }
            if *most == 0 {
                return Ok(false);
            }
            *most -= 1;
            insert.execute([no, next])?;
            destination.cursor = next;
            destination.count(State::Pending, 1);
            let hours = &mut self.memory.hours;
            hours.moved(no, None, State::Pending, &[next]);
            self.sums_changed = true;
        }
    }

    /// Does to one delivery what the job is for; gives how many rows that changed.
    fn change(
        &mut self,
        job: &Job,
        candidate: &Candidate,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        let (from, to) = (candidate.state, job.bulk.kind.makes());
        if !from.may_become(to) || from == State::Sending {
            return Ok(0);
        }
        let unmapped = from == State::Parked && self.is_unmapped(job.destination, candidate.seq)?;
        let statement = match job.bulk.kind {
            Kind::Replay if job.bulk.as_sent => REPLAY_AS_SENT,
            Kind::Replay => REPLAY,
            Kind::Discard => DISCARD,
        };
        let changed = self.connection.prepare_cached(statement)?.execute(params![
            job.destination,
            candidate.seq,
            from.as_str(),
            job.no,
            at.as_millisecond()
        ])?;
        if changed == 0 {
            return Ok(0);
        }
        self.moved(job.destination, Some(from), to, &[candidate.seq]);
        if unmapped {
            self.count_unmapped(job.destination, -1);
        }
        self.release_waiting(job.destination, candidate.seq)?;
        Ok(1)
    }
}

/// What was made of a delivery that was not delivered is not made twice.
const REPLAY: &str = "UPDATE delivery SET state = 'pending', replayed = 1, failures = 0,
    not_before = 0, waiting_since_ms = NULL, due_at = 0, line = NULL, waits_for = NULL,
    gate = NULL, gate_since = NULL, cancels = NULL,
    relay = NULL, asset = NULL, message = NULL, map = NULL, template = NULL, unmapped = 0,
    progress = CASE state WHEN 'delivered' THEN NULL ELSE progress END,
    enrich_since = CASE state WHEN 'delivered' THEN NULL ELSE enrich_since END, act = ?4
    WHERE destination = ?1 AND seq = ?2 AND state = ?3 AND ?5 = ?5";

const REPLAY_AS_SENT: &str = "UPDATE delivery SET state = 'pending', replayed = 1, failures = 0,
    not_before = 0, waiting_since_ms = NULL, due_at = 0, line = NULL, waits_for = NULL,
    gate = NULL, gate_since = NULL, cancels = NULL,
    unmapped = 0, map = CASE state WHEN 'parked' THEN NULL ELSE map END,
    progress = CASE state WHEN 'delivered' THEN NULL ELSE progress END,
    enrich_since = CASE state WHEN 'delivered' THEN NULL ELSE enrich_since END, act = ?4
    WHERE destination = ?1 AND seq = ?2 AND state = ?3 AND ?5 = ?5";

const DISCARD: &str = "UPDATE delivery SET state = 'discarded', not_before = 0, due_at = 0,
    waits_for = NULL, gate = NULL, gate_since = NULL, unmapped = 0, act = ?4, changed_at = ?5
    WHERE destination = ?1 AND seq = ?2 AND state = ?3";

/// The filter as a job for one destination holds it; none where it takes nothing of that one.
fn for_one(filter: &Filter, scope: &Scope) -> Option<Filter> {
    if filter
        .destination
        .as_ref()
        .is_some_and(|id| *id != scope.id)
    {
        return None;
    }
    let mut own = filter.clone();
    own.destination = None;
    own.ids.retain(|id| id.destination == scope.id);
    (filter.ids.is_empty() || !own.ids.is_empty()).then_some(own)
}

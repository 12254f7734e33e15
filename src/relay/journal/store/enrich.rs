//! What Orbit said of events, what was done of a delivery's requests, and what waits for Orbit or
//! for an asset.
//!
//! # Invariants
//! - What waits for Orbit, and what is parked without an asset, was not tried: it spends no try and
//!   no step of its schedule.
//! - `memory` counts what is parked without an asset as the table has it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::settle::held;
use super::{Store, StoreError};
use crate::relay::journal::{Enrichment, Fate, Lease, State};

/// One step makes so many parked deliveries pending; few in a test, so that it makes many.
const STEP: usize = if cfg!(test) { 7 } else { 1000 };

impl Store {
    /// Nothing is kept of an event that is gone.
    pub(in crate::relay::journal) fn keep_enrichment(
        &mut self,
        said: &[(i64, Enrichment)],
    ) -> Result<(), StoreError> {
        for (seq, Enrichment { run, anomaly }) in said {
            if run.is_none() && anomaly.is_none() {
                continue;
            }
            self.connection
                .prepare_cached(
                    "INSERT INTO enrichment (seq, run, anomaly)
                     SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM event WHERE seq = ?1)
                     ON CONFLICT (seq) DO UPDATE SET run = coalesce(run, excluded.run),
                     anomaly = coalesce(anomaly, excluded.anomaly)",
                )?
                .execute(params![seq, run, anomaly])?;
            self.catalogue_again(*seq)?;
            self.wrote(run.as_deref());
            self.wrote(anomaly.as_deref());
        }
        Ok(())
    }

    /// A text that the log holds too.
    pub(super) fn wrote(&mut self, text: Option<&str>) {
        let bytes = text.map_or(0, str::len);
        self.written += u64::try_from(bytes).unwrap_or(0);
    }

    pub(in crate::relay::journal) fn progress(
        &mut self,
        lease: Lease,
        progress: &str,
        message: Option<&str>,
    ) -> Result<(), StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET progress = ?4, message = coalesce(?5, message)
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                progress,
                message
            ])?;
        self.wrote(Some(progress));
        self.wrote(message);
        held(changed, lease)
    }

    /// Untried: it waits for what Orbit has to say.
    pub(super) fn wait_for_orbit(
        &mut self,
        lease: Lease,
        due_at: Timestamp,
        reason: &str,
        now: Timestamp,
    ) -> Result<Fate, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = 'postponed', attempts = attempts - 1, due_at = ?4,
                 reason = ?5, enrich_since = coalesce(enrich_since, ?6), for_orbit = 1,
                 not_before = 0, lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                due_at.as_millisecond(),
                reason,
                now.as_millisecond(),
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

    /// Untried: it has no asset. It leaves its line, and those that wait for it go.
    pub(super) fn park(
        &mut self,
        lease: Lease,
        reason: &str,
        map: Option<&str>,
        action: Option<&str>,
        at: Timestamp,
    ) -> Result<Fate, StoreError> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE delivery SET state = 'parked', unmapped = 1, attempts = attempts - 1,
                 due_at = 0, not_before = 0, line = NULL, gate = NULL, gate_since = NULL,
                 reason = ?4, map = ?5,
                 action = coalesce(?6, action), changed_at = ?7, lease = NULL, lease_until = NULL
                 WHERE destination = ?1 AND seq = ?2 AND state = 'sending' AND lease = ?3",
            )?
            .execute(params![
                lease.destination,
                lease.seq,
                lease.token,
                reason,
                map,
                action,
                at.as_millisecond(),
            ])?;
        held(changed, lease)?;
        self.moved(
            lease.destination,
            Some(State::Sending),
            State::Parked,
            &[lease.seq],
        );
        self.count_unmapped(lease.destination, 1);
        self.release_waiting(lease.destination, lease.seq)?;
        Ok(Fate::Settled)
    }

    pub(super) fn count_unmapped(&mut self, no: i64, n: i64) {
        let mut destinations = self.memory.destinations.iter_mut();
        if let Some(destination) = destinations.find(|d| d.no == no) {
            destination.unmapped += n;
        }
        self.sums_changed = true;
    }

    /// Whether a parked delivery is parked because it had no asset.
    pub(super) fn is_unmapped(&self, no: i64, seq: i64) -> Result<bool, StoreError> {
        let unmapped: Option<bool> = self
            .connection
            .prepare_cached("SELECT unmapped FROM delivery WHERE destination = ?1 AND seq = ?2")?
            .query_row([no, seq], |row| row.get(0))
            .optional()?;
        Ok(unmapped.unwrap_or(false))
    }

    /// One step behind `after`: how many it made pending, and where the next step begins.
    pub(in crate::relay::journal) fn unpark_unmapped(
        &mut self,
        id: &str,
        after: i64,
    ) -> Result<(u64, Option<i64>), StoreError> {
        let no = self.number(id)?;
        let most = i64::try_from(STEP).unwrap_or(i64::MAX);
        let parked: Vec<i64> = self
            .connection
            .prepare_cached(
                "SELECT seq FROM delivery INDEXED BY delivery_unmapped
                 WHERE destination = ?1 AND unmapped = 1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )?
            .query_map([no, after, most], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut unpark = self.connection.prepare_cached(
            "UPDATE delivery SET state = 'pending', due_at = 0, unmapped = 0, map = NULL
             WHERE destination = ?1 AND seq = ?2 AND state = 'parked'",
        )?;
        let mut unparked = Vec::with_capacity(parked.len());
        for seq in &parked {
            if unpark.execute([no, *seq])? == 1 {
                unparked.push(*seq);
            }
        }
        drop(unpark);
        self.moved(no, Some(State::Parked), State::Pending, &unparked);
        let n = u64::try_from(unparked.len()).unwrap_or(0);
        self.count_unmapped(no, -i64::try_from(n).unwrap_or(0));
        let next = parked.get(STEP - 1).copied();
        Ok((n, next))
    }
}

/// How many deliveries are parked without an asset, by destination.
pub(super) fn unmapped(connection: &Connection, no: i64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM delivery INDEXED BY delivery_unmapped
             WHERE destination = ?1 AND unmapped = 1",
        )?
        .query_row([no], |row| row.get(0))
}

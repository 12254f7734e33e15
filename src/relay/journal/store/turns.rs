//! Whose turn it is: of deliveries that stand in a line, of one inspection, or about one order.
//!
//! # Invariants
//! - Who waits for another waits for one that came before, or for one that has had its turn and
//!   waits for nobody: waiting never goes round in a circle.

use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError};
use crate::relay::journal::{Lease, State, WhileOpen};

/// What the freezing of one delivery comes to.
pub(super) enum Turn {
    /// It goes; with what is known of an order that is open.
    Now(Option<String>),
    /// It waits for this one.
    After(i64),
    /// It is skipped.
    Never(String),
}

impl Store {
    /// Of two events of one inspection the first goes, unless it came to nothing.
    pub(super) fn turn_of_once(
        &mut self,
        lease: Lease,
        key: &[u8; 16],
    ) -> Result<Turn, StoreError> {
        let holder: Option<i64> = self
            .connection
            .prepare_cached("SELECT seq FROM inspection WHERE destination = ?1 AND key = ?2")?
            .query_row(params![lease.destination, key], |row| row.get(0))
            .optional()?;
        if let Some(holder) = holder.filter(|holder| *holder != lease.seq) {
            let state: Option<String> = self
                .connection
                .prepare_cached("SELECT state FROM delivery WHERE destination = ?1 AND seq = ?2")?
                .query_row([lease.destination, holder], |row| row.get(0))
                .optional()?;
            match state.as_deref().and_then(State::from_word) {
                // A row that is gone was delivered: nothing else goes by age.
                None | Some(State::Delivered) => {
                    return Ok(Turn::Never(format!(
                        "once per inspection: number {holder} of the same inspection was delivered"
                    )));
                }
                // Waiting only for what came before never goes round in a circle.
                Some(State::Pending | State::Sending | State::Postponed) if holder < lease.seq => {
                    return Ok(Turn::After(holder));
                }
                Some(_) => {}
            }
        }
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO inspection (destination, key, seq) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![lease.destination, key, lease.seq])?;
        Ok(Turn::Now(None))
    }

    pub(super) fn turn_in_line(&mut self, lease: Lease, line: &str) -> Result<Turn, StoreError> {
        let before: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT seq FROM delivery INDEXED BY delivery_line
                 WHERE destination = ?1 AND line = ?2 AND seq < ?3
                 AND state IN ('pending', 'sending', 'postponed') ORDER BY seq DESC LIMIT 1",
            )?
            .query_row(params![lease.destination, line, lease.seq], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(before.map_or(Turn::Now(None), Turn::After))
    }

    /// One at a time, whatever came first: a delivery that a person asked for again may come
    /// before one that is being made. Who waits does not stand in the line yet, so whoever does
    /// has had its turn.
    pub(super) fn turn_among(&self, lease: Lease, line: &str) -> Result<Turn, StoreError> {
        let other: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT seq FROM delivery INDEXED BY delivery_line
                 WHERE destination = ?1 AND line = ?2 AND seq <> ?3 AND waits_for IS NULL
                 AND state IN ('pending', 'sending', 'postponed') LIMIT 1",
            )?
            .query_row(params![lease.destination, line, lease.seq], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(other.map_or(Turn::Now(None), Turn::After))
    }

    /// What an open order of another run event means, that is about the same asset and action.
    pub(super) fn turn_while_open(
        &self,
        lease: Lease,
        while_open: &WhileOpen,
    ) -> Result<Turn, StoreError> {
        let WhileOpen {
            asset,
            action,
            skip,
        } = while_open;
        if asset.is_none() && action.is_none() {
            return Ok(Turn::Now(None));
        }
        let open: Option<(i64, Option<String>)> = self
            .connection
            .prepare_cached(
                "SELECT seq, answer FROM work_order INDEXED BY work_order_about
                 WHERE destination = ?1 AND action IS ?2 AND asset IS ?3 AND closed_at IS NULL
                 AND run_event IS NOT (SELECT identity FROM event WHERE seq = ?4)
                 ORDER BY no DESC LIMIT 1",
            )?
            .query_row(
                params![lease.destination, action, asset, lease.seq],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        Ok(match open {
            Some((seq, _)) if *skip => {
                Turn::Never(format!("the ticket of number {seq} is still open"))
            }
            Some((_, answer)) => Turn::Now(Some(answer.unwrap_or_else(|| "{}".to_owned()))),
            None => Turn::Now(None),
        })
    }
}

//! Work orders, in SQL.
//!
//! # Invariants
//! - Who asks for what is due, or for one order, walks an index and no table; for a key that no
//!   order has, so many open deliveries and no more.
//! - `memory` counts orders as the table has them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::memory::unsigned;
use super::take_over::FAR_AHEAD_MS;
use super::{Store, StoreError};
use crate::event::{DedupeKey, Envelope, ORBIT};
use crate::relay::journal::read::deliveries_of;
use crate::relay::journal::{
    Alert, Closing, Due, Lease, NewOrder, OpenOrder, OrderName, OrderSums, State, UntoldOrder,
};
use crate::relay::transform::key_of;

/// So many orders of which Orbit has heard go by age in one commit.
const STEP: i64 = 500;
/// So many open deliveries are looked through for a key, and those that are being sent.
const LOOKED_THROUGH: i64 = 1000;

impl Store {
    /// In the commit that records the delivery. Of one that is sent again the order that is open
    /// takes the new answer; one that is closed stays as it is.
    pub(super) fn add_order(
        &mut self,
        lease: Lease,
        order: &NewOrder,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let known = self
            .connection
            .prepare_cached("SELECT 1 FROM work_order WHERE destination = ?1 AND run_event = ?2")?
            .exists(params![lease.destination, order.run_event])?;
        let ticket = if order.adds {
            self.open_ticket(lease, order)?
        } else {
            None
        };
        self.connection
            .prepare_cached(
                "INSERT INTO work_order (destination, run_event, seq, key, title, answer, taken_at,
                 due_at, asset, action, ticket)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (destination, run_event) DO UPDATE SET seq = excluded.seq,
                 key = excluded.key, answer = excluded.answer, due_at = excluded.due_at, tries = 0,
                 asset = excluded.asset, action = excluded.action,
                 ticket = excluded.ticket, poll_why = NULL WHERE closed_at IS NULL",
            )?
            .execute(params![
                lease.destination,
                order.run_event,
                lease.seq,
                order.key,
                order.title,
                order.answer,
                at.as_millisecond(),
                order.due_at.map(Timestamp::as_millisecond),
                order.asset,
                order.action,
                ticket,
            ])?;
        if !known {
            self.count_orders(lease.destination, |orders| orders.open += 1);
        }
        Ok(())
    }

    /// The order that this one was added to. None: it was closed meanwhile.
    fn open_ticket(&self, lease: Lease, order: &NewOrder) -> Result<Option<i64>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT coalesce(ticket, no) FROM work_order INDEXED BY work_order_about
                 WHERE destination = ?1 AND action IS ?2 AND asset IS ?3 AND closed_at IS NULL
                 AND run_event <> ?4 ORDER BY no DESC LIMIT 1",
            )?
            .query_row(
                params![
                    lease.destination,
                    order.action,
                    order.asset,
                    order.run_event
                ],
                |row| row.get(0),
            )
            .optional()?)
    }

    fn count_orders(&mut self, no: i64, count: impl FnOnce(&mut OrderSums)) {
        let mut destinations = self.memory.destinations.iter_mut();
        if let Some(destination) = destinations.find(|d| d.no == no) {
            count(&mut destination.orders);
        }
        self.sums_changed = true;
    }

    pub(in crate::relay::journal) fn due_orders(
        &mut self,
        destination: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Due<OpenOrder>, StoreError> {
        let no = self.destination(destination)?.no;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = self
            .connection
            .prepare_cached(
                "SELECT no, run_event, answer, tries, poll_why FROM work_order
                 INDEXED BY work_order_open WHERE destination = ?1 AND due_at <= ?2
                 AND closed_at IS NULL ORDER BY due_at LIMIT ?3",
            )?
            .query_map(params![no, now.as_millisecond(), limit], |row| {
                Ok(OpenOrder {
                    no: row.get(0)?,
                    run_event: row.get(1)?,
                    answer: row.get(2)?,
                    tries: row.get(3)?,
                    why: row.get(4)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        let next: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT min(due_at) FROM work_order INDEXED BY work_order_open
                 WHERE destination = ?1 AND due_at > ?2 AND closed_at IS NULL",
            )?
            .query_row([no, now.as_millisecond()], |row| row.get(0))?;
        Ok(Due {
            now: due,
            next_due: next.map(timestamp),
        })
    }

    pub(in crate::relay::journal) fn wake_orders(
        &mut self,
        destination: &str,
    ) -> Result<(), StoreError> {
        let no = self.destination(destination)?.no;
        self.connection
            .prepare_cached(
                "UPDATE work_order INDEXED BY work_order_open SET due_at = 0, tries = 0
                 WHERE destination = ?1 AND due_at IS NULL AND closed_at IS NULL",
            )?
            .execute([no])?;
        Ok(())
    }

    pub(in crate::relay::journal) fn put_off_order(
        &mut self,
        no: i64,
        due_at: Option<Timestamp>,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE work_order SET due_at = ?2, poll_why = ?3,
                 tries = CASE WHEN ?3 IS NULL THEN 0 ELSE tries + 1 END
                 WHERE no = ?1 AND closed_at IS NULL",
            )?
            .execute(params![no, due_at.map(Timestamp::as_millisecond), why])?;
        Ok(())
    }

    pub(in crate::relay::journal) fn close_order(
        &mut self,
        destination: &str,
        order: &OrderName,
        by: &str,
        at: Timestamp,
    ) -> Result<Closing, StoreError> {
        let of = self.destination(destination)?.no;
        let (which, value): (&str, &dyn rusqlite::ToSql) = match order {
            OrderName::No(no) => ("no", no),
            OrderName::Key(key) => ("key", key),
            OrderName::RunEvent(uuid) => ("run_event", uuid),
        };
        let found: Option<(i64, bool)> = self
            .connection
            .prepare_cached(&format!(
                "SELECT no, closed_at IS NOT NULL FROM work_order
                 WHERE destination = ?1 AND {which} = ?2"
            ))?
            .query_row(params![of, value], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let no = match found {
            None if self.may_come(of, destination, order)? => return Ok(Closing::TooEarly),
            None => return Ok(Closing::Unknown),
            Some((_, true)) => return Ok(Closing::Before),
            Some((no, false)) => no,
        };
        // With it all that was added to the same.
        let (action, asset, ticket): (Option<String>, Option<String>, i64) = self
            .connection
            .prepare_cached(
                "SELECT action, asset, coalesce(ticket, no) FROM work_order WHERE no = ?1",
            )?
            .query_row([no], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let closed = self
            .connection
            .prepare_cached(
                "UPDATE work_order INDEXED BY work_order_about SET closed_at = ?5, closed_by = ?6,
                 due_at = 0, tries = 0, answer = NULL, poll_why = NULL
                 WHERE destination = ?1 AND action IS ?2 AND asset IS ?3 AND closed_at IS NULL
                 AND coalesce(ticket, no) = ?4",
            )?
            .execute(params![of, action, asset, ticket, at.as_millisecond(), by])?;
        let closed = u64::try_from(closed).unwrap_or(0);
        self.count_orders(of, |orders| {
            orders.open = orders.open.saturating_sub(closed);
            orders.closed += closed;
        });
        Ok(Closing::Now)
    }

    /// Whether a delivery that would make this order is not over.
    fn may_come(&self, no: i64, destination: &str, order: &OrderName) -> Result<bool, StoreError> {
        match order {
            OrderName::No(_) => Ok(false),
            OrderName::Key(key) => self.is_being_delivered(no, key),
            OrderName::RunEvent(uuid) => {
                let Some((seq, _)) = self.alert_event(uuid)? else {
                    return Ok(false);
                };
                let deliveries = deliveries_of(&self.connection, seq)?;
                let mut own = deliveries.iter().filter(|(id, _)| id == destination);
                Ok(own.any(|(_, state)| waits(*state)))
            }
        }
    }

    /// Whether an open delivery has this idempotency key. No index has it, and it stands in what
    /// is frozen: those that were tried come before those that were not.
    fn is_being_delivered(&self, no: i64, key: &str) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT relay FROM delivery INDEXED BY delivery_leased
             WHERE destination = ?1 AND state = 'sending'
             UNION ALL SELECT relay FROM (SELECT relay FROM delivery INDEXED BY delivery_open
             WHERE destination = ?1 AND state IN ('pending', 'sending', 'postponed', 'parked')
             ORDER BY seq LIMIT ?2)",
        )?;
        let mut rows = statement.query([no, LOOKED_THROUGH])?;
        while let Some(row) = rows.next()? {
            let relay: Option<String> = row.get(0)?;
            if relay.and_then(|relay| key_of(&relay)).as_deref() == Some(key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The alert about a run event: its number and its body.
    fn alert_event(&self, run_event: &str) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT seq, body FROM event INDEXED BY event_alert WHERE identity = ?1
                 AND type = 'ACTION_COMPLETED_WITH_ALERT' AND source = ?2",
            )?
            .query_row([run_event, ORBIT], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    pub(in crate::relay::journal) fn untold_orders(
        &mut self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Due<UntoldOrder>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let due = self
            .connection
            .prepare_cached(
                "SELECT o.no, t.id, o.run_event, o.closed_at, o.tries, o.orbit_why
                 FROM work_order o INDEXED BY work_order_untold
                 JOIN destination t ON t.no = o.destination
                 WHERE o.due_at <= ?1 AND o.closed_at IS NOT NULL AND o.orbit_closed_at IS NULL
                 ORDER BY o.due_at LIMIT ?2",
            )?
            .query_map([now.as_millisecond(), limit], |row| {
                Ok(UntoldOrder {
                    no: row.get(0)?,
                    destination: row.get(1)?,
                    run_event: row.get(2)?,
                    closed_at: timestamp(row.get(3)?),
                    tries: row.get(4)?,
                    why: row.get(5)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        let next: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT min(due_at) FROM work_order INDEXED BY work_order_untold
                 WHERE due_at > ?1 AND closed_at IS NOT NULL AND orbit_closed_at IS NULL",
            )?
            .query_row([now.as_millisecond()], |row| row.get(0))?;
        Ok(Due {
            now: due,
            next_due: next.map(timestamp),
        })
    }

    pub(in crate::relay::journal) fn order_is_told(
        &mut self,
        no: i64,
        at: Timestamp,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        let of: Option<i64> = self
            .connection
            .prepare_cached(
                "UPDATE work_order SET orbit_closed_at = ?2, orbit_why = ?3, due_at = NULL
                 WHERE no = ?1 AND closed_at IS NOT NULL AND orbit_closed_at IS NULL
                 RETURNING destination",
            )?
            .query_row(params![no, at.as_millisecond(), why], |row| row.get(0))
            .optional()?;
        if let Some(of) = of {
            self.count_orders(of, |orders| {
                orders.closed = orders.closed.saturating_sub(1);
                orders.told += 1;
            });
        }
        Ok(())
    }

    pub(in crate::relay::journal) fn order_is_untold(
        &mut self,
        no: i64,
        due_at: Timestamp,
        why: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE work_order SET due_at = ?2, orbit_why = ?3, tries = tries + 1
                 WHERE no = ?1 AND closed_at IS NOT NULL AND orbit_closed_at IS NULL",
            )?
            .execute(params![no, due_at.as_millisecond(), why])?;
        Ok(())
    }

    pub(in crate::relay::journal) fn alert(
        &mut self,
        run_event: &str,
    ) -> Result<Option<Alert>, StoreError> {
        let order: Option<(Option<String>, bool)> = self
            .connection
            .prepare_cached(
                "SELECT max(title), max(closed_at IS NOT NULL) FROM work_order
                 INDEXED BY work_order_run_event WHERE run_event = ?1 HAVING count(*) > 0",
            )?
            .query_row([run_event], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (title, closed) = order.unwrap_or((None, false));
        let Some((seq, body)) = self.alert_event(run_event)? else {
            let key = DedupeKey::of_alert(run_event);
            return Ok(self.recent.knows(&self.connection, key)?.then_some(Alert {
                title,
                closed,
                state: "gone",
            }));
        };
        let envelope = Envelope::parse(&body).ok();
        let action = envelope.and_then(|envelope| envelope.data("actionName"));
        Ok(Some(Alert {
            title: title.or(action),
            closed,
            state: self.how_far(seq)?,
        }))
    }

    /// The furthest that any destination is with an event.
    fn how_far(&self, seq: i64) -> Result<&'static str, StoreError> {
        let deliveries = deliveries_of(&self.connection, seq)?;
        let any = |wanted: State| deliveries.iter().any(|(_, state)| *state == wanted);
        Ok(match () {
            () if any(State::Delivered) => "delivered",
            () if deliveries.iter().any(|(_, state)| waits(*state)) => "waiting",
            () if any(State::Dead) => "dead",
            () if any(State::Discarded) => "discarded",
            () if any(State::Skipped) => "skipped",
            () => "kept",
        })
    }

    /// As due times of deliveries: by as much as the clocks differ, or, where that is not known,
    /// none is far ahead.
    pub(super) fn shift_orders(
        &mut self,
        now: Timestamp,
        shift: Option<i64>,
    ) -> Result<(), StoreError> {
        let now = now.as_millisecond();
        match shift {
            None => self.connection.execute(
                "UPDATE work_order SET due_at = ?1 WHERE due_at > ?2",
                [now, now + FAR_AHEAD_MS],
            )?,
            Some(shift) => self.connection.execute(
                "UPDATE work_order SET due_at = max(due_at + ?1, 0) WHERE due_at > 0",
                [shift],
            )?,
        };
        Ok(())
    }

    /// Orders of which Orbit heard before then go, some with each call.
    pub(super) fn let_orders_go(&mut self, before: i64) -> Result<(), StoreError> {
        let gone = self
            .connection
            .prepare_cached(
                "DELETE FROM work_order WHERE no IN (SELECT no FROM work_order
                 INDEXED BY work_order_told WHERE orbit_closed_at IS NOT NULL
                 AND orbit_closed_at < ?1 LIMIT ?2)",
            )?
            .execute([before, STEP])?;
        if gone > 0 {
            for (no, orders) in order_sums(&self.connection)? {
                self.count_orders(no, |counted| *counted = orders);
            }
        }
        Ok(())
    }
}

/// Whether the delivery is not over.
fn waits(state: State) -> bool {
    matches!(
        state,
        State::Pending | State::Sending | State::Postponed | State::Parked
    )
}

/// The orders of every destination, also of those that have none.
pub(super) fn order_sums(connection: &Connection) -> rusqlite::Result<Vec<(i64, OrderSums)>> {
    connection
        .prepare_cached(
            "SELECT t.no, count(o.no) - count(o.closed_at),
             count(o.closed_at) - count(o.orbit_closed_at), count(o.orbit_closed_at)
             FROM destination t LEFT JOIN work_order o ON o.destination = t.no GROUP BY t.no",
        )?
        .query_map([], |row| {
            let [open, closed, told] = [row.get(1)?, row.get(2)?, row.get(3)?].map(unsigned);
            Ok((row.get(0)?, OrderSums { open, closed, told }))
        })?
        .collect()
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

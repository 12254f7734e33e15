//! Work orders, as lists show them.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{ReadError, Reader, events, timestamp};
use crate::relay::journal::State;

/// One work order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// The destination's id.
    pub destination: String,
    /// The run event of its alert.
    pub run_event: String,
    /// The event's number; the event itself may be gone by age.
    pub seq: i64,
    /// What people know the action by.
    pub title: Option<String>,
    /// The asset that it is about.
    pub asset: Option<String>,
    /// The action that it is about.
    pub action: Option<String>,
    /// When the destination took the alert.
    pub taken_at: Timestamp,
    /// Why it could not be asked for, the last time.
    pub poll_why: Option<String>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// How that became known: `poll` or `hook`.
    pub closed_by: Option<String>,
    /// When Orbit had heard of it.
    pub orbit_closed_at: Option<Timestamp>,
    /// Why Orbit could not be told, or had nothing to close.
    pub orbit_why: Option<String>,
}

/// A work order, and what the destination answered when it took the alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredOrder {
    /// The order.
    pub order: OrderRow,
    /// Its number here.
    pub no: i64,
    /// The answer, as far as it is kept.
    pub answer: Option<String>,
}

/// No run event has more orders than destinations; so many are shown.
const MOST_OF_ONE: u32 = 100;

impl Reader {
    /// The newest work orders, the newest first.
    pub fn orders(&mut self, limit: u32) -> Result<Vec<OrderRow>, ReadError> {
        let sql = format!("{SELECT} ORDER BY o.no DESC LIMIT ?1");
        let mut statement = self.0.prepare(&sql)?;
        let rows = statement.query_map(params![limit], order)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest work orders about an asset, the newest first.
    pub fn orders_about(&mut self, asset: &str, limit: u32) -> Result<Vec<OrderRow>, ReadError> {
        let sql = format!("{SELECT} WHERE o.asset = ?1 ORDER BY o.no DESC LIMIT ?2");
        let mut statement = self.0.prepare_cached(&sql)?;
        let rows = statement.query_map(params![asset, limit], order)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The work orders of one run event, and what each destination answered that made one.
    pub fn orders_of(&mut self, run_event: &str) -> Result<Vec<AnsweredOrder>, ReadError> {
        let sql = format!("{SELECT} WHERE o.run_event = ?1 ORDER BY o.no LIMIT {MOST_OF_ONE}");
        let mut statement = self.0.prepare(&sql)?;
        let rows = statement.query_map([run_event], |row| {
            Ok(AnsweredOrder {
                order: order(row)?,
                no: row.get(12)?,
                answer: row.get(13)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

const SELECT: &str =
    "SELECT t.id, o.run_event, o.seq, o.title, o.taken_at, o.poll_why, o.closed_at,
    o.closed_by, o.orbit_closed_at, o.orbit_why, o.asset, o.action, o.no, o.answer
    FROM work_order o JOIN destination t ON t.no = o.destination";

fn order(row: &Row<'_>) -> rusqlite::Result<OrderRow> {
    Ok(OrderRow {
        destination: row.get(0)?,
        run_event: row.get(1)?,
        seq: row.get(2)?,
        title: row.get(3)?,
        taken_at: timestamp(row.get(4)?),
        poll_why: row.get(5)?,
        closed_at: row.get::<_, Option<i64>>(6)?.map(timestamp),
        closed_by: row.get(7)?,
        orbit_closed_at: row.get::<_, Option<i64>>(8)?.map(timestamp),
        orbit_why: row.get(9)?,
        asset: row.get(10)?,
        action: row.get(11)?,
    })
}

/// How an event's deliveries are shown: the destinations' ids, and the states.
pub(in crate::relay::journal) fn deliveries_of(
    connection: &Connection,
    seq: i64,
) -> rusqlite::Result<Vec<(String, State)>> {
    let rows = events::deliveries(connection, seq)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.destination, row.state))
        .collect())
}

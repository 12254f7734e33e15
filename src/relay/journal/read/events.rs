//! Events, and what became of each.
//!
//! # Invariants
//! - A delivery that waits for a destination that is paused, or no longer configured, is shown as
//!   parked.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{ReadError, Reader, timestamp};
use crate::relay::journal::State;

pub(super) const SELECT: &str =
    "SELECT seq, source, type, identity, origin, received_at, body FROM event";

/// One event, as lists show it.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// Its place in the order of arrival.
    pub seq: i64,
    /// Its source.
    pub source: String,
    /// Its type.
    pub event_type: String,
    /// What it is known by.
    pub identity: String,
    /// How it came here.
    pub origin: String,
    /// When it came here.
    pub received_at: Timestamp,
    /// Its raw bytes.
    pub body: Vec<u8>,
    /// Its deliveries, one per destination that it is for.
    pub deliveries: Vec<DeliveryRow>,
}

/// One delivery, as lists show it.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    /// The destination's id.
    pub destination: String,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// The asset that it was sent with.
    pub asset: Option<String>,
    /// Why it stands there.
    pub reason: Option<String>,
    /// The relay's part of its body, frozen at the first send.
    pub relay: Option<String>,
}

/// Which events to list: the newest first, those before `before`.
#[derive(Clone, Copy, Debug)]
pub struct EventsPage {
    /// Only events with a smaller number.
    pub before: Option<i64>,
    /// At most this many.
    pub limit: u32,
}

impl Reader {
    /// A page of events, the newest first.
    pub fn events(&mut self, page: EventsPage) -> Result<Vec<EventRow>, ReadError> {
        let transaction = self.0.transaction()?;
        let before = page.before.unwrap_or(i64::MAX);
        let mut rows = transaction
            .prepare(&format!(
                "{SELECT} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"
            ))?
            .query_map(params![before, page.limit], event)?
            .collect::<Result<Vec<_>, _>>()?;
        for row in &mut rows {
            row.deliveries = deliveries(&transaction, row.seq)?;
        }
        Ok(rows)
    }

    /// The last event of a type: when it came, and its bytes.
    pub fn last_of(&mut self, event_type: &str) -> Result<Option<EventRow>, ReadError> {
        let last = self.0.query_row(
            &format!("{SELECT} WHERE type = ?1 ORDER BY seq DESC LIMIT 1"),
            [event_type],
            event,
        );
        match last {
            Ok(last) => Ok(Some(last)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// One event by its number, or all that are known by this identity.
    pub fn find(&mut self, number_or_identity: &str) -> Result<Vec<EventRow>, ReadError> {
        let transaction = self.0.transaction()?;
        let select = SELECT;
        let mut rows = Vec::new();
        if let Ok(number) = number_or_identity.parse::<i64>() {
            rows = transaction
                .prepare(&format!("{select} WHERE seq = ?1"))?
                .query_map([number], event)?
                .collect::<Result<_, _>>()?;
        }
        if rows.is_empty() {
            rows = transaction
                .prepare(&format!("{select} WHERE identity = ?1 ORDER BY seq"))?
                .query_map([number_or_identity], event)?
                .collect::<Result<_, _>>()?;
        }
        for row in &mut rows {
            row.deliveries = deliveries(&transaction, row.seq)?;
        }
        Ok(rows)
    }
}

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        seq: row.get(0)?,
        source: row.get(1)?,
        event_type: row.get(2)?,
        identity: row.get(3)?,
        origin: row.get(4)?,
        received_at: timestamp(row.get(5)?),
        body: row.get(6)?,
        deliveries: Vec::new(),
    })
}

/// An event above the cursor, and not kept, is pending though it has no row yet.
pub(super) fn deliveries(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<DeliveryRow>> {
    connection
        .prepare_cached(
            "SELECT t.id,
             CASE WHEN coalesce(d.state, 'pending') IN ('pending', 'postponed')
                 AND (t.paused_at IS NOT NULL OR EXISTS (
                     SELECT 1 FROM kept k WHERE k.destination = t.no AND k.last_seq IS NULL))
                 THEN 'parked' ELSE coalesce(d.state, 'pending') END,
             coalesce(d.attempts, 0), d.asset, d.reason, d.relay
             FROM destination t LEFT JOIN delivery d ON d.destination = t.no AND d.seq = ?1
             WHERE d.seq IS NOT NULL OR (t.cursor < ?1 AND NOT EXISTS (
                 SELECT 1 FROM kept k WHERE k.destination = t.no
                 AND ?1 BETWEEN k.first_seq AND coalesce(k.last_seq, ?1)))
             ORDER BY t.no",
        )?
        .query_map([seq], |row| {
            let word: String = row.get(1)?;
            Ok(DeliveryRow {
                destination: row.get(0)?,
                state: State::from_word(&word).unwrap_or(State::Pending),
                attempts: row.get(2)?,
                asset: row.get(3)?,
                reason: row.get(4)?,
                relay: row.get(5)?,
            })
        })?
        .collect()
}

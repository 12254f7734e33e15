//! What `status` and `events` read: a connection of their own that never writes.
//!
//! # Invariants
//! - Opened read-only; a transaction lasts as long as one answer.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, params};

use super::open::{DATABASE, VERSION};
use super::{State, Sums, store};

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No relay has worked in this directory yet.
    #[error("{0} holds no journal: has orbit-relay run with this --data-dir?")]
    Missing(String),
    /// The journal has another version than this program.
    #[error("the journal has version {0}, this orbit-relay reads {VERSION}")]
    Version(i64),
    /// It cannot be read.
    #[error("the journal cannot be read")]
    Database(#[from] rusqlite::Error),
}

/// Reads the journal beside the relay, or while none runs.
#[derive(Debug)]
pub struct Reader(Connection);

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
    /// Opens the journal of a data directory.
    pub fn open(data_dir: &Path) -> Result<Self, ReadError> {
        let path = data_dir.join(DATABASE);
        if !path.exists() {
            return Err(ReadError::Missing(data_dir.display().to_string()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
            VERSION => Ok(Self(connection)),
            0 => Err(ReadError::Missing(data_dir.display().to_string())),
            other => Err(ReadError::Version(other)),
        }
    }

    /// The sums of promise 6, all of one moment.
    pub fn sums(&mut self) -> Result<Sums, ReadError> {
        let transaction = self.0.transaction()?;
        Ok(store::read_sums(&transaction)?)
    }

    /// A page of events, the newest first.
    pub fn events(&mut self, page: EventsPage) -> Result<Vec<EventRow>, ReadError> {
        let transaction = self.0.transaction()?;
        let before = page.before.unwrap_or(i64::MAX);
        let mut rows = transaction
            .prepare(
                "SELECT seq, source, type, identity, origin, received_at, body FROM event
                 WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
            )?
            .query_map(params![before, page.limit], event)?
            .collect::<Result<Vec<_>, _>>()?;
        for row in &mut rows {
            row.deliveries = deliveries(&transaction, row.seq)?;
        }
        Ok(rows)
    }

    /// One event by its number, or all that are known by this identity.
    pub fn find(&mut self, number_or_identity: &str) -> Result<Vec<EventRow>, ReadError> {
        let transaction = self.0.transaction()?;
        let select = "SELECT seq, source, type, identity, origin, received_at, body FROM event";
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

fn event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        seq: row.get(0)?,
        source: row.get(1)?,
        event_type: row.get(2)?,
        identity: row.get(3)?,
        origin: row.get(4)?,
        received_at: Timestamp::from_millisecond(row.get(5)?).unwrap_or(Timestamp::UNIX_EPOCH),
        body: row.get(6)?,
        deliveries: Vec::new(),
    })
}

/// An event above the cursor, and not kept, is pending though it has no row yet.
fn deliveries(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<DeliveryRow>> {
    connection
        .prepare_cached(
            "SELECT t.id, coalesce(d.state, 'pending'), coalesce(d.attempts, 0), d.asset, d.reason
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
            })
        })?
        .collect()
}

//! What commands read: a connection of their own that never writes.
//!
//! ```text
//! mod        opening, the sums, acts and jobs
//! events     events and what became of each
//! deliveries lists of deliveries, and all about one
//! hours      the last day, and by the hour
//! groups     what waits for a person, in groups
//! acts       acts, a page at a time
//! orders     work orders
//! walk       all events, a page at a time
//! catalogue  what events are about: assets, readings, routes, what there is to choose from
//! search     deliveries that a person looks for
//! sought     which events these are, and how they are found
//! ```
//!
//! # Invariants
//! - Opened read-only; a transaction lasts as long as one answer, or as one step of a long one.

mod acts;
mod catalogue;
mod deliveries;
mod events;
mod groups;
mod hours;
mod orders;
mod search;
mod sought;
mod walk;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row, params};

pub use self::acts::ActsPage;
pub use self::catalogue::{AssetEvents, AssetSeen, Catalogued, Readings, Said, Series};
pub use self::deliveries::{Counted, DeliveriesPage, Delivery, DeliveryDetail};
pub use self::events::{DeliveryRow, EventRow, EventsPage};
pub use self::groups::{DeadGroup, Groups, Held, HeldGroup, UnmappedGroup};
#[cfg(test)]
pub(super) use self::hours::recount;
pub use self::hours::{Day, DayDestination, Hour};
pub(super) use self::orders::deliveries_of;
pub use self::orders::{AnsweredOrder, OrderRow};
pub use self::search::{Found, Hit, Search};
use super::open::{DATABASE, VERSION};
use super::{Filter, Kind, Sums, store};

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

/// What somebody did, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Its number.
    pub no: i64,
    /// When, on the wall clock.
    pub at: Timestamp,
    /// Who: a person, or `relay`.
    pub who: String,
    /// What: `pause`, `resume`, `test`, `replay`, `discard`, `send`, and others.
    pub what: String,
    /// To which destination, by its id.
    pub destination: Option<String>,
    /// What people call that destination.
    pub destination_name: Option<String>,
    /// Why, or to which deliveries.
    pub detail: String,
}

/// A bulk act on one destination, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number, which is its act's.
    pub no: i64,
    /// What it does.
    pub kind: Kind,
    /// To which destination, by its id.
    pub destination: String,
    /// To which deliveries.
    pub filter: Filter,
    /// Who asked for it.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// How many deliveries it has changed.
    pub done: u64,
    /// The last event that it has looked at.
    pub at_seq: i64,
    /// The last event that it is about.
    pub last_seq: i64,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
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

    /// The sums, and the bulk acts that are not done, all of one moment.
    pub fn status(&mut self) -> Result<(Sums, Vec<Job>), ReadError> {
        let transaction = self.0.transaction()?;
        Ok((
            store::read_sums(&transaction)?,
            jobs(&transaction, "WHERE j.ended_at IS NULL", [])?,
        ))
    }

    /// The sums, all of one moment.
    pub fn sums(&mut self) -> Result<Sums, ReadError> {
        Ok(self.status()?.0)
    }

    /// The latest acts on a destination, by its id, the newest first.
    pub fn acts(&mut self, destination: &str, limit: u32) -> Result<Vec<Act>, ReadError> {
        let sql = format!("{ACTS} WHERE t.id = ?1 ORDER BY a.no DESC LIMIT ?2");
        let mut statement = self.0.prepare(&sql)?;
        let acts = statement.query_map(params![destination, limit], act)?;
        Ok(acts.collect::<Result<_, _>>()?)
    }

    /// A small note, such as the record of our webhook.
    pub fn note(&self, name: &str) -> Result<Option<String>, ReadError> {
        Ok(store::note(&self.0, name)?)
    }

    /// One bulk act.
    pub fn job(&mut self, no: i64) -> Result<Option<Job>, ReadError> {
        Ok(jobs(&self.0, "WHERE j.no = ?1", [no])?.pop())
    }
}

const ACTS: &str = "SELECT a.no, a.at, a.who, a.what, t.id, a.detail, t.name
    FROM act a LEFT JOIN destination t ON t.no = a.destination";

fn act(row: &Row<'_>) -> rusqlite::Result<Act> {
    Ok(Act {
        no: row.get(0)?,
        at: timestamp(row.get(1)?),
        who: row.get(2)?,
        what: row.get(3)?,
        destination: row.get(4)?,
        detail: row.get(5)?,
        destination_name: row.get(6)?,
    })
}

fn jobs(
    connection: &Connection,
    which: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Job>> {
    let sql = format!(
        "SELECT j.no, j.kind, t.id, j.filter, a.who, a.at, j.done, j.at_seq, j.last_seq, j.ended_at
         FROM job j JOIN act a ON a.no = j.no JOIN destination t ON t.no = j.destination
         {which} ORDER BY j.no"
    );
    let mut statement = connection.prepare(&sql)?;
    let jobs = statement.query_map(values, |row| {
        let (kind, filter): (String, String) = (row.get(1)?, row.get(3)?);
        Ok(Job {
            no: row.get(0)?,
            kind: Kind::from_word(&kind).unwrap_or(Kind::Replay),
            destination: row.get(2)?,
            filter: serde_json::from_str(&filter).unwrap_or_default(),
            who: row.get(4)?,
            at: timestamp(row.get(5)?),
            done: u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0),
            at_seq: row.get(7)?,
            last_seq: row.get(8)?,
            ended_at: row.get::<_, Option<i64>>(9)?.map(timestamp),
        })
    })?;
    jobs.collect()
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

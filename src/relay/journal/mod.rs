//! Step 3 of the path: the durable journal, where receive and deliver meet.
//!
//! ```text
//! mod        what others call: the handle, leases, errors
//! acts       what a person may do, as calls
//! state      a delivery's states and their legal changes (pure)
//! writer     the one thread that writes, in groups: one fsync for all who wait
//! store      the SQL of events, deliveries and sums
//! checkpoint copies the log into the database, beside the writer
//! filter     which deliveries a person means
//! open       data directory, lock, schema
//! sums       what was received, and what became of it
//! read       what commands read, in a process of their own
//! ```
//!
//! # Invariants
//! - A call returns `Ok` only after the commit that holds its effect was fsynced.
//! - An event above a destination's cursor *is* its pending delivery: both are there with the one
//!   insert. A delivery row exists from the first claim on (docs/decisions/0003).
//! - The configured destinations are known before the first event is taken, at each opening.
//! - A failed commit is an error for everyone in its group, and leaves nothing behind.
//! - No SQL stands outside this folder.
//!
//! # Not here
//! Several relays on one journal: one process holds the lock of the data directory.

mod acts;
mod checkpoint;
mod filter;
mod open;
mod read;
mod state;
mod store;
mod sums;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

pub use self::acts::{Bulk, Kind, Worked};
pub use self::filter::{DeliveryId, Filter};
pub use self::open::{DATABASE, OpenError};
pub use self::read::{
    Act, Counted, DeliveriesPage, Delivery, DeliveryDetail, DeliveryRow, EventRow, EventsPage, Job,
    ReadError, Reader,
};
pub use self::state::State;
use self::store::{Store, StoreError};
pub use self::sums::{DestinationSums, Sums};
use self::writer::Work;
use crate::event::{Event, Origin};

/// What the journal needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the journal lies. Made if it is not there.
    pub data_dir: PathBuf,
    /// How long a claimed delivery stays claimed: longer than the longest send.
    pub lease: Duration,
    /// The ids of the configured destinations. A new one starts with now: what was accepted
    /// before is kept for it. One that is not named gets nothing new. None changes nothing.
    pub destinations: Option<Vec<String>>,
}

/// The handle that all parts share.
#[derive(Clone, Debug)]
pub struct Journal {
    work: std::sync::mpsc::SyncSender<Work>,
    availability: watch::Receiver<Availability>,
    sums: watch::Receiver<Sums>,
    lease: Duration,
}

/// Whether events can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Not opened yet.
    Opening,
    /// Yes.
    Open,
    /// No, for this reason; it is tried again by itself.
    Unavailable(String),
}

/// Why a call to the journal had no effect.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    /// Nothing can be stored now. The sender should come again.
    #[error("the journal cannot store anything now: {0}")]
    Unavailable(String),
    /// More work waits than the journal may queue.
    #[error("the journal is behind")]
    Behind,
    /// The lease was given back, or ran out and went to another attempt.
    #[error("the lease on delivery {0} is lost")]
    LeaseLost(i64),
    /// The destination is not registered in the journal.
    #[error(
        "the journal has no destination `{0}`: start the relay once with INTEGRATION_URL, then \
         ask again"
    )]
    NoDestination(String),
}

/// What became of an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is new and got this place in the order of arrival.
    Accepted(i64),
    /// It was there already.
    Duplicate,
}

/// A claimed delivery: the right to try it once, for a time.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What proves the right.
    pub lease: Lease,
    /// Whose delivery it is.
    pub destination_id: String,
    /// The event's source.
    pub source: String,
    /// The event's type.
    pub event_type: String,
    /// What the event is known by.
    pub identity: String,
    /// How this delivery came about.
    pub origin: Origin,
    /// When the event was received.
    pub received_at: Timestamp,
    /// The event's raw bytes.
    pub body: Vec<u8>,
    /// Which try this is; 1 is the first.
    pub attempt: u32,
    /// The relay's part of the body as it was frozen at the first send.
    pub frozen: Option<String>,
}

/// The proof of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The event's place in the order of arrival.
    pub seq: i64,
    /// When the right ends, on the steady clock.
    pub until: Timestamp,
    destination: i64,
    token: i64,
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claims {
    /// The deliveries to try now.
    pub now: Vec<Claim>,
    /// When the next one is due, on the steady clock; none when nothing waits.
    pub next_due: Option<Timestamp>,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The destination took it.
    Delivered,
    /// To be tried again from then on (steady clock).
    Postponed {
        /// When.
        due_at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Given up; kept.
    Dead {
        /// Why.
        reason: String,
    },
    /// The destination does not want it.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Not tried after all: given back as it was.
    Released,
}

/// Why a destination is paused: one fact for all that waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Since when.
    pub at: Timestamp,
    /// Who did it: a person, or `relay`.
    pub by: String,
    /// Why.
    pub why: String,
    /// What is to be set right, where the relay itself paused it: `credentials`, `gone` or
    /// `refused`.
    pub trouble: Option<String>,
}

/// That a destination is down: its circuit is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

impl Disposition {
    /// The state that the delivery gets.
    pub fn state(&self) -> State {
        match self {
            Self::Delivered => State::Delivered,
            Self::Postponed { .. } => State::Postponed,
            Self::Dead { .. } => State::Dead,
            Self::Skipped { .. } => State::Skipped,
            Self::Released => State::Pending,
        }
    }
}

impl Journal {
    /// Starts the writer. The journal is opened by it, and opened again after trouble, so this
    /// never fails for what is wrong with the data directory: see [`Journal::availability`].
    pub fn start(config: Config, clock: crate::clock::Clock) -> std::io::Result<(Self, Writer)> {
        let lease = config.lease;
        let started = writer::start(config, clock)?;
        let journal = Self {
            work: started.work,
            availability: started.availability,
            sums: started.sums,
            lease,
        };
        Ok((
            journal,
            Writer {
                ended: started.ended,
            },
        ))
    }

    /// Whether events can be kept, and when that changes.
    pub fn availability(&self) -> watch::Receiver<Availability> {
        self.availability.clone()
    }

    /// The sums after the last commit, and when they change.
    pub fn sums(&self) -> watch::Receiver<Sums> {
        self.sums.clone()
    }

    /// Keeps an event, and with it one pending delivery for each destination.
    pub async fn append(&self, event: Event) -> Result<Appended, WriteError> {
        self.write(move |store| store.append(&event)).await
    }

    /// Claims up to `limit` deliveries that are due at `now` (steady clock).
    pub async fn claim(
        &self,
        destination: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Claims, WriteError> {
        let destination = destination.to_owned();
        let until = crate::clock::later(now, self.lease);
        self.write(move |store| store.claim(&destination, limit, now, until))
            .await
    }

    /// Freezes the relay's part of the body, before its first send.
    pub async fn freeze(
        &self,
        lease: Lease,
        relay: String,
        asset: Option<String>,
    ) -> Result<(), WriteError> {
        self.write(move |store| store.freeze(lease, &relay, asset.as_deref()))
            .await
    }

    /// Records how a try ended, and ends the lease.
    pub async fn record(
        &self,
        lease: Lease,
        disposition: Disposition,
        at: Timestamp,
    ) -> Result<(), WriteError> {
        self.write(move |store| store.record(lease, &disposition, at))
            .await
    }

    /// Makes up to `limit` kept events pending for a destination; returns how many it made, 0
    /// when none is left. Each call is one small commit.
    pub async fn replay_kept(&self, destination: &str, limit: u64) -> Result<u64, WriteError> {
        let destination = destination.to_owned();
        self.write(move |store| store.replay_kept(&destination, limit))
            .await
    }

    /// Adds to the counts of refused requests.
    pub async fn count_rejected(&self, by_reason: BTreeMap<String, u64>) -> Result<(), WriteError> {
        self.write(move |store| {
            store.count_rejected(&by_reason);
            Ok(())
        })
        .await
    }

    /// Reads a small note, such as the record of our webhook.
    pub async fn note(&self, name: &'static str) -> Result<Option<String>, WriteError> {
        self.write(move |store| store.note(name)).await
    }

    /// Writes a small note.
    pub async fn set_note(&self, name: &'static str, value: String) -> Result<(), WriteError> {
        self.write(move |store| store.set_note(name, &value)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.work
            .try_send(Work::new(act, reply))
            .map_err(|e| match e {
                std::sync::mpsc::TrySendError::Full(_) => WriteError::Behind,
                std::sync::mpsc::TrySendError::Disconnected(_) => stopped(),
            })?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> WriteError {
    WriteError::Unavailable("it is closed".into())
}

/// The writer's end. It closes when the last [`Journal`] is dropped.
#[derive(Debug)]
pub struct Writer {
    ended: oneshot::Receiver<()>,
}

impl Writer {
    /// Waits until the writer has closed the journal, or died.
    pub async fn ended(&mut self) {
        // An error means that the sender was dropped: the thread has ended.
        drop((&mut self.ended).await);
    }
}

#[cfg(test)]
mod tests;

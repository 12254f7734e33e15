//! Step 3 of the path: the durable journal, where receive and deliver meet.
//!
//! ```text
//! mod        what others call: the handle, leases, errors
//! acts       what a person may do, as calls
//! catalogue  what events are about, as values and calls
//! claims     a claim and what comes of it, as values
//! enrich     what Orbit says of events, and what waits for it or for an asset, as calls
//! orders     work orders, as calls
//! state      a delivery's states and their legal changes (pure)
//! writer     the one thread that writes, in groups: one fsync for all who wait
//! store      the SQL of events, deliveries and sums
//! checkpoint copies the log into the database, beside the writer
//! filter     which deliveries a person means
//! reason     what the reasons of many deliveries have in common (pure)
//! open       data directory, lock, schema
//! sums       what was received, and what became of it
//! room       how much it takes, how much it may, and what is left of the disk
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
mod catalogue;
mod checkpoint;
mod claims;
mod enrich;
mod filter;
mod open;
mod orders;
mod read;
mod reason;
mod room;
mod state;
mod store;
mod sums;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

pub use self::acts::{Bulk, Kind, Worked};
pub use self::catalogue::{About, Field, Mark, Point, Reading, Route};
pub use self::claims::{
    Asked, Claim, Claims, Disposition, Ended, Enrichment, Fate, Lease, Step, Want, WhileOpen,
};
pub use self::filter::{DeliveryId, Filter, Stopped};
pub use self::open::{DATABASE, OpenError};
pub use self::orders::{
    Alert, Closing, Due, NewOrder, OpenOrder, OrderName, OrderSums, UntoldOrder,
};
pub use self::read::{
    Act, ActsPage, AnsweredOrder, AssetEvents, AssetSeen, Catalogued, Counted, Day, DayDestination,
    DeadGroup, DeliveriesPage, Delivery, DeliveryDetail, DeliveryRow, EventRow, EventsPage, Found,
    Groups, Held, HeldGroup, Hit, Hour, Job, OrderRow, ReadError, Reader, Readings, Said, Search,
    Series, UnmappedGroup,
};
pub use self::room::{Disk, Level, Room};
pub use self::state::State;
use self::store::{Store, StoreError};
pub use self::sums::{DestinationSums, Sums};
use self::writer::Work;
use crate::clock::Clock;
use crate::event::{DedupeKey, Event};
use crate::own::Own;

/// What the journal needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the journal lies. Made if it is not there.
    pub data_dir: PathBuf,
    /// The configured destinations. A new one starts with now: what was accepted before is kept
    /// for it. One that is not named gets nothing new. None changes nothing.
    pub destinations: Option<Vec<Registered>>,
    /// What all destinations are through with goes so long after it was received.
    pub keep_delivered: Duration,
    /// No more new events are taken when it has so many bytes.
    pub limit_bytes: u64,
    /// What somebody hears of what the relay itself has to say.
    pub says: Vec<Own>,
}

impl Config {
    /// For whoever has nothing to say about how much is kept.
    pub const KEEP_DELIVERED: Duration = Duration::from_hours(30 * 24);
    /// For whoever has nothing to say about how much is kept.
    pub const LIMIT_BYTES: u64 = 4 << 30;
}

/// A destination as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// What keys are made of.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// The handle that all parts share.
#[derive(Clone, Debug)]
pub struct Journal {
    work: std::sync::mpsc::SyncSender<Work>,
    availability: watch::Receiver<Availability>,
    sums: watch::Receiver<Sums>,
    room: watch::Receiver<Room>,
    released: watch::Receiver<u64>,
    says: Arc<[Own]>,
    keep_delivered: Duration,
    clock: Clock,
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
    /// There is no room for new events; what is there already goes on. The sender should come
    /// again.
    #[error("the journal is full: {0}")]
    Full(String),
    /// More work waits than the journal may queue.
    #[error("the journal is behind")]
    Behind,
    /// The lease was given back, or ran out and went to another attempt.
    #[error("the lease on delivery {0} is lost")]
    LeaseLost(i64),
    /// The destination is not registered in the journal.
    #[error(
        "the journal has no destination `{0}`: orbit-relay destinations list shows those that it \
         has; a new one is there once the relay has run with it"
    )]
    NoDestination(String),
}

/// An event that a source has on record, in case it is not here yet.
#[derive(Clone, Debug)]
pub struct Missing {
    /// The event.
    pub event: Event,
    /// It is not missing where an event with this key is here.
    pub covered_by: Option<DedupeKey>,
}

/// What became of an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is new and got this place in the order of arrival.
    Accepted(i64),
    /// It was there already.
    Duplicate,
}

/// What a step of [`Journal::let_go`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// So many events are gone.
    pub gone: u64,
    /// Where the next step begins; none when there is nothing more to look at.
    pub next: Option<i64>,
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

impl Journal {
    /// Starts the writer. The journal is opened by it, and opened again after trouble, so this
    /// never fails for what is wrong with the data directory: see [`Journal::availability`].
    pub fn start(config: Config, clock: Clock) -> std::io::Result<(Self, Writer)> {
        let keep_delivered = config.keep_delivered;
        let says = config.says.clone().into();
        let started = writer::start(config, clock.clone())?;
        let journal = Self {
            keep_delivered,
            clock,
            room: started.room,
            released: started.released,
            says,
            work: started.work,
            availability: started.availability,
            sums: started.sums,
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

    /// How much room there is, as it was seen last, and when that changes.
    pub fn room(&self) -> watch::Receiver<Room> {
        self.room.clone()
    }

    /// Changes when deliveries may go that waited for a gate.
    pub fn released(&self) -> watch::Receiver<u64> {
        self.released.clone()
    }

    /// Whether somebody hears own events of this kind.
    pub fn says(&self, own: Own) -> bool {
        self.says.contains(&own)
    }

    /// Keeps an event, and with it one pending delivery for each destination.
    pub async fn append(&self, event: Event) -> Result<Appended, WriteError> {
        self.write(move |store| store.append(&event)).await
    }

    /// Keeps an event of the relay itself and writes a small note, both or neither. One that is
    /// here already was said; nobody sent it, so it counts as no duplicate.
    pub async fn say(
        &self,
        event: Event,
        note: Option<(&'static str, String)>,
    ) -> Result<(), WriteError> {
        self.write(move |store| {
            store.say(&event)?;
            if let Some((name, value)) = note {
                store.set_note(name, &value)?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps those events that are not here yet and writes a small note, all or nothing. One that
    /// is here already does not count as a duplicate.
    pub async fn append_missing(
        &self,
        missing: Vec<Missing>,
        note: Option<(&'static str, String)>,
    ) -> Result<Vec<Appended>, WriteError> {
        self.write(move |store| {
            let appended = store.append_missing(&missing)?;
            if let Some((name, value)) = note {
                store.set_note(name, &value)?;
            }
            Ok(appended)
        })
        .await
    }

    /// Whether events with these keys were ever taken, in the same order.
    pub async fn known(&self, keys: Vec<DedupeKey>) -> Result<Vec<bool>, WriteError> {
        self.write(move |store| keys.iter().map(|key| store.knows(*key)).collect())
            .await
    }

    /// Lets go of events that all destinations are through with, whose time to be kept is over:
    /// one step behind `after`, in one small commit.
    pub async fn let_go(&self, after: i64, now: Timestamp) -> Result<Expired, WriteError> {
        let before = jiff::SignedDuration::try_from(self.keep_delivered)
            .ok()
            .and_then(|keep| now.checked_sub(keep).ok())
            .unwrap_or(Timestamp::MIN);
        self.write(move |store| store.let_go(after, before, now))
            .await
    }

    /// Claims deliveries.
    pub async fn claim(&self, want: Want) -> Result<Claims, WriteError> {
        self.write(move |store| store.claim(&want)).await
    }

    /// Says what is to become of claimed deliveries before anything is sent; all in one commit.
    pub async fn prepare(
        &self,
        steps: Vec<(Lease, Step)>,
        at: Timestamp,
    ) -> Result<Vec<Fate>, WriteError> {
        let now = self.clock.steady();
        self.write(move |store| store.prepare(&steps, at, now))
            .await
    }

    /// Gives claimed deliveries back, untried.
    pub async fn release(&self, leases: Vec<Lease>) -> Result<(), WriteError> {
        self.write(move |store| store.release(&leases)).await
    }

    /// Records how tries ended, and ends their leases, all in one commit. Returns the leases that
    /// were lost before: of these nothing is recorded.
    pub async fn record(&self, ends: Vec<(Lease, Ended)>) -> Result<Vec<Lease>, WriteError> {
        let now = self.clock.steady();
        self.write(move |store| store.record(&ends, now)).await
    }

    /// Notes that a destination is down, or that it works again.
    pub async fn set_down(&self, destination: &str, down: Option<Down>) -> Result<(), WriteError> {
        let destination = destination.to_owned();
        self.write(move |store| store.set_down(&destination, down.as_ref()))
            .await
    }

    /// Pauses a destination that refuses one event after the other; these wait again.
    pub async fn pause_and_revive(
        &self,
        destination: &str,
        paused: Paused,
        refused: Vec<i64>,
    ) -> Result<(), WriteError> {
        let destination = destination.to_owned();
        self.write(move |store| store.pause_and_revive(&destination, paused, &refused))
            .await
    }

    /// Makes up to `limit` kept events pending for a destination; returns how many it made, 0
    /// when none is left. Each call is one small commit.
    pub async fn replay_kept(&self, destination: &str, limit: u64) -> Result<u64, WriteError> {
        let destination = destination.to_owned();
        self.write(move |store| store.replay_kept(&destination, limit))
            .await
    }

    /// Counts a request with an event that was there already.
    pub async fn count_duplicate(&self) -> Result<(), WriteError> {
        let at = self.clock.wall();
        self.write(move |store| store.count_duplicate(at)).await
    }

    /// Adds to the counts of refused requests.
    pub async fn count_rejected(&self, by_reason: BTreeMap<String, u64>) -> Result<(), WriteError> {
        let at = self.clock.wall();
        self.write(move |store| store.count_rejected(&by_reason, at))
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

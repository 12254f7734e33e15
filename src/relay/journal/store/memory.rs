//! What the tables say of sequence numbers, cursors and sums, held in memory so that an insert
//! need not ask them.
//!
//! # Invariants
//! - Nothing here writes; [`super::Store`] writes what changed before it commits.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::enrich::unmapped;
use super::hours::Hours;
use super::orders::order_sums;
use crate::event::{ORBIT, Origin};
use crate::relay::journal::{DestinationSums, Down, OrderSums, Paused, State, Sums};

pub(super) const ACCEPTED: &str = "accepted";
pub(super) const DUPLICATE: &str = "duplicate";
pub(super) const REJECTED: &str = "rejected:";
/// Events that the relay found at their source.
pub(super) const BACKFILLED: &str = "backfilled";
/// Events whose time to be kept was over.
pub(super) const EXPIRED: &str = "expired";

/// What the tables say, so that an insert need not ask them.
#[derive(Clone, Default)]
pub(super) struct Memory {
    pub(super) last_seq: i64,
    /// The last event that Orbit sent, and when; what other sources and the relay itself say does
    /// not count, nor do samples.
    pub(super) last_sent_seq: i64,
    pub(super) last_event_at: Option<Timestamp>,
    pub(super) events: BTreeMap<String, i64>,
    pub(super) changed_events: Vec<String>,
    pub(super) hours: Hours,
    pub(super) destinations: Vec<Destination>,
}

#[derive(Clone)]
pub(super) struct Destination {
    pub(super) no: i64,
    pub(super) id: String,
    pub(super) cursor: i64,
    /// Ranges of events that are not this destination's, in order; the last may be open.
    pub(super) kept: Vec<(i64, Option<i64>)>,
    pub(super) states: BTreeMap<State, i64>,
    pub(super) name: String,
    pub(super) paused: Option<Paused>,
    pub(super) down: Option<Down>,
    /// Nothing goes out before then, in milliseconds of the steady clock.
    pub(super) hold_until: i64,
    /// For how long it has worked, ever: what an event's age is measured by.
    pub(super) worked_ms: i64,
    /// Kept events whose time to be kept is over: those outside and those inside `kept`.
    pub(super) expired: i64,
    pub(super) expired_kept: i64,
    /// Deliveries that were given up and not revived at once, but for samples and the relay's
    /// notices; and why the last of them.
    pub(super) died: i64,
    pub(super) died_why: Option<String>,
    /// Deliveries that were parked because a gate gave no answer; and what was missing of the last
    /// of them.
    pub(super) unanswered: i64,
    pub(super) unanswered_why: Option<String>,
    /// Whether its next claim begins with a fresh event rather than with a retry.
    pub(super) fresh_first: bool,
    /// Its work orders.
    pub(super) orders: OrderSums,
    /// Deliveries that are parked without an asset; they are among those that are parked.
    pub(super) unmapped: i64,
    pub(super) changed: bool,
}

impl Memory {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let last_seq: Option<i64> =
            connection.query_row("SELECT max(seq) FROM event", [], |row| row.get(0))?;
        let sent: Option<(i64, i64)> = connection
            .query_row(
                "SELECT seq, received_at FROM event WHERE source = ?1 AND origin <> ?2
                 ORDER BY seq DESC LIMIT 1",
                [ORBIT, Origin::Sample.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (last_sent_seq, last_at) = sent.unzip();
        let events = connection
            .prepare("SELECT name, n FROM event_sum")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self {
            last_seq: last_seq.unwrap_or(0),
            last_sent_seq: last_sent_seq.unwrap_or(0),
            last_event_at: last_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
            events,
            changed_events: Vec::new(),
            hours: Hours::read(connection)?,
            destinations: destinations(connection)?,
        })
    }

    pub(super) fn count(&mut self, name: &str, n: i64) {
        if let Some(sum) = self.events.get_mut(name) {
            *sum += n;
        } else {
            self.events.insert(name.to_owned(), n);
        }
        if !self.changed_events.iter().any(|changed| changed == name) {
            self.changed_events.push(name.to_owned());
        }
    }

    pub(super) fn sums(&self, connection: &Connection) -> rusqlite::Result<Sums> {
        let of = |name: &str| self.events.get(name).copied().map_or(0, unsigned);
        Ok(Sums {
            accepted: of(ACCEPTED),
            duplicate: of(DUPLICATE),
            backfilled: of(BACKFILLED),
            rejected: self
                .events
                .iter()
                .filter_map(|(name, n)| Some((name.strip_prefix(REJECTED)?, n)))
                .map(|(reason, n)| (reason.to_owned(), unsigned(*n)))
                .collect(),
            last_event_at: self.last_event_at,
            destinations: self
                .destinations
                .iter()
                .map(|d| d.sums(connection, self.last_seq))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Destination {
    pub(super) fn count(&mut self, state: State, n: i64) {
        *self.states.entry(state).or_insert(0) += n;
        self.changed = true;
    }

    /// Whether this event is kept rather than this destination's.
    pub(super) fn keeps(&self, seq: i64) -> bool {
        self.kept_within(seq, seq) > 0
    }

    /// How many events in `first..=last` are kept rather than this destination's.
    pub(super) fn kept_within(&self, first: i64, last: i64) -> i64 {
        self.kept
            .iter()
            .map(|(from, to)| (to.unwrap_or(i64::MAX).min(last) - (*from).max(first) + 1).max(0))
            .sum()
    }

    pub(super) fn sums(
        &self,
        connection: &Connection,
        last_seq: i64,
    ) -> rusqlite::Result<DestinationSums> {
        let above_cursor = self.cursor.saturating_add(1);
        let fresh = last_seq - self.cursor - self.kept_within(above_cursor, last_seq);
        let mut states: BTreeMap<_, _> = self
            .states
            .iter()
            .map(|(state, n)| (*state, unsigned(*n)))
            .collect();
        *states.entry(State::Pending).or_insert(0) += unsigned(fresh);
        if !self.is_served() {
            let waiting = [State::Pending, State::Postponed].map(|state| states.remove(&state));
            *states.entry(State::Parked).or_insert(0) += waiting.iter().flatten().sum::<u64>();
        }
        Ok(DestinationSums {
            id: self.id.clone(),
            name: self.name.clone(),
            paused: self.paused.clone(),
            down: self.down.clone(),
            held_until: (self.hold_until > 0)
                .then(|| Timestamp::from_millisecond(self.hold_until).ok())
                .flatten(),
            removed: self.is_removed(),
            fresh: if self.is_served() { unsigned(fresh) } else { 0 },
            kept: unsigned(self.kept_within(1, last_seq) - self.expired_kept),
            expired: unsigned(self.expired + self.expired_kept),
            died: unsigned(self.died),
            died_why: self.died_why.clone(),
            unanswered: unsigned(self.unanswered),
            unanswered_why: self.unanswered_why.clone(),
            states,
            oldest_undelivered_at: self.oldest_undelivered(connection, last_seq)?,
            orders: self.orders,
            unmapped: unsigned(self.unmapped),
        })
    }

    /// Whether anything goes out: it is configured and not paused.
    pub(super) fn is_served(&self) -> bool {
        self.paused.is_none() && !self.is_removed()
    }

    /// Whether it is no longer configured: what comes from now on is kept.
    pub(super) fn is_removed(&self) -> bool {
        self.kept.last().is_some_and(|(_, last)| last.is_none())
    }

    pub(super) fn first_fresh(&self) -> i64 {
        let mut seq = self.cursor + 1;
        for (from, to) in &self.kept {
            if (*from..=to.unwrap_or(i64::MAX)).contains(&seq) {
                seq = to.unwrap_or(i64::MAX - 1) + 1;
            }
        }
        seq
    }

    pub(super) fn oldest_undelivered(
        &self,
        connection: &Connection,
        last_seq: i64,
    ) -> rusqlite::Result<Option<Timestamp>> {
        let open: Option<i64> = connection
            .prepare_cached(
                "SELECT min(seq) FROM delivery INDEXED BY delivery_open WHERE destination = ?1
                 AND state IN ('pending', 'sending', 'postponed', 'parked')",
            )?
            .query_row([self.no], |row| row.get(0))?;
        let fresh = Some(self.first_fresh()).filter(|seq| *seq <= last_seq);
        let Some(seq) = open.into_iter().chain(fresh).min() else {
            return Ok(None);
        };
        let at: Option<i64> = connection
            .prepare_cached("SELECT received_at FROM event WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        Ok(at.and_then(|at| Timestamp::from_millisecond(at).ok()))
    }
}

/// The sums as the tables hold them, for a reader in a process of its own.
pub(in crate::relay::journal) fn read_sums(connection: &Connection) -> rusqlite::Result<Sums> {
    Memory::read(connection)?.sums(connection)
}

pub(super) fn destinations(connection: &Connection) -> rusqlite::Result<Vec<Destination>> {
    let mut destinations = connection
        .prepare_cached(
            "SELECT no, id, cursor, name, paused_at, paused_by, paused_why, paused_trouble,
             down_at, down_why, hold_until, worked_ms, expired, expired_kept,
             died, died_why, unanswered, unanswered_why FROM destination ORDER BY no",
        )?
        .query_map([], |row| {
            Ok(Destination {
                no: row.get(0)?,
                id: row.get(1)?,
                cursor: row.get(2)?,
                name: row.get(3)?,
                paused: paused(row)?,
                down: down(row)?,
                hold_until: row.get(10)?,
                worked_ms: row.get(11)?,
                expired: row.get(12)?,
                expired_kept: row.get(13)?,
                died: row.get(14)?,
                died_why: row.get(15)?,
                unanswered: row.get(16)?,
                unanswered_why: row.get(17)?,
                kept: Vec::new(),
                states: BTreeMap::new(),
                fresh_first: false,
                orders: OrderSums::default(),
                unmapped: 0,
                changed: false,
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for destination in &mut destinations {
        destination.kept = connection
            .prepare_cached(
                "SELECT first_seq, last_seq FROM kept WHERE destination = ?1 ORDER BY first_seq",
            )?
            .query_map([destination.no], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let states: Vec<(String, i64)> = connection
            .prepare_cached("SELECT state, n FROM delivery_sum WHERE destination = ?1")?
            .query_map([destination.no], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        destination.states = states
            .into_iter()
            .filter_map(|(word, n)| Some((State::from_word(&word)?, n)))
            .collect();
        destination.unmapped = unmapped(connection, destination.no)?;
    }
    for (no, orders) in order_sums(connection)? {
        if let Some(destination) = destinations.iter_mut().find(|d| d.no == no) {
            destination.orders = orders;
        }
    }
    Ok(destinations)
}

fn paused(row: &Row<'_>) -> rusqlite::Result<Option<Paused>> {
    let Some(at) = row.get::<_, Option<i64>>(4)? else {
        return Ok(None);
    };
    Ok(Some(Paused {
        at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH),
        by: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
        why: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
        trouble: row.get(7)?,
    }))
}

fn down(row: &Row<'_>) -> rusqlite::Result<Option<Down>> {
    let Some(at) = row.get::<_, Option<i64>>(8)? else {
        return Ok(None);
    };
    Ok(Some(Down {
        at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH),
        why: row.get::<_, Option<String>>(9)?.unwrap_or_default(),
    }))
}

pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

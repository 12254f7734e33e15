//! What waits for a person, in groups: what died, what is parked, what has no asset.
//!
//! # Invariants
//! - Everything is read by an index: what was delivered is never walked through.
//! - At most [`LOOKED`] deliveries are looked at, the newest ones; what that leaves out is said.

mod reason;

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use self::reason::common;
use super::{ReadError, Reader, timestamp};
use crate::event::Envelope;
use crate::relay::assets::{AssetMap, Subject};
use crate::relay::journal::filter::{Scope, scopes};
use crate::relay::journal::{DeliveryId, State};

/// So many deliveries are looked at, all destinations together; few in a test.
const LOOKED: usize = if cfg!(test) { 60 } else { 5000 };
/// So many events are read, and so many bytes of them, where the groups are made by what is in
/// them.
const BODIES: usize = 1000;
const BODY_BYTES: usize = 8 * 1024 * 1024;

/// Groups of deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups<T> {
    /// The largest first.
    pub groups: Vec<T>,
    /// How many groups there are beyond these.
    pub left_out: usize,
    /// Whether there are older deliveries, which were not looked at: the numbers are then of the
    /// newest ones.
    pub more: bool,
}

/// Dead deliveries of one destination that died of the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadGroup {
    /// The destination's id.
    pub destination: String,
    /// What people call it.
    pub name: String,
    /// Why they died, with `…` for what differs.
    pub reason: String,
    /// How many there are.
    pub count: u64,
    /// When the first of them died.
    pub first: Timestamp,
    /// When the last of them died.
    pub last: Timestamp,
    /// The one with the newest event.
    pub newest: DeliveryId,
}

/// Parked deliveries of one destination, parked for the same reason; those without an asset are not
/// among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldGroup {
    /// The destination's id.
    pub destination: String,
    /// What people call it.
    pub name: String,
    /// Why they are parked.
    pub held: Held,
    /// How many there are.
    pub count: u64,
}

/// Why deliveries are parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Their destination is paused.
    Paused {
        /// Since when.
        at: Timestamp,
        /// By whom.
        by: String,
        /// Why.
        why: String,
    },
    /// Their destination is no longer configured.
    Removed,
    /// For a reason of their own, such as that a gate gave no answer: they wait for a replay.
    Reason {
        /// The reason, with `…` for what differs.
        reason: String,
        /// When the first of them was parked.
        first: Timestamp,
        /// When the last of them was parked.
        last: Timestamp,
        /// The one with the newest event.
        newest: DeliveryId,
    },
}

/// Events that wait for the same row of the asset map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmappedGroup {
    /// What the newest of them is about.
    pub subject: Subject,
    /// How many events wait, each counted once.
    pub events: u64,
    /// How many deliveries that are, of these destinations (ids).
    pub deliveries: u64,
    /// The destinations, by id.
    pub destinations: BTreeSet<String>,
    /// When the first of them was received.
    pub first: Timestamp,
    /// When the last of them was received.
    pub last: Timestamp,
    /// The number of the newest event.
    pub newest: i64,
    /// What to add to the asset map.
    pub line: String,
}

/// A kind of delivery that has an index of its own.
#[derive(Clone, Copy)]
enum Lane {
    Dead,
    Held,
    Unmapped,
}

impl Lane {
    fn rows(self) -> &'static str {
        match self {
            Self::Dead => "delivery INDEXED BY delivery_dead WHERE state = 'dead'",
            Self::Held => {
                "delivery INDEXED BY delivery_held WHERE state = 'parked' AND unmapped = 0"
            }
            Self::Unmapped => "delivery INDEXED BY delivery_unmapped WHERE unmapped = 1",
        }
    }

    fn sql(self) -> String {
        format!(
            "SELECT seq, reason, changed_at, action FROM {} AND destination = ?1
             ORDER BY seq DESC LIMIT ?2",
            self.rows()
        )
    }

    fn has_any(self) -> String {
        format!("SELECT 1 FROM {} AND destination = ?1 LIMIT 1", self.rows())
    }
}

/// A delivery of a lane.
struct Looked {
    /// Its destination's place among the scopes.
    place: usize,
    seq: i64,
    reason: String,
    changed_at: i64,
    action: Option<String>,
}

/// Dead or parked deliveries of one destination, with the same reason.
struct Alike {
    count: u64,
    first: i64,
    last: i64,
    newest: i64,
}

impl Reader {
    /// Dead deliveries by destination and reason, at most `limit` groups.
    pub fn dead_groups(&mut self, limit: usize) -> Result<Groups<DeadGroup>, ReadError> {
        let transaction = self.0.transaction()?;
        let scopes = scopes(&transaction)?;
        let (looked, more) = look(&transaction, &scopes, Lane::Dead)?;
        let groups = alike(looked)
            .into_iter()
            .filter_map(|((place, reason), alike)| {
                let scope = scopes.get(place)?;
                Some(DeadGroup {
                    destination: scope.id.clone(),
                    name: scope.name.clone(),
                    reason,
                    count: alike.count,
                    first: timestamp(alike.first),
                    last: timestamp(alike.last),
                    newest: alike.newest(scope),
                })
            });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by_key(|group| Reverse((group.count, group.last, group.newest.seq)));
        Ok(cut(groups, limit, more))
    }

    /// Parked deliveries that do have an asset, by destination and reason, at most `limit` groups.
    pub fn parked_groups(&mut self, limit: usize) -> Result<Groups<HeldGroup>, ReadError> {
        let transaction = self.0.transaction()?;
        let scopes = scopes(&transaction)?;
        let mut groups = Vec::new();
        for scope in scopes.iter().filter(|scope| scope.is_halted()) {
            groups.extend(halted(&transaction, scope)?);
        }
        let (looked, more) = look(&transaction, &scopes, Lane::Held)?;
        groups.extend(
            alike(looked)
                .into_iter()
                .filter_map(|((place, reason), alike)| {
                    let scope = scopes.get(place)?;
                    let held = Held::Reason {
                        reason,
                        first: timestamp(alike.first),
                        last: timestamp(alike.last),
                        newest: alike.newest(scope),
                    };
                    Some(HeldGroup::of(scope, held, alike.count))
                }),
        );
        groups.sort_by_key(|group| (Reverse(group.count), Reverse(group.held.newest())));
        Ok(cut(groups, limit, more))
    }

    /// Events that wait for a row of this asset map, by what their row would go by, at most `limit`
    /// groups.
    pub fn unmapped_groups(
        &mut self,
        map: &AssetMap,
        limit: usize,
    ) -> Result<Groups<UnmappedGroup>, ReadError> {
        let transaction = self.0.transaction()?;
        let scopes = scopes(&transaction)?;
        let (looked, mut more) = look(&transaction, &scopes, Lane::Unmapped)?;
        let mut events: BTreeMap<i64, (Option<String>, BTreeSet<usize>)> = BTreeMap::new();
        for Looked {
            place, seq, action, ..
        } in looked
        {
            let event = events.entry(seq).or_default();
            event.0 = event.0.take().or(action);
            event.1.insert(place);
        }
        let (mut bodies, mut bytes) = (0, 0);
        let mut lines: HashMap<Goes, Waiting> = HashMap::new();
        for (seq, (action, places)) in events.into_iter().rev() {
            let goes = match action.filter(|_| map.suggests_action_names()) {
                Some(action) => Goes::ByAction(action),
                None if bodies >= BODIES || bytes >= BODY_BYTES => {
                    more = true;
                    continue;
                }
                None => {
                    let (subject, read) = subject(&transaction, seq)?;
                    bodies += 1;
                    bytes += read;
                    Goes::ByLine(map.line_for(&subject))
                }
            };
            let waiting = lines.entry(goes).or_insert(Waiting {
                newest: seq,
                ..Waiting::default()
            });
            waiting.oldest = seq;
            waiting.events += 1;
            waiting.deliveries += places.len();
            waiting.places.extend(places);
        }
        let mut waiting: Vec<_> = lines.into_values().collect();
        waiting.sort_by_key(|waiting| Reverse((waiting.events, waiting.newest)));
        let waiting = cut(waiting, limit, more);
        let mut groups = Vec::with_capacity(waiting.groups.len());
        for of in waiting.groups {
            let (subject, _) = subject(&transaction, of.newest)?;
            let ids = of.places.iter().filter_map(|place| scopes.get(*place));
            groups.push(UnmappedGroup {
                line: map.line_for(&subject),
                subject,
                events: of.events,
                deliveries: u64::try_from(of.deliveries).unwrap_or(0),
                destinations: ids.map(|scope| scope.id.clone()).collect(),
                first: received_at(&transaction, of.oldest)?,
                last: received_at(&transaction, of.newest)?,
                newest: of.newest,
            });
        }
        Ok(Groups {
            groups,
            left_out: waiting.left_out,
            more: waiting.more,
        })
    }
}

impl HeldGroup {
    fn of(scope: &Scope, held: Held, count: u64) -> Self {
        Self {
            destination: scope.id.clone(),
            name: scope.name.clone(),
            held,
            count,
        }
    }
}

impl Held {
    /// The newest event, where there are several reasons.
    fn newest(&self) -> i64 {
        match self {
            Self::Reason { newest, .. } => newest.seq,
            Self::Paused { .. } | Self::Removed => i64::MAX,
        }
    }
}

impl Alike {
    fn newest(&self, scope: &Scope) -> DeliveryId {
        DeliveryId {
            destination: scope.id.clone(),
            seq: self.newest,
        }
    }
}

/// By what a row of the asset map would find an event.
#[derive(PartialEq, Eq, Hash)]
enum Goes {
    ByAction(String),
    ByLine(String),
}

/// Events that wait for the same row.
#[derive(Default)]
struct Waiting {
    oldest: i64,
    newest: i64,
    events: u64,
    deliveries: usize,
    places: BTreeSet<usize>,
}

/// The newest deliveries of a lane, and whether there are more.
fn look(
    connection: &Connection,
    scopes: &[Scope],
    lane: Lane,
) -> rusqlite::Result<(Vec<Looked>, bool)> {
    let mut having = Vec::new();
    let mut any = connection.prepare_cached(&lane.has_any())?;
    for (place, scope) in scopes.iter().enumerate() {
        if any.exists([scope.no])? {
            having.push((place, scope.no));
        }
    }
    let share = LOOKED / having.len().max(1);
    let (mut looked, mut more) = (Vec::new(), false);
    let mut statement = connection.prepare_cached(&lane.sql())?;
    for (place, no) in having {
        let most = i64::try_from(share).unwrap_or(i64::MAX);
        let mut rows = statement.query([no, most.saturating_add(1)])?;
        let mut mine = 0;
        while let Some(row) = rows.next()? {
            mine += 1;
            if mine > share {
                more = true;
                break;
            }
            looked.push(Looked {
                place,
                seq: row.get(0)?,
                reason: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                changed_at: row.get(2)?,
                action: row.get(3)?,
            });
        }
    }
    Ok((looked, more))
}

/// By destination (its place) and what their reasons have in common.
fn alike(looked: Vec<Looked>) -> HashMap<(usize, String), Alike> {
    // Many say the very same.
    let mut commons: HashMap<String, String> = HashMap::new();
    let mut groups = HashMap::new();
    for of in looked {
        let reason = match commons.entry(of.reason) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let reason = common(new.key());
                new.insert(reason).clone()
            }
        };
        let group = groups.entry((of.place, reason)).or_insert(Alike {
            count: 0,
            first: of.changed_at,
            last: of.changed_at,
            newest: of.seq,
        });
        group.count += 1;
        group.first = group.first.min(of.changed_at);
        group.last = group.last.max(of.changed_at);
        group.newest = group.newest.max(of.seq);
    }
    groups
}

/// What is parked because nothing goes to its destination.
fn halted(connection: &Connection, scope: &Scope) -> rusqlite::Result<Option<HeldGroup>> {
    let last_seq: Option<i64> =
        connection.query_row("SELECT max(seq) FROM event", [], |row| row.get(0))?;
    let fresh = scope.fresh(1, last_seq.unwrap_or(0));
    let fresh: i64 = fresh.iter().map(|(from, to)| to - from + 1).sum();
    let rows: i64 = connection.query_row(
        "SELECT coalesce(sum(n), 0) FROM delivery_sum WHERE destination = ?1
         AND state IN (?2, ?3)",
        params![scope.no, State::Pending.as_str(), State::Postponed.as_str()],
        |row| row.get(0),
    )?;
    let count = u64::try_from(fresh + rows).unwrap_or(0);
    if count == 0 {
        return Ok(None);
    }
    let paused = connection.query_row(
        "SELECT paused_at, paused_by, paused_why FROM destination WHERE no = ?1",
        [scope.no],
        |row| {
            let at: Option<i64> = row.get(0)?;
            let (by, why): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
            Ok(at.map(|at| Held::Paused {
                at: timestamp(at),
                by: by.unwrap_or_default(),
                why: why.unwrap_or_default(),
            }))
        },
    )?;
    // One that is gone is not helped by a resume.
    let held = paused.filter(|_| !scope.is_removed());
    Ok(Some(HeldGroup::of(
        scope,
        held.unwrap_or(Held::Removed),
        count,
    )))
}

/// What an event is about, and how many bytes that took; nothing of one that is gone or no JSON.
fn subject(connection: &Connection, seq: i64) -> rusqlite::Result<(Subject, usize)> {
    let body: Option<Vec<u8>> = connection
        .prepare_cached("SELECT body FROM event WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    let body = body.unwrap_or_default();
    let subject = Envelope::parse(&body).map(|envelope| Subject::of(&envelope));
    Ok((subject.unwrap_or_default(), body.len()))
}

fn received_at(connection: &Connection, seq: i64) -> rusqlite::Result<Timestamp> {
    let at: Option<i64> = connection
        .prepare_cached("SELECT received_at FROM event WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()?;
    Ok(at.map_or(Timestamp::UNIX_EPOCH, timestamp))
}

fn cut<T>(mut groups: Vec<T>, limit: usize, more: bool) -> Groups<T> {
    let left_out = groups.len().saturating_sub(limit);
    groups.truncate(limit);
    Groups {
        groups,
        left_out,
        more,
    }
}

#[cfg(test)]
mod tests;

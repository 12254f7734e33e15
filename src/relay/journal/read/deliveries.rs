//! Lists of deliveries, how many there are, and all about one.
//!
//! # Invariants
//! - A long list is read in steps, each a transaction of its own.
//! - What is pending without a row is listed like the rest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{ACTS, Act, EventRow, ReadError, Reader, act, events, timestamp};
use crate::relay::journal::filter::{Candidate, Scope, candidates, scopes};
use crate::relay::journal::{DeliveryId, DestinationSums, Enrichment, Filter, State, store};

/// One step of a long list looks at so many deliveries.
const STEP: usize = 1000;

/// Which deliveries to list, the newest first.
#[derive(Clone, Debug)]
pub struct DeliveriesPage {
    /// Those that it takes.
    pub filter: Filter,
    /// Only what stands after this one in the list: of the same event, or of an earlier one.
    pub before: Option<DeliveryId>,
    /// At most this many.
    pub limit: usize,
}

/// One delivery, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What it is called.
    pub id: DeliveryId,
    /// Where it stands, as it is shown.
    pub state: State,
    /// What the event is known by.
    pub event: String,
    /// The event's type.
    pub event_type: String,
    /// When the event was received.
    pub received_at: Timestamp,
    /// The asset that it was sent with.
    pub asset: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it stands there.
    pub reason: Option<String>,
    /// When it is tried again, about, on the wall clock; none when no time is set for that.
    pub due_at: Option<Timestamp>,
}

/// How many deliveries a filter takes, and the first of them.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// By destination (its id) and state as it is shown.
    pub by_state: BTreeMap<(String, State), u64>,
    /// The first few, the oldest first.
    pub first: Vec<Delivery>,
}

impl Counted {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_state.values().sum()
    }
}

/// All that is known of one delivery.
#[derive(Clone, Debug)]
pub struct DeliveryDetail {
    /// As lists show it.
    pub delivery: Delivery,
    /// Its event.
    pub event: EventRow,
    /// Its destination.
    pub destination: DestinationSums,
    /// The state in its row, which is not what is shown where the destination is paused or gone.
    pub state: State,
    /// The relay's part of the body, frozen at the first send.
    pub relay: Option<String>,
    /// The beginning of what the destination answered last.
    pub answer: Option<String>,
    /// How many tries failed in a row.
    pub failures: u32,
    /// Not before then, because the destination asked for it (about, wall clock).
    pub not_before: Option<Timestamp>,
    /// When the end of the last try was recorded.
    pub changed_at: Option<Timestamp>,
    /// The event that goes first.
    pub waits_for: Option<i64>,
    /// Whether a person asked for it again.
    pub replayed: bool,
    /// Nothing goes to the destination before then (about, wall clock).
    pub hold_until: Option<Timestamp>,
    /// The act that changed it last.
    pub act: Option<Act>,
    /// The requests, frozen at the first send.
    pub message: Option<String>,
    /// What of them was done.
    pub progress: Option<String>,
    /// The version of the asset map that its asset is from, or that had none.
    pub map: Option<String>,
    /// The version of the template that the requests are from.
    pub template: Option<String>,
    /// Whether it is parked because it had no asset.
    pub unmapped: bool,
    /// Whether it waits for what Orbit has to say.
    pub for_orbit: bool,
    /// The gate that it waits for, by its name.
    pub gate: Option<String>,
    /// Why it, a gate's answer, keeps the event from others.
    pub cancels: Option<String>,
    /// What Orbit said of the event.
    pub enrichment: Enrichment,
    /// The other acts on its destination since the event came, the newest first.
    pub since: Vec<Act>,
}

impl Reader {
    /// A page of deliveries, the newest event first.
    pub fn deliveries(&mut self, page: &DeliveriesPage) -> Result<Vec<Delivery>, ReadError> {
        let mut found = Vec::new();
        let shift = shift(&self.0)?;
        let numbers: Vec<_> = scopes(&self.0)?.into_iter().map(|s| (s.no, s.id)).collect();
        let before = page.before.as_ref().map(|before| {
            let of = numbers.iter().find(|(_, id)| *id == before.destination);
            (before.seq, of.map_or(i64::MAX, |(no, _)| *no))
        });
        for (no, _) in &numbers {
            let mut to = match before {
                None => i64::MAX,
                // Of one event the destinations stand in order of their numbers.
                Some((seq, last)) if *no > last => seq,
                Some((seq, _)) => seq - 1,
            };
            let mut mine = 0;
            while mine < page.limit {
                let Some((scope, step)) = self.step(*no, &page.filter, (1, to), true)? else {
                    break;
                };
                let Some(last) = step.last() else { break };
                to = last.seq - 1;
                let taken = step.iter().filter(|c| page.filter.takes(&scope, c));
                let before = found.len();
                found.extend(
                    taken
                        .take(page.limit - mine)
                        .map(|c| (*no, delivery(&scope, c, shift))),
                );
                mine += found.len() - before;
            }
        }
        found.sort_unstable_by_key(|(no, delivery)| (std::cmp::Reverse(delivery.id.seq), *no));
        found.truncate(page.limit);
        Ok(found.into_iter().map(|(_, delivery)| delivery).collect())
    }

    /// How many deliveries a filter takes, and the first `first` of each destination.
    pub fn count(&mut self, filter: &Filter, first: usize) -> Result<Counted, ReadError> {
        let mut counted = Counted::default();
        let shift = shift(&self.0)?;
        let numbers: Vec<_> = scopes(&self.0)?.into_iter().map(|s| s.no).collect();
        for no in numbers {
            let mut from = 1;
            let mut mine = 0;
            loop {
                let Some((scope, step)) = self.step(no, filter, (from, i64::MAX), false)? else {
                    break;
                };
                let Some(last) = step.last() else { break };
                from = last.seq + 1;
                for candidate in step.iter().filter(|c| filter.takes(&scope, c)) {
                    let state = scope.shown(candidate.state);
                    *counted
                        .by_state
                        .entry((scope.id.clone(), state))
                        .or_insert(0) += 1;
                    if mine < first {
                        mine += 1;
                        counted.first.push(delivery(&scope, candidate, shift));
                    }
                }
            }
        }
        Ok(counted)
    }

    /// What Orbit said of an event.
    pub fn enrichment(&mut self, seq: i64) -> Result<Enrichment, ReadError> {
        Ok(enrichment(&self.0, seq)?)
    }

    /// One step of a long list: a transaction, so that all of it is of one moment.
    fn step(
        &mut self,
        no: i64,
        filter: &Filter,
        range: (i64, i64),
        newest_first: bool,
    ) -> Result<Option<(Scope, Vec<Candidate>)>, ReadError> {
        let transaction = self.0.transaction()?;
        let mut scopes = scopes(&transaction)?.into_iter();
        let Some(scope) = scopes.find(|scope| scope.no == no) else {
            return Ok(None);
        };
        if filter
            .destination
            .as_ref()
            .is_some_and(|id| *id != scope.id)
        {
            return Ok(None);
        }
        let found = candidates(&transaction, &scope, filter, range, newest_first, STEP)?;
        Ok(Some((scope, found)))
    }

    /// All about one delivery; none where there is no such delivery.
    pub fn delivery(&mut self, id: &DeliveryId) -> Result<Option<DeliveryDetail>, ReadError> {
        let transaction = self.0.transaction()?;
        let mut scopes = scopes(&transaction)?.into_iter();
        let Some(scope) = scopes.find(|scope| scope.id == id.destination) else {
            return Ok(None);
        };
        let only = Filter {
            ids: [id.clone()].into(),
            ..Filter::default()
        };
        let range = (id.seq, id.seq);
        let mut found = candidates(&transaction, &scope, &only, range, false, 1)?;
        let Some(candidate) = found.pop() else {
            return Ok(None);
        };
        let sums = store::read_sums(&transaction)?;
        let mut destinations = sums.destinations.into_iter();
        let Some(destination) = destinations.find(|d| d.id == scope.id) else {
            return Ok(None);
        };
        let mut event = transaction.query_row(
            &format!("{} WHERE seq = ?1", events::SELECT),
            [id.seq],
            events::event,
        )?;
        event.deliveries = events::deliveries(&transaction, id.seq)?;
        let row: Option<DetailRow> = transaction
            .query_row(
                "SELECT relay, answer, failures, not_before, changed_at, waits_for, replayed, act,
                 message, progress, map, template, unmapped, for_orbit,
                 (SELECT name FROM destination WHERE no = gate), cancels
                 FROM delivery WHERE destination = ?1 AND seq = ?2",
                params![scope.no, id.seq],
                detail_row,
            )
            .optional()?;
        let row = row.unwrap_or_default();
        let shift = shift(&transaction)?;
        let hold_until: i64 = transaction.query_row(
            "SELECT hold_until FROM destination WHERE no = ?1",
            [scope.no],
            |row| row.get(0),
        )?;
        let last_act = transaction
            .query_row(&format!("{ACTS} WHERE a.no = ?1"), [row.act], act)
            .optional()?;
        let since = transaction
            .prepare(&format!(
                "{ACTS} WHERE a.destination = ?1 AND a.at >= ?2 AND a.no IS NOT ?3
                 ORDER BY a.no DESC LIMIT 20"
            ))?
            .query_map(
                params![scope.no, event.received_at.as_millisecond(), row.act],
                act,
            )?
            .collect::<Result<_, _>>()?;
        Ok(Some(DeliveryDetail {
            delivery: delivery(&scope, &candidate, shift),
            event,
            destination,
            state: candidate.state,
            relay: row.relay,
            answer: row.answer,
            failures: row.failures,
            not_before: some_time(row.not_before, shift),
            changed_at: some_time(row.changed_at, 0),
            waits_for: row.waits_for,
            replayed: row.replayed,
            hold_until: some_time(hold_until, shift),
            act: last_act,
            message: row.message,
            progress: row.progress,
            map: row.map,
            template: row.template,
            unmapped: row.unmapped,
            for_orbit: row.for_orbit,
            gate: row.gate,
            cancels: row.cancels,
            enrichment: enrichment(&transaction, id.seq)?,
            since,
        }))
    }
}

#[derive(Default)]
struct DetailRow {
    relay: Option<String>,
    answer: Option<String>,
    failures: u32,
    not_before: i64,
    changed_at: i64,
    waits_for: Option<i64>,
    replayed: bool,
    act: Option<i64>,
    message: Option<String>,
    progress: Option<String>,
    map: Option<String>,
    template: Option<String>,
    unmapped: bool,
    for_orbit: bool,
    gate: Option<String>,
    cancels: Option<String>,
}

fn detail_row(row: &Row<'_>) -> rusqlite::Result<DetailRow> {
    Ok(DetailRow {
        relay: row.get(0)?,
        answer: row.get(1)?,
        failures: row.get(2)?,
        not_before: row.get(3)?,
        changed_at: row.get(4)?,
        waits_for: row.get(5)?,
        replayed: row.get(6)?,
        act: row.get(7)?,
        message: row.get(8)?,
        progress: row.get(9)?,
        map: row.get(10)?,
        template: row.get(11)?,
        unmapped: row.get(12)?,
        for_orbit: row.get(13)?,
        gate: row.get(14)?,
        cancels: row.get(15)?,
    })
}

pub(super) fn enrichment(connection: &Connection, seq: i64) -> rusqlite::Result<Enrichment> {
    let said = connection
        .query_row(
            "SELECT run, anomaly FROM enrichment WHERE seq = ?1",
            [seq],
            |row| {
                Ok(Enrichment {
                    run: row.get(0)?,
                    anomaly: row.get(1)?,
                })
            },
        )
        .optional()?;
    Ok(said.unwrap_or_default())
}

/// None for 0; otherwise moved by so many milliseconds.
fn some_time(ms: i64, shift: i64) -> Option<Timestamp> {
    Some(ms)
        .filter(|ms| *ms > 0)
        .map(|ms| timestamp(ms.saturating_add(shift)))
}

/// How far the wall clock stood before the steady one when the relay last noted them. Due times
/// are on the steady clock, and people read the other.
pub(super) fn shift(connection: &Connection) -> rusqlite::Result<i64> {
    let clock: Option<String> = connection
        .query_row(
            "SELECT value FROM note WHERE name = ?1",
            [store::CLOCK],
            |row| row.get(0),
        )
        .optional()?;
    let shift = clock.as_deref().and_then(|clock| {
        let (wall, steady) = clock.split_once(' ')?;
        Some(wall.parse::<i64>().ok()? - steady.parse::<i64>().ok()?)
    });
    Ok(shift.unwrap_or(0))
}

pub(super) fn delivery(scope: &Scope, candidate: &Candidate, shift: i64) -> Delivery {
    let state = scope.shown(candidate.state);
    let waits = matches!(state, State::Pending | State::Postponed);
    Delivery {
        id: DeliveryId {
            destination: scope.id.clone(),
            seq: candidate.seq,
        },
        state,
        event: candidate.identity.clone(),
        event_type: candidate.event_type.clone(),
        received_at: candidate.received_at,
        asset: candidate.asset.clone(),
        attempts: candidate.attempts,
        reason: candidate.reason.clone(),
        due_at: some_time(candidate.due_at, shift).filter(|_| waits),
    }
}

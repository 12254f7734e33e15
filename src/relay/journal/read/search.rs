//! Deliveries that a person looks for: by words, by what they are about, by where they stand.
//!
//! # Invariants
//! - The newest first, none twice and none left out, however many pages it takes.
//! - A page looks at [`LOOKED`] deliveries at most, and says where the next one goes on.
//! - A text has no syntax: its words are looked for as they are.
//!
//! # Not here
//! What stands in an event's body, or in a reason: `Filter::text` looks there, and is slow.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::catalogue::catalogued;
use super::deliveries::{delivery, shift};
use super::sought::{Sought, Stream};
use super::{Delivery, ReadError, Reader};
use crate::relay::journal::filter::{Candidate, Scope, candidates, scopes};
use crate::relay::journal::{DeliveryId, Filter, Mark, State, store};

/// A page looks at no more deliveries than this.
const LOOKED: usize = if cfg!(test) { 60 } else { 5_000 };
/// And at no more than this where each is looked up by itself, in the catalogue or by it.
const LOOKED_UP: usize = if cfg!(test) { 60 } else { 300 };
/// So many events that are not catalogued yet are looked at for where a time ends.
const NEW: i64 = if cfg!(test) { 20 } else { 1_000 };
/// Behind all events.
const ALL: i64 = i64::MAX - 1;

/// What a person looks for; what is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Words, each the beginning of one in robot, mission, action or asset; case and accents do not
    /// count. Or the beginning of what the event is known by, such as a uuid: where it has four
    /// characters at least and few begin like it, or the whole.
    pub text: Option<String>,
    /// About this asset, or with a reading of it.
    pub asset: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// Of this mission.
    pub mission: Option<String>,
    /// By this robot.
    pub robot: Option<String>,
    /// To this destination, by its id.
    pub destination: Option<String>,
    /// In one of these states, as they are shown; none given: in any.
    pub states: BTreeSet<State>,
    /// Of events that were received then or later.
    pub since: Option<Timestamp>,
    /// Of events that were received before then.
    pub until: Option<Timestamp>,
    /// Only what stands behind this one: where the page before said to go on.
    pub before: Option<DeliveryId>,
}

/// A page of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest event first.
    pub deliveries: Vec<Hit>,
    /// So many deliveries were looked at.
    pub looked: usize,
    /// Where to go on; none where there is nothing more. A page may be empty and have more.
    pub more: Option<DeliveryId>,
}

/// A delivery that was found, and what it is about. What the catalogue has not, because it is not
/// catalogued yet, or is a sample or the relay's own, is about nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// As lists show it.
    pub delivery: Delivery,
    /// The robot's nickname.
    pub robot: Option<String>,
    /// The mission's name.
    pub mission: Option<String>,
    /// The action's name; of what is no inspection, the event's type.
    pub action: Option<String>,
    /// The asset, by the asset map of now; the delivery may have gone with another.
    pub asset: Option<String>,
    /// Whether it found something.
    pub alert: bool,
}

impl Reader {
    /// A page of what is looked for, at most `limit`.
    pub fn search(&mut self, search: &Search, limit: usize) -> Result<Found, ReadError> {
        let transaction = self.0.transaction()?;
        let sought = Sought::of(&transaction, search)?;
        let mut look = Look::new(&transaction, search, limit.max(1))?;
        match &sought {
            Some(sought) if !search.is_of_few_states() || sought.is_of_few_events() => {
                look.by_catalogue(sought)?;
            }
            _ => look.by_state(sought.as_ref())?,
        }
        look.end()
    }
}

impl Search {
    /// What is not finished, or dead, has indexes of its own.
    fn is_of_few_states(&self) -> bool {
        let many = [State::Delivered, State::Skipped, State::Discarded];
        !self.states.is_empty() && !many.iter().any(|state| self.states.contains(state))
    }
}

/// One look: a transaction, so that all of it is of one moment.
struct Look<'c> {
    connection: &'c Connection,
    /// The destinations that are looked at, in order of their numbers.
    scopes: Vec<Scope>,
    /// The last of all, by which an event is named as a whole.
    last_scope: Option<String>,
    filter: Filter,
    /// The first and the last event.
    range: (i64, i64),
    /// Of the last event only the destinations behind this number.
    behind: i64,
    shift: i64,
    limit: usize,
    hits: Vec<Delivery>,
    looked: usize,
    most: usize,
    more: Option<DeliveryId>,
}

impl<'c> Look<'c> {
    fn new(connection: &'c Connection, search: &Search, limit: usize) -> rusqlite::Result<Self> {
        let mut scopes = scopes(connection)?;
        let last_scope = scopes.last().map(|scope| scope.id.clone());
        let mut range = time_range(connection, search)?;
        let mut behind = i64::MIN;
        if let Some(before) = &search.before
            && before.seq <= range.1
        {
            range.1 = before.seq;
            let of = scopes.iter().find(|scope| scope.id == before.destination);
            behind = of.map_or(i64::MAX, |scope| scope.no);
        }
        if let Some(wanted) = &search.destination {
            scopes.retain(|scope| scope.id == *wanted);
        }
        Ok(Self {
            connection,
            scopes,
            last_scope,
            filter: Filter {
                states: search.states.clone(),
                since: search.since,
                until: search.until,
                ..Filter::default()
            },
            range,
            behind,
            shift: shift(connection)?,
            limit,
            hits: Vec::new(),
            looked: 0,
            most: LOOKED,
            more: None,
        })
    }

    /// The events that are sought, and the deliveries of each.
    fn by_catalogue(&mut self, sought: &Sought) -> Result<(), ReadError> {
        let scopes = std::mem::take(&mut self.scopes);
        let mut statements = sought.statements(self.connection)?;
        let mut stream = Stream::open(sought, &mut statements, self.range)?;
        let any = Filter::default();
        self.most = LOOKED_UP;
        while let Some(seq) = stream.next(self.connection)? {
            for scope in &scopes {
                if !self.is_left(scope, seq) {
                    continue;
                }
                let found = candidates(self.connection, scope, &any, (seq, seq), true, 1)?;
                for candidate in found {
                    if !self.offer(scope, &candidate, true) {
                        return Ok(());
                    }
                }
            }
        }
        // It may be that nothing more is there; that is found when it is looked for.
        let place = stream.stopped_at().zip(self.last_scope.clone());
        self.more = place.map(|(seq, destination)| DeliveryId { destination, seq });
        Ok(())
    }

    /// The deliveries in these states, and of these the sought ones.
    fn by_state(&mut self, sought: Option<&Sought>) -> Result<(), ReadError> {
        let scopes = std::mem::take(&mut self.scopes);
        let step = self.limit.saturating_add(1).clamp(64, 1_000);
        let mut judge = sought.map(Sought::judge);
        if judge.is_some() {
            self.most = LOOKED_UP;
        }
        let (from, mut to) = self.range;
        while from <= to {
            // Above this number the step has all of every destination.
            let mut floor = from;
            let mut found: Vec<(&Scope, Candidate)> = Vec::new();
            for scope in &scopes {
                let to = if self.is_left(scope, to) { to } else { to - 1 };
                let range = (from, to);
                let some = candidates(self.connection, scope, &self.filter, range, true, step)?;
                if let Some(last) = some.last().filter(|_| some.len() >= step) {
                    floor = floor.max(last.seq);
                }
                found.extend(some.into_iter().map(|candidate| (scope, candidate)));
            }
            found.retain(|(_, candidate)| candidate.seq >= floor);
            found.sort_unstable_by_key(|(scope, candidate)| {
                (std::cmp::Reverse(candidate.seq), scope.no)
            });
            for (scope, candidate) in found {
                let is_sought = match &mut judge {
                    Some(judge) => judge.wants_event(self.connection, candidate.seq)?,
                    None => true,
                };
                if !self.offer(scope, &candidate, is_sought) {
                    return Ok(());
                }
            }
            to = floor - 1;
        }
        Ok(())
    }

    /// Whether this event's delivery to this destination was on no page before.
    fn is_left(&self, scope: &Scope, seq: i64) -> bool {
        seq < self.range.1 || scope.no > self.behind
    }

    /// Takes a delivery if it is to be taken; gives whether to go on.
    fn offer(&mut self, scope: &Scope, candidate: &Candidate, is_sought: bool) -> bool {
        self.looked += 1;
        if is_sought && self.filter.takes(scope, candidate) {
            if self.hits.len() == self.limit {
                self.more = self.hits.last().map(|last| last.id.clone());
                return false;
            }
            self.hits.push(delivery(scope, candidate, self.shift));
        }
        if self.looked >= self.most {
            self.more = Some(DeliveryId {
                destination: scope.id.clone(),
                seq: candidate.seq,
            });
        }
        self.looked < self.most
    }

    fn end(self) -> Result<Found, ReadError> {
        let mut deliveries = Vec::with_capacity(self.hits.len());
        for delivery in self.hits {
            let about = catalogued(self.connection, delivery.id.seq)?;
            let alert = about.as_ref().is_some_and(|about| about.alert);
            let [robot, mission, action, asset] = about.map_or_else(Default::default, |about| {
                [about.robot, about.mission, about.action, about.asset]
            });
            deliveries.push(Hit {
                delivery,
                robot,
                mission,
                action,
                asset,
                alert,
            });
        }
        Ok(Found {
            deliveries,
            looked: self.looked,
            more: self.more,
        })
    }
}

/// The events among which those of this time are. They came in the order of their numbers, but
/// where the clock was set back; the catalogue knows by how much that was at most.
fn time_range(connection: &Connection, search: &Search) -> rusqlite::Result<(i64, i64)> {
    let ms = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
    let mark = store::mark(connection)?;
    let from = match ms(search.since) {
        None => 1,
        // What came before an event that is so much too old is too old itself.
        Some(since) => first_at(connection, &mark, since.saturating_sub(mark.set_back))?,
    };
    let to = match ms(search.until) {
        None => ALL,
        Some(until) => {
            let behind = first_at(connection, &mark, until.saturating_add(mark.set_back))?;
            last_new_before(connection, &mark, until)?.max(behind - 1)
        }
    };
    Ok((from, to))
}

const NEXT_EVENT: &str = "SELECT seq, received_at FROM event WHERE seq >= ?1 ORDER BY seq LIMIT 1";

/// The first catalogued event that was received then or later, behind the last where there is none;
/// under a clock that was set back any that was, and of which the one before was not.
fn first_at(connection: &Connection, mark: &Mark, at: i64) -> rusqlite::Result<i64> {
    let (mut from, mut to) = (1, mark.upto.saturating_add(1));
    let mut next = connection.prepare_cached(NEXT_EVENT)?;
    while from < to {
        let middle = from + (to - from) / 2;
        let event: Option<(i64, i64)> = next
            .query_row(params![middle], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match event {
            Some((seq, received_at)) if received_at < at => from = seq + 1,
            _ => to = middle,
        }
    }
    Ok(from)
}

const NEW_EVENTS: &str = "SELECT seq, received_at FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// The last event that was received before then, of those that are not catalogued yet; 0 where
/// there is none. Where these are many it may be any.
fn last_new_before(connection: &Connection, mark: &Mark, until: i64) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached(NEW_EVENTS)?;
    let mut rows = statement.query(params![mark.upto, NEW + 1])?;
    let (mut n, mut last) = (0, 0);
    while let Some(row) = rows.next()? {
        n += 1;
        if row.get::<_, i64>(1)? < until {
            last = row.get(0)?;
        }
    }
    Ok(if n > NEW { ALL } else { last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::journal::catalogue::tests::assert_by_index;

    #[test]
    fn where_a_time_begins_and_ends_is_read_by_an_index() {
        for sql in [NEXT_EVENT, NEW_EVENTS] {
            assert_by_index(sql);
        }
    }
}

//! Which deliveries a person means: the filter of lists and of bulk acts, and how it finds them.
//!
//! # Invariants
//! - The state is the shown one: what waits for a destination that is paused or no longer
//!   configured is `parked`, though its row says otherwise, or though it has none. Only a replay
//!   goes by the rows: it is for what was parked by itself.
//! - A filter for states that are not finished, or for dead, reads their indexes only: it never
//!   walks through what is finished.
//! - One step looks at a bounded number of deliveries, whatever the filter says.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::State;
use super::reason::common;

/// One step reads about as many bytes of bodies, or one body.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Which deliveries are meant; what is not given does not matter.
///
/// An unknown member is an error: a relay that did not know it would act on too much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Of this destination, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// In one of these states, as they are shown; none given: in any.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub states: BTreeSet<State>,
    /// The states are those that the rows say: what only waits for its destination is not parked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub as_stored: bool,
    /// About this asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// Of events of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Of events that were received then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Of events that were received before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// With this text in the event's body or identity, or in the reason; upper and lower case are
    /// the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Those of a group that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// These; none given: any.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ids: BTreeSet<DeliveryId>,
}

/// Deliveries that stopped for the same reason in a time, as groups of them are shown: what stopped
/// before or after that was not among them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// What their reasons have in common, with `…` for what differs.
    pub reason: String,
    /// When the first of them stopped.
    pub first: Timestamp,
    /// When the last of them did.
    pub last: Timestamp,
}

impl Stopped {
    fn takes(&self, candidate: &Candidate) -> bool {
        let within = self.first.as_millisecond()..=self.last.as_millisecond();
        within.contains(&candidate.changed_at)
            && common(candidate.reason.as_deref().unwrap_or_default()) == self.reason
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} from {} to {}", self.reason, self.first, self.last)
    }
}

/// A delivery, as people name it: `cmms:1042`, the destination and the event's number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryId {
    /// The destination's id.
    pub destination: String,
    /// The event's place in the order of arrival.
    pub seq: i64,
}

/// Why a text names no delivery.
#[derive(Debug, thiserror::Error)]
#[error("write DESTINATION:NUMBER, such as cmms:1042")]
pub struct IdError;

impl FromStr for DeliveryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (destination, seq) = text.trim().rsplit_once(':').ok_or(IdError)?;
        let seq = seq.parse().ok().filter(|seq| *seq > 0).ok_or(IdError)?;
        if destination.is_empty() {
            return Err(IdError);
        }
        Ok(Self {
            destination: destination.to_owned(),
            seq,
        })
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.destination, self.seq)
    }
}

impl fmt::Display for Filter {
    /// The filter in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |words: Vec<String>| words.join(", ");
        let states = self.states.iter().map(|s| s.as_str().to_owned()).collect();
        let ids = self.ids.iter().map(DeliveryId::to_string).collect();
        let at = |at: &Timestamp| at.to_string();
        let parts = [
            ("destination", self.destination.clone().unwrap_or_default()),
            ("state", joined(states)),
            (
                "asset",
                self.asset
                    .as_ref()
                    .map_or_else(String::new, |a| format!("{a:?}")),
            ),
            ("type", self.event_type.clone().unwrap_or_default()),
            ("since", self.since.as_ref().map_or_else(String::new, at)),
            ("until", self.until.as_ref().map_or_else(String::new, at)),
            (
                "text",
                self.text
                    .as_ref()
                    .map_or_else(String::new, |t| format!("{t:?}")),
            ),
            (
                "stopped",
                self.stopped
                    .as_ref()
                    .map_or_else(String::new, Stopped::to_string),
            ),
            ("only", joined(ids)),
        ];
        let parts = parts.iter().filter(|(_, value)| !value.is_empty());
        let words: Vec<_> = parts
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if words.is_empty() {
            f.write_str("all")
        } else {
            f.write_str(&words.join("; "))
        }
    }
}

impl Filter {
    /// Whether nothing is given: every delivery is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn takes(&self, scope: &Scope, candidate: &Candidate) -> bool {
        let is = |wanted: &Option<String>, has: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == has)
        };
        self.wants(scope, candidate.state)
            && is(&self.destination, Some(&scope.id))
            && is(&self.asset, candidate.asset.as_deref())
            && is(&self.event_type, Some(&candidate.event_type))
            && self
                .since
                .is_none_or(|since| candidate.received_at >= since)
            && self.until.is_none_or(|until| candidate.received_at < until)
            && (self.ids.is_empty() || self.numbers(scope).contains(&candidate.seq))
            && candidate.has_text
            && self.stopped.as_ref().is_none_or(|of| of.takes(candidate))
    }

    fn wants(&self, scope: &Scope, state: State) -> bool {
        let state = if self.as_stored {
            state
        } else {
            scope.shown(state)
        };
        self.states.is_empty() || self.states.contains(&state)
    }

    /// The events that are named for this destination, in order.
    fn numbers(&self, scope: &Scope) -> BTreeSet<i64> {
        let ids = self.ids.iter().filter(|id| id.destination == scope.id);
        ids.map(|id| id.seq).collect()
    }

    /// Where the deliveries in these states stand.
    fn lanes(&self, scope: &Scope) -> Vec<Lane> {
        let states = State::ALL.into_iter();
        let rows: BTreeSet<_> = states.filter(|state| self.wants(scope, *state)).collect();
        let finished = rows
            .iter()
            .any(|state| matches!(state, State::Delivered | State::Skipped | State::Discarded));
        let mut lanes = Vec::new();
        if finished {
            lanes.push(Lane::All);
        } else {
            if rows.contains(&State::Dead) {
                lanes.push(Lane::Dead);
            }
            if rows.iter().any(|state| *state != State::Dead) {
                lanes.push(Lane::Open);
            }
        }
        if rows.contains(&State::Pending) {
            lanes.push(Lane::Fresh);
        }
        lanes
    }
}

/// One destination, as far as a filter must know it.
pub(super) struct Scope {
    pub(super) no: i64,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) cursor: i64,
    kept: Vec<(i64, Option<i64>)>,
    paused: bool,
}

impl Scope {
    /// The state of a delivery as it is shown.
    pub(super) fn shown(&self, state: State) -> State {
        match state {
            State::Pending | State::Postponed if self.is_halted() => State::Parked,
            other => other,
        }
    }

    /// Whether nothing goes out: it is paused, or no longer configured.
    pub(super) fn is_halted(&self) -> bool {
        self.paused || self.is_removed()
    }

    /// Whether it is no longer configured.
    pub(super) fn is_removed(&self) -> bool {
        self.kept.last().is_some_and(|(_, last)| last.is_none())
    }

    /// How many events in `from..=to` are kept rather than this destination's.
    pub(super) fn kept_within(&self, from: i64, to: i64) -> i64 {
        let ranges = self.kept.iter();
        let within =
            ranges.map(|(first, last)| last.unwrap_or(i64::MAX).min(to) - (*first).max(from) + 1);
        within.map(|n| n.max(0)).sum()
    }

    /// What is pending without a row, in `from..=to`: ranges in order.
    pub(super) fn fresh(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        let mut next = from.max(self.cursor.saturating_add(1));
        let mut ranges = Vec::new();
        for (first, last) in &self.kept {
            if next < *first {
                ranges.push((next, to.min(first - 1)));
            }
            next = next.max(last.map_or(i64::MAX, |last| last.saturating_add(1)));
        }
        ranges.push((next, to));
        ranges.retain(|(from, to)| from <= to);
        ranges
    }
}

/// All destinations, as the tables have them.
pub(super) fn scopes(connection: &Connection) -> rusqlite::Result<Vec<Scope>> {
    let mut scopes = connection
        .prepare_cached(
            "SELECT no, id, cursor, paused_at IS NOT NULL, name FROM destination ORDER BY no",
        )?
        .query_map([], |row| {
            Ok(Scope {
                no: row.get(0)?,
                id: row.get(1)?,
                cursor: row.get(2)?,
                paused: row.get(3)?,
                name: row.get(4)?,
                kept: Vec::new(),
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    for scope in &mut scopes {
        scope.kept = connection
            .prepare_cached(
                "SELECT first_seq, last_seq FROM kept WHERE destination = ?1 ORDER BY first_seq",
            )?
            .query_map([scope.no], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
    }
    Ok(scopes)
}

/// A delivery that a filter looks at.
pub(super) struct Candidate {
    pub(super) seq: i64,
    /// As the row says; pending where there is none.
    pub(super) state: State,
    pub(super) has_row: bool,
    pub(super) attempts: u32,
    pub(super) asset: Option<String>,
    pub(super) reason: Option<String>,
    changed_at: i64,
    pub(super) due_at: i64,
    pub(super) event_type: String,
    pub(super) identity: String,
    pub(super) received_at: Timestamp,
    /// Whether the filter's text stands in it; true where it has none.
    has_text: bool,
    body_bytes: usize,
}

/// Where deliveries are read from, each in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// All rows.
    All,
    /// Dead rows, by their index.
    Dead,
    /// Rows that are not finished, by their index.
    Open,
    /// Events above the cursor.
    Fresh,
}

impl Lane {
    /// What of `from..=to` it must read, in the order in which it is read.
    fn ranges(
        self,
        scope: &Scope,
        filter: &Filter,
        (from, to): (i64, i64),
        newest_first: bool,
    ) -> Vec<(i64, i64)> {
        let mut ranges = if filter.ids.is_empty() {
            vec![(from, to)]
        } else {
            let numbers = filter.numbers(scope).into_iter();
            let numbers = numbers.filter(|seq| (from..=to).contains(seq));
            numbers.map(|seq| (seq, seq)).collect()
        };
        if self == Self::Fresh {
            let fresh = ranges.iter().flat_map(|(from, to)| scope.fresh(*from, *to));
            ranges = fresh.collect();
        }
        if newest_first {
            ranges.reverse();
        }
        ranges
    }

    fn sql(self, with_body: bool, newest_first: bool) -> String {
        let body = if with_body { "e.body" } else { "NULL" };
        let order = if newest_first { "DESC" } else { "ASC" };
        let rows = |index: &str, which: &str| {
            format!(
                "SELECT d.seq, d.state, d.attempts, d.asset, d.reason, max(d.due_at, d.not_before),
                 e.type, e.identity, e.received_at, {body}, 1, d.changed_at
                 FROM delivery d {index} CROSS JOIN event e
                 WHERE d.destination = ?1 AND d.seq BETWEEN ?2 AND ?3 AND e.seq = d.seq {which}
                 ORDER BY d.seq {order} LIMIT ?4"
            )
        };
        match self {
            Self::All => rows("", ""),
            Self::Dead => rows("INDEXED BY delivery_dead", "AND d.state = 'dead'"),
            Self::Open => rows(
                "INDEXED BY delivery_open",
                "AND d.state IN ('pending', 'sending', 'postponed', 'parked')",
            ),
            Self::Fresh => format!(
                "SELECT e.seq, 'pending', 0, NULL, NULL, 0, e.type, e.identity, e.received_at,
                 {body}, 0, 0 FROM event e WHERE ?1 = ?1 AND e.seq BETWEEN ?2 AND ?3
                 ORDER BY e.seq {order} LIMIT ?4"
            ),
        }
    }
}

/// The next deliveries that the filter must look at, at most `limit`, in `from..=to`; none when
/// there are no more.
pub(super) fn candidates(
    connection: &Connection,
    scope: &Scope,
    filter: &Filter,
    (from, to): (i64, i64),
    newest_first: bool,
    limit: usize,
) -> rusqlite::Result<Vec<Candidate>> {
    let text = filter.text.as_ref().map(|text| text.to_lowercase());
    let mut found = Vec::new();
    let (mut from, mut to) = (from, to);
    for lane in filter.lanes(scope) {
        let sql = lane.sql(text.is_some(), newest_first);
        let mut statement = connection.prepare_cached(&sql)?;
        let (mut wanted, mut bytes) = (limit, 0);
        'lane: for (first, last) in lane.ranges(scope, filter, (from, to), newest_first) {
            let most = i64::try_from(wanted).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![scope.no, first, last, most])?;
            while let Some(row) = rows.next()? {
                let candidate = candidate(row, text.as_deref())?;
                let seq = candidate.seq;
                wanted = wanted.saturating_sub(1);
                bytes += candidate.body_bytes;
                found.push(candidate);
                if wanted == 0 || bytes > MOST_BYTES {
                    // What lies beyond is not of this step, in any lane.
                    if newest_first {
                        from = seq;
                    } else {
                        to = seq;
                    }
                    break 'lane;
                }
            }
        }
    }
    found.retain(|candidate| (from..=to).contains(&candidate.seq));
    found.sort_unstable_by_key(|candidate| candidate.seq);
    if newest_first {
        found.reverse();
    }
    found.truncate(limit);
    Ok(found)
}

fn candidate(row: &Row<'_>, text: Option<&str>) -> rusqlite::Result<Candidate> {
    let word: String = row.get(1)?;
    let (reason, identity): (Option<String>, String) = (row.get(4)?, row.get(7)?);
    let body: Option<Vec<u8>> = row.get(9)?;
    let body = body.unwrap_or_default();
    let has_text = text.is_none_or(|text| {
        let holds = |in_it: &str| in_it.to_lowercase().contains(text);
        holds(&identity)
            || reason.as_deref().is_some_and(holds)
            || holds(&String::from_utf8_lossy(&body))
    });
    Ok(Candidate {
        seq: row.get(0)?,
        state: State::from_word(&word).unwrap_or(State::Pending),
        attempts: row.get(2)?,
        asset: row.get(3)?,
        reason,
        due_at: row.get(5)?,
        event_type: row.get(6)?,
        identity,
        received_at: Timestamp::from_millisecond(row.get(8)?).unwrap_or(Timestamp::UNIX_EPOCH),
        has_text,
        body_bytes: body.len(),
        has_row: row.get(10)?,
        changed_at: row.get(11)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../../migrations/0001.sql"),
            include_str!("../../../migrations/0002.sql"),
            include_str!("../../../migrations/0003.sql"),
            include_str!("../../../migrations/0004.sql"),
            include_str!("../../../migrations/0005.sql"),
            include_str!("../../../migrations/0006.sql"),
        ] {
            connection.execute_batch(migration).unwrap();
        }
        connection
    }

    fn scope(kept: Vec<(i64, Option<i64>)>) -> Scope {
        Scope {
            no: 1,
            id: "cmms".into(),
            name: "CMMS".into(),
            cursor: 10,
            kept,
            paused: false,
        }
    }

    #[test]
    fn unfinished_and_dead_deliveries_are_found_by_their_indexes() {
        let connection = connection();
        let plan = |lane: Lane| {
            let sql = format!("EXPLAIN QUERY PLAN {}", lane.sql(true, true));
            let mut statement = connection.prepare(&sql).unwrap();
            let lines = statement.query_map([1, 1, 9, 9], |row| row.get::<_, String>(3));
            lines
                .unwrap()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
                .join("; ")
        };
        for (lane, how) in [
            (Lane::All, "SEARCH d USING PRIMARY KEY"),
            (Lane::Dead, "SEARCH d USING INDEX delivery_dead"),
            (Lane::Open, "SEARCH d USING INDEX delivery_open"),
            (Lane::Fresh, "SEARCH e USING INTEGER PRIMARY KEY"),
        ] {
            let plan = plan(lane);
            assert!(plan.starts_with(how), "{lane:?}: {plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{plan}");
        }
    }

    #[test]
    fn a_filter_reads_what_is_finished_only_where_it_asks_for_it() {
        use State::{Dead, Delivered, Parked, Pending, Postponed, Sending};

        let lanes = |states: &[State]| {
            let filter = Filter {
                states: states.iter().copied().collect(),
                ..Filter::default()
            };
            filter.lanes(&scope(Vec::new()))
        };
        assert_eq!(lanes(&[]), [Lane::All, Lane::Fresh]);
        assert_eq!(lanes(&[Dead]), [Lane::Dead]);
        assert_eq!(lanes(&[Sending]), [Lane::Open]);
        assert_eq!(
            lanes(&[Pending, Postponed, Parked, Dead]),
            [Lane::Dead, Lane::Open, Lane::Fresh]
        );
        assert_eq!(lanes(&[Delivered, Dead]), [Lane::All]);
    }

    #[test]
    fn what_is_kept_is_not_pending() {
        let ranges = |kept| scope(kept).fresh(1, 100);
        assert_eq!(ranges(vec![]), [(11, 100)]);
        assert_eq!(ranges(vec![(1, Some(5))]), [(11, 100)]);
        assert_eq!(
            ranges(vec![(8, Some(20)), (30, Some(40))]),
            [(21, 29), (41, 100)]
        );
        assert_eq!(ranges(vec![(11, Some(20)), (50, None)]), [(21, 49)]);
    }

    #[test]
    fn an_id_is_a_destination_and_a_number() {
        let id: DeliveryId = "a:b:12".parse().unwrap();
        assert_eq!((&*id.destination, id.seq), ("a:b", 12));
        assert_eq!(id.to_string(), "a:b:12");
        for wrong in ["", "12", ":12", "a:", "a:x", "a:0", "a:-1"] {
            assert!(wrong.parse::<DeliveryId>().is_err(), "{wrong}");
        }
    }
}

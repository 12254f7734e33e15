//! Events, and what became of each.
//!
//! # Invariants
//! - A page ends with the event that fills [`PAGE_BYTES`]: memory does not grow with what is asked
//!   for.
//! - A delivery that waits for a destination that is paused, or no longer configured, is shown as
//!   parked.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{ReadError, Reader, timestamp};
use crate::event::Glob;
use crate::relay::journal::State;

/// A page has no more bytes of bodies than this and one event.
pub(super) const PAGE_BYTES: usize = 4 * 1024 * 1024;

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

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventsPage {
    /// Only events with a smaller number.
    pub before: Option<i64>,
    /// Only events with a larger number.
    pub after: Option<i64>,
    /// Only of this source.
    pub source: Option<String>,
    /// Only of these types.
    pub event_type: Option<Glob>,
    /// Only received then or later.
    pub since: Option<Timestamp>,
    /// At most this many.
    pub limit: u32,
    /// The oldest first; else the newest.
    pub ascending: bool,
}

impl Reader {
    /// A page of events: as many as are asked for, or as make a page; none at the end.
    pub fn events(&mut self, page: &EventsPage) -> Result<Vec<EventRow>, ReadError> {
        let transaction = self.0.transaction()?;
        let order = if page.ascending { "ASC" } else { "DESC" };
        let mut statement = transaction.prepare_cached(&format!(
            "{SELECT} WHERE seq < ?1 AND seq > ?2 AND received_at >= ?3
             AND (?4 IS NULL OR source = ?4) AND (?5 IS NULL OR type GLOB ?5)
             ORDER BY seq {order} LIMIT ?6"
        ))?;
        let since = page.since.map_or(i64::MIN, Timestamp::as_millisecond);
        let mut found = statement.query(params![
            page.before.unwrap_or(i64::MAX),
            page.after.unwrap_or(i64::MIN),
            since,
            page.source,
            page.event_type.as_ref().map(pattern),
            page.limit,
        ])?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = found.next()?
        {
            let mut row = event(row)?;
            row.deliveries = deliveries(&transaction, row.seq)?;
            bytes += row.body.len();
            rows.push(row);
        }
        Ok(rows)
    }

    /// The number of the last event; 0 where there is none.
    pub fn last_number(&self) -> Result<i64, ReadError> {
        let sql = "SELECT coalesce(max(seq), 0) FROM event";
        Ok(self.0.query_row(sql, [], |row| row.get(0))?)
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

    /// One event by its number, without its deliveries.
    pub fn event(&mut self, seq: i64) -> Result<Option<EventRow>, ReadError> {
        let sql = format!("{SELECT} WHERE seq = ?1");
        Ok(self.0.query_row(&sql, [seq], event).optional()?)
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

/// The glob as the journal wants it: there `[` begins a class.
fn pattern(glob: &Glob) -> String {
    glob.text().replace('[', "[[]")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::journal::tests::{World, append, event};

    #[tokio::test]
    async fn a_page_holds_what_is_asked_for_in_either_order() {
        let world = World::new().await;
        for n in 1..=6 {
            let mut event = event(n);
            event.source = if n % 2 == 0 { "up42" } else { "orbit" }.to_owned();
            event.event_type = format!("order.{n}");
            event.received_at = Timestamp::from_second(n.try_into().unwrap()).unwrap();
            world.journal.append(event).await.unwrap();
        }
        let mut reader = Reader::open(world.dir.path()).unwrap();
        assert_eq!(reader.last_number().unwrap(), 6);
        let all = EventsPage {
            limit: 100,
            ascending: true,
            ..EventsPage::default()
        };
        let glob = |text| Some(Glob::new(text));
        let mut numbers = |page: &EventsPage| -> Vec<i64> {
            let rows = reader.events(page).unwrap();
            rows.iter().map(|row| row.seq).collect()
        };
        for (page, found) in [
            (EventsPage { ..all.clone() }, vec![1, 2, 3, 4, 5, 6]),
            (
                EventsPage {
                    ascending: false,
                    limit: 2,
                    ..all.clone()
                },
                vec![6, 5],
            ),
            (
                EventsPage {
                    after: Some(2),
                    before: Some(5),
                    ..all.clone()
                },
                vec![3, 4],
            ),
            (
                EventsPage {
                    source: Some("up42".into()),
                    ..all.clone()
                },
                vec![2, 4, 6],
            ),
            (
                EventsPage {
                    since: Timestamp::from_second(5).ok(),
                    ..all.clone()
                },
                vec![5, 6],
            ),
            (
                EventsPage {
                    event_type: glob("order.?"),
                    source: Some("orbit".into()),
                    ..all.clone()
                },
                vec![1, 3, 5],
            ),
            (
                EventsPage {
                    event_type: glob("*.4"),
                    ..all
                },
                vec![4],
            ),
        ] {
            assert_eq!(numbers(&page), found, "{page:?}");
        }
    }

    #[test]
    fn a_glob_means_the_same_to_the_journal() {
        let connection = Connection::open_in_memory().unwrap();
        let types = [
            "a", "ab", "[ab]", "b", "answer:x", "*", "?", "ä", "a\\b", "]", "A", "[", "^", "",
        ];
        let globs = [
            "*", "?", "a*", "[ab]", "[", "[^a]", "*:*", "]", "\\", "a\\b", "A", "**", "??",
        ];
        for glob in globs.map(Glob::new) {
            for event_type in types {
                let row = connection.query_row(
                    "SELECT ?1 GLOB ?2",
                    params![event_type, pattern(&glob)],
                    |row| row.get::<_, bool>(0),
                );
                let matches = glob.matches(event_type);
                assert_eq!(row.unwrap(), matches, "{glob:?} {event_type:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_page_of_large_bodies_ends_early() {
        let world = World::new().await;
        for n in 0..5 {
            let mut large = event(n);
            large.body.resize(1_800_000, b' ');
            world.journal.append(large).await.unwrap();
        }
        append(&world.journal, 5..8).await;
        let mut reader = Reader::open(world.dir.path()).unwrap();
        let mut page = EventsPage {
            limit: 100,
            ascending: true,
            ..EventsPage::default()
        };
        let mut pages = Vec::new();
        loop {
            let rows = reader.events(&page).unwrap();
            let Some(last) = rows.last() else { break };
            page.after = Some(last.seq);
            pages.push(rows.len());
        }
        assert_eq!(pages, [3, 5]);
    }
}

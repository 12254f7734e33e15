//! What the catalogue has: what is to be written into it, who comes on which mission, which assets
//! there are and what was read of each.
//!
//! # Invariants
//! - Bounded: no answer grows with the journal, and none looks at more than a fixed number of rows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::deliveries::enrichment;
use super::events::{self, EventRow, PAGE_BYTES};
use super::search::Search;
use super::sought::{Sought, Stream};
use super::{ReadError, Reader, timestamp};
use crate::relay::journal::catalogue::{Heard, kept, thinned};
use crate::relay::journal::{Enrichment, Field, Mark, Point, Route, store};

/// So many routes are shown, those that were heard of last.
const MOST_ROUTES: u32 = 2_000;
/// So many readings of an asset are looked at, the newest.
const MOST_READINGS: usize = 50_000;
/// So many series of an asset are shown.
const MOST_SERIES: usize = 200;
/// So many subjects are looked at for a list of assets.
const MOST_TERMS: u32 = 50_000;

/// All that was read of an asset under one name and unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What was read.
    pub name: String,
    /// Its unit.
    pub unit: Option<String>,
    /// How many there are in the time that was asked for; more than points where it was thinned.
    pub n: usize,
    /// The oldest first.
    pub points: Vec<Point>,
}

/// What was read of an asset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// By name and unit.
    pub series: Vec<Series>,
    /// There are older ones than this in the time that was asked for; they were not looked at.
    pub cut_at: Option<Timestamp>,
    /// So many series are left out.
    pub left_out: usize,
}

/// An asset of which something came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetSeen {
    /// The asset.
    pub asset: String,
    /// When the last inspection was.
    pub last_at: Timestamp,
    /// How many events are about it.
    pub n: u64,
    /// How many of them are alerts.
    pub alerts: u64,
}

/// An event, as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogued {
    /// Its place in the order of arrival.
    pub seq: i64,
    /// When the inspection was.
    pub at: Timestamp,
    /// The robot's nickname.
    pub robot: Option<String>,
    /// The mission's name.
    pub mission: Option<String>,
    /// The action's name; of what is no inspection, the event's type.
    pub action: Option<String>,
    /// The plant asset.
    pub asset: Option<String>,
    /// Whether it found something.
    pub alert: bool,
}

/// Events about an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetEvents {
    /// The last first.
    pub events: Vec<Catalogued>,
    /// No event before this one was looked at: there may be more.
    pub looked_to: Option<i64>,
}

/// An event that is to be catalogued, and what Orbit said of it.
pub type Said = (EventRow, Enrichment);

impl Reader {
    /// How far the catalogue is.
    pub fn catalogue_mark(&self) -> Result<Mark, ReadError> {
        Ok(store::mark(&self.0)?)
    }

    /// The next events above `after`, up to `upto`, the oldest first: as many as make a page; and
    /// whether the page is full.
    pub fn to_catalogue(
        &mut self,
        after: i64,
        upto: i64,
        limit: u32,
    ) -> Result<(Vec<Said>, bool), ReadError> {
        let transaction = self.0.transaction()?;
        let sql = format!(
            "{} WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
            events::SELECT
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(params![after, upto, limit])?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            let row = events::event(row)?;
            bytes += row.body.len();
            let said = enrichment(&transaction, row.seq)?;
            page.push((row, said));
        }
        let is_full = bytes >= PAGE_BYTES || u32::try_from(page.len()) == Ok(limit);
        Ok((page, is_full))
    }

    /// Events of which Orbit said more, as many as make a page; and what to write when they are
    /// done.
    pub fn to_catalogue_again(
        &mut self,
        limit: u32,
    ) -> Result<(Vec<Said>, Option<i64>), ReadError> {
        let transaction = self.0.transaction()?;
        let mut statement = transaction
            .prepare_cached("SELECT no, seq FROM catalogue_again ORDER BY no LIMIT ?1")?;
        let mut rows = statement.query([limit])?;
        let (mut page, mut bytes, mut again) = (Vec::new(), 0, None);
        while bytes < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            again = Some(row.get(0)?);
            let seq: i64 = row.get(1)?;
            let event = transaction
                .prepare_cached(&format!("{} WHERE seq = ?1", events::SELECT))?
                .query_row([seq], events::event)
                .optional()?;
            if let Some(event) = event {
                bytes += event.body.len();
                page.push((event, enrichment(&transaction, seq)?));
            }
        }
        Ok((page, again))
    }

    /// Who comes on which mission, the one that was heard of last first.
    pub fn routes(&mut self) -> Result<Vec<Route>, ReadError> {
        let mut statement = self.0.prepare_cached(ROUTES)?;
        let routes = statement.query_map([MOST_ROUTES], |row| {
            let (robot, mission): (String, String) = (row.get(0)?, row.get(1)?);
            let heard = Heard {
                n: row.get(2)?,
                first_at: row.get(3)?,
                last_at: row.get(4)?,
                week: row.get(5)?,
                gap: row.get(6)?,
                gap_before: row.get(7)?,
            };
            Ok(Route {
                robot,
                mission: Some(mission).filter(|mission| !mission.is_empty()),
                n: unsigned(heard.n),
                first_at: timestamp(heard.first_at),
                last_at: timestamp(heard.last_at),
                usual_gap: heard.usual_gap(),
            })
        })?;
        Ok(routes.collect::<Result<_, _>>()?)
    }

    /// What was read of an asset since then, each series in at most `most` points, or four: its
    /// least and greatest values and its alerts are among them.
    pub fn readings(
        &mut self,
        asset: &str,
        since: Option<Timestamp>,
        most: usize,
    ) -> Result<Readings, ReadError> {
        let since = since.map_or(i64::MIN, Timestamp::as_millisecond);
        let mut statement = self.0.prepare_cached(READINGS)?;
        let mut rows = statement.query(params![kept(asset), since])?;
        let mut series: BTreeMap<(String, Option<String>), Vec<Point>> = BTreeMap::new();
        let mut readings = Readings::default();
        let mut looked = 0;
        while let Some(row) = rows.next()? {
            let at = timestamp(row.get(0)?);
            if looked == MOST_READINGS {
                readings.cut_at = Some(at);
                break;
            }
            looked += 1;
            let (name, unit): (String, Option<String>) = (row.get(2)?, row.get(5)?);
            let point = Point {
                at,
                seq: row.get(1)?,
                value: row.get(3)?,
                text: row.get(4)?,
                alert: row.get(6)?,
            };
            let points = series.entry((name, unit)).or_default();
            match points.last_mut() {
                // An inspection that found something comes as two events.
                Some(last) if last.is_the_same(&point) => {
                    if point.alert && !last.alert {
                        *last = point;
                    }
                }
                _ => points.push(point),
            }
        }
        readings.left_out = series.len().saturating_sub(MOST_SERIES);
        let series = series.into_iter().take(MOST_SERIES);
        readings.series = series
            .map(|((name, unit), mut points)| {
                points.reverse();
                Series {
                    name,
                    unit,
                    n: points.len(),
                    points: thinned(points, most),
                }
            })
            .collect();
        Ok(readings)
    }

    /// The assets of which something came, the one whose inspection was last first.
    pub fn assets_seen(&mut self, limit: usize) -> Result<Vec<AssetSeen>, ReadError> {
        let mut statement = self.0.prepare_cached(ASSETS)?;
        let mut rows = statement.query(params![Field::Asset.as_str(), MOST_TERMS])?;
        let mut seen: Vec<AssetSeen> = Vec::new();
        while let Some(row) = rows.next()? {
            let one = AssetSeen {
                asset: row.get(0)?,
                last_at: timestamp(row.get(1)?),
                n: unsigned(row.get(2)?),
                alerts: unsigned(row.get(3)?),
            };
            match seen.last_mut() {
                Some(last) if last.asset == one.asset => {
                    last.last_at = last.last_at.max(one.last_at);
                    last.n += one.n;
                    last.alerts += one.alerts;
                }
                _ => seen.push(one),
            }
        }
        seen.sort_by(|a, b| a.place().cmp(&b.place()));
        seen.truncate(limit);
        Ok(seen)
    }

    /// The newest events about an asset, the last first.
    pub fn asset_events(&mut self, asset: &str, limit: usize) -> Result<AssetEvents, ReadError> {
        let transaction = self.0.transaction()?;
        let search = Search {
            asset: Some(asset.to_owned()),
            ..Search::default()
        };
        let Some(sought) = Sought::of(&transaction, &search)? else {
            return Ok(AssetEvents::default());
        };
        let mut statements = sought.statements(&transaction)?;
        let mut stream = Stream::open(&sought, &mut statements, (0, i64::MAX))?;
        let mut found = AssetEvents::default();
        while found.events.len() < limit {
            let Some(seq) = stream.next(&transaction)? else {
                found.looked_to = stream.stopped_at();
                break;
            };
            found.events.extend(catalogued(&transaction, seq)?);
        }
        Ok(found)
    }
}

impl AssetSeen {
    /// Where it stands in a list.
    fn place(&self) -> (std::cmp::Reverse<Timestamp>, &str) {
        (std::cmp::Reverse(self.last_at), &self.asset)
    }
}

impl Point {
    fn is_the_same(&self, other: &Self) -> bool {
        (self.at, self.value, &self.text) == (other.at, other.value, &other.text)
    }
}

const ROUTES: &str = "SELECT robot, mission, n, first_at, last_at, week, gap, gap_before FROM route
    ORDER BY last_at DESC LIMIT ?1";

const READINGS: &str = "SELECT at, seq, name, value, text, unit, alert FROM reading
    WHERE asset = ?1 AND at >= ?2 ORDER BY at DESC, seq DESC, name DESC";

const ASSETS: &str = "SELECT t.text, s.last_at, s.n, s.alerts FROM term t CROSS JOIN subject s
    WHERE t.kind = ?1 AND s.no = t.subject ORDER BY t.text LIMIT ?2";

const ENTRY: &str = "SELECT seq, at, robot, mission, action, asset, alert FROM catalogue
    WHERE seq = ?1";

/// An event as the catalogue has it; none where it is not in it.
pub(super) fn catalogued(
    connection: &Connection,
    seq: i64,
) -> rusqlite::Result<Option<Catalogued>> {
    let entry = connection.prepare_cached(ENTRY)?.query_row([seq], |row| {
        Ok(Catalogued {
            seq: row.get(0)?,
            at: timestamp(row.get(1)?),
            robot: row.get(2)?,
            mission: row.get(3)?,
            action: row.get(4)?,
            asset: row.get(5)?,
            alert: row.get(6)?,
        })
    });
    entry.optional()
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::journal::catalogue::tests::{assert_by_index, plan};

    #[test]
    fn the_catalogue_is_read_by_indexes() {
        for sql in [READINGS, ASSETS, ENTRY] {
            assert_by_index(sql);
        }
        // As many as are asked for, and no more, in the order of their index.
        assert_eq!(plan(ROUTES), "SCAN route USING INDEX route_last");
    }
}

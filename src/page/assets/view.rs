//! What the screens of assets show.
//!
//! # Invariants
//! - Bounded: a page of assets; of one asset a page of series, the newest photographs and tickets.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::page::{Failed, Page};
use crate::relay::journal::{
    AssetSeen, Catalogued, Enrichment, EventRow, OrderRow, ReadError, Reader, Series,
};
use crate::relay::transform::json::Json;
use crate::relay::transform::model::{self, Facts};

/// So many assets are looked through.
const MOST: usize = 20_000;
/// So many stand on a page.
const ASSETS: usize = 100;
/// So many series are drawn on a page, each in so many points.
const SERIES: usize = 12;
const POINTS: usize = 400;
/// So many texts of a series without numbers are shown.
const TEXTS: usize = 10;
/// So many events are looked through for photographs, and so many photographs are shown.
const EVENTS: usize = 60;
const PICTURES: usize = 24;
const TICKETS: u32 = 50;
/// No asset has a longer name.
const LONGEST: usize = 10_000;

/// Which assets are wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AssetsQuery {
    /// What is in their names.
    pub(crate) q: String,
    /// Which page, from 1.
    pub(crate) page: usize,
}

/// The assets of which something came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AssetsView {
    /// The time of this answer.
    pub(crate) now: Timestamp,
    /// What was looked for.
    pub(crate) q: String,
    /// How many there are with that.
    pub(crate) found: usize,
    /// Whether there may be more, which were not looked through.
    pub(crate) more: bool,
    /// Which page this is, from 1.
    pub(crate) page: usize,
    /// Of how many.
    pub(crate) pages: usize,
    /// The one whose inspection was last first.
    pub(crate) assets: Vec<AssetRow>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AssetRow {
    pub(crate) asset: String,
    pub(crate) last_at: Timestamp,
    /// How many events are about it.
    pub(crate) events: u64,
    /// How many of them are alerts.
    pub(crate) alerts: u64,
}

/// What of an asset is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AssetQuery {
    /// Its name.
    pub(crate) asset: String,
    /// Of how many days: 7, 30, 90, or `all`.
    pub(crate) days: Days,
    /// Which page of readings, from 1.
    pub(crate) page: usize,
}

/// Of which time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Days {
    /// A week.
    #[serde(rename = "7")]
    Week,
    /// A month.
    #[default]
    #[serde(rename = "30")]
    Month,
    /// Three months.
    #[serde(rename = "90")]
    Quarter,
    /// As long as events are kept.
    #[serde(rename = "all")]
    All,
}

impl Days {
    /// All there are, each with its word in an address and the one on the screen.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Week, "7", "7 days"),
        (Self::Month, "30", "30 days"),
        (Self::Quarter, "90", "90 days"),
        (Self::All, "all", "All"),
    ];

    fn since(self, now: Timestamp) -> Option<Timestamp> {
        let days = match self {
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::All => return None,
        };
        now.checked_sub(SignedDuration::from_hours(24 * days)).ok()
    }
}

/// One asset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AssetView {
    pub(crate) now: Timestamp,
    pub(crate) asset: String,
    pub(crate) days: Days,
    /// How many series there are.
    pub(crate) series_found: usize,
    /// There are readings before then that were not looked at.
    pub(crate) cut_at: Option<Timestamp>,
    /// Which page of series this is, from 1.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    pub(crate) series: Vec<SeriesView>,
    /// The newest inspections.
    pub(crate) events: Vec<EventView>,
    /// No event before this one was looked at: there may be more inspections.
    pub(crate) events_looked_to: Option<i64>,
    /// The newest photographs.
    pub(crate) pictures: Vec<PictureView>,
    /// The newest tickets.
    pub(crate) tickets: Vec<TicketView>,
}

/// What was read under one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SeriesView {
    pub(crate) name: String,
    pub(crate) unit: Option<String>,
    /// How often, in the time.
    pub(crate) n: usize,
    /// How many of the points are alerts.
    pub(crate) alerts: usize,
    /// Numbers, the oldest first; of many the telling ones.
    pub(crate) points: Vec<PointView>,
    /// What is no number, the newest first.
    pub(crate) texts: Vec<TextView>,
}

/// A number that was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PointView {
    pub(crate) at: Timestamp,
    pub(crate) value: f64,
    pub(crate) alert: bool,
    pub(crate) seq: i64,
}

/// A text that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TextView {
    pub(crate) at: Timestamp,
    pub(crate) text: String,
    pub(crate) alert: bool,
    pub(crate) seq: i64,
}

/// An inspection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EventView {
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
    pub(crate) action: Option<String>,
    pub(crate) robot: Option<String>,
    pub(crate) alert: bool,
}

/// A photograph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PictureView {
    pub(crate) seq: i64,
    pub(crate) at: Timestamp,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) alert: bool,
}

/// A ticket that a destination made of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TicketView {
    pub(crate) destination: String,
    pub(crate) title: Option<String>,
    pub(crate) seq: i64,
    pub(crate) taken_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
}

/// The assets.
pub(crate) async fn assets(page: &Arc<Page>, query: AssetsQuery) -> Result<AssetsView, Failed> {
    let now = page.app.clock.wall();
    let seen = page.read(|reader| reader.assets_seen(MOST)).await?;
    Ok(AssetsView::of(seen, query, now))
}

/// One asset.
pub(crate) async fn asset(page: &Arc<Page>, query: AssetQuery) -> Result<AssetView, Failed> {
    let now = page.app.clock.wall();
    if query.asset.is_empty() || query.asset.chars().count() > LONGEST {
        return Err(Failed::not_found());
    }
    page.read(move |reader| AssetView::read(reader, query, now))
        .await
}

impl AssetsView {
    fn of(seen: Vec<AssetSeen>, query: AssetsQuery, now: Timestamp) -> Self {
        let q = query.q.trim().to_lowercase();
        let more = seen.len() == MOST;
        let seen = seen.into_iter();
        let found: Vec<AssetSeen> = seen
            .filter(|one| q.is_empty() || one.asset.to_lowercase().contains(&q))
            .collect();
        let (page, pages) = place(query.page, found.len(), ASSETS);
        Self {
            now,
            q: query.q,
            found: found.len(),
            more,
            page,
            pages,
            assets: found
                .into_iter()
                .skip((page - 1) * ASSETS)
                .take(ASSETS)
                .map(|one| AssetRow {
                    asset: one.asset,
                    last_at: one.last_at,
                    events: one.n,
                    alerts: one.alerts,
                })
                .collect(),
        }
    }
}

impl AssetView {
    fn read(reader: &mut Reader, query: AssetQuery, now: Timestamp) -> Result<Self, ReadError> {
        let AssetQuery { asset, days, page } = query;
        let since = days.since(now);
        let readings = reader.readings(&asset, since, POINTS)?;
        let found = readings.series.len();
        let (page, pages) = place(page, found, SERIES);
        let series = readings.series.into_iter();
        let series = series.skip((page - 1) * SERIES).take(SERIES);
        let found_events = reader.asset_events(&asset, EVENTS)?;
        let events = found_events.events.into_iter();
        let events = events.filter(|event| since.is_none_or(|since| event.at >= since));
        let events: Vec<Catalogued> = events.collect();
        let mut pictures = Vec::new();
        for event in &events {
            if pictures.len() >= PICTURES {
                break;
            }
            if let Some(row) = reader.find(&event.seq.to_string())?.pop() {
                pictures.extend(photographs(&row, event));
            }
        }
        pictures.truncate(PICTURES);
        let tickets = reader.orders_about(&asset, TICKETS)?;
        Ok(Self {
            now,
            days,
            series_found: found + readings.left_out,
            cut_at: readings.cut_at,
            page,
            pages,
            series: series.map(SeriesView::of).collect(),
            events: events.into_iter().map(EventView::of).collect(),
            events_looked_to: found_events.looked_to,
            pictures,
            tickets: tickets.into_iter().map(TicketView::of).collect(),
            asset,
        })
    }
}

/// The page that is shown, and of how many.
fn place(page: usize, found: usize, each: usize) -> (usize, usize) {
    let pages = found.div_ceil(each).max(1);
    (page.clamp(1, pages), pages)
}

impl SeriesView {
    fn of(series: Series) -> Self {
        let alerts = series.points.iter().filter(|point| point.alert).count();
        let newest = series.points.iter().rev();
        let texts = newest.filter_map(|point| {
            Some(TextView {
                at: point.at,
                text: point.text.clone()?,
                alert: point.alert,
                seq: point.seq,
            })
        });
        let points = series.points.iter().filter_map(|point| {
            Some(PointView {
                at: point.at,
                value: point.value?,
                alert: point.alert,
                seq: point.seq,
            })
        });
        Self {
            alerts,
            texts: texts.take(TEXTS).collect(),
            points: points.collect(),
            name: series.name,
            unit: series.unit,
            n: series.n,
        }
    }
}

impl EventView {
    fn of(event: Catalogued) -> Self {
        Self {
            seq: event.seq,
            at: event.at,
            action: event.action,
            robot: event.robot,
            alert: event.alert,
        }
    }
}

impl TicketView {
    fn of(order: OrderRow) -> Self {
        Self {
            destination: order.destination,
            title: order.title,
            seq: order.seq,
            taken_at: order.taken_at,
            closed_at: order.closed_at,
        }
    }
}

/// The photographs of an inspection.
fn photographs(row: &EventRow, event: &Catalogued) -> Vec<PictureView> {
    let known = Enrichment::default();
    let model = model::build(&Facts {
        event: &row.body,
        event_type: &row.event_type,
        source: &row.source,
        origin: &row.origin,
        received_at: row.received_at,
        key: "",
        run: known.run.as_deref(),
        anomaly: known.anomaly.as_deref(),
        enrichment: None,
        asset_of: &|_| None,
        url_of: &|_| None,
        orbit: None,
        settings: &Json::Null,
    });
    let captures = model.get("captures").map_or(&[][..], Json::items);
    let pictures = captures.iter().filter_map(|capture| {
        capture.get("is_image")?.as_bool().filter(|is| *is)?;
        let n = capture.get("index")?.as_i64()?.checked_add(1)?;
        let name = capture.get("name").and_then(Json::as_str);
        Some(PictureView {
            seq: event.seq,
            at: event.at,
            name: name.unwrap_or("photograph").to_owned(),
            url: format!("/events/{}/picture?n={n}", event.seq),
            alert: event.alert,
        })
    });
    pictures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(n: usize) -> Vec<AssetSeen> {
        let one = |n: usize| AssetSeen {
            asset: format!("PUMP-{n}"),
            last_at: Timestamp::UNIX_EPOCH,
            n: 3,
            alerts: 1,
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn assets_are_found_by_a_part_of_their_name_and_shown_a_page_at_a_time() {
        let of = |q: &str, page| {
            let query = AssetsQuery {
                q: q.to_owned(),
                page,
            };
            AssetsView::of(seen(250), query, Timestamp::UNIX_EPOCH)
        };
        let all = of("", 0);
        assert_eq!(
            (all.found, all.page, all.pages, all.assets.len()),
            (250, 1, 3, 100)
        );
        let last = of(" ", 99);
        assert_eq!((last.page, last.assets.len()), (3, 50));
        let some = of("ump-24", 1);
        assert_eq!((some.found, some.pages), (11, 1));
        assert_eq!(of("=cmd|'", 1).found, 0);
    }

    #[test]
    fn a_time_is_of_so_many_days() {
        let now = Timestamp::from_second(1_770_000_000).unwrap();
        let hours = |days: Days| {
            days.since(now)
                .map(|since| now.duration_since(since).as_hours())
        };
        let all = Days::ALL.map(|(days, ..)| hours(days));
        assert_eq!(all, [Some(168), Some(720), Some(2160), None]);
    }
}

//! What the list of deliveries shows.
//!
//! # Invariants
//! - Bounded: [`PAGE`] deliveries, [`SUGGESTED`] suggestions for each field.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::super::{Failed, Page};
use super::wanted::{Problem, Wanted};
use crate::relay::journal::{DeliveryId, Hit, Reader, Search, State, Sums};

/// So many deliveries stand on one page.
const PAGE: usize = 50;
/// So many names are suggested for each field.
const SUGGESTED: usize = 200;

/// The list.
#[derive(Debug, Serialize)]
pub(crate) struct List {
    /// What is wanted.
    pub(crate) wanted: Wanted,
    /// What is wrong with that; then nothing was searched for.
    pub(crate) problems: Vec<Problem>,
    /// What was found, the newest event first.
    pub(crate) deliveries: Vec<Row>,
    /// So many deliveries were looked at.
    pub(crate) looked: usize,
    /// Where to go on; none at the end.
    pub(crate) more: Option<DeliveryId>,
    /// All destinations.
    pub(crate) destinations: Vec<Named>,
    /// What may stand in the fields.
    pub(crate) suggested: Suggested,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Named {
    /// What keys are made of.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: String,
}

/// Names that were seen.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Suggested {
    pub(crate) assets: BTreeSet<String>,
    pub(crate) missions: BTreeSet<String>,
    pub(crate) robots: BTreeSet<String>,
}

/// One delivery.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// `DESTINATION:NUMBER`.
    pub(crate) id: String,
    /// The destination's name.
    pub(crate) destination: String,
    /// Where it stands.
    pub(crate) state: State,
    /// When its event was received.
    pub(crate) received_at: Timestamp,
    /// The event's type.
    pub(crate) event_type: String,
    /// What the event is known by.
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    pub(crate) mission: Option<String>,
    pub(crate) robot: Option<String>,
    /// What it was sent with, else what the asset map of now has.
    pub(crate) asset: Option<String>,
    pub(crate) alert: bool,
    pub(crate) attempts: u32,
    pub(crate) reason: Option<String>,
    /// When it is tried again, about.
    pub(crate) next_at: Option<Timestamp>,
}

/// The list that an address wants.
pub(crate) async fn list(page: &Arc<Page>, query: &str) -> Result<List, Failed> {
    let (wanted, problems) = Wanted::parse(query, page.app.clock.wall());
    let map = page.app.assets.current().borrow().clone();
    let listed: Vec<String> = map.rows().take(SUGGESTED).map(|(_, id)| id).collect();
    page.read(move |reader| {
        let sums = reader.sums()?;
        let mut suggested = suggested(reader)?;
        suggested.assets.extend(listed);
        let mut list = List {
            destinations: destinations(&sums),
            suggested,
            problems,
            deliveries: Vec::new(),
            looked: 0,
            more: None,
            wanted,
        };
        if list.problems.is_empty() {
            let found = reader.search(&search(&list.wanted), PAGE)?;
            list.looked = found.looked;
            list.more = found.more;
            let rows = found.deliveries.into_iter();
            list.deliveries = rows.map(|hit| row(hit, &list.destinations)).collect();
        }
        Ok(list)
    })
    .await
}

/// All destinations, by what people call them.
pub(super) fn destinations(sums: &Sums) -> Vec<Named> {
    let all = sums.destinations.iter().map(|destination| Named {
        id: destination.id.clone(),
        name: called(&destination.name, &destination.id).to_owned(),
    });
    all.collect()
}

/// What people call it, if they call it anything.
pub(super) fn called<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}

fn suggested(reader: &mut Reader) -> Result<Suggested, crate::relay::journal::ReadError> {
    let mut suggested = Suggested::default();
    for route in reader.routes()?.into_iter().take(SUGGESTED) {
        suggested.robots.insert(route.robot);
        suggested.missions.extend(route.mission);
    }
    suggested.robots.remove("");
    Ok(suggested)
}

fn search(wanted: &Wanted) -> Search {
    Search {
        text: wanted.text.clone(),
        asset: wanted.asset.clone(),
        action: wanted.action.clone(),
        mission: wanted.mission.clone(),
        robot: wanted.robot.clone(),
        destination: wanted.destination.clone(),
        states: wanted.states.clone(),
        since: wanted.since,
        until: wanted.until,
        before: wanted.before.clone(),
    }
}

fn row(hit: Hit, destinations: &[Named]) -> Row {
    let found = hit.delivery;
    let mut names = destinations.iter();
    let name = names.find(|named| named.id == found.id.destination);
    Row {
        destination: name.map_or_else(|| found.id.destination.clone(), |named| named.name.clone()),
        id: found.id.to_string(),
        state: found.state,
        received_at: found.received_at,
        event_type: found.event_type,
        event: found.event,
        action: hit.action,
        mission: hit.mission,
        robot: hit.robot,
        asset: found.asset.or(hit.asset),
        alert: hit.alert,
        attempts: found.attempts,
        reason: found.reason,
        next_at: found.due_at,
    }
}

//! `deliveries list`: one line, or one JSON object, for each.
//!
//! # Invariants
//! - Nothing is written. The members of the JSON objects are documented in docs/data-model.md.

use std::process::ExitCode;

use clap::ArgMatches;
use jiff::Timestamp;
use serde::Serialize;

use super::{Outcome, choose, print};
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::relay::journal::{DeliveriesPage, Delivery, DestinationSums, Reader, State, Sums};

/// One delivery, for programs.
#[derive(Serialize)]
pub(super) struct DeliveryJson<'a> {
    id: String,
    destination: &'a str,
    seq: i64,
    state: &'static str,
    event: &'a str,
    event_type: &'a str,
    received_at: String,
    asset: Option<&'a str>,
    attempts: u32,
    reason: Option<&'a str>,
    next_attempt_at: Option<String>,
}

impl<'a> DeliveryJson<'a> {
    pub(super) fn new(delivery: &'a Delivery, next_at: Option<Timestamp>) -> Self {
        Self {
            id: delivery.id.to_string(),
            destination: &delivery.id.destination,
            seq: delivery.id.seq,
            state: delivery.state.as_str(),
            event: &delivery.event,
            event_type: &delivery.event_type,
            received_at: delivery.received_at.to_string(),
            asset: delivery.asset.as_deref(),
            attempts: delivery.attempts,
            reason: delivery.reason.as_deref(),
            next_attempt_at: next_at.map(|at| at.to_string()),
        }
    }
}

pub(super) fn list(input: &Input, matches: &ArgMatches) -> Outcome {
    let mut reader = Reader::open(&Config::data_dir(input)?)?;
    let sums = reader.sums()?;
    let before = matches.get_one::<String>("before");
    let limit = matches.get_one::<u32>("limit").copied().unwrap_or(20);
    let page = DeliveriesPage {
        filter: choose::filter(matches, &sums, Clock::system().wall())?,
        before: before.map(|id| choose::id(&sums, id)).transpose()?,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let deliveries = reader.deliveries(&page)?;
    if matches.get_flag("json") {
        for delivery in &deliveries {
            let next_at = next_at(delivery, of(&sums, delivery));
            print(&serde_json::to_string(&DeliveryJson::new(
                delivery, next_at,
            ))?)?;
        }
    } else if deliveries.is_empty() {
        print("no deliveries")?;
    } else {
        for delivery in &deliveries {
            print(&line(delivery, of(&sums, delivery)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn of<'a>(sums: &'a Sums, delivery: &Delivery) -> Option<&'a DestinationSums> {
    let mut destinations = sums.destinations.iter();
    destinations.find(|d| d.id == delivery.id.destination)
}

/// When it is tried next, as far as that is known: not while its destination is down, where a
/// probe may take any.
pub(super) fn next_at(
    delivery: &Delivery,
    destination: Option<&DestinationSums>,
) -> Option<Timestamp> {
    let waits = matches!(delivery.state, State::Pending | State::Postponed);
    if !waits || destination.is_some_and(|d| d.down.is_some()) {
        return None;
    }
    delivery.due_at.max(destination.and_then(|d| d.held_until))
}

/// One delivery, for people.
pub(super) fn line(delivery: &Delivery, destination: Option<&DestinationSums>) -> String {
    let Delivery {
        id,
        state,
        event,
        event_type,
        received_at,
        asset,
        attempts,
        reason,
        ..
    } = delivery;
    let state = state.as_str();
    let asset = asset
        .as_ref()
        .map(|asset| format!(", asset {asset:?}"))
        .unwrap_or_default();
    let reason = reason
        .as_ref()
        .map(|reason| format!(", because: {reason:?}"))
        .unwrap_or_default();
    let next = next_at(delivery, destination)
        .map(|at| format!(", next try about {at:.0}"))
        .unwrap_or_default();
    format!(
        "{id} {received_at} {event_type:?} {event:?}: {state}, attempts {attempts}{asset}{reason}{next}"
    )
}

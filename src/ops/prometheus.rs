//! The metrics in Prometheus' text format 0.0.4.
//!
//! # Invariants
//! - What is a level (queues, parts) is read when it is asked for, not counted along the way.
//! - A destination is called by its name, as in the counters; one that is no longer configured by
//!   its id where another has its name now.

use jiff::Timestamp;
use prometheus::{Encoder as _, TextEncoder};

use super::health::Parts;
use crate::clock::until;
use crate::metrics::{DestinationLevels, JournalLevels, Metrics, OrbitLevels};
use crate::relay::journal::{DestinationSums, OrderSums, Room, State, Sums};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn render(
    parts: &Parts,
    metrics: &Metrics,
    now: Timestamp,
) -> Result<Vec<u8>, prometheus::Error> {
    let sums = parts.sums.borrow().clone();
    for destination in &sums.destinations {
        let label = label(destination, &sums);
        metrics.set_destination(label, &levels(destination, now));
        for state in State::ALL {
            metrics.set_deliveries(label, state.as_str(), destination.of(state));
        }
        let OrderSums { open, closed, told } = destination.orders;
        for (state, n) in [("open", open), ("closed", closed), ("told", told)] {
            metrics.set_work_orders(label, state, n);
        }
    }
    metrics.set_journal(&journal(&parts.room.borrow(), &sums));
    metrics.set_orbit(&orbit(parts, &sums));
    let health = parts.health();
    metrics.set_part("journal", health.journal.well);
    metrics.set_part("listener", health.listener.well);
    metrics.set_part("orbit", health.orbit.well);
    metrics.set_part("backfill", health.backfill.well);
    metrics.set_part("clock", health.clock.well);
    let destinations_well = health.destinations.values().all(|part| part.well);
    metrics.set_part("destinations", destinations_well);
    let mut text = Vec::new();
    TextEncoder::new().encode(&metrics.registry().gather(), &mut text)?;
    Ok(text)
}

fn label<'a>(destination: &'a DestinationSums, sums: &Sums) -> &'a str {
    let of_this_name = sums
        .destinations
        .iter()
        .filter(|other| other.name == destination.name);
    if destination.removed && of_this_name.count() > 1 {
        &destination.id
    } else {
        &destination.name
    }
}

fn levels(destination: &DestinationSums, now: Timestamp) -> DestinationLevels {
    DestinationLevels {
        kept: destination.kept,
        oldest_undelivered: destination
            .oldest_undelivered_at
            .map(|at| until(at, now))
            .unwrap_or_default(),
        circuit_open: destination.down.is_some(),
        paused: destination.paused.is_some(),
        removed: destination.removed,
    }
}

fn orbit(parts: &Parts, sums: &Sums) -> OrbitLevels {
    let progress = parts.backfill.borrow();
    let reconciled_at = *parts.looked_at.borrow();
    OrbitLevels {
        reconciled_at: reconciled_at.map(Timestamp::as_second),
        backfilled: sums.backfilled,
        looked_at: progress.looked_at.map(Timestamp::as_second),
        cursor: progress.cursor.map(Timestamp::as_second),
        skew_ms: parts.orbit_clock.skew_ms(),
    }
}

fn journal(room: &Room, sums: &Sums) -> JournalLevels {
    JournalLevels {
        bytes: room.used_bytes,
        limit_bytes: room.limit_bytes,
        disk_free_bytes: room.disk.map(|disk| disk.free_bytes),
        last_event_at: sums.last_event_at.map(Timestamp::as_second),
    }
}

//! The metrics in Prometheus' text format 0.0.4.
//!
//! # Invariants
//! - What is a level (queues, parts) is read when it is asked for, not counted along the way.

use prometheus::{Encoder as _, TextEncoder};

use super::health::Parts;
use crate::metrics::Metrics;
use crate::relay::journal::State;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn render(parts: &Parts, metrics: &Metrics) -> Result<Vec<u8>, prometheus::Error> {
    for destination in &parts.sums.borrow().destinations {
        metrics.set_kept(&destination.id, destination.kept);
        for state in State::ALL {
            metrics.set_deliveries(&destination.id, state.as_str(), destination.of(state));
        }
    }
    let health = parts.health();
    metrics.set_part("journal", health.journal.well);
    metrics.set_part("listener", health.listener.well);
    metrics.set_part("orbit", health.orbit.well);
    let destinations_well = health.destinations.values().all(|part| part.well);
    metrics.set_part("destinations", destinations_well);
    let mut text = Vec::new();
    TextEncoder::new().encode(&metrics.registry().gather(), &mut text)?;
    Ok(text)
}

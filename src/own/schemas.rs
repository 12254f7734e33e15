//! A JSON Schema for each type of event that the relay makes.
//!
//! # Invariants
//! - A test holds every body to its schema.

use super::{ANSWER, Own};

/// The schema of an event of the relay's own; none where the relay makes none of the type.
pub fn schema(event_type: &str) -> Option<&'static str> {
    if event_type.starts_with(ANSWER) {
        return Some(include_str!("schemas/answer.json"));
    }
    Some(match Own::of_type(event_type)? {
        Own::Received => include_str!("schemas/event.received.json"),
        Own::BeforeDeliver => include_str!("schemas/before-deliver.json"),
        Own::AfterDeliver => include_str!("schemas/after-deliver.json"),
        Own::Dead => include_str!("schemas/delivery.dead.json"),
        Own::Paused => include_str!("schemas/destination.paused.json"),
        Own::Resumed => include_str!("schemas/destination.resumed.json"),
        Own::Drift => include_str!("schemas/webhook.drift.json"),
        Own::Found => include_str!("schemas/backfill.found.json"),
        Own::Unmapped => include_str!("schemas/asset.unmapped.json"),
    })
}

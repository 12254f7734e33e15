//! Deliveries and destinations in words, the same for commands and for the page.
//!
//! # Invariants
//! - Pure. No secret is shown: the journal holds none, and a destination's own headers are not
//!   read.

use serde_json::Value;

use crate::event::idempotency_key;
use crate::relay::journal::{DeliveryDetail, DestinationSums, Down, Paused, State};
use crate::relay::transform;

/// Why nothing, or little, goes out now; none when all is well.
pub fn trouble(destination: &DestinationSums) -> Option<String> {
    if destination.removed {
        return Some(
            "it is no longer configured: what it still had is parked until it is brought back or \
             discarded"
                .to_owned(),
        );
    }
    if let Some(Paused { at, by, why, .. }) = &destination.paused {
        let why = because(why);
        return Some(format!("it is paused since {at:.0} by {by}{why}"));
    }
    if let Some(Down { at, why }) = &destination.down {
        let why = because(why);
        return Some(format!(
            "it is down since {at:.0}{why}; one probe at a time goes out, at most a minute apart"
        ));
    }
    let until = destination.held_until?;
    Some(format!(
        "nothing goes out until about {until:.0}: it asked for that with Retry-After; destinations \
         resume ends it"
    ))
}

/// The reason behind what it is of; nothing where there is none.
pub fn because(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    }
}

/// Why this asset: what the frozen part of the body says.
pub fn asset(detail: &DeliveryDetail) -> String {
    let frozen = detail.relay.as_deref();
    let frozen: Option<Value> = frozen.and_then(|relay| serde_json::from_str(relay).ok());
    let Some(frozen) = frozen else {
        return match &detail.delivery.asset {
            Some(asset) => format!("{asset:?}"),
            None => "looked up when it is sent".to_owned(),
        };
    };
    let text = |name: &str| frozen.get("asset")?.get(name)?.as_str();
    match (text("id"), text("matched_by")) {
        (Some(id), Some("orbit")) => format!("{id:?}, as Orbit itself names it"),
        (Some(id), Some("default")) => format!("{id:?}, which `unmapped` names"),
        (Some(id), Some(by)) => format!("{id:?}, found in the asset map by {by}"),
        (Some(id), None) => format!("{id:?}"),
        (None, _) => "none: no row of the asset map was about it when it was first sent".to_owned(),
    }
}

/// How often it was tried, and what came of the last try.
pub fn tries(detail: &DeliveryDetail) -> String {
    let delivery = &detail.delivery;
    let at = detail
        .changed_at
        .map(|at| format!(", the last ended at {at:.0}"))
        .unwrap_or_default();
    let reason = delivery
        .reason
        .as_ref()
        .map(|reason| format!(": {reason:?}"))
        .unwrap_or_default();
    if delivery.attempts == 0 {
        return format!("none yet{reason}");
    }
    let failed = match detail.failures {
        0 => String::new(),
        n => format!(", {n} failed in a row"),
    };
    format!("{}{failed}{at}{reason}", delivery.attempts)
}

/// When the next try is, and why then.
pub fn next(detail: &DeliveryDetail) -> String {
    let destination = &detail.delivery.id.destination;
    match (detail.delivery.state, detail.state) {
        (State::Delivered, _) => "none: the destination took it".to_owned(),
        (State::Skipped, _) => "none: the destination does not want it, see the reason".to_owned(),
        (State::Discarded, _) => "none: it was discarded".to_owned(),
        (State::Dead, _) => "none: it is given up and kept".to_owned(),
        (State::Sending, _) => "it is being tried now".to_owned(),
        (State::Parked, State::Parked) if detail.unmapped => {
            "none until the asset map has an asset for it".to_owned()
        }
        (State::Parked, State::Parked) => "none until a person has seen to it".to_owned(),
        (State::Parked, _) => format!(
            "none for now: {}",
            trouble(&detail.destination).unwrap_or_default()
        ),
        (State::Pending | State::Postponed, _) => {
            let when = waiting(detail);
            match trouble(&detail.destination) {
                Some(trouble) => format!("{when}; but {destination}: {trouble}"),
                None => when,
            }
        }
    }
}

fn waiting(detail: &DeliveryDetail) -> String {
    let destination = &detail.delivery.id.destination;
    if let Some(seq) = detail.waits_for {
        return format!("when {destination}:{seq}, which goes first, has ended");
    }
    if let (Some(gate), false) = (&detail.gate, detail.for_orbit) {
        let limit = detail.delivery.due_at;
        let limit = limit.map(|at| format!(", at the latest about {at:.0}"));
        return format!(
            "when the gate {gate} has answered{}",
            limit.unwrap_or_default()
        );
    }
    let due = detail.delivery.due_at.max(detail.hold_until);
    let asked = match (detail.not_before, detail.hold_until) {
        (Some(at), _) | (None, Some(at)) if Some(at) == due => {
            ", because the destination asked for that much time"
        }
        _ if detail.for_orbit => ", when Orbit is asked again",
        _ if detail.failures > 0 => ", by the schedule of retries",
        _ => "",
    };
    match due {
        Some(at) => format!("about {at:.0}{asked}"),
        None if detail.replayed => {
            "as soon as nothing new and no retry waits for the destination".to_owned()
        }
        None => "as soon as it is its turn".to_owned(),
    }
}

/// What it was sent with, or will be.
pub fn key(detail: &DeliveryDetail) -> String {
    let (event, delivery) = (&detail.event, &detail.delivery);
    let frozen = detail.relay.as_deref().and_then(transform::key_of);
    frozen.unwrap_or_else(|| {
        idempotency_key(
            &event.source,
            &event.event_type,
            &event.identity,
            &delivery.id.destination,
        )
    })
}

/// The body of the event form, as it is frozen.
pub fn sent_body(detail: &DeliveryDetail) -> Option<Vec<u8>> {
    let relay = detail.relay.as_deref()?;
    transform::body(&detail.event.body, relay).ok()
}

//! What a bulk act can be done to, in words: the same for commands and for the page.
//!
//! # Invariants
//! - Pure.

use crate::relay::journal::{DeliveryDetail, Filter, Kind, State};

/// Why it is not for deliveries in one of the states that a person names; none where it is.
pub fn refuses_states(kind: Kind, filter: &Filter) -> Option<String> {
    let mut states = filter.states.iter();
    let state = states.find(|state| !kind.takes().contains(state))?;
    let word = kind.as_str();
    Some(format!(
        "{word} is not for {} deliveries; it takes {}",
        state.as_str(),
        takes(kind)
    ))
}

/// Why it is not for this delivery; none where it is.
pub fn refuses(kind: Kind, found: &DeliveryDetail) -> Option<String> {
    // What only waits for its destination is shown as parked, and needs no replay.
    let state = match kind {
        Kind::Replay => found.state,
        Kind::Discard => found.delivery.state,
    };
    if kind.takes().contains(&state) {
        return None;
    }
    let (id, word) = (&found.delivery.id, kind.as_str());
    Some(format!(
        "{id} is {}; {word} takes {}",
        state.as_str(),
        takes(kind)
    ))
}

fn takes(kind: Kind) -> String {
    let can: Vec<_> = kind.takes().iter().copied().map(State::as_str).collect();
    can.join(", ")
}

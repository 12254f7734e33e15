//! What was received, and what became of it.
//!
//! # Invariants
//! - received = accepted + duplicate + rejected; for each destination accepted = kept + the sum
//!   over the states. What does not add up is said.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::State;

/// The sums of promise 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Events taken into the journal, ever.
    pub accepted: u64,
    /// Events that were there already.
    pub duplicate: u64,
    /// Requests refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// When the last event was accepted.
    pub last_event_at: Option<Timestamp>,
    /// Each destination's deliveries.
    pub destinations: Vec<DestinationSums>,
}

/// One destination's sums. `accepted` of all = `kept` + the sum over `states`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationSums {
    /// The destination's id.
    pub id: String,
    /// Events that came while it was not configured; a person may ask for them.
    pub kept: u64,
    /// Deliveries by state.
    pub states: BTreeMap<State, u64>,
    /// When the oldest event that it still waits for was received.
    pub oldest_undelivered_at: Option<Timestamp>,
}

impl DestinationSums {
    /// Deliveries in this state.
    pub fn of(&self, state: State) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }

    fn lines(&self, accepted: u64) -> Vec<String> {
        let Self { id, kept, .. } = self;
        let accepted = accepted.saturating_sub(*kept);
        let states = State::ALL
            .into_iter()
            .map(|s| format!("{} {}", s.as_str(), self.of(s)));
        let states: Vec<_> = states.collect();
        let mut lines = vec![format!(
            "{id}: accepted {accepted} = {}",
            states.join(" + ")
        )];
        if *kept > 0 {
            lines.push(format!(
                "{id}: kept {kept} that came before it was configured"
            ));
        }
        if let Some(at) = self.oldest_undelivered_at {
            lines.push(format!("{id}: the oldest undelivered event came at {at}"));
        }
        lines
    }

    /// Deliveries in all states.
    pub fn total(&self) -> u64 {
        self.states.values().sum()
    }
}

impl Sums {
    /// Requests that brought an event or tried to.
    pub fn received(&self) -> u64 {
        self.accepted + self.duplicate + self.rejected.values().sum::<u64>()
    }

    /// The sums as people read them: the whole, then each destination.
    pub fn lines(&self) -> Vec<String> {
        let (received, accepted, duplicate) = (self.received(), self.accepted, self.duplicate);
        let rejected: u64 = self.rejected.values().sum();
        let reasons: Vec<_> = self
            .rejected
            .iter()
            .map(|(reason, n)| format!("{reason} {n}"))
            .collect();
        let reasons = if reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", reasons.join(", "))
        };
        let mut lines = vec![format!(
            "received {received} = accepted {accepted} + duplicate {duplicate} + rejected {rejected}{reasons}"
        )];
        lines.extend(self.destinations.iter().flat_map(|d| d.lines(accepted)));
        if self.destinations.is_empty() {
            lines.push(format!("no destination: {accepted} events are kept"));
        }
        lines.extend(
            self.mistakes()
                .into_iter()
                .map(|mistake| format!("DOES NOT ADD UP: {mistake}")),
        );
        lines
    }

    /// What does not add up, in words; empty when all is well.
    pub fn mistakes(&self) -> Vec<String> {
        self.destinations
            .iter()
            .filter(|d| d.kept + d.total() != self.accepted)
            .map(|d| {
                let (id, kept, total, accepted) = (&d.id, d.kept, d.total(), self.accepted);
                format!("destination {id}: kept {kept} + deliveries {total} ≠ accepted {accepted}")
            })
            .collect()
    }
}

//! What was received, and what became of it.
//!
//! # Invariants
//! - received = accepted + duplicate + rejected; for each destination accepted = kept + expired
//!   + the sum over the states. What does not add up is said.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Down, OrderSums, Paused, State};

/// What was received, and what became of it, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Events taken into the journal, ever.
    pub accepted: u64,
    /// Events that were there already.
    pub duplicate: u64,
    /// Of the accepted, those that the relay itself found at their source.
    pub backfilled: u64,
    /// Requests refused, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// When the last event of Orbit was accepted.
    pub last_event_at: Option<Timestamp>,
    /// Each destination's deliveries.
    pub destinations: Vec<DestinationSums>,
}

/// One destination's sums. `accepted` of all = `kept` + `expired` + the sum over `states`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationSums {
    /// The destination's id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Why nothing goes out, if a person or the relay paused it.
    pub paused: Option<Paused>,
    /// Why only probes go out, if it is down.
    pub down: Option<Down>,
    /// Nothing goes out before then (steady clock): it asked for that with `Retry-After`.
    pub held_until: Option<Timestamp>,
    /// Whether it is no longer configured: what it still had waits for a person.
    pub removed: bool,
    /// Deliveries that were never claimed and can be now.
    pub fresh: u64,
    /// Events that came while it was not configured; a person may ask for them.
    pub kept: u64,
    /// Events that were kept, until their time to be kept was over.
    pub expired: u64,
    /// Deliveries that were given up and not revived at once, ever, but for samples and the relay's
    /// notices.
    pub died: u64,
    /// Why the last of them was.
    pub died_why: Option<String>,
    /// Deliveries that were parked because a gate gave no answer, ever, but for samples and the
    /// relay's notices.
    pub unanswered: u64,
    /// Why the last of them was.
    pub unanswered_why: Option<String>,
    /// Deliveries by state.
    pub states: BTreeMap<State, u64>,
    /// When the oldest event that it still waits for was received.
    pub oldest_undelivered_at: Option<Timestamp>,
    /// Its work orders.
    pub orders: OrderSums,
    /// Of the parked deliveries, those that are so because they had no asset.
    pub unmapped: u64,
}

impl DestinationSums {
    /// Deliveries in this state.
    pub fn of(&self, state: State) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }

    /// Deliveries that will still be tried.
    pub fn waiting(&self) -> u64 {
        self.of(State::Pending) + self.of(State::Postponed) + self.of(State::Parked)
    }

    fn lines(&self, accepted: u64) -> Vec<String> {
        let Self {
            name: id,
            kept,
            expired,
            ..
        } = self;
        let accepted = accepted.saturating_sub(*kept + *expired);
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
        if *expired > 0 {
            lines.push(format!("{id}: {expired} that were kept are gone by age"));
        }
        if let Some(Paused { at, by, why, .. }) = &self.paused {
            lines.push(format!("{id}: PAUSED since {at} by {by}: {why}"));
        }
        if let Some(Down { at, why }) = &self.down {
            lines.push(format!("{id}: DOWN since {at}: {why}"));
        }
        if let Some(until) = self.held_until {
            lines.push(format!(
                "{id}: HELD until about {until:.0}: it asked for that with Retry-After; \
                 destinations resume ends it"
            ));
        }
        if self.unmapped > 0 {
            lines.push(format!("{id}: parked: {} without an asset", self.unmapped));
        }
        if self.removed && self.waiting() > 0 {
            lines.push(format!(
                "{id}: no longer configured; what it still had is parked until it is brought back \
                 or discarded"
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
        if self.backfilled > 0 {
            lines.push(format!(
                "of the accepted, {} were found by backfill",
                self.backfilled
            ));
        }
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
            .filter(|d| d.kept + d.expired + d.total() != self.accepted)
            .map(|d| {
                let (name, kept, expired) = (&d.name, d.kept, d.expired);
                let (total, accepted) = (d.total(), self.accepted);
                format!(
                    "destination {name}: kept {kept} + expired {expired} + deliveries {total} ≠ \
                     accepted {accepted}"
                )
            })
            .collect()
    }
}

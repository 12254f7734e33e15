//! What the relay itself has to say, as events of the source `relay`.
//!
//! ```text
//! mod     the kinds, and what each is for
//! bodies  what they say
//! schemas a JSON Schema for each type
//! samples one realistic event of each type
//! ```
//!
//! # Invariants
//! - Pure: whoever finds a cause makes the event, and keeps it with that cause.
//! - The same cause gives the same identity.
//!
//! # Not here
//! `RELAY_NOTICE`, which is told to people: `app::notices`.

mod bodies;
mod samples;
mod schemas;

use crate::event::{Origin, RELAY};

pub use self::bodies::{
    About, Delivery, End, Found, Pause, Unmapped, after, answer, before, dead, drift, found,
    paused, received, resumed, unmapped,
};
pub use self::samples::sample;
pub use self::schemas::schema;

/// A kind of event that the relay itself makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Own {
    /// An event was taken.
    Received,
    /// A delivery is about to be made for the first time.
    BeforeDeliver,
    /// A delivery has ended.
    AfterDeliver,
    /// A delivery was given up.
    Dead,
    /// A destination was paused.
    Paused,
    /// A destination was resumed.
    Resumed,
    /// Our webhook in Orbit was not as it should be.
    Drift,
    /// Backfill found what the webhook missed.
    Found,
    /// An action has no asset.
    Unmapped,
}

/// What the answers of a destination are called, with its name behind it.
pub const ANSWER: &str = "answer:";

impl Own {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Received,
        Self::BeforeDeliver,
        Self::AfterDeliver,
        Self::Dead,
        Self::Paused,
        Self::Resumed,
        Self::Drift,
        Self::Found,
        Self::Unmapped,
    ];

    /// The type of its events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "event.received",
            Self::BeforeDeliver => "before:deliver",
            Self::AfterDeliver => "after:deliver",
            Self::Dead => "delivery.dead",
            Self::Paused => "destination.paused",
            Self::Resumed => "destination.resumed",
            Self::Drift => "webhook.drift",
            Self::Found => "backfill.found",
            Self::Unmapped => "asset.unmapped",
        }
    }

    /// The kind whose events have this type.
    pub fn of_type(event_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.as_str() == event_type)
    }

    /// Whether its events are kept where there is no room for new ones: they say what stopped, and
    /// there are no more of them than of what waits already.
    pub fn is_grave(self) -> bool {
        matches!(self, Self::Dead | Self::Paused | Self::Resumed)
    }
}

/// Whether the relay has anything to say about an event: not about its own, so that nothing goes
/// round, nor about a sample, of which nothing happened.
pub fn concerns(source: &str, origin: Origin) -> bool {
    source != RELAY && origin != Origin::Sample
}

#[cfg(test)]
pub(crate) mod tests;

//! A claim and what comes of it: the values that the delivery engine and the journal exchange.
//!
//! # Invariants
//! - Only the journal makes a lease.

use std::time::Duration;

use jiff::Timestamp;

use super::{NewOrder, State};
use crate::event::Origin;

/// What a claim asks for.
#[derive(Clone, Debug)]
pub struct Want {
    /// Deliveries of this destination.
    pub destination: String,
    /// At most so many.
    pub limit: usize,
    /// Of them at most so many that a person asked for again, and only where nothing else waits.
    pub replays: usize,
    /// One, whether it is due or not: the destination is down, and this finds out whether it
    /// still is.
    pub probe: bool,
    /// Retries go before new events, so that a line keeps its order.
    pub in_order: bool,
    /// The destination is back: what waits for a later step of its schedule is due now.
    pub hasten: bool,
    /// For how long the destination worked since the last claim.
    pub worked: Duration,
    /// Now, on the steady clock.
    pub now: Timestamp,
    /// How long the claim holds: longer than the longest wait and try.
    pub lease: Duration,
}

/// A claimed delivery: the right to try it once, for a time.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What proves the right.
    pub lease: Lease,
    /// Whose delivery it is.
    pub destination_id: String,
    /// The event's source.
    pub source: String,
    /// The event's type.
    pub event_type: String,
    /// What the event is known by.
    pub identity: String,
    /// How this delivery came about.
    pub origin: Origin,
    /// When the event was received.
    pub received_at: Timestamp,
    /// The event's raw bytes.
    pub body: Vec<u8>,
    /// Which try this is; 1 is the first.
    pub attempt: u32,
    /// How many tries failed in a row before this one.
    pub failures: u32,
    /// How long it has waited since its first failure, counting only time in which the
    /// destination worked.
    pub waited: Duration,
    /// Whether a person asked for it again.
    pub replayed: bool,
    /// The relay's part of the body as it was frozen at the first send.
    pub frozen: Option<String>,
    /// The requests as they were frozen at the first send.
    pub message: Option<String>,
    /// What of them was done, as the last try noted it.
    pub progress: Option<String>,
    /// What Orbit said of the event.
    pub enrichment: Enrichment,
    /// Since when it waits for what Orbit says (steady clock).
    pub enrich_since: Option<Timestamp>,
}

/// What Orbit said of an event beside the event itself, each as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrichment {
    /// Of its run.
    pub run: Option<String>,
    /// Of its anomaly.
    pub anomaly: Option<String>,
}

/// The proof of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The event's place in the order of arrival.
    pub seq: i64,
    /// When the right ends, on the steady clock.
    pub until: Timestamp,
    pub(super) destination: i64,
    pub(super) token: i64,
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claims {
    /// The deliveries to try now, in order of arrival.
    pub now: Vec<Claim>,
    /// When the next one is due, on the steady clock; none when nothing waits.
    pub next_due: Option<Timestamp>,
    /// Nothing goes out now: it is paused, or asked for time until [`Claims::next_due`].
    pub closed: bool,
    /// Whether [`Want::hasten`] has not reached all that waits.
    pub more_to_hasten: bool,
}

/// What is to become of a claimed delivery before anything is sent.
#[derive(Clone, Debug)]
pub enum Step {
    /// Freeze the relay's part of the body, and send.
    Freeze {
        /// The relay's part.
        relay: String,
        /// The asset's id.
        asset: Option<String>,
        /// The line that it stands in: it goes when those before it have ended.
        line: Option<String>,
        /// There is to be one delivery with this key.
        once: Option<[u8; 16]>,
        /// The requests. None, here and of the next three: as it was frozen before.
        message: Option<String>,
        /// The version of the asset map that the asset is from.
        map: Option<String>,
        /// The version of the template that the requests are from.
        template: Option<String>,
        /// The action, as orders know it.
        action: Option<String>,
        /// What an open order means for it.
        while_open: Option<WhileOpen>,
        /// Who is asked before it goes; none where no gate has a say.
        gates: Option<Vec<Asked>>,
    },
    /// Untried: it waits for what Orbit has to say.
    Wait {
        /// Until then (steady clock).
        due_at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Untried: it has no asset, and waits until [`Journal::unpark_unmapped`] or a person.
    ///
    /// [`Journal::unpark_unmapped`]: super::Journal::unpark_unmapped
    Park {
        /// Why.
        reason: String,
        /// The version of the asset map that had none.
        map: Option<String>,
        /// The action, as orders know it.
        action: Option<String>,
    },
    /// The destination does not want it.
    Skip {
        /// Why.
        reason: String,
    },
    /// It cannot be sent, ever.
    Bury {
        /// Why.
        reason: String,
    },
}

/// What is to become of a delivery while another one's order about the same is open.
///
/// Of those that stand in one line one goes at a time, whatever came first. So that two at once do
/// not both find no order, all about the same asset and action are given the same line, those that
/// a person asked for again too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhileOpen {
    /// About this asset.
    pub asset: Option<String>,
    /// And this action. Where neither is known, no order is about the same.
    pub action: Option<String>,
    /// It is skipped; otherwise it goes, with what is known of the order.
    pub skip: bool,
}

/// What came of a [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It may be sent.
    Send {
        /// What is known of the open order of [`WhileOpen`], as [`NewOrder::answer`] said it; `{}`
        /// where that is nothing. None where no order is open.
        open: Option<String>,
    },
    /// It waits, is skipped, parked, or dead.
    Settled,
    /// The lease is lost.
    Lost,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The destination took it.
    Delivered,
    /// To be tried again from then on (steady clock).
    Postponed {
        /// When.
        due_at: Timestamp,
        /// Never before then, whatever happens: the destination asked for it.
        not_before: Option<Timestamp>,
        /// Why.
        reason: String,
    },
    /// The rest of it is yet to be done, through no fault of the destination: Orbit did not give a
    /// picture, or the lease was nearly over. To be tried again from then on (steady clock).
    Waiting {
        /// When.
        due_at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Waits until a person has set the destination right: the destination is paused too.
    Parked {
        /// Why.
        reason: String,
    },
    /// Given up; kept.
    Dead {
        /// Why.
        reason: String,
    },
}

/// The end of a try, to be recorded.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub disposition: Disposition,
    /// The beginning of what the destination answered.
    pub answer: Option<String>,
    /// Nothing more goes to the destination before then (steady clock): it asked for that.
    pub hold_until: Option<Timestamp>,
    /// When, on the wall clock.
    pub at: Timestamp,
    /// What the destination made of an alert that it took, if that is to be followed.
    pub order: Option<Box<NewOrder>>,
    /// Why this destination, a gate, does not let the event go to others.
    pub cancels: Option<String>,
    /// What the destination answered and what was taken of it, where that is an event of the
    /// relay: a JSON object.
    pub answer_event: Option<String>,
}

/// A gate that is asked before a delivery goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The gate's id.
    pub gate: String,
    /// For so long its answer is waited for.
    pub limit: Duration,
    /// Whether the delivery goes where it gives none; otherwise it is parked.
    pub passes: bool,
}

impl Disposition {
    /// Why, where it was not delivered.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Delivered => None,
            Self::Postponed { reason, .. }
            | Self::Waiting { reason, .. }
            | Self::Parked { reason }
            | Self::Dead { reason } => Some(reason),
        }
    }

    /// The state that the delivery gets.
    pub fn state(&self) -> State {
        match self {
            Self::Delivered => State::Delivered,
            Self::Postponed { .. } | Self::Waiting { .. } => State::Postponed,
            Self::Dead { .. } => State::Dead,
            // Shown as parked for as long as the destination is paused.
            Self::Parked { .. } => State::Pending,
        }
    }
}

//! How each part does, in a word and a reason.
//!
//! # Invariants
//! - `ready` is false only while events cannot be accepted; where nothing of Orbit is set and there
//!   are other sources, their events are what counts.
//! - No secret and no URL with credentials is in a reason.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::clock::Remote;
use crate::reconcile::{backfill, orbit_clock, webhook};
use crate::relay::deliver;
use crate::relay::journal::{Availability, Level, Room, Sums};
use crate::relay::verify::Keys;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Whether events can be kept.
    pub journal: watch::Receiver<Availability>,
    /// Whether they can be checked.
    pub secret: watch::Receiver<Result<Keys, String>>,
    /// Whether only other sources are wanted: then it is no fault that Orbit's cannot be checked.
    pub sources_alone: bool,
    /// Our webhook in Orbit.
    pub webhook: watch::Receiver<webhook::Status>,
    /// Orbit's clock.
    pub orbit_clock: Remote,
    /// How Orbit is looked through for what was missed.
    pub backfill: watch::Receiver<backfill::Progress>,
    /// When Orbit was last asked about it, and answered.
    pub looked_at: watch::Receiver<Option<Timestamp>>,
    /// The destinations by name.
    pub destinations: BTreeMap<String, watch::Receiver<deliver::Health>>,
    /// The journal's sums.
    pub sums: watch::Receiver<Sums>,
    /// How much room the journal has.
    pub room: watch::Receiver<Room>,
}

/// What `/readyz` answers.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Health {
    /// `ready`; `degraded` where events can be accepted and a part is ill; `not_ready`.
    pub status: &'static str,
    /// Whether events can be accepted.
    pub ready: bool,
    /// Whether they can be kept.
    pub journal: Part,
    /// Whether they can be checked.
    pub listener: Part,
    /// Orbit, and our webhook there.
    pub orbit: Part,
    /// What finds what the webhook missed.
    pub backfill: Part,
    /// Orbit's clock against ours.
    pub clock: Part,
    /// Where they go, by name.
    pub destinations: BTreeMap<String, Part>,
}

/// One part, in a word and a reason.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Part {
    /// Whether the part does what it should.
    pub well: bool,
    /// The word.
    pub status: &'static str,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Parts {
    /// How all parts do, now.
    pub fn health(&self) -> Health {
        let journal = match &*self.journal.borrow() {
            Availability::Open => room(&self.room.borrow()),
            Availability::Opening => ill("opening", "it was started just now"),
            Availability::Unavailable(why) => ill("unavailable", why),
        };
        let listener = match &*self.secret.borrow() {
            Ok(_) => well("listening"),
            Err(why) if self.sources_alone => because("sources_alone", why),
            Err(why) => ill("not_ready", why),
        };
        let orbit = orbit(&self.webhook.borrow());
        let destinations: BTreeMap<_, _> = self
            .destinations
            .iter()
            .map(|(name, health)| (name.clone(), destination(&health.borrow())))
            .collect();
        let backfill = backfill(&self.backfill.borrow());
        let clock = clock(self.orbit_clock.skew_ms());
        let ready = journal.well && listener.well;
        let beside = [&orbit, &backfill, &clock].into_iter();
        let all_well = beside.chain(destinations.values()).all(|part| part.well);
        Health {
            status: match (ready, all_well) {
                (false, _) => "not_ready",
                (true, false) => "degraded",
                (true, true) => "ready",
            },
            ready,
            journal,
            listener,
            orbit,
            backfill,
            clock,
            destinations,
        }
    }

    /// One line for the person who pressed the test button.
    pub fn line(&self) -> String {
        let health = self.health();
        let word = |part: &Part| match &part.reason {
            Some(reason) => format!("{} ({reason})", part.status),
            None => part.status.to_owned(),
        };
        let destinations: Vec<_> = health
            .destinations
            .iter()
            .map(|(name, part)| format!("destination {name}: {}", word(part)))
            .collect();
        let destinations = if destinations.is_empty() {
            "no destination: events are kept and not forwarded".to_owned()
        } else {
            destinations.join("; ")
        };
        format!("webhook: {}; {destinations}", word(&health.orbit))
    }
}

fn orbit(status: &webhook::Status) -> Part {
    use webhook::Status;

    match status {
        Status::ByHand => because(
            "by_hand",
            "no Orbit host with an API token is set: a person takes care of the webhook",
        ),
        Status::Off => because("off", "--manage is off: a person takes care of the webhook"),
        Status::Polling => because(
            "polling",
            "--webhook-host is none: nothing is registered, Orbit is polled",
        ),
        Status::Unknown => ill("unknown", "Orbit has not answered yet"),
        Status::Registered {
            enabled: true,
            tried: Some(tried),
            ..
        } => because(
            "registered",
            &format!(
                "{} is tried ({}): no signed request has come by it yet",
                tried.url,
                tried.place()
            ),
        ),
        Status::Registered { enabled: true, .. } => well("registered"),
        Status::Registered { enabled: false, .. } => ill(
            "disabled",
            "the webhook is disabled in Orbit: no events come",
        ),
        Status::Drift { what } => ill(
            "drift",
            &format!(
                "the webhook is not as it should be, and is only observed: {}",
                what.join(", ")
            ),
        ),
        Status::Deleted => ill(
            "deleted",
            "a person deleted the webhook; webhook sync makes it again",
        ),
        Status::Failing(why) => ill("failing", why),
    }
}

fn room(room: &Room) -> Part {
    match room.level {
        Level::Enough => well("open"),
        Level::Filling => because("filling", &room.to_string()),
        Level::Full => ill("full", &room.to_string()),
    }
}

fn clock(skew_ms: Option<i64>) -> Part {
    let Some(skew_ms) = skew_ms else {
        return because("unknown", "Orbit's clock is not known");
    };
    match orbit_clock::in_words(skew_ms) {
        None => well("right"),
        Some(words) => ill("skewed", &words),
    }
}

fn backfill(progress: &backfill::Progress) -> Part {
    match (&progress.failing, progress.looked_at) {
        _ if !progress.on => because("off", "what the webhook misses is not looked for"),
        (Some(why), _) => ill("failing", why),
        (None, None) => because("waiting", "Orbit was not looked through yet"),
        (None, Some(_)) => well("current"),
    }
}

fn destination(health: &deliver::Health) -> Part {
    match health {
        deliver::Health::Untried => because("untried", "nothing was sent yet"),
        deliver::Health::Working => well("working"),
        deliver::Health::Failing(why) => ill("failing", why),
        deliver::Health::Down(why) => ill("down", why),
        deliver::Health::Paused(why) => ill("paused", why),
    }
}

fn well(status: &'static str) -> Part {
    Part {
        well: true,
        status,
        reason: None,
    }
}

fn because(status: &'static str, why: &str) -> Part {
    Part {
        well: true,
        status,
        reason: Some(why.to_owned()),
    }
}

fn ill(status: &'static str, why: &str) -> Part {
    Part {
        well: false,
        status,
        reason: Some(why.to_owned()),
    }
}

//! One post to a destination that carries no inspection, to see how it answers.
//!
//! # Invariants
//! - It goes the way of any post: credentials, signature, proxy, certificates, success rule.
//! - Nothing of it is in the journal but that somebody asked for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::{Clock, until};
use crate::event::{RELAY, TEST, idempotency_key};
use crate::relay::destination::outcome::Outcome;
use crate::relay::destination::{Destination, Request, What};

/// How a destination answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Trial {
    /// Whether it took the post, by its success rule.
    pub delivered: bool,
    /// What was wrong, if it did not.
    pub reason: Option<String>,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// How long it took.
    pub took_ms: u64,
    /// What was posted.
    pub body: String,
}

/// Posts once. `chance` makes the post's key its own.
pub async fn send(destination: &Destination, clock: &Clock, chance: u64) -> Trial {
    let at = clock.wall();
    let identity = format!("test-{chance:016x}");
    let key = idempotency_key(RELAY, TEST, &identity, destination.id());
    let body = json!({
        "type": TEST,
        "uuid": identity,
        "time": at.to_string(),
        "data": null,
        "relay": {
            "schema": 1, "delivery": key, "source": RELAY, "origin": "test",
            "received_at": at.to_string(), "asset": null,
        },
    })
    .to_string();
    let event = What::Event(body.clone().into_bytes());
    let request = Request::new(key, 1, at, event);
    let began = clock.steady();
    let sent = destination.send(request).await;
    let took = until(began, clock.steady());
    Trial {
        delivered: sent.outcome == Outcome::Delivered,
        reason: match sent.outcome {
            Outcome::Delivered => None,
            Outcome::Postponed { reason, .. }
            | Outcome::Parked { reason, .. }
            | Outcome::Dead { reason } => Some(reason),
        },
        answer: sent.answer,
        took_ms: millis(took),
        body,
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

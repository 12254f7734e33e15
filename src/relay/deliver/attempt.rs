//! One try of one delivery, and what is said of its end.
//!
//! # Invariants
//! - A try ends before its lease does.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::prepare::Ready;
use super::standing::{Tried, Verdict};
use crate::clock::until;
use crate::event::{ALERT, RELAY};
use crate::relay::destination::outcome::Outcome;
use crate::relay::destination::{Request, Sent};
use crate::relay::journal::{Claim, Disposition};

/// A try that has ended.
pub(super) struct Done {
    pub(super) ready: Ready,
    pub(super) sent: Sent,
    pub(super) took: Duration,
}

/// Sends once.
pub(super) async fn send(shared: Arc<Shared>, mut ready: Ready) -> Done {
    let clock = &shared.clock;
    let began = clock.steady();
    let request = Request {
        key: ready.key.clone(),
        attempt: ready.claim.attempt,
        body: std::mem::take(&mut ready.body),
        at: clock.wall(),
    };
    let rest = until(began, ready.claim.lease.until);
    let sent = tokio::time::timeout(rest, shared.destination.send(request))
        .await
        .unwrap_or_else(|_| Sent {
            outcome: Outcome::Postponed {
                reason: "no answer before the lease ended".into(),
                retry_after: None,
            },
            answer: None,
        });
    let took = until(began, clock.steady());
    Done { ready, sent, took }
}

impl Done {
    pub(super) fn tried(&self) -> Tried {
        let claim = &self.ready.claim;
        Tried {
            seq: claim.lease.seq,
            failures: claim.failures,
            waited: claim.waited,
            alert: claim.event_type == ALERT || claim.source == RELAY,
        }
    }

    /// One line for one try; the further failures of an event are the circuit's affair.
    pub(super) fn say(&self, shared: &Shared, verdict: &Verdict) {
        let Claim {
            lease,
            event_type,
            identity,
            attempt,
            received_at,
            ..
        } = &self.ready.claim;
        let destination = shared.destination.name();
        let took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        let seq = lease.seq;
        let (action, asset) = (self.ready.action.as_deref(), self.ready.asset.as_deref());
        let word = match &verdict.disposition {
            Disposition::Delivered => {
                let since_receipt = until(*received_at, shared.clock.wall());
                shared.metrics.observe_delivery(destination, since_receipt);
                tracing::info!(
                    seq,
                    event = identity,
                    event_type,
                    action,
                    asset,
                    destination,
                    attempt,
                    took_ms,
                    "delivered"
                );
                "delivered"
            }
            Disposition::Dead { reason } => {
                tracing::error!(
                    seq, event = identity, event_type, action, asset, destination, attempt,
                    took_ms, %reason, "dead: given up; it is kept"
                );
                "dead"
            }
            Disposition::Parked { reason } => {
                tracing::warn!(
                    seq, event = identity, event_type, action, asset, destination, attempt,
                    took_ms, %reason, "parked: it waits until the destination is resumed"
                );
                "parked"
            }
            Disposition::Postponed { reason, .. } if self.ready.claim.failures == 0 => {
                tracing::warn!(
                    seq, event = identity, event_type, action, asset, destination, attempt,
                    took_ms, %reason, "postponed"
                );
                "postponed"
            }
            Disposition::Postponed { reason, .. } => {
                tracing::debug!(
                    seq, event = identity, destination, attempt, took_ms, %reason, "postponed"
                );
                "postponed"
            }
            Disposition::Released => "released",
        };
        shared.metrics.count_attempt(destination, word, self.took);
    }
}

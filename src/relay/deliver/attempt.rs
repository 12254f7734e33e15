//! One try of one delivery.
//!
//! # Invariants
//! - A try ends before its lease does.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::prepare::Ready;
use super::standing::Tried;
use crate::clock::until;
use crate::event::{ALERT, RELAY};
use crate::relay::destination::outcome::Outcome;
use crate::relay::destination::{Request, Sent, What};

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
    let request = Request::new(
        ready.key.clone(),
        ready.claim.attempt,
        clock.wall(),
        What::Event(std::mem::take(&mut ready.body)),
    );
    let rest = until(began, ready.claim.lease.until);
    let sent = tokio::time::timeout(rest, shared.destination.send(request))
        .await
        .unwrap_or_else(|_| {
            Sent::unanswered(Outcome::Postponed {
                reason: "no answer before the lease ended".into(),
                retry_after: None,
            })
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
}

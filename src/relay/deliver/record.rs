//! The end of a try on its way into the journal, and into the log when it is there.
//!
//! # Invariants
//! - An end that cannot be recorded is tried again until it is, or until its lease went to another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::attempt::Done;
use super::{JOURNAL_PAUSE, Shared};
use crate::clock::until;
use crate::relay::journal::{Claim, Disposition, Ended, WriteError};

pub(super) async fn record(shared: Arc<Shared>, done: Done, ended: Ended) {
    let lease = done.ready.claim.lease;
    let mut waits = None;
    loop {
        match shared.journal.record(lease, ended.clone()).await {
            Ok(()) => return say(&shared, &done, &ended.disposition),
            Err(error @ (WriteError::LeaseLost(_) | WriteError::NoDestination(_))) => {
                tracing::warn!(%error, seq = lease.seq, "deliver: a try's end came too late");
                return;
            }
            Err(WriteError::Unavailable(_) | WriteError::Full(_) | WriteError::Behind) => {
                waits.get_or_insert_with(|| Unrecorded::new(&shared));
                tokio::time::sleep(JOURNAL_PAUSE).await;
            }
        }
    }
}

/// One line for one try; the further failures of an event are the circuit's affair.
fn say(shared: &Shared, done: &Done, disposition: &Disposition) {
    let Claim {
        lease,
        event_type,
        identity,
        attempt,
        failures,
        received_at,
        ..
    } = &done.ready.claim;
    let destination = shared.destination.name();
    let took_ms = u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX);
    let seq = lease.seq;
    let (action, asset) = (done.ready.action.as_deref(), done.ready.asset.as_deref());
    let word = match disposition {
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
        Disposition::Postponed { reason, .. } if *failures == 0 => {
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
    shared.metrics.count_attempt(destination, word, done.took);
}

/// Counts a try whose end waits for the journal, for as long as it lives.
struct Unrecorded<'a>(&'a Shared);

impl<'a> Unrecorded<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.unrecorded.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Drop for Unrecorded<'_> {
    fn drop(&mut self) {
        self.0.unrecorded.fetch_sub(1, Ordering::AcqRel);
    }
}
